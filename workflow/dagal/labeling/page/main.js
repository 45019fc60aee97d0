// The page: which image is shown, what keys and buttons do, and where answers go.

const PACE_OF = 50; // last answers that the pace is measured on
const AHEAD = 8; // images that are loaded before they are shown

class App {
  constructor(work, annotator, kept, earlier) {
    Object.assign(this, { work, annotator, at: 0, current: 0, history: [], paces: [], lastId: null, lastTime: 0, isSheet: false, pictures: new Map() });
    this.items = work.items;
    this.answers = new Map(work.items.filter((item) => item.answer).map((item) => [item.id, item.answer]));
    this.clock = new Clock();
    this.outbox = new Outbox(kept, earlier, work.images ? null : send, () => this.refreshSaved(), (answer, sentence) => this.refuse(answer, sentence));
    for (const answer of this.outbox.held.values()) if (answer.annotator === annotator) this.answers.set(answer.id, answer);
    this.stage = new Stage(() => this.mode, () => this.mode.redraw?.());
    const modes = { detection: BoxesMode, segmentation: MasksMode };
    this.mode = modes[work.task] ? new modes[work.task](this) : { letters: "", commands: this.ofClasses(), show() {}, undo: () => false };
    this.sheet = new Sheet(this);
    this.common = this.commonCommands();
    this.keys = classKeys(work.classes, `usnchm${this.mode.letters}`);
    this.refreshSaved();
    this.showFrame();
    this.outbox.flush();
    this.next(-1);
  }

  // ------------------------------------------------------------------------------------------------------ commands

  /**
   * What keys and buttons do; `quiet` ones have no button, those whose `when` is false are passed over, and those that are there
   * `always` go on when all images are answered.
   */
  commonCommands() {
    const { stage } = this;
    const look = (keys, text, ...how) => ({ keys, text, quiet: true, run: (key) => stage.adjust(...how[keys.indexOf(key)]) });
    return [
      { keys: ["?"], text: "Unsure", run: () => this.give("unsure"), group: "answers", when: () => !this.isSheet },
      { keys: ["n"], text: "No class fits", run: () => this.give("no_class"), group: "answers", when: () => !this.isSheet },
      { keys: ["s"], text: "Skip", run: () => this.give("skipped"), group: "answers", when: () => !this.isSheet },
      { keys: ["u", "Backspace"], text: "Undo", run: () => this.undo(), group: "answers", always: true },
      { keys: ["c"], text: "Comment", run: () => byId("comment").focus(), quiet: true, when: () => !this.isSheet },
      { keys: ["ArrowLeft", "PageUp"], text: "Image before", run: () => this.go(-1), quiet: true, always: true, when: () => !this.isSheet },
      { keys: ["ArrowRight", "PageDown"], text: "Image after", run: () => this.go(1), quiet: true, when: () => !this.isSheet },
      { keys: ["+", "="], text: "Larger", run: () => stage.zoom(1.25), group: "view", when: () => !this.isSheet },
      { keys: ["-"], text: "Smaller", run: () => stage.zoom(0.8), group: "view", when: () => !this.isSheet },
      { keys: ["Home"], text: "Whole", run: () => stage.fit(), group: "view", when: () => !this.isSheet },
      { keys: ["m"], text: "Move by dragging", run: () => this.moveByDragging(), pressed: () => stage.moving, when: () => this.mode.down && !this.isSheet },
      look(["(", ")"], "Less, more contrast", ["contrast", 0.87], ["contrast", 1.15]),
      look(["<", ">"], "Darker, brighter", ["brightness", 0.87], ["brightness", 1.15]),
      { keys: ["/"], text: "Find a class", run: () => byId("find").focus(), quiet: true, when: () => !byId("find").hidden },
      { keys: ["h"], text: "Keys", run: () => this.help(), quiet: true, always: true },
    ];
  }

