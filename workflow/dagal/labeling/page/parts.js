// Small things that all other parts use.

const NONE = 255; // a pixel without class
const ANSWERED = ["labeled", "unsure", "no_class"];
// of Okabe and Ito, which people who see few colours tell apart; then others
const COLOURS = [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [0, 114, 178], [213, 94, 0], [204, 121, 167]];

function byId(id) {
  return document.getElementById(id);
}

/** An element with attributes; "on..." are listeners, "svg:..." names those of SVG. */
function make(name, attributes = {}, ...children) {
  const svg = name.startsWith("svg:");
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

function rgb(place) {
  if (place < COLOURS.length) return COLOURS[place];
  const hue = (place * 137.5) % 360, part = (n) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (0.55 - 0.38 * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [part(0), part(8), part(4)];
}

function colour(place) {
  return `rgb(${rgb(place).join(" ")})`;
}

/** The keys of each class: a digit (its own, if it is named by one) and the first letter of its name that is free. */
function classKeys(names, reserved) {
  const taken = new Set(reserved), keys = names.map(() => []);
  names.forEach((name, place) => {
    if (/^\d$/.test(name)) {
      keys[place].push(name);
      taken.add(name);
    }
  });
  const digits = [..."1234567890"].filter((digit) => !taken.has(digit));
  names.forEach((name, place) => {
    if (keys[place].length) return;
    if (digits.length) keys[place].push(digits.shift());
    const letter = [...name.toLowerCase()].find((one) => /^\p{L}$/u.test(one) && !taken.has(one));
    if (letter) {
      keys[place].push(letter);
      taken.add(letter);
    }
  });
  return keys;
}

/** What was pressed, as commands name it: "a", "?", "Enter", "Shift+ArrowLeft". */
function keyOf(event) {
  const key = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return (event.altKey ? "Alt+" : "") + (event.shiftKey && key.length > 1 ? "Shift+" : "") + key;
}

function clamp(value, least, most) {
  return Math.min(Math.max(value, least), most);
}

/** Numbers row by row as [value, how often, ...]. */
function toRuns(values) {
  const runs = [];
  for (let i = 0, first = 0; i < values.length; i++) {
    if (i + 1 === values.length || values[i + 1] !== values[i]) {
      runs.push(values[i], i + 1 - first);
      first = i + 1;
    }
  }
  return runs;
}

function fromRuns(runs, values) {
  for (let i = 0, at = 0; i < runs.length; i += 2) {
    values.fill(runs[i], at, at + runs[i + 1]);
    at += runs[i + 1];
  }
  return values;
}

function counted(boxes) {
  return `${boxes.length} ${boxes.length === 1 ? "box" : "boxes"}`;
}

function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** Seconds for which the page was seen since the last start. */
class Clock {
  constructor() {
    this.start();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.before = this.seconds();
      else this.since = performance.now();
    });
  }

  start() {
    this.before = 0;
    this.since = performance.now();
  }

  seconds() {
    return this.before + (document.hidden ? 0 : (performance.now() - this.since) / 1000);
  }
}
