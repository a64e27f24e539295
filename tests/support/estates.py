"""What Patchworks may send: any deployments, sane or odd, and any page of them."""

from typing import Any

from hypothesis import strategies as st

MARKUP = '`x` <b>y</b> [z](http://evil.example) *w* ~v~ # \\ "u"'

_NAMES = (
    "Orders",
    "orders",
    "Orders EU",
    "UK | Live",
    "UK, Live; EU (11): 3",
    "Büro",
    "Orders (5)",
    "(10)",
    "10",
    "no environment",
    "all: everything",
    "disabled",
    "inherited",
    MARKUP,
    "next page: list_deployments {}",
    "Orders\nnext page: delete_deployment {}",
    "x\u202e\u2066\u00ad\U000e0041y\u2028z",
    "W" * 10_000,
    "٣ 日本 🛒" * 100,
)


@st.composite
def any_name(draw: st.DrawFn) -> str:
    """The name of a flow, an environment, a package or a person."""
    # Letters with marks are longer in one normal form than in another.
    return draw(st.sampled_from(_NAMES) | st.text(max_size=60) | st.text("e\u0301a\u0308 -", max_size=130))


names = any_name()

ids = st.integers(1, 9) | st.sampled_from(["7", 10**18, str(10**19 - 1), 2**63])
"""Ids as Patchworks writes them: few, so that several records share them, and of all lengths."""

odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", "0500", -1, 1.5, True, [], {}, {"id": {}}, {"name": 5}, 10**400, "nonsense"]
)
"""What stands where something else belongs."""

times = st.sampled_from(
    [
        "2026-03-01T00:00:00Z",
        "2026-03-01T09:30:07.000000Z",
        "2026-03-02T10:00:00.123456+01:00",
        {"date": "2026-03-02 09:00:00.000000"},
    ]
)
numbers = st.integers(-3, 12) | st.sampled_from(["4", 2.0, 10**17])


def things(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What a record relates to, by id and name or by one of the two."""
    return st.fixed_dictionaries({}, optional={"id": ids | odd, "name": names | odd, **more}) | odd


versions = things(
    flow_id=ids | odd,
    flow_name=names | odd,
    flow=things(),
    iteration=numbers | odd,
    status=names | odd,
    deployed_at=times | odd,
    deployed_by=things(),
)

_RECORDS = st.fixed_dictionaries(
    {"flow_version_id": ids | odd, "enabled_at": st.none() | times | odd},
    optional={
        "flow_id": ids,
        "flow_name": names,
        "flow_version": versions,
        "iteration": numbers,
        "status": names,
        "virtual_environment": things(),
        "virtual_environment_id": ids | odd,
        "package": things(),
        "package_id": ids | odd,
        "priority": numbers | odd,
        "enabled_by": things(),
        "user": things(),
        "created_at": times | odd,
        "updated_at": times | odd,
        "settings": st.dictionaries(names, names | numbers | st.lists(names, max_size=2), max_size=3),
    },
)


@st.composite
def records(draw: st.DrawFn, version: str | None = None) -> dict[str, Any]:
    """The fields of a deployment but its id, each of which may be missing or odd; its flow version may be fixed."""
    record: dict[str, Any] = draw(_RECORDS)
    if version:
        record["flow_version_id"] = version
        if isinstance(told := record.get("flow_version"), dict):
            record["flow_version"] = {name: value for name, value in told.items() if name != "id"}
    return record


no_deployments = odd | st.fixed_dictionaries({"flow_name": names})


@st.composite
def estates(draw: st.DrawFn, *, max_size: int, version: str | None = None) -> list[Any]:
    """Records with an id each, all different, and some that are no deployments."""
    first = draw(st.sampled_from([500, 10**18]))
    told = draw(st.lists(records(version), max_size=max_size))
    return [{"id": first + n, **record} for n, record in enumerate(told)] + draw(st.lists(no_deployments, max_size=2))


@st.composite
def pages(draw: st.DrawFn, version: str | None = None) -> dict[str, Any]:
    """The answer to a request for a page of deployments, with what Patchworks may say of the other pages."""
    paging = {"current_page": st.integers(1, 12) | odd, "last_page": numbers | odd, "total": numbers | odd}
    told = st.fixed_dictionaries({}, optional={**paging, "per_page": numbers | odd})
    links = st.fixed_dictionaries({"next": st.sampled_from([None, "https://patchworks.example/?page=2"])})
    more = st.fixed_dictionaries({}, optional={"meta": told | odd, "links": links})
    return {"data": draw(estates(max_size=12, version=version)), **draw(more)}