  ofClasses() {
    const accept = () => this.give("labeled", { label: this.item.suggestion });
    return [{ keys: ["Enter"], text: "Accept", run: accept, main: true, when: () => this.shown(this.item) !== null }];
  }

  get active() {
    if (this.isDone) return this.common.filter((command) => command.always);
    const own = this.isSheet ? this.sheet : this.mode;
    return [...own.commands, ...this.common].filter((command) => !command.when || command.when());
  }

  press(event) {
    const { target } = event, key = keyOf(event);
    if (event.ctrlKey || event.metaKey || event.isComposing || document.querySelector("dialog[open]")) return;
    if (target.matches("input:not([type=range]), select")) {
      if (key === "Escape" || (key === "Enter" && target.id === "comment")) byId("stage").focus();
      return;
    }
    if (target.matches("input[type=range]") && (key.includes("Arrow") || ["Home", "PageUp", "PageDown"].includes(key))) return;
    const isTile = target.closest(".tiles");
    if (target.matches("button") && (key === "Space" || (key === "Enter" && !isTile))) return; // the button's own
    const command = this.active.find((one) => one.keys.includes(key));
    const place = this.isSheet || this.isDone ? -1 : this.keys.findIndex((keys) => keys.includes(key));
    if (command) command.run(key);
    else if (place >= 0) this.choose(place);
    else return;
    event.preventDefault();
  }

  choose(place) {
    if (this.work.task === "classification") {
      this.give("labeled", { label: this.work.classes[place] });
      return;
    }
    this.current = place;
    this.mode.classChosen(place);
    this.refreshClasses();
  }

  moveByDragging() {
    this.stage.moving = !this.stage.moving;
    byId("stage").classList.toggle("moving", this.stage.moving);
    this.refreshTools();
  }

  help() {
    const rows = [...new Set(this.active)].filter((command) => command.text).flatMap((command) =>
      [make("dt", {}, ...command.keys.map((key) => make("kbd", {}, key))), make("dd", {}, command.text)]);
    byId("keys").replaceChildren(...rows);
    byId("help-dialog").showModal();
  }

  // ------------------------------------------------------------------------------------------------------- answers

  get item() {
    return this.items[this.at];
  }

  /** The suggestion that is shown for an image, or null. */
  shown(item) {
    return this.work.suggestions ? item.suggestion ?? null : null;
  }

  isOpen(item) {
    const own = this.answers.get(item.id);
    return !ANSWERED.includes(own?.state) || (item.again && own === item.answer);
  }

  /** Answers that one key gave, [item, state, what it is] each; `looked` at as many images for it. */
  record(given, looked = 1) {
    const seconds = Math.round((10 * this.clock.seconds()) / Math.max(looked, 1)) / 10;
    const comment = this.isSheet ? "" : byId("comment").value.trim();
    this.history.push(given.map(([item]) => [item, this.answers.get(item.id) || null]));
    this.send(given.map(([item, state, what]) => ({ id: item.id, state, comment, seconds, suggestion: this.shown(item), ...what })));
    if (given.length) this.paces.push([given.length, this.clock.seconds()]);
    this.clock.start();
  }

  send(answers) {
    for (const answer of answers) {
      this.lastTime = Math.max(Date.now(), this.lastTime + 1); // no two answers have one time
      Object.assign(answer, { annotator: this.annotator, at: new Date(this.lastTime).toISOString() });
      this.answers.set(answer.id, answer);
      if (answer.state === "labeled") this.lastId = answer.id;
    }
    this.outbox.put(answers);
  }

  give(state, what = {}) {
    if (this.isDone) return;
    if (!this.loaded()) return this.tell("The image is not there yet: is the server running?"); // nobody answers unseen
    this.record([[this.item, state, what]]);
    this.goOn();
  }

