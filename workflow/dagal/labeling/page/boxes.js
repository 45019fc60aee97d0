// Boxes: drawn, moved, resized, given a class; by mouse or by keys.

const REACH = 7; // pixels of the screen within which a corner or an edge is caught
const LEAST_SIDE = 1; // pixel of the image: a smaller box is a slip of the hand

/** Boxes are [x1, y1, x2, y2, place of the class]. */
class BoxesMode {
  constructor(app) {
    Object.assign(this, { app, boxes: [], chosen: -1, drag: null, before: [], suggested: [] });
    this.letters = "epgb";
    const step = (x, y, resize) => () => this.nudge(x, y, resize);
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    this.commands = [
      { keys: ["Enter"], text: "Save the boxes", run: () => this.save(), main: true },
      { keys: ["e"], text: "Empty", run: () => this.save(true) },
      { keys: ["b"], text: "New box", run: () => this.draw() },
      { keys: ["p"], text: "Copy last frame", run: () => this.copy() },
      { keys: ["g"], text: "Take suggestions", run: () => this.takeAll(), when: () => this.suggested.length },
      { keys: ["Delete", "Backspace"], text: "Delete the box", run: () => this.remove(), when: () => this.box },
      { keys: [".", ","], text: "Next, last box", run: (key) => this.choose(key === "." ? 1 : -1), when: () => this.boxes.length, quiet: true },
      { keys: ["Escape"], text: "Let go of the box", run: () => this.leave(), when: () => this.box, quiet: true },
      { keys: Object.keys(arrows), text: "Move the box by a pixel (with Shift by ten)", quiet: true, when: () => this.box, run: (key) => step(...arrows[key])() },
      { keys: Object.keys(arrows).map((key) => `Shift+${key}`), quiet: true, when: () => this.box, run: (key) => step(...arrows[key.slice(6)].map((d) => 10 * d))() },
      { keys: Object.keys(arrows).map((key) => `Alt+${key}`), text: "Make the box wider, narrower, higher or lower", quiet: true, when: () => this.box, run: (key) => step(...arrows[key.slice(4)], true)() },
    ];
  }

  get box() {
    return this.boxes[this.chosen];
  }

  place(name) {
    return this.app.work.classes.indexOf(name);
  }

  show(item, answer) {
    const places = (boxes) => (boxes || []).map((box) => [...box.slice(0, 4), this.place(box[4])]);
    this.boxes = places(answer?.boxes);
    this.suggested = places(this.app.shown(item));
    Object.assign(this, { chosen: -1, drag: null, before: [] });
  }

  /** Before every change: what `undo` goes back to. */
  remember() {
    this.before.push(structuredClone(this.boxes));
  }

  undo() {
    if (!this.before.length) return false;
    this.boxes = this.before.pop();
    this.leave();
    return true;
  }

  classChosen(place) {
    if (!this.box) return;
    this.remember();
    this.box[4] = place;
    this.redraw();
  }

  names(boxes) {
    return boxes.map((box) => [...box.slice(0, 4), this.app.work.classes[box[4]]]);
  }

  save(empty = false) {
    if (empty && this.boxes.length) this.app.tell("There are boxes: delete them first, if nothing is on the image.");
    else if (!empty && !this.boxes.length) this.app.tell("There is no box yet: press e if nothing is on the image.");
    else this.app.give("labeled", { boxes: this.names(this.boxes) });
  }

  /** Boxes of the nearest frame of the same video that is answered, or of the image answered last. */
  copy() {
    const { app } = this, item = app.item;
    const done = app.work.items.filter((one) => one.id !== item.id && app.answers.get(one.id)?.boxes?.length);
    const same = done.filter((one) => one.video !== undefined && one.video === item.video);
    same.sort((a, b) => Math.abs(a.frame - item.frame) - Math.abs(b.frame - item.frame));
    const from = same[0] || done.find((one) => one.id === app.lastId);
    if (!from) return app.tell("No frame with boxes is answered yet.");
    this.add(app.answers.get(from.id).boxes.map((box) => [...box.slice(0, 4), this.place(box[4])]));
  }

  takeAll() {
    this.add(this.suggested.splice(0));
  }

  add(boxes) {
    this.remember();
    this.boxes.push(...structuredClone(boxes));
    this.redraw();
  }

  draw() {
    const { width, height } = this.app.work;
    this.add([[width * 0.4, height * 0.4, width * 0.6, height * 0.6, this.app.current].map((value) => Math.round(value))]);
    this.chosen = this.boxes.length - 1;
    this.redraw();
  }

  choose(step) {
    this.chosen = this.chosen < 0 && step < 0 ? this.boxes.length - 1 : (this.chosen + step + this.boxes.length) % this.boxes.length;
    this.redraw();
  }

  leave() {
    this.chosen = -1;
    this.redraw();
  }

  remove() {
    this.remember();
    this.boxes.splice(this.chosen, 1);
    this.leave();
  }

  nudge(x, y, resize = false) {
    this.remember();
    this.shift(this.box, resize ? { x2: true, y2: true } : { all: true }, x, y, [...this.box]);
    this.redraw();
  }

