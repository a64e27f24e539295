"""Reading whatever Patchworks sends: nothing odd costs the rest, and no secret comes through."""

import json
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from patchworks_deployments.errors import UnexpectedResponse
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.model.reading import read_deployment, read_page, read_time
from patchworks_deployments.model.rendering import listing
from patchworks_deployments.model.text import inert

FLAT = {
    "id": 7,
    "flow_version_id": "3",
    "virtual_environment_id": 10,
    "package_id": "60",
    "priority": "5",
    "enabled_at": "2026-03-02T10:00:00.000000+01:00",
    "enabled_by": {"id": 1, "name": "Alex"},
    "user": {"id": 2, "email": "p@example.com"},
    "created_at": "2026-03-01 08:00:00",
    "updated_at": {"date": "2026-03-02 09:00:00.000000", "timezone": "UTC"},
    "flow_version": {"id": 3, "flow_id": 100, "flow_name": "Orders", "iteration": "4", "status": "Deployed"},
    "virtual_environment": {"id": 10, "name": "UK Live"},
    "package": {"id": 60, "name": "Core"},
}
EXPECTED = {
    "id": "7",
    "flow_version_id": "3",
    "flow_id": "100",
    "flow_name": "Orders",
    "iteration": 4,
    "flow_version_status": "Deployed",
    "virtual_environment_id": "10",
    "virtual_environment_name": "UK Live",
    "package_id": "60",
    "package_name": "Core",
    "priority": 5,
    "enabled": True,
    "enabled_at": "2026-03-02T09:00:00Z",
    "enabled_by": "Alex",
    "deployed_by": "p@example.com",
    "created_at": "2026-03-01T08:00:00Z",
    "updated_at": "2026-03-02T09:00:00Z",
}
RELATIONS = ("enabled_by", "user", "flow_version", "virtual_environment", "package")


def _json_api(record: dict[str, Any]) -> dict[str, Any]:
    attributes = {k: v for k, v in record.items() if k != "id" and k not in RELATIONS}
    related = {k: {"data": _json_api(record[k])} for k in RELATIONS if isinstance(record.get(k), dict)}
    return {"id": str(record.get("id")), "type": "x", "attributes": attributes, "relationships": related}


def test_a_flat_record_and_a_json_api_record_read_the_same() -> None:
    """Either shape, wrapped in data or bare, gives the same deployment."""
    for record in (FLAT, _json_api(FLAT)):
        assert read_deployment({"data": record}).to_json() == EXPECTED
        assert read_deployment(record).to_json() == EXPECTED


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*FLAT, "attributes", "relationships", "status", "variables"]), json_values))
def test_any_value_in_any_field_leaves_a_valid_deployment_and_names_what_is_odd(odd: dict[str, Any]) -> None:
    """The record stays readable as long as it has an id; what could not be read is named."""
    record = {**FLAT, **odd, "id": 7}
    deployment = read_deployment({"data": record}, with_other=True)
    dumped = deployment.to_json()
    assert Deployment.model_validate(dumped) == deployment.model_copy(update={"other": dumped.get("other")})
    json.dumps(dumped, allow_nan=False)
    if not isinstance(record.get("attributes"), dict):
        assert deployment.enabled is bool(record["enabled_at"])
    assert set(deployment.unreadable or ()) <= set(Deployment.model_fields)


@given(json_values)
def test_an_answer_is_a_deployment_or_an_error(answer: object) -> None:
    """Nothing but UnexpectedResponse is ever raised, for one record and for a page."""
    for read in (read_deployment, lambda a: read_page(a, page=1)):
        with suppress(UnexpectedResponse):
            read(answer)


@given(st.lists(st.just(FLAT) | json_values, max_size=6), json_values)
def test_a_page_counts_what_it_could_not_read(records: list[object], meta: object) -> None:
    """Read and unreadable records add up, whatever the meta says."""
    page = read_page({"data": records, "meta": meta}, page=3)
    assert len(page.deployments) + (page.unreadable or 0) == len(records)
    assert page.page >= 1
    json.dumps(listing(page).to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("enabled_at", "enabled"),
    [("2026-03-02T09:00:00Z", True), ("nonsense", True), ({"date": "2026-01-01"}, True), (None, False), ("", False)],
)
def test_enabled_depends_on_enabled_at_alone(enabled_at: object, enabled: bool) -> None:  # noqa: FBT001
    """The version's status says Deployed on a disabled deployment, and is not asked."""
    record = {**FLAT, "enabled_at": enabled_at, "is_deployed": True, "status": "Deployed"}
    assert read_deployment(record).enabled is enabled


def test_a_missing_enabled_at_is_unknown_not_disabled() -> None:
    """What the API did not say is not made up."""
    record = {name: value for name, value in FLAT.items() if name != "enabled_at"}
    assert read_deployment(record).enabled is None


@given(st.text(max_size=40) | json_values)
def test_a_time_is_iso_8601_in_utc_or_none(value: object) -> None:
    """Whatever came, what is passed on reads back as itself."""
    time = read_time(value)
    assert time is None or (time.endswith("Z") and read_time(time) == time)