  undo() {
    if (!this.isSheet && !this.isDone && this.mode.undo()) return;
    const last = this.history.pop();
    if (!last) return this.tell("There is nothing to undo since the page was opened.");
    // an answer that was given before counts again
    this.send(last.map(([item, before]) => {
      const { label, boxes, mask, comment = "" } = before || {};
      const what = before && before.state === "labeled" ? { label, boxes, mask } : {};
      return { id: item.id, state: before ? before.state : "withdrawn", comment, ...what };
    }));
    if (last.length) this.at = this.items.indexOf(last[0][0]);
    if (last.length === 1) this.isSheet = false;
    this.show();
  }

  refuse(answer, sentence) {
    this.answers.delete(answer.id);
    this.tell(`The server refused an answer: ${sentence}`);
    this.refreshProgress();
  }

  // ------------------------------------------------------------------------------------------------------- showing

  goOn() {
    if (byId("order").value === "sheet" && !this.sheet.singly.has(this.item?.id)) this.isSheet = true;
    this.next(this.at);
  }

  /** The next image without answer; those that were skipped come last. */
  next(from) {
    const ring = [...this.items.keys()].map((k) => (k + from + 1) % this.items.length).filter((k) => this.isOpen(this.items[k]));
    this.at = ring.find((k) => !this.answers.get(this.items[k].id)) ?? ring[0] ?? this.items.length;
    this.show();
  }

  go(step) {
    this.at = clamp(this.at + step, 0, this.items.length - 1);
    this.show();
  }

  show() {
    const { item, work } = this;
    this.isDone = !item;
    this.isSheet = !this.isDone && this.isSheet && this.sheet.show();
    byId("stage").hidden = this.isDone || this.isSheet;
    byId("sheet").hidden = !this.isSheet;
    byId("done").hidden = !this.isDone;
    byId("message").hidden = true;
    document.querySelectorAll("aside > :not(#tools, #answers, #view, #message)").forEach((one) => one.classList.toggle("off", this.isSheet || this.isDone));
    this.clock.start();
    this.refreshProgress();
    this.refreshTools();
    if (this.isDone) return this.showDone();
    if (this.isSheet) return;
    const answer = this.answers.get(item.id), own = answer && { ...answer };
    byId("comment").value = own?.comment || "";
    const where = [item.video !== undefined && `${item.video}, frame ${item.frame}`, item.video === undefined && item.file, `id ${item.id}`];
    byId("about").textContent = `${this.at + 1} of ${this.items.length}: ${where.filter(Boolean).join(" · ")}`;
    const said = own && own.state !== "withdrawn" ? `Your answer: ${own.label ?? own.state.replace("_", " ")}. ` : "";
    this.describe(said + (item.conflict ? "Annotators differ in this image." : ""));
    const suggestion = this.shown(item);
    byId("suggestion").hidden = suggestion === null;
    byId("suggestion").textContent = work.task === "detection" ? `The model suggests ${counted(suggestion || [])} (dashed).`
      : `The model suggests: ${suggestion} (${Math.round(100 * item.probability)} %)`;
    this.refreshClasses();
    this.mode.show(item, own?.state === "labeled" ? own : null);
    this.stage.load(this.picture(item.id), work.width, work.height, `image ${item.id}`);
    this.loadAhead();
    this.mode.colour?.(); // a canvas that gets its size loses what is on it
    byId("stage").focus({ preventScroll: true });
  }

  showDone() {
    const what = this.work.images ? "Save the answers and send the file to whoever gave you this page." : "Run the study by snakemake to go on; it will ask for more.";
    const again = make("button", { type: "button", onclick: () => location.reload() }, "Look for more");
    byId("done").replaceChildren(make("h2", {}, `All ${this.items.length} images are answered`), make("p", {}, what), ...(this.work.images ? [] : [again]));
    byId("done").focus();
  }

