// ---------------------------------------------------------------- Elements, and data as text

/** Characters of one text that are shown; longer ones end in an ellipsis. */
const MAX_CHARACTERS = 12_000;

/** Control characters, and those that turn the direction of what stands after them. */
const UNSEEN = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const objectIn = (value) => (isObject(value) ? value : {});
const listIn = (value) => (Array.isArray(value) ? value : []);

/** Whatever a result holds, as text that can be shown; null and undefined are the empty text. */
function shown(value) {
  if (value === null || value === undefined) return "";
  const text = (typeof value === "object" ? JSON.stringify(value) : String(value)).replace(UNSEEN, "\ufffd");
  return text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)}…` : text;
}

/** An element. Names of tags and attributes come from this page alone; data is only ever a text or a value. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A name: its direction does not touch its neighbours, and where it is cut, all of it stands in the title. */
function named(value, more = {}) {
  const text = shown(value);
  return el("bdi", { class: "name", title: text, ...more }, text);
}

/** A sentence of the server, in which names stand in quotation marks. */
function sentence(value) {
  return shown(value).split(/("[^"]*")/).map((part, index) => (index % 2 ? el("bdi", {}, part) : part));
}

function icon(name) {
  const drawing = document.getElementById("icons").content.querySelector(`[data-icon="${name}"]`).cloneNode(true);
  drawing.setAttribute("aria-hidden", "true");
  drawing.setAttribute("class", "icon");
  return drawing;
}

const unseen = (text) => el("span", { class: "unseen" }, text);

function button(label, onclick, { icon: drawing, look = "", iconOnly = false, ...attributes } = {}) {
  const words = iconOnly ? unseen(label) : el("span", {}, label);
  return el(
    "button",
    { type: "button", class: `button ${look}`, title: iconOnly ? label : undefined, onclick, ...attributes },
    drawing && icon(drawing),
    words,
  );
}

const heading = (text) => el("h1", { tabindex: "-1", title: shown(text) }, el("bdi", {}, shown(text)));

const counted = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

// ---------------------------------------------------------------- What is on, and when

const STATES = new Map([
  [true, ["on", "on"]],
  [false, ["off", "off"]],
]);
const NOT_TOLD = ["untold", "not known"];

/** On or off, told by a word and by the form of a mark: a disc, a ring, a broken ring. */
function state(enabled) {
  const [look, word] = STATES.get(enabled) ?? NOT_TOLD;
  return el("span", { class: `state ${look}` }, el("span", { class: "mark", "aria-hidden": "true" }), word);
}

const stateInWords = (enabled) => (STATES.has(enabled) ? STATES.get(enabled)[1] : "state not known");

/** What `make` makes of the host's locale and time zone, or of the browser's where the host's are odd. */
function locally(make) {
  try {
    return make(host.context.locale, host.context.timeZone);
  } catch {
    return make(undefined, undefined);
  }
}

function number(value) {
  return Number.isFinite(value) ? locally((locale) => new Intl.NumberFormat(locale).format(value)) : shown(value);
}

/** A time where the reader is, with the zone named; what is no time is shown as it is. */
function time(value) {
  const moment = new Date(typeof value === "string" ? value : NaN);
  if (Number.isNaN(moment.getTime())) return named(value);
  const parts = { year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit" };
  const text = locally((locale, timeZone) =>
    new Intl.DateTimeFormat(locale, { ...parts, timeZone, timeZoneName: "short" }).format(moment),
  );
  return el("time", { datetime: moment.toISOString() }, text);
}
