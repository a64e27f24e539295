"""The eight operations on the wire, retries, and the one table from exceptions and statuses to our errors."""

import contextlib
import gzip
import itertools
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.faults import Upstream, later, reply, scripted
from support.operations import KEY, NAMES, READS, RECORD, WRITES, Operation, operate
from support.virtual_time import in_virtual_time

from patchworks_deployments import errors
from patchworks_deployments.api.pacing import ATTEMPTS
from patchworks_deployments.errors import UnexpectedResponse, UpstreamError
from patchworks_deployments.network.transport import MAX_ANSWER_BYTES


@pytest.mark.parametrize(
    ("operation", "method", "target", "body"),
    [
        (READS["list"], "GET", f"/api/v1/flow-version-deployments?{NAMES}&page=1&per_page=25", None),
        (READS["list for version"], "GET", f"/api/v1/flow-versions/1/deployments?{NAMES}", None),
        (READS["get"], "GET", f"/api/v1/flow-versions/1/deployments/2?{NAMES}", None),
        (WRITES["create"], "POST", "/api/v1/flow-versions/1/deployments", {"flow_version_id": "1"}),
        (WRITES["update"], "PUT", "/api/v1/flow-versions/1/deployments/2", {"priority": 1}),
        (WRITES["delete"], "DELETE", "/api/v1/flow-versions/1/deployments/2", None),
        (WRITES["enable"], "POST", "/api/v1/flow-versions/1/deployments/2/enable", None),
        (WRITES["disable"], "POST", "/api/v1/flow-versions/1/deployments/2/disable", None),
    ],
)
async def test_each_operation_is_the_contract_s(
    operation: Operation, method: str, target: str, body: dict[str, Any] | None
) -> None:
    """Method, path, query and body are as described, and both JSON headers are sent."""
    is_list = method == "GET" and not target.startswith("/api/v1/flow-versions/1/deployments/")
    script = scripted(reply(200, {"data": []} if is_list else RECORD))
    await operate(script, operation)
    (request,) = script.requests
    assert (request.method, request.url.raw_path.decode()) == (method, target)
    assert (json.loads(request.content) if request.content else None) == body
    assert request.headers["Accept"] == request.headers["Content-Type"] == "application/json"
    assert request.headers["Authorization"] == KEY


@given(st.text(min_size=1, max_size=40))
async def test_no_id_can_leave_its_place_in_the_path(identifier: str) -> None:
    """Slashes, dots, newlines and everything else are encoded, so the path keeps its shape."""
    script = scripted(reply(200, RECORD))
    with contextlib.suppress(UnexpectedResponse):
        await operate(script, lambda c: c.delete("1", identifier.encode(errors="replace").decode()))
    path = script.requests[0].url.raw_path.decode()
    assert path.startswith("/api/v1/flow-versions/1/deployments/")
    last = path.removeprefix("/api/v1/flow-versions/1/deployments/")
    assert last
    assert all(c.isalnum() or c in "%_-" for c in last)


async def test_an_api_that_refuses_includes_on_single_records_is_asked_without() -> None:
    """The contract does not list them there; names are worth one try."""
    script = scripted(reply(400, {"message": "include is not allowed"}), reply(200, RECORD))
    await operate(script, READS["get"])
    assert [request.url.query for request in script.requests] == [NAMES.encode(), b""]


# Retries ------------------------------------------------------------------------------------------

NEVER_LEFT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)

MAY_HAVE_ARRIVED = (httpx2.ReadTimeout, httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError)


NO_ANSWERS = {
    "HTML": reply(200, b"<html>"),
    "nothing": reply(200),
    "null": reply(200, b"null"),
    "cut off": reply(200, b'{"data": [{"id": 1'),
    "a list": reply(200, []),
    "a redirect": reply(302),
    "a gateway's page": reply(404, b"<html>no such host</html>"),
}


@pytest.mark.parametrize("fault", [*NEVER_LEFT, *MAY_HAVE_ARRIVED, 429, 500, 501, 502, 503, 504, 520, *NO_ANSWERS])
@pytest.mark.parametrize("operation", READS)
async def test_a_read_is_tried_three_times(operation: str, fault: int | str | type[httpx2.RequestError]) -> None:
    """What can pass by itself is tried again, and then reported; also what is no answer to this."""
    step = NO_ANSWERS[fault] if isinstance(fault, str) else reply(fault) if isinstance(fault, int) else fault
    script = scripted(step)
    with pytest.raises(UpstreamError):
        await operate(script, READS[operation])
    assert len(script.requests) == ATTEMPTS == 3


