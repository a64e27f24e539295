"""A selection that holds nothing: what each of its names was found to mean."""

from typing import Any

import pytest
from support.clients import Era, Person, both_eras, connected, text, yes

from patchworks_deployments.sandbox import Sandbox

OTHER = "EU Production (11)"

LOOK = "Nothing was changed. Look with deployment_overview, which shows names and ids."

NOTHING: list[tuple[dict[str, str], str]] = [
    (
        {"environment": "Production", "flow": "100"},
        f'"Production" is the whole name of the environment Production (10), which leaves out {OTHER}. {LOOK}',
    ),
    ({"environment": "Atlantis"}, f'No deployment has an environment with "Atlantis" in its name. {LOOK}'),
    ({"flow": "A|B"}, f'No deployment has a flow with "A¦B" in its name. {LOOK}'),
    (
        {"environment": "Product", "package": "Atlantis"},
        f'"Product" fits the environments {OTHER}, Production (10). No deployment has a package with "Atlantis"',
    ),
    (
        {"environment": "EU, Production"},
        'No deployment has an environment with "EU, Production" in its name. Nothing was changed. A comma is taken for',
    ),
    ({"flow": "777"}, LOOK),
]


def _sandbox() -> Sandbox:
    """Flow 100 runs in "EU Production" alone, and all others in "Production"."""
    sandbox = Sandbox()
    account = sandbox.account
    account.virtual_environments[10].name, account.virtual_environments[11].name = "Production", "EU Production"
    for row in account.deployments.values():
        row.virtual_environment_id = 11 if account.flow_of(row).id == 100 else 10
    return sandbox


@both_eras
@pytest.mark.parametrize(("filters", "said"), NOTHING)
async def test_who_selects_nothing_hears_what_the_names_meant(filters: dict[str, Any], said: str, era: Era) -> None:
    """That a whole name won and left others out, or that nothing has such a name; and nobody is asked."""
    sandbox, person = _sandbox(), Person(yes)
    async with connected(sandbox, person=person, era=era) as client:
        result = await client.call_tool("set_deployments_enabled", {"enabled": False, **filters})
    assert result.is_error
    assert text(result).startswith(f"No deployment matches. {said}")
    assert (sandbox.writes, person.asked) == ([], [])


@both_eras
async def test_a_deployment_that_the_filters_leave_out_is_found_without_them(era: Era) -> None:
    """The overview says how; of one that is nowhere it says just that."""
    async with connected(_sandbox(), era=era) as client:
        apart = await client.call_tool("deployment_overview", {"deployment_id": "500", "environment": "Production"})
        nowhere = await client.call_tool("deployment_overview", {"deployment_id": "99999"})
    assert text(apart) == (
        'Deployment 500 is not among those selected. "Production" is the whole name of the environment Production (10),'
        " which leaves out EU Production (11). Find it by its id alone with deployment_overview "
        '{"deployment_id": "500"}.'
    )
    assert text(nowhere) == "There is no deployment 99999. Check the id, or whether it was deleted."
