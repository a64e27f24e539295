"""What `check` finds, in this process: its findings, and their exit status."""

from pathlib import Path
from typing import Any

import httpx2

from patchworks_deployments.commands.doctor.audit_log import look
from patchworks_deployments.commands.doctor.command import findings
from patchworks_deployments.commands.doctor.findings import Exit, Finding, status_of_all
from patchworks_deployments.settings import load_settings
from support.faults import Upstream

KEY = {"api_key": "sandbox-key"}


async def found(transport: httpx2.AsyncBaseTransport | None = None, **settings: Any) -> tuple[list[Finding], Exit]:
    """All findings for these settings, by default those of an account that answers as the sandbox does."""
    given = {**({} if settings.get("credentials") == "caller" or "username" in settings else KEY), **settings}
    told = [finding async for finding in findings(load_settings({}, **given), transport or Upstream())]
    return told, status_of_all([finding.status for finding in told])


def looked_at(log: Path, **given: int) -> tuple[list[Finding], Exit]:
    """What is found of an audit log."""
    told = list(look(log, **given))
    return told, status_of_all([finding.status for finding in told])


def lines(told: list[Finding], mark: str) -> str:
    """What is told with this mark."""
    return "\n".join(str(finding) for finding in told if finding.mark == mark)