async def test_a_record_of_another_deployment_is_asked_for_again() -> None:
    """A cache that mixes up answers for a moment costs a try, and not the call."""
    script = scripted(reply(200, {"data": {"id": 3, "flow_version_id": 1}}), reply(200, RECORD))
    assert (await operate(script, READS["get"])).id == "2"
    assert len(script.requests) == 2


@pytest.mark.parametrize("status", [401, 403, 404, 409, 413])
async def test_a_read_that_cannot_succeed_is_not_tried_again(status: int) -> None:
    """Asking again would not help."""
    script = scripted(reply(status, {"message": "No."}))
    with pytest.raises(UpstreamError):
        await operate(script, READS["get"])
    assert len(script.requests) == 1


@pytest.mark.parametrize("operation", WRITES)
async def test_a_write_is_repeated_only_where_it_cannot_have_arrived(operation: str) -> None:
    """Three tries when it never left or was throttled, one in every other case."""
    for fault in (*NEVER_LEFT, 429):
        script = scripted(reply(fault) if isinstance(fault, int) else fault)
        with pytest.raises(UpstreamError) as caught:
            await operate(script, WRITES[operation])
        assert len(script.requests) == ATTEMPTS
        assert not caught.value.may_have_acted
    for other in (*MAY_HAVE_ARRIVED, 500, 502, 503, 504):
        script = scripted(reply(other) if isinstance(other, int) else other)
        with pytest.raises(UpstreamError) as caught:
            await operate(script, WRITES[operation])
        assert len(script.requests) == 1
        assert caught.value.may_have_acted


async def test_a_read_that_recovers_succeeds() -> None:
    """Two faults and an answer are an answer."""
    script = scripted(httpx2.ConnectError, reply(503), reply(200, {"data": []}))
    assert (await operate(script, READS["list"])).deployments == []


async def test_a_long_retry_after_is_handed_to_the_caller() -> None:
    """Nobody is kept waiting for minutes; the caller is told how long."""
    script = scripted(reply(429, retry_after=3600))
    with pytest.raises(errors.Throttled, match="Wait 3600 seconds"):
        await operate(script, READS["list"])
    assert len(script.requests) == 1


async def _pauses(upstream: Upstream, operation: Operation) -> list[float]:
    """Seconds between the requests that an operation makes."""
    with contextlib.suppress(UpstreamError):
        await operate(upstream, operation)
    return [later.came - sooner.came for sooner, later in itertools.pairwise(upstream.passages)]


@pytest.mark.parametrize("status", [429, 503])
@in_virtual_time
async def test_a_read_waits_as_long_as_patchworks_asks(status: int) -> None:
    """In seconds or until a date, which counts from the answer's own, or from now where that has none."""
    skewed = later(7, clock_is_fast=86_400)
    undated = {"retry_after": later(7)["retry_after"]}
    for said, pause in (({"retry_after": 7}, 7), (later(7), 7), (skewed, 7), (undated, 7)):
        first, second = await _pauses(scripted(reply(status, **said)), READS["list"])
        assert (first, second) == pytest.approx((pause, pause), abs=1.2)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "said", [0, "soon", "-5", "1.5", "Wed, 99 Foo 2026", "9" * 5_000, "Thu, 01 Jan 2026 00:00:00 GMT"]
)
@in_virtual_time
async def test_what_is_no_time_to_wait_is_as_good_as_none(said: object, status: int) -> None:
    """Zero, the past and nonsense cost the ordinary pauses, and no more."""
    pauses = await _pauses(scripted(reply(status, retry_after=said)), READS["list"])
    assert len(pauses) == ATTEMPTS - 1
    assert min(pauses) >= 0.1
    assert max(pauses) < 2


@pytest.mark.parametrize("status", [429, 503])
async def test_a_date_far_away_is_handed_to_the_caller(status: int) -> None:
    """As seconds, because the reader's clock may differ."""
    script = scripted(reply(status, **later(3_600)))
    with pytest.raises(UpstreamError, match=r"Nothing was changed. Wait 3600 seconds, then call again"):
        await operate(script, READS["list"])
    assert len(script.requests) == 1


PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@given(said=PRINTABLE, date=PRINTABLE)
@example(said="Fri, 31 Dec 9999 23:59:59 GMT", date="Mon, 01 Jan 0001 00:00:00 GMT")
@example(said="Mon, 01 Jan 0001 00:00:00 -2400", date="")
async def test_no_words_about_a_pause_break_anything(said: str, date: str) -> None:
    """Whatever stands in both headers, the failure is reported as what it is."""
    script = scripted(reply(503, retry_after=said, date=date))
    with pytest.raises(errors.Unavailable):
        await operate(script, READS["list"])


@pytest.mark.parametrize("operation", WRITES)
async def test_a_write_that_met_a_503_is_not_repeated_whenever_patchworks_will_be_back(operation: str) -> None:
    """It may have been carried out all the same."""
    script = scripted(reply(503, retry_after=1))
    with pytest.raises(errors.Unavailable) as caught:
        await operate(script, WRITES[operation])
    assert len(script.requests) == 1
    assert caught.value.may_have_acted


async def test_a_redirect_is_not_followed_anywhere() -> None:
    """No request, and so no credential, goes to the other host."""
    script = scripted(reply(307, location="https://elsewhere.example/steal"))
    with pytest.raises(UnexpectedResponse):
        await operate(script, READS["list"])
    assert {request.url.host for request in script.requests} == {"core.wearepatchworks.com"}


async def test_an_endless_body_stops_being_read() -> None:
    """Reading ends soon after the bound, whatever the server goes on sending."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 2**20
            yield b" " * 2**20

    script = scripted(lambda _: httpx2.Response(200, content=endless()))
    with pytest.raises(UnexpectedResponse, match="more than 8 MiB"):
        await operate(script, WRITES["enable"])
    assert sent <= MAX_ANSWER_BYTES + 2**21


async def _in_one_piece(body: bytes) -> AsyncIterator[bytes]:
    yield body


@pytest.mark.slow
async def test_an_answer_is_bounded_as_decompressed() -> None:
    """Kilobytes that unpack to hundreds of megabytes are refused, and never held in memory."""
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(b" " * 2**20) for _ in range(256)) + packer.flush()
    script = scripted(lambda _: httpx2.Response(200, content=_in_one_piece(bomb), headers={"Content-Encoding": "gzip"}))
    tracemalloc.start()
    try:
        with pytest.raises(UnexpectedResponse, match="more than 8 MiB"):
            await operate(script, READS["list"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MAX_ANSWER_BYTES


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_compressed_answer_is_read(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """What a server compresses reads like any other answer."""
    body = pack(json.dumps(RECORD).encode())
    headers = {"Content-Encoding": encoding, "Content-Length": str(len(body))}
    script = scripted(lambda _: httpx2.Response(200, content=_in_one_piece(body), headers=headers))
    assert (await operate(script, READS["get"])).id == "2"


async def test_headers_in_any_letters_break_nothing() -> None:
    """What stands in a header that nobody looks at may be in any encoding."""
    headers = [(b"X-Served-By", "K\u00f6ln \u2013 1".encode()), (b"X-Other", b"\xff\xfe")]
    script = scripted(lambda _: httpx2.Response(200, json=RECORD, headers=headers))
    assert (await operate(script, READS["get"])).id == "2"


async def test_an_answer_that_cannot_be_unpacked_is_an_error_of_ours() -> None:
    """A broken encoding is reported as an answer that cannot be read."""
    headers = {"Content-Encoding": "gzip"}
    script = scripted(lambda _: httpx2.Response(200, content=_in_one_piece(b"no gzip"), headers=headers))
    with pytest.raises(UnexpectedResponse, match="decompressed"):
        await operate(script, READS["list"])


@pytest.mark.parametrize(
    "body",
    [b"<html></html>", b"", b'{"data": [', b"[]", b"null", b'"text"', b"1", b'{"data": null}', b"[" * 100_000],
)
@pytest.mark.parametrize("operation", READS)
async def test_an_answer_that_is_none_is_an_error_never_empty(operation: str, body: bytes) -> None:
    """A read yields deployments or an error, and never pretends that there are none."""
    script = scripted(reply(200, body))
    with pytest.raises(UnexpectedResponse):
        await operate(script, READS[operation])
