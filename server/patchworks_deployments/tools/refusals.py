"""Audit lines for calls that are refused before they reach the tool, which would have written one itself."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from mcp.server.mcpserver.tools import Tool

from patchworks_deployments.errors import AuditLogUnwritable
from patchworks_deployments.settings import Settings
from patchworks_deployments.tools.base import WriteTool
from patchworks_deployments.writes.audit import AuditLog, Who, line

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refusals:
    """The tools that change something, and the log of what they were called for in vain."""

    log: AuditLog
    write_tools: Mapping[str, WriteTool]

    @classmethod
    def of(cls, settings: Settings, tools: Iterable[Tool]) -> Self:
        """For these tools, of which some only look."""
        return cls(AuditLog(settings.audit_log), {tool.name: tool for tool in tools if isinstance(tool, WriteTool)})

    def record(self, call: Mapping[str, Any], who: Who, message: str) -> None:
        """One line for a refused `tools/call` with these parameters; none if its tool only looks."""
        tool = self.write_tools.get(str(call.get("name")))
        if tool is None:
            return
        given = call.get("arguments")
        arguments = given if isinstance(given, Mapping) else {}
        known = {name: arguments[name] for name in tool.parameters["properties"] if name in arguments}
        try:
            self.log.record(line(tool.name, known, {"status": "refused", "message": message}, who, 0.0))
        except AuditLogUnwritable as error:
            logger.error("%s refused: %s", tool.name, error.what)  # noqa: TRY400 - the traceback says no more
