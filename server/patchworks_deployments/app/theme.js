// ---------------------------------------------------------------- The host's look

/** Variables that hosts standardise. Others are not taken over. */
const VARIABLE = /^--(color|font|border|shadow)-[a-z0-9-]+$/;

/** Colours that are seen upon each other: a host that gives one of two would leave the other to chance. */
const TONES = ["success", "warning", "danger", "info"];

/** Pixels of an inline page, at most: hosts ask for it. */
const MAX_INLINE_PIXELS = 500;

const isFullscreen = () => host.context.displayMode === "fullscreen";

/** The height that the page may have without scrolling; endless where the page has the screen. */
function heightLimit() {
  if (isFullscreen()) return Infinity;
  const { height, maxHeight } = objectIn(host.context.containerDimensions);
  const limits = [height, maxHeight].filter((limit) => Number.isFinite(limit) && limit > 0);
  return Math.min(MAX_INLINE_PIXELS, ...limits);
}

/** Puts the host's theme, variables, fonts, language and insets on the document. */
function dress() {
  const root = document.documentElement;
  const { theme, styles, locale, safeAreaInsets } = host.context;
  root.removeAttribute("style");
  root.dataset.theme = theme === "light" || theme === "dark" ? theme : "auto";
  root.dataset.mode = isFullscreen() ? "fullscreen" : "inline";
  root.lang = typeof locale === "string" && /^en\b/.test(locale) ? locale : "en";
  for (const [name, value] of Object.entries(wholeTones(objectIn(objectIn(styles).variables)))) {
    if (VARIABLE.test(name) && typeof value === "string") root.style.setProperty(name, value);
  }
  for (const side of ["top", "right", "bottom", "left"]) {
    const inset = Number(objectIn(safeAreaInsets)[side]);
    if (inset > 0) root.style.setProperty(`--inset-${side}`, `${inset}px`);
  }
  const { fonts } = objectIn(objectIn(styles).css);
  let sheet = document.getElementById("fonts");
  if (!sheet) document.head.append((sheet = el("style", { id: "fonts" })));
  if (sheet.textContent !== (fonts ?? "")) sheet.textContent = typeof fonts === "string" ? fonts : "";
}

function wholeTones(variables) {
  const whole = { ...variables };
  for (const tone of TONES) {
    const pair = [`--color-text-${tone}`, `--color-background-${tone}`];
    if (pair.some((name) => typeof whole[name] !== "string")) pair.forEach((name) => delete whole[name]);
  }
  return whole;
}

/** Whether the host lets the page be shown in that way. */
const offersMode = (mode) => listIn(host.context.availableDisplayModes).includes(mode);

/** Asks for a display mode; the host may choose another one, and says which. */
async function requestMode(mode) {
  const chosen = objectIn(await request("ui/request-display-mode", { mode }, HANDSHAKE_MS)).mode;
  if (typeof chosen === "string") host.context = { ...host.context, displayMode: chosen };
}

/** Tells the host each new size of the page. */
function reportSize(page) {
  let last = "";
  new ResizeObserver(() => {
    const size = { width: Math.ceil(window.innerWidth), height: Math.ceil(page.getBoundingClientRect().height) };
    if (last === (last = JSON.stringify(size))) return;
    notify("ui/notifications/size-changed", size);
  }).observe(page);
}
