"""What the server makes of lines that are no messages, and of a host that changes its mind about the era."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from mcp_types import CLIENT_CAPABILITIES_META_KEY, INVALID_REQUEST, PARSE_ERROR, PROTOCOL_VERSION_META_KEY
from support.processes import COMMAND, clean_environment
from support.team import INITIALIZE

pytestmark = pytest.mark.slow

NEW_ERA = {"_meta": {PROTOCOL_VERSION_META_KEY: "2026-07-28", CLIENT_CAPABILITIES_META_KEY: {}}}


@dataclass
class Pipe:
    """A server over stdio, spoken to line by line."""

    process: "subprocess.Popen[bytes]"

    def send(self, line: bytes, end: bytes = b"\n") -> None:
        assert self.process.stdin
        self.process.stdin.write(line + end)
        self.process.stdin.flush()

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send it; the next line."""
        self.send(json.dumps({"jsonrpc": "2.0", **message}).encode())
        return self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        return dict(json.loads(self.process.stdout.readline()))


@contextmanager
def _piped() -> Iterator[Pipe]:
    pipe = subprocess.PIPE
    with subprocess.Popen([*COMMAND, "--sandbox"], stdin=pipe, stdout=pipe, env=clean_environment()) as process:  # noqa: S603 - ours
        yield Pipe(process)


REQUEST = b'{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"x":%s}}'

BAD_LINES = {
    "a lone surrogate": (REQUEST % rb'"\ud800"', PARSE_ERROR, 7),
    "a lone surrogate in the id": (rb'{"jsonrpc":"2.0","id":"\ud800","method":"ping"}', PARSE_ERROR, None),
    "a byte order mark": (b"\xef\xbb\xbf" + REQUEST % b"1", PARSE_ERROR, 7),
    "an id with a fraction of nothing": (b'{"jsonrpc":"2.0","id":7.0,"method":"tools/list"}', INVALID_REQUEST, 7),
    "an id with a fraction": (b'{"jsonrpc":"2.0","id":7.5,"method":"tools/list"}', INVALID_REQUEST, None),
    "an id that is null": (b'{"jsonrpc":"2.0","id":null,"method":"tools/list"}', INVALID_REQUEST, None),
    "an id that is a truth value": (b'{"jsonrpc":"2.0","id":true,"method":"tools/list"}', INVALID_REQUEST, None),
    "an id that is false": (b'{"jsonrpc":"2.0","id":false,"method":"tools/list"}', INVALID_REQUEST, None),
    "500 levels": (REQUEST % (b"[" * 500 + b"]" * 500), PARSE_ERROR, 7),
    "50,000 levels": (REQUEST % (b"[" * 50_000 + b"]" * 50_000), PARSE_ERROR, None),
    "what is no UTF-8": (REQUEST % b'"\xff"', PARSE_ERROR, 7),
    "a batch": (b"[" + REQUEST % b"1" + b"]", INVALID_REQUEST, None),
    "no JSON": (b"hello", PARSE_ERROR, None),
    "no JSON-RPC": (b'{"id":7,"method":"tools/list"}', INVALID_REQUEST, 7),
    "an answer of which nobody can say to what": (b'{"jsonrpc":"2.0","id":1,"result":7}', INVALID_REQUEST, None),
    "more than a mebibyte": (REQUEST % (b'"' + b"x" * 2**20 + b'"'), INVALID_REQUEST, None),
}


def test_a_line_that_is_no_message_is_answered() -> None:
    """With the codes of HTTP, and the id of the request that it wants to be; then the next line is read."""
    with _piped() as server:
        server.ask(INITIALIZE)
        for name, (line, code, request_id) in BAD_LINES.items():
            server.send(line)
            answer = server.answer()
            assert (name, answer["error"]["code"], answer["id"]) == (name, code, request_id)
            assert "Nothing was changed." in answer["error"]["message"]
        assert server.ask({"id": 8, "method": "ping"})["id"] == 8


