// The host's look

/** Variables that hosts standardise; others are not taken over. */
const VARIABLE = /^--(color|font|border|shadow)-[a-z0-9-]+$/;

/** Tones whose two colours are seen upon each other: of a host that gives one of the two, neither is taken. */
const TONES = ["success", "warning", "danger", "info"];

/** Pixels that an inline page may be high; hosts ask for it. */
const MAX_INLINE_PIXELS = 500;

const isFullscreen = () => host.context.displayMode === "fullscreen";

/** Pixels by which the page is higher than it may be without scrolling. */
function overflow() {
  if (isFullscreen()) return 0;
  const { height, maxHeight } = objectIn(host.context.containerDimensions);
  const limits = [height, maxHeight].filter((limit) => limit > 0);
  return document.body.getBoundingClientRect().height - Math.min(MAX_INLINE_PIXELS, ...limits);
}

/** Puts the host's theme, variables, fonts, language and insets on the document. */
function dress() {
  const root = document.documentElement;
  const { theme, styles, locale, safeAreaInsets } = host.context;
  const variables = { ...objectIn(objectIn(styles).variables) };
  for (const tone of TONES) {
    const pair = [`--color-text-${tone}`, `--color-background-${tone}`];
    if (!pair.every((name) => variables[name])) pair.forEach((name) => delete variables[name]);
  }
  root.removeAttribute("style");
  for (const [name, value] of Object.entries(variables)) {
    if (VARIABLE.test(name) && typeof value === "string") root.style.setProperty(name, value);
  }
  const insets = ["top", "right", "bottom", "left"].map((side) => Number(objectIn(safeAreaInsets)[side]) || 0);
  document.body.style.padding = insets.map((inset) => `${inset}px`).join(" ");
  root.toggleAttribute("data-ground", Boolean(variables["--color-background-primary"]));
  root.dataset.theme = theme === "light" || theme === "dark" ? theme : "auto";
  root.dataset.mode = isFullscreen() ? "fullscreen" : "inline";
  root.lang = /^en\b/.test(locale) ? locale : "en";
  const { fonts } = objectIn(objectIn(styles).css);
  const sheet = document.getElementById("fonts") ?? document.head.appendChild(el("style", { id: "fonts" }));
  sheet.textContent = typeof fonts === "string" ? fonts : "";
}

/** The button to and from the full screen, where the host has one. It may choose another mode, and says which. */
function modeButton() {
  const [mode, label, drawing] = isFullscreen()
    ? ["inline", "Leave full screen", "smaller"]
    : ["fullscreen", "Full screen", "larger"];
  if (!listIn(host.context.availableDisplayModes).includes(mode)) return null;
  const ask = async () => {
    try {
      const chosen = objectIn(await request("ui/request-display-mode", { mode })).mode;
      host.context = { ...host.context, displayMode: shown(chosen) };
      refresh();
    } catch (error) {
      say(error.message, "bad");
    }
  };
  return button(label, ask, { drawing, look: "bare", "data-key": "mode" });
}

/** Fits the page to each new width, and tells the host each new height. */
function watchSize() {
  const last = {};
  new ResizeObserver(() => {
    const width = document.body.clientWidth;
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    if (last.width && last.width !== width) requestAnimationFrame(redraw);
    if (last.height !== height) post({ method: "ui/notifications/size-changed", params: { width: window.innerWidth, height } });
    Object.assign(last, { width, height });
  }).observe(document.body);
}
