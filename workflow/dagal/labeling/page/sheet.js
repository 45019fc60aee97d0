// Images that the model takes for one class, side by side: the wrong ones are marked, the rest is confirmed at once.

const TILES = 48; // at most, which one sees at a glance

class Sheet {
  constructor(app) {
    Object.assign(this, { app, singly: new Set(), group: [] });
    this.root = byId("sheet");
    this.commands = [
      { keys: ["Enter"], text: "Confirm all but the marked", run: () => this.confirm(), quiet: true },
      { keys: ["Space"], text: "Mark as another class", run: () => document.activeElement.click(), quiet: true },
      { keys: ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], text: "Move between images", run: (key) => this.step(key), quiet: true },
    ];
  }

  /** Draws the next sheet; false if all that is left is looked at singly. */
  show() {
    const { app } = this;
    const left = app.work.items.filter((item) => app.isOpen(item) && app.shown(item) !== null && !this.singly.has(item.id));
    const name = app.work.classes.find((one) => left.some((item) => item.suggestion === one));
    this.group = left.filter((item) => item.suggestion === name).sort((a, b) => b.probability - a.probability).slice(0, TILES);
    if (!this.group.length) return false;
    const confirm = make("button", { type: "button", class: "main", onclick: () => this.confirm() }, "Confirm the rest ", make("kbd", {}, "Enter"));
    const tiles = this.group.map((item) =>
      make("button", { type: "button", "aria-pressed": "false", "aria-label": `${name}? image ${item.id}`, onclick: (event) => this.mark(event.currentTarget) },
        make("img", { src: app.source(item.id), alt: "" })));
    this.root.replaceChildren(
      make("h2", {}, `Is each of these ${this.group.length} “${name}”?`),
      make("p", {}, "Mark those that are something else: they are shown singly afterwards."),
      make("div", { class: "tiles" }, ...tiles),
      confirm,
    );
    tiles[0].focus();
    return true;
  }

  get tiles() {
    return [...this.root.querySelectorAll(".tiles button")];
  }

  mark(tile) {
    tile.setAttribute("aria-pressed", tile.getAttribute("aria-pressed") === "false");
    tile.focus();
  }

  step(key) {
    const { tiles } = this, at = tiles.indexOf(document.activeElement);
    const columns = tiles.filter((tile) => tile.offsetTop === tiles[0].offsetTop).length;
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
    tiles[clamp(at + by, 0, tiles.length - 1)].focus();
  }

  confirm() {
    if (!this.app.loaded()) return this.app.tell("Not all images are there yet: is the server running?");
    const marked = this.tiles.map((tile) => tile.getAttribute("aria-pressed") === "true");
    this.group.forEach((item, place) => marked[place] && this.singly.add(item.id));
    const right = this.group.filter((_, place) => !marked[place]);
    this.app.record(right.map((item) => [item, "labeled", { label: item.suggestion }]), this.group.length);
    this.app.goOn();
  }
}
