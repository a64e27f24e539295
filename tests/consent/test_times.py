"""A change within one second is a change."""

from itertools import count
from typing import Any

from support.clients import IDS, Era, Person, both_eras, connected, data, yes
from support.faults import Upstream

from patchworks_deployments.sandbox import Sandbox


@both_eras
async def test_a_change_in_the_same_second_as_the_last_one_is_noticed(era: Era) -> None:
    """Patchworks tells microseconds, and nothing else differs: the old yes does not count."""
    sandbox, micros = Sandbox(), 100_000

    def exactly(_: object, answer: Any) -> Any:
        if isinstance(answer, dict) and isinstance(answer.get("data"), dict):
            answer["data"]["updated_at"] = f"2026-03-02T09:00:00.{micros:06}Z"
        return answer

    def somebody_changes_it() -> None:
        nonlocal micros
        micros += 1

    person = Person(yes, meanwhile=somebody_changes_it)
    async with connected(transport=Upstream(sandbox).alter(exactly), person=person, era=era) as client:
        result = data(await client.call_tool("disable_deployment", IDS))
    # In the newer era the person is asked anew about the new state, and agrees to that one.
    assert (result["status"], len(person.asked)) == (("refused", 1) if era == "legacy" else ("done", 2))


@both_eras
async def test_whole_seconds_of_a_time_that_was_given_with_fractions_are_what_was_wanted(era: Era) -> None:
    """Patchworks keeps less than it was sent, as its database does, and the update is verified all the same."""
    sandbox, numbers = Sandbox(), count()
    async with connected(sandbox, person=Person(yes), era=era) as client:
        for _ in range(2):
            given = f"2026-01-01T00:00:0{next(numbers)}.250000Z"
            result = data(await client.call_tool("update_deployment", {**IDS, "enabled_at": given}))
            assert (result["status"], result["verified"]) == ("done", True)
