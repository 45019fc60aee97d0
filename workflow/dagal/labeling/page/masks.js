// Masks: superpixels painted with the current class, and polygons; pixels that stay unpainted have no class.

class MasksMode {
  constructor(app) {
    Object.assign(this, { app, before: [], polygon: null, erasing: false, cursor: null, level: 1, parts: null });
    this.letters = "xfp";
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    this.commands = [
      { keys: ["Enter"], text: "Close the polygon", run: () => this.close(), when: () => this.polygon?.length, quiet: true },
      { keys: ["Escape"], text: "Drop the polygon", run: () => this.tool(null), when: () => this.polygon, quiet: true },
      { keys: ["Enter"], text: "Save the mask", run: () => this.save(), main: true },
      { keys: ["p"], text: "Polygon", run: () => this.tool(this.polygon ? null : []), pressed: () => this.polygon },
      { keys: ["x"], text: "Erase", run: () => this.erase(), pressed: () => this.erasing },
      { keys: ["f"], text: "Fill the rest", run: () => this.fill() },
      { keys: [","], text: "Coarser", run: () => this.segment(this.level - 1), when: () => this.level > 0 },
      { keys: ["."], text: "Finer", run: () => this.segment(this.level + 1), when: () => this.level + 1 < app.work.segments.length },
      { keys: Object.keys(arrows), text: "Move the cursor (with Shift by a pixel)", quiet: true, run: (key) => this.step(arrows[key], this.stride()) },
      { keys: Object.keys(arrows).map((key) => `Shift+${key}`), quiet: true, run: (key) => this.step(arrows[key.slice(6)], 1) },
      { keys: ["Space"], text: "Paint at the cursor, or add a corner there", quiet: true, run: () => this.at(this.cursor) },
    ];
  }

  show(item, answer) {
    const { width, height } = this.app.work;
    this.mask = new Uint8Array(width * height).fill(NONE);
    if (answer?.mask) fromRuns(answer.mask, this.mask);
    Object.assign(this, { before: [], polygon: null, parts: null, cursor: { x: width / 2, y: height / 2 }, hovered: -1 });
    this.segment(this.level);
  }

  /** Superpixels of the current image, coarse or fine. */
  async segment(level) {
    this.level = level;
    const { app } = this, item = app.item, segments = app.work.segments[level];
    const runs = await app.superpixels(item.id, segments);
    if (app.item !== item || app.work.segments[this.level] !== segments) return; // the annotator has gone on
    this.parts = fromRuns(runs, new Int32Array(this.mask.length));
    this.borders = this.outline((one, other) => one !== other);
    this.hovered = -1;
    this.redraw();
  }

