"""A model's API on loopback, which answers what a function says: hosts send it what they would send a model."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answer = Callable[[Any], Any]


@contextmanager
def model(answer: Answer) -> Iterator[str]:
    """Serve the function, from the JSON of a request to the JSON of its answer; yields the address."""

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = json.dumps(answer(body)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: Any) -> None:
            """Nothing: stderr is for what fails."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def completion(call: tuple[str, dict[str, Any]] | None, number: int) -> dict[str, Any]:
    """A chat completion that makes the call with this number, or ends the talk, as OpenAI's API has it."""
    message: dict[str, Any] = {"role": "assistant", "content": "That is all."}
    if call:
        function = {"name": call[0], "arguments": json.dumps(call[1])}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": f"call_{number}", "type": "function", "function": function}],
        }
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "loopback", "choices": [choice]}
