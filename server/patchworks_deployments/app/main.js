// ---------------------------------------------------------------- Views, and what the host says

const page = { view: null, input: {} };

/** A view with a sentence and nothing to do. */
const messageView = (title, text) => ({
  key: "message",
  draw(head, body) {
    head.append(el("div", { class: "bar" }, heading(title), el("div", { class: "tools" }, backButton())));
    body.append(...shown(text).split("\n").filter(Boolean).map((line) => el("p", {}, sentence(line))));
  },
});

/** Shows a view. Its heading gets the focus, so that a reader begins there; an update of a view leaves it alone. */
function go(view, { keepFocus = false } = {}) {
  const from = page.view;
  page.view = view;
  const [text, look] = view.status?.() ?? [""];
  say(text, { look });
  if (keepFocus) return redraw();
  draw();
  const opened = view === board && from === deployment && findByKey(`deployment ${shown(deployment.facts.id)}`);
  // A page that has not got the focus must not take it from what a person is typing.
  if (document.hasFocus()) (opened || document.querySelector("h1"))?.focus({ preventScroll: view === board });
  if (view === board && board.isStale && host.canCall) board.read(board.asked);
}

function draw() {
  const head = document.getElementById("head");
  const body = document.getElementById("body");
  head.replaceChildren();
  body.replaceChildren();
  document.getElementById("page").dataset.view = page.view.key;
  const fit = page.view.draw(head, body);
  fit?.();
}

const findByKey = (key) => [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key && !one.disabled);

/** Does something that draws anew, and puts the focus back on what had it, or on the heading. */
function keepingFocus(act) {
  const { activeElement: last } = document;
  const key = last?.dataset?.key;
  const isInside = last && last !== document.body;
  act();
  if (isInside && document.hasFocus() && !last.isConnected) ((key && findByKey(key)) || document.querySelector("h1"))?.focus();
}

const redraw = () => page.view && keepingFocus(draw);

/** Says something where it is seen and read out. */
function say(text, { look = "" } = {}) {
  const status = document.getElementById("status");
  status.className = look;
  if (status.textContent !== shown(text)) status.replaceChildren(...sentence(text));
}

function backButton() {
  if (board.estate && page.view !== board) return button("Back to the board", () => go(board), { icon: "back" });
  if (change.told && page.view !== change) return button("Back to the change", () => go(change), { icon: "back" });
  return null;
}

function modeButton() {
  const wanted = isFullscreen() ? "inline" : "fullscreen";
  if (!offersMode(wanted)) return null;
  const label = isFullscreen() ? "Leave full screen" : "Full screen";
  const ask = () => requestMode(wanted).then(refresh, (error) => say(error.message, { look: "bad" }));
  return button(label, ask, { icon: isFullscreen() ? "smaller" : "larger", iconOnly: true, "data-key": "mode" });
}

function refresh() {
  dress();
  redraw();
}

/** Shows the result of the call that the page belongs to. */
function receive(result) {
  const asked = { tool: objectIn(objectIn(host.context.toolInfo).tool).name, arguments: page.input };
  const told = objectIn(result.structuredContent);
  if (typeof told.status === "string" || forThePage(result).change || WRITES.has(asked.tool)) {
    change.take(readChange(result, asked));
    go(change);
  } else if (Number.isFinite(told.deployments) || forThePage(result).board) {
    board.take(result, page.input);
    go(board);
  } else {
    go(messageView(result.isError ? "It could not be read" : "The result", textOf(result) || "The result holds nothing to show."));
  }
}

const hearers = {
  "ui/notifications/tool-input": (params) => (page.input = objectIn(params.arguments)),
  "ui/notifications/tool-result": receive,
  "ui/notifications/tool-cancelled": ({ reason }) => {
    const why = shown(reason);
    go(messageView("Cancelled", `The call was cancelled before its result came${why ? `: ${why}` : "."}`));
  },
  "ui/notifications/host-context-changed": (params) => {
    host.context = { ...host.context, ...params };
    refresh();
  },
};

/** A result that this page cannot show is one of the server's or the host's making: the page says so and lives on. */
function hear(method, params) {
  try {
    if (Object.hasOwn(hearers, method)) hearers[method](params);
  } catch (error) {
    go(messageView("This cannot be shown", `The page could not read what the host sent (${error.message}). The assistant has it as text.`));
  }
}

async function start() {
  const root = document.getElementById("page");
  listen(hear);
  go(messageView("What runs where", "Waiting for the result…"));
  let width = 0;
  new ResizeObserver(() => {
    if (width && width !== root.clientWidth) requestAnimationFrame(redraw);
    width = root.clientWidth;
  }).observe(root);
  try {
    await introduce();
  } catch (error) {
    return go(messageView("No answer from the host", error.message));
  }
  refresh();
  reportSize(root);
  notify("ui/notifications/initialized");
}

start();