def test_lines_may_end_and_arrive_as_they_like() -> None:
    """Empty lines are no messages; a line may end as on Windows, come in pieces, and be ended by the end of stdin."""
    with _piped() as server:
        ping = b'{"jsonrpc":"2.0","id":%d,"method":"ping"}'
        server.ask(INITIALIZE)
        server.send(b"")
        server.send(b" \t")
        server.send(ping % 1, end=b"\r\n\r\n")
        server.send((ping % 2)[:9], end=b"")
        server.send((ping % 2)[9:] + b"\n" + ping % 3, end=b"")
        assert server.process.stdin
        server.process.stdin.close()
        assert sorted(server.answer()["id"] for _ in range(3)) == [1, 2, 3]


def test_a_notification_is_never_answered() -> None:
    """Whatever its method is called: it has no id, and expects nothing."""
    with _piped() as server:
        server.ask(INITIALIZE)
        for params in (b'{"id":7.0}', b"{}"):
            server.send(b'{"jsonrpc":"2.0","method":"$/progress","params":%s}' % params)
        assert server.ask({"id": 8, "method": "ping"}) == {"jsonrpc": "2.0", "id": 8, "result": {}}


def test_a_mebibyte_is_read() -> None:
    """The longest line is served as any other."""
    line = b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"_meta":{"x":"%s"}}}'
    with _piped() as server:
        server.ask(INITIALIZE)
        server.send(line % (b"x" * (2**20 - len(line) + 2)))
        assert server.answer() == {"jsonrpc": "2.0", "id": 7, "result": {}}


def test_a_host_may_fall_back_to_the_older_era() -> None:
    """One that did not wait for the answer to `server/discover` sends `initialize`, and gets a session that works."""
    with _piped() as server:
        discovered = server.ask({"id": 0, "method": "server/discover", "params": NEW_ERA})
        assert discovered["id"] == 0
        opened = server.ask(INITIALIZE)
        assert opened["result"]["protocolVersion"] == "2025-11-25"
        server.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        called = server.ask({"id": 2, "method": "tools/call", "params": {"name": "list_deployments", "arguments": {}}})
        assert called["result"]["structuredContent"]["deployments"]


def test_a_host_that_has_begun_in_the_newer_era_stays_in_it() -> None:
    """After its first other request `initialize` is refused, by the protocol's own code."""
    with _piped() as server:
        server.ask({"id": 0, "method": "server/discover", "params": NEW_ERA})
        assert server.ask({"id": 1, "method": "tools/list", "params": NEW_ERA})["result"]["tools"]
        assert server.ask(INITIALIZE)["error"]["code"] == -32022


@pytest.mark.parametrize(
    "answer",
    [
        b'"result":null',
        b'"result":[true]',
        rb'"result":{"action":"accept","content":{"agree":true,"x":"\ud800"}}',
        b'"result":{"action":"accept","content":{"agree":true,"x":"\xff"}}',
        b'"error":{"code":"no","message":5}',
    ],
)
def test_an_answer_to_a_question_that_cannot_be_read_is_an_answer_all_the_same(answer: bytes) -> None:
    """Nobody agrees with it, and nobody waits ten minutes for another."""
    with _piped() as pipe:
        client = {"name": "test", "version": "1"}
        hello = {"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}, "clientInfo": client}
        pipe.ask({"id": 1, "method": "initialize", "params": hello})
        pipe.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        arguments = {"flow_version_id": "1001", "deployment_id": "500"}
        question = pipe.ask(
            {"id": 2, "method": "tools/call", "params": {"name": "disable_deployment", "arguments": arguments}}
        )
        assert question["method"] == "elicitation/create"
        pipe.send(b'{"jsonrpc":"2.0","id":%d,%s}' % (question["id"], answer))
        refused, told = pipe.answer(), pipe.answer()
        assert pipe.process.stdin
        pipe.process.stdin.close()
    assert refused["error"]["code"] in {PARSE_ERROR, INVALID_REQUEST}
    assert (told["id"], told["result"]["structuredContent"]["status"]) == (2, "confirmation_required")
    assert "with something that is no answer to it" in told["result"]["structuredContent"]["message"]
