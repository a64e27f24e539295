"""What the write tools return."""

from typing import Annotated, Literal

from pydantic import Field

from patchworks_deployments.model.deployment import Deployment, Maybe, Output, ToolCall

Status = Literal[
    "done", "partial", "unchanged", "preview", "confirmation_required", "declined", "refused", "failed", "unknown"
]
ConfirmedBy = Literal["human", "code", "not_required"]


class WriteResult(Output):
    """What became of one attempt to change a deployment.

    `before` and `after` are states as read from Patchworks; in a preview `after` is what would be.
    """

    status: Status
    message: str
    before: Maybe[Deployment] = None
    after: Maybe[Deployment] = None
    verified: Annotated[Maybe[bool], Field(description="Read back and found as wanted.")] = None
    confirmed_by: Maybe[ConfirmedBy] = None
    also_changed: Annotated[Maybe[list[str]], Field(description="What changed without being asked.")] = None
    lost: Annotated[Maybe[list[str]], Field(description="What undo cannot bring back.")] = None
    undo: Maybe[ToolCall] = None
    confirmation_code: Maybe[str] = None


class NotSwitched(Output):
    """A deployment that is not in the wanted state, and why."""

    deployment: Annotated[str, Field(description="flow_version_id/deployment_id")]
    why: str


class SwitchResult(Output):
    """What became of switching several deployments. Deployments are named flow_version_id/deployment_id."""

    status: Status
    message: str
    done: Maybe[list[str]] = None
    unchanged: Maybe[list[str]] = None
    failed: Maybe[list[NotSwitched]] = None
    not_tried: Maybe[list[NotSwitched]] = None
    confirmed_by: Maybe[ConfirmedBy] = None
    undo: Maybe[ToolCall] = None
    confirmation_code: Maybe[str] = None


class ReplaceResult(Output):
    """What became of putting another version into an environment."""

    status: Status
    message: str
    before: Maybe[Deployment] = None
    after: Maybe[Deployment] = None
    restored: Maybe[Deployment] = None
    verified: Maybe[bool] = None
    gap_milliseconds: Annotated[Maybe[int], Field(description="How long the environment held neither version.")] = None
    confirmed_by: Maybe[ConfirmedBy] = None
    lost: Annotated[Maybe[list[str]], Field(description="What undo cannot bring back.")] = None
    undo: Maybe[ToolCall] = None
    repair: Annotated[Maybe[ToolCall], Field(description="The call that restores what is missing.")] = None
    confirmation_code: Maybe[str] = None
