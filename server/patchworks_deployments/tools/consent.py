"""The step between reading and writing: a resolver that puts a plan before whoever must agree."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from mcp.server.mcpserver import Context, Elicit, Resolve

from patchworks_deployments.writes.changes import Plan
from patchworks_deployments.writes.consent import Call, Consent, Form, decide
from patchworks_deployments.writes.services import Services, caller, can_ask, services

SomePlan = TypeVar("SomePlan", bound=Plan)


def consent_to(plan: Callable[..., Awaitable[SomePlan]]) -> Resolve:
    """The resolver for a tool whose resolver `plan` reads what the tool would do."""

    async def consent(
        ctx: Context[Services, Any],
        planned: Annotated[SomePlan, Resolve(plan)],
        dry_run: bool | None,
        confirmation_code: str | None,
    ) -> Consent | Elicit[Form]:
        held = services(ctx)
        call = Call(caller=caller(), can_ask=can_ask(ctx), dry_run=bool(dry_run), code=confirmation_code)
        return decide(planned, call, held.policy, held.codes)

    return Resolve(consent)