  /** Header, buttons and lists, which stay. */
  showFrame() {
    const { work } = this, orders = [["asked", "as asked"]];
    byId("study").textContent = work.study;
    document.title = `${work.study}: labeling`;
    byId("annotator").textContent = this.annotator;
    if (work.task === "classification" && work.items.some((item) => this.shown(item) !== null)) orders.push(["sheet", "sheets of look-alikes"]);
    if (work.items.some((item) => item.video !== undefined)) orders.push(["video", "by video and frame"]);
    byId("order").replaceChildren(...orders.map(([value, text]) => make("option", { value }, text)));
    byId("order-label").hidden = orders.length < 2;
    byId("order").addEventListener("change", () => this.order());
    byId("classes").replaceChildren(...work.classes.map((name, place) => make("button", { type: "button", onclick: () => this.choose(place) },
      make("span", { class: "dot" }), make("span", { class: "name" }, name), ...this.keys[place].map((key) => make("kbd", {}, key)))));
    byId("classes").childNodes.forEach((button, place) => {
      button.firstChild.style.background = colour(place);
      button.firstChild.hidden = work.task === "classification";
    });
    byId("find").hidden = work.classes.length <= 12;
    byId("find").addEventListener("input", () => this.find());
    byId("find").addEventListener("keydown", (event) => event.key === "Enter" && this.pickFound());
    byId("help").addEventListener("click", () => this.help());
    byId("download").hidden = !work.images;
    byId("download").addEventListener("click", () => this.download());
    byId("annotator").addEventListener("click", async () => {
      await askName();
      location.reload();
    });
    document.addEventListener("keydown", (event) => this.press(event));
    // after a click the keyboard belongs to the image again
    document.addEventListener("click", (event) => event.detail && event.target.closest("aside button, header button") && byId("stage").focus({ preventScroll: true }));
    for (const event of ["online", "focus"]) window.addEventListener(event, () => this.outbox.flush());
  }

  order() {
    const order = byId("order").value, number = (item) => [item.video, item.frame];
    this.items = [...this.work.items];
    if (order === "video") {
      this.items.sort((a, b) => (number(a)[0] === number(b)[0] ? number(a)[1] - number(b)[1] : number(a)[0] < number(b)[0] ? -1 : 1));
    }
    this.isSheet = order === "sheet";
    byId("order").blur();
    this.next(-1);
  }

  found() {
    return [...byId("classes").childNodes].filter((button) => !button.hidden);
  }

  find() {
    const text = byId("find").value.toLowerCase();
    byId("classes").childNodes.forEach((button, place) => (button.hidden = !this.work.classes[place].toLowerCase().includes(text)));
  }

  pickFound() {
    const first = this.found()[0];
    byId("find").value = "";
    this.find();
    byId("stage").focus();
    if (first) this.choose([...byId("classes").childNodes].indexOf(first));
  }

  refreshClasses() {
    const label = this.answers.get(this.item?.id)?.label, ofClasses = this.work.task === "classification";
    byId("classes").childNodes.forEach((button, place) =>
      button.setAttribute("aria-pressed", ofClasses ? this.work.classes[place] === label : place === this.current));
  }

  refreshTools() {
    const button = (command) => {
      const attributes = { type: "button", onclick: () => command.run(command.keys[0]), class: command.main ? "main" : null };
      if (command.pressed) attributes["aria-pressed"] = String(Boolean(command.pressed()));
      return make("button", attributes, make("span", { class: "name" }, command.text), make("kbd", {}, command.keys[0].replace("Delete", "Del")));
    };
    const shown = this.active.filter((command) => !command.quiet);
    for (const group of ["tools", "answers", "view"]) {
      byId(group).replaceChildren(...shown.filter((command) => (command.group || "tools") === group).map(button));
    }
  }

  refreshProgress() {
    const done = this.items.filter((item) => !this.isOpen(item)).length, all = this.items.length;
    Object.assign(byId("progress"), { value: done, max: all });
    const last = this.paces.slice(-PACE_OF), seconds = last.reduce((sum, [, one]) => sum + one, 0);
    const each = seconds / last.reduce((sum, [n]) => sum + n, 0);
    const pace = last.length >= 3 && each > 0 ? ` · ${Math.round(3600 / each)} per hour · ${duration((all - done) * each)} left` : "";
    byId("pace").textContent = `${done} of ${all}${pace}`;
  }

