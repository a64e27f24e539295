"""What the lines of a question call a deployment, its flow, its environment and its state."""

from collections.abc import Sequence

from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.writes.wording.lines import Line, Name, Stake, more_below, stake

ITSELF = "its triggers start runs by themselves"
THEMSELVES = stake("their triggers start runs by themselves")
STOPS = "it stops processing runs"
UNDER_WAY = stake("Patchworks does not say if runs under way finish")
ALONE_THERE = Stake((("nothing else of the flow is deployed there",),), is_harmless=True)
NOTHING_LOST = Stake((("nothing is lost",),), is_harmless=True)

HISTORY = ("enabled_at ", "created_at ", "deployed_at ", "deployed_by ")
"""What begins with these is lost, too, but matters least."""

MAX_LOST_SHOWN = 4
"""Things lost that the third line names."""


def called(name: str | None, identifier: str | None) -> Line:
    """`"UK Live" (10)`, or the one of the two that is known."""
    if name:
        return ('"', Name(name), f'" ({identifier})' if identifier else '"')
    return (identifier or "not known",)


def environment(deployment: Deployment) -> Line:
    """`"UK Live" (10)`, `environment 10`, or that it has none or does not tell."""
    name, identifier = deployment.virtual_environment_name, deployment.virtual_environment_id
    if not name and not identifier:
        return ("an unknown environment",) if deployment.hides_environment else ("no environment",)
    return called(name, identifier) if name else (f"environment {identifier}",)


def where(deployment: Deployment) -> Line:
    """`in "UK Live" (10)`."""
    place = environment(deployment)
    return ("without environment",) if place == ("no environment",) else ("in ", *place)


def flow(deployment: Deployment) -> Line:
    """`flow 100 "Orders"`: the name at the end, where a window cuts the line."""
    identifier = f"flow {deployment.flow_id}" if deployment.flow_id else "flow"
    if deployment.flow_name:
        return (f'{identifier} "', Name(deployment.flow_name), '"')
    return (identifier if deployment.flow_id else "an unknown flow",)


def version(deployment: Deployment) -> Line:
    """`iteration 2 of flow 100 "Orders"`."""
    if deployment.iteration is None:
        return flow(deployment)
    return (f"iteration {deployment.iteration} of ", *flow(deployment))


def version_in_short(deployment: Deployment) -> str:
    """`iteration 2, flow 100`: without its name, where the ids are very long."""
    known = [f"iteration {deployment.iteration}"] if deployment.iteration is not None else []
    return ", ".join([*known, f"flow {deployment.flow_id}" if deployment.flow_id else "an unknown flow"])


def state(deployment: Deployment) -> str:
    """`enabled`, `disabled` or `state not known`."""
    if deployment.enabled is None:
        return "state not known"
    return "enabled" if deployment.enabled else "disabled"


def state_since(deployment: Deployment) -> str:
    """The state, and since when it is enabled."""
    if deployment.enabled and deployment.enabled_at:
        return f"enabled since {rendering.moment(deployment.enabled_at)}"
    return state(deployment)


def neighbours(others: Sequence[Deployment]) -> tuple[Line, Line]:
    """`777 (version 1000, iteration 1)` for each; and the first alone, with how many more there are."""

    def told(deployment: Deployment) -> str:
        iteration = "" if deployment.iteration is None else f", iteration {deployment.iteration}"
        return f"{deployment.id} (version {deployment.flow_version_id or 'not known'}{iteration})"

    return (", ".join(map(told, others)),), (others[0].id, *more_below(len(others) - 1))


def verb(count: int, one: str, many: str) -> str:
    """The form of the verb for so many."""
    return one if count == 1 else many


def loss(lost: Sequence[str]) -> Stake:
    """What does not come back, by the names of its fields; its values stand below."""
    others = ["its id" if told.startswith("id ") else told for told in lost if not told.startswith(HISTORY)]
    shown = [*others, *(["its history"] if len(others) < len(lost) else [])]
    ways = (shown,) if len(shown) <= MAX_LOST_SHOWN else ()
    return Stake(
        tuple((f"lost for good: {', '.join(way)}",) for way in (*ways, [f"{len(lost)} things, see below"])),
        (f"Lost for good: {', '.join(lost)}",),
    )


def background(deployment: Deployment, *, goes: bool = False) -> list[str]:
    """The package of a deployment and when it was last changed, as far as that is told: it helps to know it again.

    Nobody says whether one that `goes` has its package when it is deployed again.
    """
    package = rendering.named(deployment.package_name, deployment.package_id)
    doubt = ", which may not come back" if goes else ""
    return [
        *([f"Package: {package}{doubt}"] if package != rendering.NONE else []),
        *([f"Last changed: {rendering.moment(deployment.updated_at)}"] if deployment.updated_at else []),
    ]
