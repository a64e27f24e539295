// The messages with the host
// JSON-RPC 2.0 over postMessage, as the extension `io.modelcontextprotocol/ui` of 2026-01-26 has it.

/** Milliseconds for the host itself, for a read, and for a call that a person may think about. */
const HOST_MS = 15_000;
const READ_MS = 90_000;
const WRITE_MS = 600_000;

/** The only tools that this page calls, whatever a result names. */
const READS = new Set(["deployment_overview", "get_deployment"]);
const WRITES = new Set([
  "create_deployment", "update_deployment", "delete_deployment", "enable_deployment", "disable_deployment",
  "set_deployments_enabled", "replace_deployment",
]);
const CONFIRM = "confirm_change";

const host = { context: {}, capabilities: {}, isGone: false };

const canCall = () => isObject(host.capabilities.serverTools);

/** Whether a call in a result is one that a button may offer. */
const isOffered = (call, among = WRITES) =>
  canCall() && isObject(call) && among.has(call.tool) && isObject(call.arguments);

const asked = new Map();
let lastId = 0;

function post(message) {
  if (!host.isGone) window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
}

/** Asks the host. Rejects with a sentence for people: its refusal, or that it did not answer in time. */
function request(method, params, milliseconds = HOST_MS) {
  const id = ++lastId;
  return new Promise((resolve, reject) => {
    const late = () => {
      asked.delete(id);
      reject(new Error(`The host has not answered for ${milliseconds / 1000} seconds.`));
    };
    asked.set(id, { resolve, reject, timer: setTimeout(late, milliseconds) });
    post({ id, method, params });
  });
}

/** Calls a tool of the server through the host. */
async function callTool(name, given) {
  const isRead = READS.has(name);
  if (!isRead && !WRITES.has(name) && name !== CONFIRM) throw new Error("This page does not call that tool.");
  const result = await request("tools/call", { name, arguments: given }, isRead ? READ_MS : WRITE_MS);
  if (!isObject(result)) throw new Error("The host sent an answer that this page cannot read.");
  return result;
}

function settle({ id, result, error }) {
  const { resolve, reject, timer } = asked.get(id) ?? {};
  if (!asked.delete(id)) return;
  clearTimeout(timer);
  if (error === undefined) resolve(result);
  else reject(new Error(`The host refused: ${shown(objectIn(error).message) || "it gave no reason"}.`));
}

function answer(id, method) {
  const isTeardown = method === "ui/resource-teardown";
  if (isTeardown || method === "ping") post({ id, result: {} });
  else post({ id, error: { code: -32601, message: "Method not found" } });
  if (!isTeardown) return;
  host.isGone = true;
  asked.forEach(({ timer }) => clearTimeout(timer));
  asked.clear();
}

/** Listens to the parent alone; `hear` gets its notifications. */
function listen(hear) {
  window.addEventListener("message", ({ source, data }) => {
    if (source !== window.parent || host.isGone || !isObject(data) || data.jsonrpc !== "2.0") return;
    if (typeof data.method !== "string") settle(data);
    else if (data.id !== undefined) answer(data.id, data.method);
    else hear(data.method, objectIn(data.params));
  });
}

async function introduce() {
  const params = {
    protocolVersion: "2026-01-26",
    appInfo: { name: "patchworks-deployments", version: "1" },
    appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
  };
  const met = objectIn(await request("ui/initialize", params));
  host.capabilities = objectIn(met.hostCapabilities);
  host.context = objectIn(met.hostContext);
}

/** The text of a result: what a model reads. */
const textOf = (result) =>
  listIn(result.content).map((block) => objectIn(block).text).filter((text) => typeof text === "string").join("\n");

const MAX_OUTCOMES = 10;
const MAX_TOLD_CHARACTERS = 8_000;
const outcomes = [];

/** Tells the model what was done here. Each telling takes the place of the one before, so it tells the last ones. */
function tellModel(outcome) {
  outcomes.push(outcome);
  while (outcomes.length > MAX_OUTCOMES || (outcomes[1] && outcomes.join().length > MAX_TOLD_CHARACTERS)) outcomes.shift();
  const text = ["Done on the page by a person, oldest first:", ...outcomes].join("\n\n").slice(0, MAX_TOLD_CHARACTERS);
  return request("ui/update-model-context", { content: [{ type: "text", text }] });
}