def test_long_text_is_not_remembered() -> None:
    """Names and times of a megabyte, from an answer or a prompt's argument, leave next to nothing in memory."""
    tracemalloc.start()
    try:
        for number in range(20):
            long = f"{number}{'x' * 1_000_000}"
            assert inert(long)
            assert read_time(long) is None
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2_000_000


SECRET = "s3-cr-3t"

credentials = st.sampled_from(
    [
        "password",
        "PASSWORD",
        "dbPassword",
        "db_password",
        "Pass",
        "pwd",
        "passphrase",
        "api_key",
        "apiKey",
        "API-KEY",
        "key",
        "client_key",
        "encryptionKey",
        "pin",
        "userPin",
        "secret",
        "client_secret",
        "token",
        "accessToken",
        "Authorization",
        "webhook",
        "webhookUrl",
        "dsn",
        "private_key",
        "cookie",
        "session",
        "signature",
        "credentials",
        "otp",
    ]
)
values = st.sampled_from(["value", "Value", "values", "default", "content", "anything"])
labels = st.sampled_from(["key", "Key", "name", "NAME", "label", "field", "type", "code"])
marks = st.tuples(st.sampled_from(["secret", "Secret", "is_secret", "encrypted"]), st.sampled_from([1, True, "yes"]))
held = st.sampled_from([SECRET, [SECRET], {"a": {"b": SECRET}}, [["x", SECRET]]])
texts = st.sampled_from(
    [
        "{0}={1}",
        "{0}: {1}",
        "<{0}>{1}</{0}>",
        "https://shop.example/hook?{0}={1}",
        'a:1:{{s:8:"{0}";s:8:"{1}";}}',
        '{{"{0}": "{1}", cut off',
        '"{0}": "{1}"',
        "Bearer {1} {0}",
    ]
)
secret_texts = [
    f"https://user:{SECRET}@shop.example/",
    f"https://{SECRET}@shop.example/",
    f"mysql://u:{SECRET}@db",
    f"X-Thing: Basic {SECRET}",
    f"bearer {SECRET}",
    f"https://hooks.example/{SECRET}",
]
secret_homes: st.SearchStrategy[Any] = st.one_of(
    st.builds(lambda name, value: {name: value}, credentials, held),
    st.builds(lambda name, value: {name: value}, st.sampled_from(["variables", "Variables", "config", "CONFIG"]), held),
    st.builds(lambda label, name, key, value: {label: name, key: value}, labels, credentials, values, held),
    st.builds(lambda mark, key, value: {"key": "k", mark[0]: mark[1], key: value}, marks, values, held),
    st.builds(lambda name: {"key": SECRET, name: "x", "secret": "x"}, credentials),
    st.builds(lambda name: [name, SECRET], credentials),
    st.builds(lambda text, name: text.format(name, SECRET), texts, credentials),
    st.sampled_from(secret_texts),
)
in_anything = st.recursive(
    secret_homes,
    lambda inner: st.one_of(
        inner.map(lambda home: {"part": home}),
        inner.map(lambda home: [home, "x"]),
        inner.map(json.dumps),
    ),
    max_leaves=6,
)


@examples(500)
@given(in_anything)
def test_a_secret_never_comes_through_wherever_it_sits(home: object) -> None:
    """What is marked, named or shaped as a secret is masked, at any depth, and in text and JSON inside text."""
    deployment = read_deployment({"data": {**FLAT, "further": home, "steps": "harmless"}}, with_other=True)
    assert SECRET not in json.dumps(deployment.to_json())
    assert deployment.other
    assert deployment.other["steps"] == "harmless"


def test_what_is_no_secret_is_shown() -> None:
    """Names, numbers, times, flags, addresses and the labels of what is masked come through."""
    plain = {
        "queue": "default",
        "schedule": {"cron": "0 6 * * 1", "timezone": "Europe/London", "at": "2026-03-02T09:00:00Z"},
        "retries": 3,
        "is_private": False,
        "endpoint": "https://shop.example/orders?page=2",
        "contact": "ops@example.com",
        "steps": [{"id": 1, "name": "Map fields"}, {"id": 2, "name": "Send"}],
    }
    shown = read_deployment({**FLAT, **plain, "parameters": [{"key": "api_token", "value": "x"}]}, with_other=True)
    other = shown.to_json()["other"]
    assert other["flow_version"]["iteration"] == "4"
    assert {name: other[name] for name in plain} == plain
    assert other["parameters"] == [{"key": "api_token", "value": "(masked)"}]


def test_further_fields_are_bounded() -> None:
    """A record of megabytes does not become a result of megabytes."""
    record = {**FLAT, "steps": [{"note": "x" * 10_000}] * 500, **{f"field{n}": "y" * 900 for n in range(500)}}
    assert len(json.dumps(read_deployment(record, with_other=True).to_json())) < 120_000