  refreshSaved() {
    const { held, failure, send: sends } = this.outbox, saved = byId("saved");
    const text = !sends ? `${held.size} answers in this browser` : held.size ? `${held.size} not saved yet` : "all saved";
    saved.textContent = failure ? `${text}: ${failure}` : text;
    saved.classList.toggle("waiting", Boolean(failure));
  }

  tell(text) {
    byId("message").textContent = text;
    byId("message").hidden = false;
  }

  describe(text) {
    byId("state").textContent = text;
  }

  // --------------------------------------------------------------------------------------------- from server or file

  /** The picture of an image, which is loaded again until it is there. */
  picture(id) {
    if (!this.pictures.has(id)) {
      const picture = new Image();
      picture.src = this.source(id);
      picture.addEventListener("error", () => setTimeout(() => (picture.src = this.source(id)), RETRY_MILLISECONDS));
      this.pictures.set(id, picture);
    }
    return this.pictures.get(id);
  }

  loadAhead() {
    const near = this.items.slice(Math.max(this.at - 1, 0), this.at + 1 + AHEAD).map((item) => item.id);
    near.forEach((id) => this.picture(id));
    for (const id of this.pictures.keys()) if (!near.includes(id)) this.pictures.delete(id);
  }

  /** Whether all that is shown is there. */
  loaded() {
    const pictures = this.isSheet ? [...byId("sheet").querySelectorAll("img")] : [this.stage.image];
    return this.isDone || pictures.every((one) => one.complete && one.naturalWidth > 0);
  }

  source(id) {
    return this.work.images ? `data:image/png;base64,${this.work.images[id]}` : `/images/${id}`;
  }

  async superpixels(id, segments) {
    if (this.work.superpixels) return this.work.superpixels[id][segments];
    for (;;) {
      try {
        return await (await fetch(`/superpixels/${id}?segments=${segments}`)).json();
      } catch (error) {
        await new Promise((resolve) => setTimeout(resolve, RETRY_MILLISECONDS));
      }
    }
  }

  download() {
    const lines = [...this.outbox.held.values()].map((answer) => `${JSON.stringify(answer)}\n`);
    const link = make("a", { href: URL.createObjectURL(new Blob(lines)), download: `answers-${this.work.study}-${this.annotator}.jsonl` });
    link.click();
  }
}

/** Resolves to null if the server has the answers, or to the sentence by which it refuses them. */
async function send(answers) {
  let reply;
  try {
    reply = await fetch("/answers", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(answers) });
  } catch (error) {
    throw new Error("the server does not answer; start it again and go on meanwhile");
  }
  if (reply.ok) return null;
  const sentence = await reply.text();
  if (reply.status === 400) return sentence;
  throw new Error(sentence);
}

async function askName() {
  const dialog = byId("name-dialog");
  byId("name").value = localStorage.getItem("dagal annotator") || "";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  const name = byId("name").value.trim();
  if (name) localStorage.setItem("dagal annotator", name);
  return localStorage.getItem("dagal annotator") || askName();
}

async function begin() {
  const annotator = localStorage.getItem("dagal annotator") || (await askName());
  const embedded = byId("work");
  let work = embedded && JSON.parse(embedded.textContent);
  if (!work) {
    const reply = await fetch(`/work?annotator=${encodeURIComponent(annotator)}`);
    if (!reply.ok) throw new Error(await reply.text());
    work = await reply.json();
  }
  const kept = await Kept.open(`${work.study} ${work.round || ""} `);
  window.app = new App(work, annotator, kept, await kept.all());
}

begin().catch((error) => {
  byId("message").textContent = error.message; // as: nothing waits, or a browser that may keep nothing
  byId("message").hidden = false;
});
