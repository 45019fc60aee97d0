// The image with what is drawn over it, moved and enlarged together. All coordinates are pixels of the image.

const MOST_ZOOM = 64;

class Stage {
  /** `mode()` has the methods down, move and up of a pointer, if dragging does not move the image; `redraw` follows a change of the view. */
  constructor(mode, redraw) {
    Object.assign(this, { mode, redraw, width: 1, height: 1, scale: 1, left: 0, top: 0, moving: false, fitted: true });
    this.root = byId("stage");
    this.image = byId("image");
    this.paint = byId("paint");
    this.overlay = byId("overlay");
    new ResizeObserver(() => (this.fitted ? this.fit() : this.place())).observe(this.root);
    this.root.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 400), event);
    }, { passive: false });
    this.root.addEventListener("pointerdown", (event) => this.down(event));
    this.root.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) this.root.addEventListener(end, (event) => this.up(event));
    this.root.addEventListener("contextmenu", (event) => event.preventDefault());
    for (const look of ["contrast", "brightness"]) byId(look).addEventListener("input", () => this.light());
  }

  /** Shows an image, which may still be loading. */
  load(image, width, height, alt) {
    Object.assign(this, { width, height });
    Object.assign(image, { id: "image", draggable: false, width, height, alt });
    this.image.replaceWith(image);
    this.image = image;
    this.light();
    Object.assign(this.paint, { width, height });
    this.fit();
  }

  fit() {
    const { clientWidth, clientHeight } = this.root;
    this.scale = 0.96 * Math.min(clientWidth / this.width, clientHeight / this.height) || 1;
    this.left = (clientWidth - this.scale * this.width) / 2;
    this.top = (clientHeight - this.scale * this.height) / 2;
    this.fitted = true;
    this.place();
  }

  place() {
    const { clientWidth, clientHeight } = this.root;
    for (const element of [this.image, this.paint]) {
      element.style.transform = `translate(${this.left}px, ${this.top}px) scale(${this.scale})`;
    }
    const corner = [-this.left / this.scale, -this.top / this.scale, clientWidth / this.scale, clientHeight / this.scale];
    this.overlay.setAttribute("viewBox", corner.join(" "));
    this.redraw();
  }

  /** Larger or smaller around the pointer of an event, or the middle. */
  zoom(factor, event = null) {
    const { left, top } = this.root.getBoundingClientRect();
    const x = event ? event.clientX - left : this.root.clientWidth / 2;
    const y = event ? event.clientY - top : this.root.clientHeight / 2;
    const scale = clamp(this.scale * factor, 0.1, MOST_ZOOM);
    this.left = x - (x - this.left) * (scale / this.scale);
    this.top = y - (y - this.top) * (scale / this.scale);
    this.scale = scale;
    this.fitted = false;
    this.place();
  }

  pan(x, y) {
    this.left += x;
    this.top += y;
    this.fitted = false;
    this.place();
  }

  light() {
    this.image.style.filter = `brightness(${byId("brightness").value}) contrast(${byId("contrast").value})`;
  }

  adjust(look, factor) {
    byId(look).value *= factor;
    this.light();
  }

  point(event) {
    const { left, top } = this.root.getBoundingClientRect();
    return { x: (event.clientX - left - this.left) / this.scale, y: (event.clientY - top - this.top) / this.scale };
  }

  down(event) {
    this.root.focus({ preventScroll: true });
    if (event.button > 1) return;
    this.root.setPointerCapture(event.pointerId);
    this.dragged = this.moving || event.button === 1 || !this.mode().down;
    if (this.dragged) this.last = event;
    else this.mode().down(this.point(event));
  }

  move(event) {
    if (this.last) {
      this.pan(event.clientX - this.last.clientX, event.clientY - this.last.clientY);
      this.last = event;
    } else if (this.mode().move && !this.moving) {
      this.mode().move(this.point(event), event.buttons === 1);
    }
  }

  up(event) {
    if (this.last) this.last = null;
    else if (this.mode().up && !this.moving) this.mode().up(this.point(event));
  }
}
