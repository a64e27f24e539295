// Elements, and data as text

const MAX_CHARACTERS = 12_000;

/** Control characters, and those that turn the direction of what stands after them. */
const UNSEEN = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const objectIn = (value) => (isObject(value) ? value : {});
const listIn = (value) => (Array.isArray(value) ? value : []);
const isTold = (value) => value !== undefined && value !== null;

/** Whatever a result holds, as text that can be shown. */
function shown(value) {
  if (!isTold(value)) return "";
  const text = (typeof value === "object" ? JSON.stringify(value) : String(value)).replace(UNSEEN, "\ufffd");
  return text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)}…` : text;
}

/** `el("p.note", { title }, …)`: tags and attributes are named by this page alone, data is a text or a value. */
function el(kind, ...children) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  const attributes = children[0]?.constructor === Object ? children.shift() : {};
  for (const [name, value] of Object.entries(attributes)) {
    if (!isTold(value) || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter(Boolean));
  return element;
}

/** A name, which does not turn the direction of its neighbours; where it is cut, all of it stands in the title. */
const named = (value, kind = "bdi.name") => el(kind, { title: shown(value) }, shown(value));

/** A sentence of the server, in which names stand in quotation marks. */
const sentence = (value) => shown(value).split(/("[^"]*")/).map((part, n) => (n % 2 ? el("bdi", part) : part));

function icon(name) {
  const drawing = document.getElementById("icons").content.querySelector(`[data-icon="${name}"]`).cloneNode(true);
  drawing.setAttribute("aria-hidden", "true");
  drawing.setAttribute("class", "icon");
  return drawing;
}

const unseen = (text) => el("span.unseen", text);

/** A button; where its look is `bare`, the drawing takes the place of the label. */
function button(label, onclick, { drawing, look = "plain", ...attributes } = {}) {
  const isBare = look === "bare";
  const more = { type: "button", title: isBare && label, "data-key": label, onclick, ...attributes };
  return el(`button.button.${look}`, more, drawing && icon(drawing), isBare ? unseen(label) : el("span", label));
}

const heading = (text) => el("h1", { tabindex: "-1", title: shown(text) }, el("bdi", shown(text)));

/** What each view begins with: its name, something beside it, and two buttons. */
const bar = (title, beside, back = backButton()) => el("div.bar", heading(title), beside, el("div.tools", back, modeButton()));

const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

// What is on, and when

const STATES = new Map([[true, "on"], [false, "off"]]);

/** On or off, told by a word and by the form of a mark: a disc, a ring, a broken ring. */
function state(enabled, count = "") {
  const word = STATES.get(enabled);
  return el(`span.state.${word ?? "untold"}`, el("span.mark"), `${count} ${word ?? "not known"}`.trim());
}

/** What `make` makes of the host's locale and time zone, or of the browser's where the host's are odd. */
function locally(make) {
  try {
    return make(host.context.locale, host.context.timeZone);
  } catch {
    return make();
  }
}

const number = (value) => (Number.isFinite(value) ? locally((locale) => value.toLocaleString(locale)) : shown(value));

/** A time where the reader is, with the zone named; what is no time is shown as it is. */
function time(value) {
  const moment = new Date(typeof value === "string" ? value : NaN);
  if (Number.isNaN(moment.getTime())) return named(value);
  const parts = { year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short" };
  const text = locally((locale, timeZone) => moment.toLocaleString(locale, { ...parts, timeZone }));
  return el("time", { datetime: moment.toISOString() }, text);
}