  /** A path between neighbouring pixels whose superpixels are apart. */
  outline(apart) {
    const { width, height } = this.app.work, { parts } = this, path = [];
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        if (x + 1 < width && apart(parts[i], parts[i + 1])) path.push(`M${x + 1} ${y}v1`);
        if (y + 1 < height && apart(parts[i], parts[i + width])) path.push(`M${x} ${y + 1}h1`);
      }
    }
    return path.join("");
  }

  partAt({ x, y }) {
    const { width, height } = this.app.work;
    if (!this.parts || x < 0 || y < 0 || x >= width || y >= height) return -1;
    return this.parts[Math.floor(y) * width + Math.floor(x)];
  }

  stride() {
    const { width, height, segments } = this.app.work;
    return Math.max(1, Math.round(Math.sqrt((width * height) / segments[this.level]) / 2));
  }

  step([x, y], by) {
    const { width, height } = this.app.work;
    this.cursor = { x: clamp(this.cursor.x + x * by, 0, width - 0.5), y: clamp(this.cursor.y + y * by, 0, height - 0.5) };
    this.redraw();
  }

  get value() {
    return this.erasing ? NONE : this.app.current;
  }

  /** A click, or the space bar at the cursor: undone as one, with the stroke that may follow. */
  at(point) {
    this.isStroke = false;
    if (this.polygon) {
      const { width, height } = this.app.work;
      this.polygon.push([clamp(point.x, 0, width), clamp(point.y, 0, height)]);
      this.redraw();
    } else {
      this.paint([this.partAt(point)]);
    }
  }

  paint(parts) {
    const painted = new Set(parts);
    painted.delete(-1);
    if (painted.size) this.change((i) => painted.has(this.parts[i]));
  }

  /** Gives the pixels for which `inside` is true the current class. */
  change(inside) {
    const { value } = this, painted = [];
    for (let i = 0; i < this.mask.length; i++) if (this.mask[i] !== value && inside(i)) painted.push(i);
    if (!painted.length) return;
    if (!this.isStroke) this.before.push(this.mask.slice());
    this.isStroke = true;
    for (const i of painted) this.mask[i] = value;
    this.colour();
    this.redraw();
  }

  undo() {
    if (this.polygon?.length) this.polygon.pop();
    else if (this.before.length) this.mask = this.before.pop();
    else return false;
    this.colour();
    this.redraw();
    return true;
  }

  erase() {
    this.erasing = !this.erasing;
    this.redraw();
  }

  classChosen() {
    this.erasing = false;
    this.redraw();
  }

  tool(polygon) {
    this.polygon = polygon;
    this.redraw();
  }

  /** Pixels whose middle is in the polygon (even-odd rule), row by row. */
  close() {
    const corners = this.polygon, { width, height } = this.app.work, inside = new Uint8Array(this.mask.length);
    for (let y = 0; y < height; y++) {
      const middle = y + 0.5, crossings = [];
      corners.forEach(([x1, y1], k) => {
        const [x2, y2] = corners[(k + 1) % corners.length];
        if (y1 <= middle !== y2 <= middle) crossings.push(x1 + ((middle - y1) / (y2 - y1)) * (x2 - x1));
      });
      crossings.sort((a, b) => a - b);
      for (let k = 0; k + 1 < crossings.length; k += 2) {
        const first = Math.max(0, Math.ceil(crossings[k] - 0.5)), end = Math.min(width, Math.ceil(crossings[k + 1] - 0.5));
        if (first < end) inside.fill(1, y * width + first, y * width + end);
      }
    }
    this.polygon = [];
    this.isStroke = false;
    this.change((i) => inside[i]);
    this.redraw();
  }

  fill() {
    if (this.erasing) this.erase();
    this.isStroke = false;
    this.change((i) => this.mask[i] === NONE);
  }

  save() {
    if (this.mask.every((value) => value === NONE)) this.app.tell("Nothing is painted yet.");
    else this.app.give("labeled", { mask: toRuns(this.mask) });
  }

  down(point) {
    this.cursor = point;
    this.at(point);
  }

  move(point, pressed) {
    const { x, y } = this.cursor, steps = Math.ceil(Math.hypot(point.x - x, point.y - y));
    this.cursor = point;
    if (pressed && !this.polygon) { // a fast hand skips pixels
      const way = [...Array(steps + 1).keys()].map((k) => k / Math.max(steps, 1));
      this.paint(way.map((share) => this.partAt({ x: x + share * (point.x - x), y: y + share * (point.y - y) })));
    }
    if (this.polygon || this.partAt(point) !== this.hovered) this.redraw();
  }

  colour() {
    const { width, height } = this.app.work, data = new ImageData(width, height);
    const table = this.app.work.classes.map((_, place) => rgb(place));
    this.mask.forEach((value, i) => {
      if (value !== NONE) data.data.set([...table[value], 150], 4 * i);
    });
    this.app.stage.paint.getContext("2d").putImageData(data, 0, 0);
  }

  redraw() {
    if (!this.cursor) return;
    const { stage } = this.app, parts = [], part = this.partAt(this.cursor);
    if (this.parts && !this.polygon) {
      if (part !== this.hovered) this.around = this.outline((one, other) => one !== other && (one === part || other === part));
      this.hovered = part;
      parts.push(make("svg:path", { class: "borders", d: this.borders }), make("svg:path", { class: "hovered", d: this.around || "" }));
    }
    if (this.polygon) {
      const corners = [...this.polygon, [this.cursor.x, this.cursor.y]];
      parts.push(make("svg:polygon", { class: "outline", points: corners.map((corner) => corner.join(",")).join(" ") }));
    }
    parts.push(make("svg:circle", { class: "cursor", cx: this.cursor.x, cy: this.cursor.y, r: 5 / stage.scale }));
    stage.overlay.replaceChildren(...parts);
    const left = this.mask.reduce((sum, value) => sum + (value === NONE), 0) / this.mask.length;
    this.app.describe(`${Math.round(100 * (1 - left))} % of the pixels have a class${this.parts ? "" : "; superpixels are coming"}`);
    this.app.refreshTools();
  }
}