  /** Moves a whole box, or the named sides of it, from where they were; it stays in the image. */
  shift(box, sides, x, y, was) {
    const { width, height } = this.app.work;
    if (sides.all) {
      x = clamp(x, -was[0], width - was[2]);
      y = clamp(y, -was[1], height - was[3]);
      [box[0], box[1], box[2], box[3]] = [was[0] + x, was[1] + y, was[2] + x, was[3] + y];
    }
    const [x1, x2] = [sides.x1 ? was[0] + x : was[0], sides.x2 ? was[2] + x : was[2]];
    const [y1, y2] = [sides.y1 ? was[1] + y : was[1], sides.y2 ? was[3] + y : was[3]];
    if (!sides.all) {
      box[0] = clamp(Math.min(x1, x2), 0, width);
      box[2] = clamp(Math.max(x1, x2), 0, width);
      box[1] = clamp(Math.min(y1, y2), 0, height);
      box[3] = clamp(Math.max(y1, y2), 0, height);
    }
    for (let k = 0; k < 4; k++) box[k] = Math.round(box[k] * 10) / 10;
  }

  /** The sides of the chosen box that are near a point, or null. */
  sides({ x, y }) {
    if (!this.box) return null;
    const [x1, y1, x2, y2] = this.box, reach = REACH / this.app.stage.scale;
    if (x < x1 - reach || x > x2 + reach || y < y1 - reach || y > y2 + reach) return null;
    const near = { x1: Math.abs(x - x1) < reach, x2: Math.abs(x - x2) < reach, y1: Math.abs(y - y1) < reach, y2: Math.abs(y - y2) < reach };
    if (near.x1 && near.x2) near.x1 = false;
    if (near.y1 && near.y2) near.y1 = false;
    return Object.values(near).includes(true) ? near : null;
  }

  /** The smallest of boxes around a point, or -1. */
  around({ x, y }, boxes) {
    const area = (place) => (boxes[place][2] - boxes[place][0]) * (boxes[place][3] - boxes[place][1]);
    const inside = boxes.map((_, place) => place).filter((place) => {
      const [x1, y1, x2, y2] = boxes[place];
      return x >= x1 && x <= x2 && y >= y1 && y <= y2;
    });
    return inside.sort((a, b) => area(a) - area(b))[0] ?? -1;
  }

  down(point) {
    const sides = this.sides(point), hit = this.around(point, this.boxes);
    if (!sides) this.chosen = hit;
    const kept = structuredClone(this.boxes);
    if (sides || hit >= 0) {
      this.drag = { from: point, sides: sides || { all: true }, box: this.box, was: [...this.box], kept };
    } else {
      const { width, height } = this.app.work;
      const x = clamp(point.x, 0, width), y = clamp(point.y, 0, height);
      const box = [x, y, x, y, this.app.current];
      this.boxes.push(box);
      this.chosen = this.boxes.length - 1;
      this.drag = { from: { x, y }, sides: { x2: true, y2: true }, box, was: [...box], kept };
    }
    this.redraw();
  }

  move(point, pressed) {
    if (!this.drag || !pressed) return;
    const { box, sides, was, from } = this.drag;
    this.shift(box, sides, point.x - from.x, point.y - from.y, was);
    this.redraw();
  }

  up(point) {
    if (!this.drag) return;
    const { box, kept } = this.drag;
    this.drag = null;
    if (box[2] - box[0] < LEAST_SIDE || box[3] - box[1] < LEAST_SIDE) {
      this.boxes = kept;
      this.chosen = -1;
      const suggested = this.around(point, this.suggested);
      if (suggested >= 0) {
        this.add(this.suggested.splice(suggested, 1));
        this.chosen = this.boxes.length - 1;
      }
    } else if (JSON.stringify(kept) !== JSON.stringify(this.boxes)) {
      this.before.push(kept);
    }
    this.redraw();
  }

  redraw() {
    const { stage, work } = this.app, size = 13 / stage.scale, half = 4 / stage.scale;
    const rect = ([x1, y1, x2, y2], attributes) => make("svg:rect", { x: x1, y: y1, width: x2 - x1, height: y2 - y1, ...attributes });
    const caption = (box) => {
      const text = make("svg:text", { class: "caption", x: box[0], y: Math.max(box[1] - 4 / stage.scale, size), "font-size": size });
      text.textContent = work.classes[box[4]];
      return text;
    };
    const parts = this.suggested.map((box) => rect(box, { class: "suggested", stroke: colour(box[4]) }));
    this.boxes.forEach((box, place) => {
      const chosen = place === this.chosen ? " chosen" : "";
      parts.push(rect(box, { class: `halo${chosen}` }), rect(box, { class: `box${chosen}`, stroke: colour(box[4]) }), caption(box));
    });
    if (this.box) {
      const [x1, y1, x2, y2] = this.box;
      for (const [x, y] of [[x1, y1], [x2, y1], [x1, y2], [x2, y2]]) {
        parts.push(make("svg:rect", { class: "handle", x: x - half, y: y - half, width: 2 * half, height: 2 * half }));
      }
    }
    stage.overlay.replaceChildren(...parts);
    const said = this.boxes.map((box, place) => `${place === this.chosen ? "▸ " : ""}${work.classes[box[4]]}`).join(", ");
    this.app.describe(`${counted(this.boxes)}${said ? `: ${said}` : ""}`);
    this.app.refreshTools();
  }
}
