"use strict";
{
  const data = JSON.parse(document.getElementById("data").textContent);
  const looks = Object.fromEntries(data.looks.map((look) => [look.method, look]));
  const hidden = new Set();
  const views = new Map(); // name of a figure -> its Vega view
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // an element with attributes and children; text is never taken as HTML
  function element(tag, attributes = {}, ...children) {
    const svg = ["svg", "rect", "title"].includes(tag);
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  // ------------------------------------------------------------------------------------------------ figures

  async function draw(figure) {
    const name = figure.dataset.chart;
    const plot = figure.querySelector(".plot");
    const { view } = await vegaEmbed(plot, data.charts[name], { renderer: "svg", actions: false, mode: "vega-lite" });
    views.set(name, view);
    if (hidden.size) await set(view, "hidden", [...hidden]);
    figure.dataset.drawn = "yes";
  }

  function set(view, param, value) {
    try {
      return view.signal(param, value).runAsync();
    } catch (unknown) {
      return undefined; // a figure without methods
    }
  }

  const soon = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      soon.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "600px" });
  const figures = all("figure.chart");
  figures.forEach((figure) => soon.observe(figure));
  addEventListener("beforeprint", () => figures.filter((figure) => !figure.dataset.drawn).forEach(draw));

  function press(button) {
    all("button", button.parentElement).forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
  }

  const toggled = (button) => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    return on;
  };

  // a figure whose description changes is drawn anew, with the parameters that it had
  async function redraw(name, change, params) {
    change(data.charts[name]);
    const kept = params.map((param) => [param, views.get(name)?.signal(param)]);
    await draw(document.querySelector(`[data-chart="${CSS.escape(name)}"]`));
    for (const [param, value] of kept) await set(views.get(name), param, value);
  }

  function scaled(node, type) {
    for (const [key, value] of Object.entries(node ?? {})) {
      if (key === "x" && value?.field === "labels") value.scale = { nice: false, padding: 12, type, ...(type === "log" ? {} : { zero: false }) };
      else if (typeof value === "object" && key !== "datasets") scaled(value, type);
    }
  }

  for (const controls of all(".controls[data-for]")) {
    const name = controls.dataset.for;
    for (const button of all("[data-param][data-value]", controls)) {
      button.addEventListener("click", () => {
        press(button);
        set(views.get(name), button.dataset.param, button.dataset.value);
      });
    }
    for (const select of all("select", controls)) {
      select.addEventListener("change", () => set(views.get(name), select.dataset.param, select.value));
    }
    for (const button of all("[data-toggle]", controls)) {
      button.addEventListener("click", () => {
        const on = toggled(button);
        if (button.dataset.toggle === "log") {
          redraw(name, (spec) => scaled(spec, on ? "log" : "linear"), ["shown", "band", "seeds"]);
        } else {
          set(views.get(name), button.dataset.toggle, on);
        }
      });
    }
    for (const button of all("[data-cells]", controls)) {
      button.addEventListener("click", () => {
        press(button);
        redraw(name, (spec) => {
          for (const layer of spec.layer) layer.transform.find((step) => step.as === "cell").calculate = button.dataset.cells;
        }, []);
      });
    }
  }

  // --------------------------------------------------------------------------------------------------- files

  function save(name, text, type) {
    const link = element("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  function table(rows) {
    const columns = Object.keys(rows[0] ?? {});
    const cell = (value) => (/[",\n]/.test(String(value ?? "")) ? `"${String(value).replaceAll('"', '""')}"` : value ?? "");
    return [columns, ...rows.map((row) => columns.map((column) => row[column]))].map((row) => row.map(cell).join(",") + "\n").join("");
  }

  for (const button of all("[data-save]")) {
    button.addEventListener("click", async () => {
      const name = button.closest("figure").dataset.chart;
      if (button.dataset.save === "svg") {
        const svg = await views.get(name).toSVG();
        const paper = svg.replace(/var\(--(\w+)\)/g, (_, colour) => data.light[colour]).replaceAll("currentColor", data.light.ink);
        save(`${name}.svg`, paper, "image/svg+xml");
      } else {
        const sets = Object.values(data.charts[name].datasets);
        save(`${name}.csv`, table(sets.reduce((most, one) => (one.length > most.length ? one : most))), "text/csv");
      }
    });
  }

  // ------------------------------------------------------------------------------------------------- methods

  const symbols = {
    circle: "M5 0A5 5 0 1 1 -5 0A5 5 0 1 1 5 0Z", square: "M-4.5-4.5h9v9h-9Z", diamond: "M0-6L5 0L0 6L-5 0Z",
    cross: "M-5-2h3v-3h4v3h3v4h-3v3h-4v-3h-3Z", "triangle-up": "M0-5.5L5.5 4.5H-5.5Z", "triangle-down": "M0 5.5L5.5-4.5H-5.5Z",
    "triangle-right": "M5.5 0L-4.5 5.5V-5.5Z", "triangle-left": "M-5.5 0L4.5 5.5V-5.5Z",
  };
  for (const mark of all(".mark")) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", symbols[mark.dataset.shape]);
    mark.append(path);
  }
  all("[data-dot]").forEach((dot) => { dot.style.background = looks[dot.dataset.dot].colour; });

  function show() {
    for (const button of all(".method")) button.setAttribute("aria-pressed", String(!hidden.has(button.dataset.method)));
    for (const row of all("tr[data-method], .query")) row.classList.toggle("off", hidden.has(row.dataset.method));
    for (const query of all(".query")) query.hidden = hidden.has(query.dataset.method);
    for (const view of views.values()) set(view, "hidden", [...hidden]);
  }

  for (const button of all(".method")) {
    button.addEventListener("click", () => {
      const method = button.dataset.method;
      if (!hidden.delete(method)) hidden.add(method);
      show();
    });
  }
  for (const button of all("[data-all]")) {
    button.addEventListener("click", () => {
      if (hidden.size) hidden.clear();
      else data.looks.forEach((look) => hidden.add(look.method));
      show();
    });
  }

  // -------------------------------------------------------------------------------------------------- tables

  for (const sortable of all("table.sortable")) {
    const heads = all("thead th", sortable);
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const cells = all("tbody tr", sortable).map((row) => [row.children[column].dataset.value, row]);
        const numbers = cells.every(([value]) => value === "" || Number.isFinite(Number(value)));
        const before = head.getAttribute("aria-sort");
        const down = before ? before === "ascending" : numbers; // the largest number comes first
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const order = (a, b) => (numbers ? Number(a) - Number(b) : a.localeCompare(b));
        cells.sort(([a], [b]) => (a === "" ? 1 : b === "" ? -1 : (down ? -1 : 1) * order(a, b))); // empty cells come last
        sortable.tBodies[0].append(...cells.map(([, row]) => row));
      });
    });
  }

  // ------------------------------------------------------------------------------------------------- gallery

  const dialog = document.getElementById("enlarged");

  function open(wide, ...children) {
    const inside = dialog.querySelector(".inside");
    inside.classList.toggle("wide", wide);
    inside.replaceChildren(...children);
    dialog.showModal();
  }

  // true boxes of an image, and those that the model of a method and cycle found in it
  const boxesOf = (gallery, id, method, cycle) => [...(gallery.pictures[id].boxes ?? []), ...(gallery.boxes[id]?.[method]?.[cycle] ?? [])];

  function frame(gallery, id, text, boxes = [], source = gallery.pictures[id].src) {
    const made = element("span", { class: gallery.small ? "frame pixels" : "frame" }, element("img", { src: source, alt: text }));
    made.firstChild.style.aspectRatio = gallery.ratio;
    if (boxes.length) {
      const drawn = element("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" });
      for (const [kind, label, x, y, width, height] of boxes) {
        drawn.append(element("rect", { class: kind, x, y, width, height }, element("title", {}, `${kind.replace("_", " ")}: ${gallery.classes[label]}`)));
      }
      made.append(drawn);
    }
    return made;
  }

  const named = (gallery, place) => (place === null || place === undefined ? "" : gallery.classes[place] ?? String(place));

  function enlarge(gallery, method, cycle, [id, order, score, predicted, probability, image, region]) {
    const picture = gallery.pictures[image];
    const rows = [["asked for by", `${method}, cycle ${cycle}, place ${order}`], ["score", score]];
    if (picture.file) rows.push(["file", picture.file]);
    if (named(gallery, picture.truth)) rows.push(["true class", named(gallery, picture.truth)]);
    if (predicted !== null) rows.push(["predicted", `${predicted}${probability === null ? "" : ` (${Math.round(100 * probability)} %)`}`]);
    const facts = element("dl", { class: "facts" }, ...rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, String(value)))));
    const shown = (of, at) => frame(gallery, image, `image ${image}`, boxesOf(gallery, image, of, at));
    const left = element("div", {}, shown(method, cycle - 1));
    if (picture.map) left.append(frame(gallery, image, `true map of image ${image}`, [], picture.map), key(gallery));
    if (picture.boxes) left.append(gallery.key.cloneNode(true));
    const table = followed(gallery, id, image);
    for (const button of all("[data-of]", table)) {
      button.addEventListener("click", () => {
        all("[data-of]", table).forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
        left.firstChild.replaceWith(shown(button.dataset.of, button.dataset.at));
      });
      button.setAttribute("aria-pressed", String(button.dataset.of === method && Number(button.dataset.at) === cycle - 1));
    }
    open(false, left, element("div", {}, element("h2", {}, region === null ? `Image ${image}` : `Image ${image}, region ${region}`), facts, table));
  }

  // the colours of classes in maps
  function key(gallery) {
    const made = element("p", { class: "key" }, "True map:");
    gallery.classes.forEach((name, k) => {
      const swatch = element("span", { class: "swatch" });
      swatch.style.background = gallery.hues[k % gallery.hues.length];
      made.append(swatch, name);
    });
    return made;
  }

  // who asked for an image when, and what their models said of it until then
  function followed(gallery, id, image) {
    const asked = gallery.asked[id];
    const seen = gallery.seen[image] ?? {}, boxes = gallery.boxes[image] ?? {};
    const cycles = Object.keys(Object.values(gallery.queries)[0]).map(Number);
    const columns = Object.keys({ ...seen, ...boxes }).length ? [0, ...cycles] : cycles;
    const head = element("tr", {}, element("th", { scope: "col" }, "cycle"), ...columns.map((cycle) => element("th", { scope: "col" }, String(cycle))));
    const body = Object.keys(gallery.queries).map((method) => {
      const said = Object.fromEntries((seen[method] ?? []).map(([cycle, label, percent]) => [cycle, `${named(gallery, label)}, ${percent} %`]));
      return element("tr", {}, element("th", { scope: "row" }, method), ...columns.map((cycle) => {
        const now = asked[method]?.[0] === cycle;
        const found = boxes[method]?.[cycle];
        const text = now ? `asked (no. ${asked[method][1]})` : found ? drawing(found, method, cycle) : said[cycle] ?? "";
        return element("td", now ? { class: "asked" } : {}, text);
      }));
    });
    const told = Object.keys(boxes).length ? "What the models of each cycle found in it until it was labeled, as far as a query needed to know: press to draw the boxes. And when it was asked for." : Object.keys(seen).length ? "What the models of each cycle took it for until it was labeled, as far as a method needed to know; and when it was asked for." : "When each method asked for it, and its place in the order of choice.";
    return element("div", { class: "scroll" }, element("table", {}, element("caption", {}, told), element("thead", {}, head), element("tbody", {}, ...body)));
  }

  // a button that draws what a model found
  function drawing(boxes, method, cycle) {
    const number = (kind) => boxes.filter((box) => box[0] === kind).length;
    const wrong = number("false_positive"), missed = number("false_negative");
    const text = `${number("detection") + wrong} found${wrong ? `, ${wrong} false` : ""}${missed ? `, ${missed} missed` : ""}`;
    return element("button", { type: "button", "data-of": method, "data-at": cycle }, text);
  }

  function thumb(gallery, method, cycle, row) {
    const [, order, , predicted, probability, image, region] = row;
    const truth = named(gallery, gallery.pictures[image].truth);
    const known = predicted !== null && truth;
    const right = predicted === truth;
    const said = known ? (right ? `✓ ${truth}` : `✗ ${predicted}, is ${truth}`) : truth || predicted || (region === null ? `#${order}` : `#${order}, region ${region}`);
    const text = `${order}. image ${image}${region === null ? "" : `, region ${region}`}${truth ? `, true class ${truth}` : ""}${predicted === null ? "" : `, predicted ${predicted}${probability === null ? "" : ` with ${Math.round(100 * probability)} percent`}`}`;
    const label = element("span", { class: `said ${known ? (right ? "right" : "wrong") : ""}`, "aria-hidden": "true" }, said);
    const button = element("button", { type: "button", class: "thumb", title: text }, frame(gallery, image, text, boxesOf(gallery, image, method, cycle - 1)), label);
    button.addEventListener("click", () => enlarge(gallery, method, cycle, row));
    return element("li", {}, button);
  }

  for (const place of all("[data-gallery]")) {
    const gallery = data.galleries[place.dataset.gallery];
    const cycles = [...new Set(Object.values(gallery.queries).flatMap(Object.keys))];
    gallery.key = place.querySelector(".key");
    place.style.setProperty("--thumb", gallery.small ? "4.8rem" : gallery.seen && Object.keys(gallery.seen).length ? "6rem" : "11rem");
    const fill = (cycle) => {
      const rows = Object.entries(gallery.queries).filter(([, queries]) => queries[cycle]).map(([method, queries]) => {
        const dot = element("span", { class: "dot" });
        dot.style.background = looks[method].colour;
        const strip = element("ul", { class: "strip" }, ...queries[cycle].map((row) => thumb(gallery, method, cycle, row)));
        return element("div", { class: "query", "data-method": method }, element("h3", {}, dot, method), strip);
      });
      place.querySelector(".queries").replaceChildren(...rows);
      show();
    };
    for (const cycle of cycles) {
      const button = element("button", { type: "button", "aria-pressed": String(cycle === cycles[0]) }, cycle === cycles[0] ? `cycle ${cycle}` : cycle);
      button.addEventListener("click", () => { press(button); fill(cycle); });
      place.querySelector(".cycles").append(button);
    }
    fill(cycles[0]);
  }

  for (const button of all(".enlarge")) {
    button.addEventListener("click", () => open(true, button.querySelector("img").cloneNode(), button.nextElementSibling.cloneNode(true)));
  }
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}
