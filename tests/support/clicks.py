"""What a page gets with a result, and what it does when a person clicks."""

from typing import Any

from mcp import Client
from mcp_types import CallToolResult

from patchworks_deployments.app.shown import KEY
from support.clients import CONFIRM, data, text


def for_page(result: CallToolResult) -> dict[str, Any]:
    """What the page gets beside the result; empty where it gets nothing."""
    told: dict[str, Any] = (result.meta or {}).get(KEY, {})
    return told


def confirm_of(waiting: CallToolResult) -> dict[str, Any]:
    """The arguments of the call that a click in the page makes."""
    assert data(waiting)["status"] == "waiting_for_person", text(waiting)
    confirm: dict[str, Any] = for_page(waiting)["change"]["confirm"]
    return confirm


async def click(client: Client, waiting: CallToolResult, *, agree: bool = True, **more: object) -> CallToolResult:
    """What becomes of a person's yes or no in the page beside a result that waits; `more` is sent as well, or instead.

    A yes to a delete types the id.
    """
    must_be_typed = for_page(waiting)["change"].get("type") if agree else None
    typed = {"typed_id": must_be_typed} if must_be_typed else {}
    return await client.call_tool(CONFIRM, {**confirm_of(waiting), "agree": agree, **typed, **more})


def for_the_model(result: CallToolResult) -> str:
    """All of a result that a host may show a model."""
    return result.model_dump_json(by_alias=True, exclude={"meta"})
