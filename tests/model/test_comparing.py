"""Comparing two states of a deployment: what differs, and what counts as the same."""

from typing import Any

import pytest

from patchworks_deployments.model.comparing import COMPARED, differences, fingerprint, is_same_moment
from patchworks_deployments.model.deployment import Deployment

SEEN = Deployment(
    id="500",
    flow_version_id="1001",
    virtual_environment_id="10",
    virtual_environment_name="UK Live",
    package_id="60",
    priority=5,
    enabled=True,
    enabled_at="2026-03-02T09:00:00Z",
    updated_at="2026-03-02T09:00:00Z",
)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"enabled": False, "enabled_at": None}, "state: enabled since 2026-03-02 09:00 UTC → disabled"),
        (
            {"enabled_at": "2026-03-02T09:00:07Z"},
            "state: enabled since 2026-03-02 09:00 UTC → enabled since 2026-03-02 09:00:07 UTC",
        ),
        ({"priority": None}, "queue priority: 5 → inherited"),
        (
            {"virtual_environment_id": "11", "virtual_environment_name": "US Live"},
            'environment: "UK Live" (10) → "US Live" (11)',
        ),
        (
            {"virtual_environment_id": None, "virtual_environment_name": None},
            'environment: "UK Live" (10) → no environment',
        ),
        ({"flow_version_id": "1002"}, "flow version: 1001 → 1002"),
        ({"package_id": None}, "package: 60 → none"),
    ],
)
def test_each_field_that_a_write_can_touch_has_its_line(changed: dict[str, Any], line: str) -> None:
    """A change of one field is one line, in the words of people."""
    assert set(changed) & set(COMPARED)
    assert differences(SEEN, SEEN.model_copy(update=changed)) == [line]


def test_what_follows_from_other_fields_is_no_difference() -> None:
    """Names, people, times of reading and what only some answers hold make no line."""
    same = SEEN.model_copy(update={"flow_name": "Orders", "updated_at": None, "deployed_by": "Alex", "other": {"x": 1}})
    assert differences(SEEN, same) == []


def test_a_fingerprint_rests_on_what_a_deployment_is() -> None:
    """Every field of every deployment counts, but for those that depend on how it was read."""
    assert fingerprint([SEEN]) == fingerprint([SEEN.model_copy(update={"other": {"x": 1}, "unreadable": ["x"]})])
    assert fingerprint([SEEN]) != fingerprint([SEEN.model_copy(update={"updated_at": "2026-03-02T09:00:01Z"})])
    assert fingerprint([SEEN]) != fingerprint([SEEN, SEEN])


def test_times_are_compared_as_exactly_as_both_are_told() -> None:
    """A fraction that only one of two times has, cut or rounded, is no difference; two fractions are."""
    assert is_same_moment("2026-03-02T09:00:00.100000Z", "2026-03-02T09:00:00Z")
    assert is_same_moment("2026-03-02T09:00:00.900000Z", "2026-03-02T09:00:01Z")
    assert not is_same_moment("2026-03-02T09:00:00.100000Z", "2026-03-02T09:00:00.100001Z")
    assert not is_same_moment("2026-03-02T09:00:00.100000Z", "2026-03-02T09:00:02Z")
    assert not is_same_moment("2026-03-02T09:00:00Z", "2026-03-02T09:00:01Z")
    assert fingerprint([SEEN]) != fingerprint([SEEN.model_copy(update={"updated_at": "2026-03-02T09:00:00.000001Z"})])
