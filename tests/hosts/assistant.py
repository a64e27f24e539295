"""What the model of each host does here: a fixed talk, which goes on with nothing but what the host hands over.

Imported by the scripts beside it, each in an environment of its own, so nothing but the standard library is used.
"""

import json
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any, TypeAlias

Call: TypeAlias = tuple[str, dict[str, Any]]

SCHEMAS = Path(__file__).parent.parent.parent / "tool_schemas"
IDS = {"flow_version_id": "1001", "deployment_id": "500"}
"""The sandbox's first deployment: enabled, in UK Live."""

NOTHING = {"string": "", "array": []}
"""What a strict model writes where its schema has no null; a number or a truth value it has to make up."""


def _talk() -> Generator[Call, str, None]:
    yield "deployment_overview", _filled("deployment_overview", {})
    yield "list_deployments", _filled("list_deployments", NOTHING)
    yield "get_deployment", {**_filled("get_deployment", NOTHING), **IDS}
    yield "disable_deployment", {**_filled("disable_deployment", NOTHING), **IDS, "dry_run": True}
    disable = {**_filled("disable_deployment", {}), **IDS}
    asked = yield "disable_deployment", disable
    done = yield "disable_deployment", {**disable, "confirmation_code": _code_in(asked)}
    yield "enable_deployment", _arguments_in(done, "enable_deployment")
    yield "get_deployment", {**IDS, "deployment_id": "9999"}


def _filled(tool: str, nothing: dict[str, Any]) -> dict[str, Any]:
    """Each argument, as strict schemas ask for: with what stands for nothing, or with null."""
    definition = json.loads((SCHEMAS / f"{tool}.json").read_text(encoding="utf-8"))
    return {name: nothing.get(field["type"]) for name, field in definition["inputSchema"]["properties"].items()}


def _code_in(read: str) -> str:
    """The code, from `confirmation_code: abc` or `"confirmation_code": "abc"`."""
    found = re.search(r"confirmation_code\W+(\w+-\w+)", read)
    return found[1] if found else f"no code in: {read}"


def _arguments_in(read: str, tool: str) -> dict[str, Any]:
    """The arguments of a call, from `tool {...}` or `{"tool": "tool", "arguments": {...}}`."""
    found = re.search(rf'{tool}"?[ ,]*(?:"arguments": ?)?(\{{[^{{}}]*\}})', read)
    return dict(json.loads(found[1])) if found else {"nothing": read}


class Assistant:
    """Makes one call after the other, and keeps what it was offered and what it read."""

    def __init__(self) -> None:
        self._calls = _talk()
        self._next: Call | None = next(self._calls)
        self.offered: list[str] = []
        self.read: list[str] = []

    def call(self) -> Call | None:
        """The next call; None where the talk is over."""
        return self._next

    def hear(self, read: str) -> None:
        """What the host handed over as the result of the call."""
        self.read.append(read)
        try:
            self._next = self._calls.send(read)
        except StopIteration:
            self._next = None

    def report(self, **more: Any) -> str:
        """What the test reads."""
        return json.dumps({"offered": self.offered, "read": self.read, **more})
