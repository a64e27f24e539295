"""All that a server shows of what Patchworks sends: results, resources, completions, questions, errors, audit log."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client, MCPError
from mcp_types import PromptReference

from patchworks_deployments.sandbox import Sandbox
from support.cases import CASES, replaceable
from support.clients import IDS, Era, Person, audit_lines, complete, connected, read, text
from support.faults import Upstream, every, reply, write

RESOURCES = (
    "patchworks://deployments?per_page=2&include=user,enabledBy,flowVersion",
    "patchworks://overview",
    "patchworks://flow-versions/1001/deployments",
    "patchworks://flow-versions/1001/deployments/500",
)

FIXED = ("_at", "id", "date", "cron_string", "iteration", "priority")
"""The ends of the names of fields that are no text, or must be right for the rest to be shown."""

Text = Callable[[str], str]


def retold(value: Any, tell: Text, name: str = "") -> Any:
    """The JSON with every text as `tell` tells it, and with further fields, keys and records of such texts."""
    if isinstance(value, dict):
        further = {tell("note"): tell("a note"), "remarks": [tell("one"), {"text": tell("two")}]}
        fields = {key: retold(entry, tell, key) for key, entry in value.items()}
        return fields | further if "id" in value else fields
    if isinstance(value, list):
        return [retold(entry, tell, name) for entry in value]
    return tell(value) if isinstance(value, str) and not name.endswith(FIXED) else value


def telling(sandbox: Sandbox, tell: Text) -> Upstream:
    """Patchworks, with every text as `tell` tells it, in headers too."""

    def told(_: httpx2.Request, answer: httpx2.Response) -> httpx2.Response:
        body = retold(answer.json(), tell) if answer.content else None
        content = b"" if body is None else json.dumps(body).encode()
        return httpx2.Response(answer.status_code, headers={"Content-Type": "application/json"}, content=content)

    return Upstream(sandbox).after(every, told)


@dataclass
class Shown:
    """What came out: `texts` that people and models read, and the strings, keys too, within the JSON of `data`."""

    texts: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)

    def all(self) -> list[str]:
        return self.texts + self.data

    def add(self, value: Any) -> None:
        """Take the strings out of JSON."""
        if isinstance(value, dict):
            self.data += value
            self.add([*value.values()])
        elif isinstance(value, list):
            for entry in value:
                self.add(entry)
        elif isinstance(value, str):
            self.data.append(value)

    async def call(self, client: Client, tool: str, **arguments: Any) -> None:
        result = await client.call_tool(tool, arguments)
        self.texts.append(text(result))
        self.add(result.model_dump(mode="json", exclude={"content"}))


async def everything_shown(tell: Text, era: Era, log: Path, **settings: Any) -> Shown:
    """What comes of calling every tool, resource and completion on a Patchworks that tells its texts so."""
    shown, sandbox, person = Shown(), Sandbox(), Person()
    upstream = telling(sandbox, tell)
    async with connected(transport=upstream, era=era, person=person, audit_log=log, **settings) as client:
        await _reads(client, shown)
        for case in CASES:
            arguments = case.arguments(sandbox)
            await shown.call(client, case.tool, **arguments, dry_run=True)
            await shown.call(client, case.tool, **arguments)
        _, arguments = replaceable(sandbox)
        await shown.call(client, "replace_deployment", **arguments)
        await shown.call(client, "set_deployments_enabled", enabled=False, environment="15")
        await shown.call(client, "list_changes")
        shown.add(await read(client, "patchworks://changes"))
        upstream.heal()
        await _failures(client, upstream, tell, shown)
    shown.texts += person.asked
    shown.add(audit_lines(log))
    return shown


async def _reads(client: Client, shown: Shown) -> None:
    await shown.call(client, "list_deployments", include=["user", "enabledBy", "flowVersion"], sort="-created_at")
    await shown.call(client, "list_flow_version_deployments", flow_version_id="1001")
    await shown.call(client, "get_deployment", **IDS, detail="full")
    await shown.call(client, "deployment_overview")
    await shown.call(client, "deployment_overview", deployment_id="500")
    for uri in RESOURCES:
        shown.add(await read(client, uri))
    for argument in ("flow_id", "virtual_environment_id", "package_id"):
        shown.texts += await complete(client, argument)
    for prompt, argument in (("move_version", "flow_version_id"), ("explain_deployment", "deployment_id")):
        offered = await client.complete(PromptReference(name=prompt), {"name": argument, "value": ""})
        shown.texts += offered.completion.values


async def _failures(client: Client, upstream: Upstream, tell: Text, shown: Shown) -> None:
    ids = {"flow_version_id": "1064", "deployment_id": "501"}
    said = {"message": tell("No."), "errors": {tell("priority"): [tell("bad"), {"x": tell("y")}], "b": tell("c")}}
    body = json.dumps(said).encode()
    for status in (401, 403, 404, 409, 422, 500):
        upstream.always(write, reply(status, body))
        await shown.call(client, "enable_deployment", **ids)
        upstream.heal()
        upstream.always(every, reply(status, body))
        await shown.call(client, "get_deployment", **ids)
        upstream.heal()
    upstream.always(every, reply(200, b"<html>", Content_Type=tell("text/html").encode("ascii", "ignore").decode()))
    await shown.call(client, "list_deployments")
    try:
        await client.read_resource(RESOURCES[0])
    except MCPError as error:
        shown.texts += [str(error), str(error.error)]
