"""A model server on a real loopback socket that fails on purpose, byte by byte, as its script says.

`Faulty` answers chat completions, streamed and whole. Which fault a request meets is looked up by the last message: a
call says its name there, and has its own script. Nothing else is served: ``/tokenize`` is 404, prompts are estimated.
"""

import json
import socket
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import httpx2

from infra.llm.endpoint import Transports
from infra.llm.network import PerLoop
from tests.loopback import reserved_port

WORDS = ("one", " two", " three")
OTHER_BYTES = b'{"padding": "' + b"x" * (10 * 2**20) + b'"}'


class Faulty:
    """A server whose calls meet the faults of their scripts, in order, and are answered well after them.

    Args:
        scripts: the faults of each call, by name; see ``FAULTS``, and ``refuse``, which the transports carry out.
    """

    def __init__(self, scripts: Mapping[str, Sequence[str]]) -> None:
        self.scripts = scripts
        self.requests: Counter[str] = Counter()
        self._over = Event()
        self._closed_port = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"

    @contextmanager
    def serving(self) -> Generator["Faulty"]:
        """Serve until the end of the block."""
        Thread(target=self._accept, daemon=True).start()
        with reserved_port() as self._closed_port:
            try:
                yield self
            finally:
                self._over.set()
                self._listener.close()

    @property
    def transports(self) -> Transports:
        """The network, but for refused connections, which are made where nobody listens."""
        return Transports(None, _Door(self))

    def directed(self, request: httpx2.Request) -> httpx2.Request:
        """Send a request that is to be refused to a port where nobody listens."""
        if request.url.path.endswith("/completions"):
            name = _name(json.loads(request.content))
            if self._fault(name, self.requests[name]) == "refuse":
                self.requests[name] += 1
                request.url = request.url.copy_with(port=self._closed_port)
        return request

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb", buffering=0) as wire:
            try:
                while (asked := _read(wire)) is not None:
                    path, body = asked
                    if not path.endswith("/completions"):
                        _say(wire, 404, b"{}")
                        continue
                    name = _name(body)
                    fault = self._fault(name, self.requests[name])
                    self.requests[name] += 1
                    if fault and FAULTS[fault](wire, bool(body.get("stream")), self._over):
                        return
                    if not fault:
                        _answer(wire, bool(body.get("stream")))
            except OSError:  # the client gave up
                return

    def _fault(self, name: str, number: int) -> str | None:
        script = self.scripts[name]
        return script[number] if number < len(script) else None


class _Door(httpx2.AsyncBaseTransport):
    def __init__(self, server: Faulty) -> None:
        self._server = server
        self._network = PerLoop(lambda: httpx2.AsyncHTTPTransport(trust_env=False))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._network.handle_async_request(self._server.directed(request))

    async def aclose(self) -> None:
        await self._network.aclose()


Fault = Callable[[Any, bool, Event], bool]
"""Fails on the wire; for a streamed request or not, until the event; returns whether the connection is over."""


def _status(code: int, headers: str = "") -> Fault:
    def fail(wire: Any, streamed: bool, over: Event) -> bool:
        message = {"error": {"message": f"fault {code}", "type": "e", "param": None, "code": code}}
        _say(wire, code, json.dumps(message).encode(), headers=headers)
        return False

    return fail


def _packed(code: int) -> Fault:
    """Refuse with a body that says it is compressed, and is not."""

    def fail(wire: Any, streamed: bool, over: Event) -> bool:
        _say(wire, code, b"\x1f\x8bnonsense", headers="Content-Encoding: gzip\r\n")
        return False

    return fail


def _cut(code: int) -> Fault:
    """Refuse with a body that breaks off."""

    def fail(wire: Any, streamed: bool, over: Event) -> bool:
        wire.write(f"HTTP/1.1 {code} Said\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{{".encode())
        return True

    return fail


def _body(content: bytes, kind: str = "application/json", headers: str = "") -> Fault:
    def fail(wire: Any, streamed: bool, over: Event) -> bool:
        _say(wire, 200, content, kind=kind, headers=headers)
        return False

    return fail


def _reset(wire: Any, streamed: bool, over: Event) -> bool:
    return True


def _silent(wire: Any, streamed: bool, over: Event) -> bool:
    return over.wait(30)


def _no_word(wire: Any, streamed: bool, over: Event) -> bool:
    _begin(wire, streamed)
    return over.wait(30)


def _half(wire: Any, streamed: bool, over: Event) -> bool:
    _begin(wire, streamed)
    for piece in _events()[:2] if streamed else [_whole()[:40]]:
        _piece(wire, piece, streamed)
    return True


def _stall(wire: Any, streamed: bool, over: Event) -> bool:
    _half(wire, streamed, over)
    return over.wait(30)


def _drip(wire: Any, streamed: bool, over: Event) -> bool:
    _begin(wire, streamed)
    while not over.wait(0.03):
        _piece(wire, b": still here\n\n" if streamed else b" ", streamed)
    return True


def _trickle(wire: Any, streamed: bool, over: Event) -> bool:
    """Send a head that has no end, byte by byte."""
    wire.write(b"HTTP/1.1 200 OK\r\nX-Padding: ")
    while not over.wait(0.03):
        wire.write(b"x")
    return True


def _error_event(wire: Any, streamed: bool, over: Event) -> bool:
    if not streamed:
        return _status(500)(wire, streamed, over)
    _begin(wire, streamed)
    _piece(wire, _events()[1], streamed)
    error = {"error": {"message": "mid-stream", "type": "e", "param": None, "code": 500}}
    _piece(wire, b"data: " + json.dumps(error).encode() + b"\n\n", streamed)
    return True


PASSING: dict[str, tuple[Fault, str]] = {
    "reset": (_reset, "broken"),
    "silent": (_silent, "timeout"),
    "no first word": (_no_word, "timeout"),
    "stall in the middle": (_stall, "timeout"),
    "drip": (_drip, "timeout"),
    "trickled head": (_trickle, "timeout"),
    "cut in the middle": (_half, "broken"),
    "error event": (_error_event, "broken or status"),
    "408": (_status(408), "status"),
    "429": (_status(429, "Retry-After: 30\r\n"), "status"),
    "500": (_status(500), "status"),
    "502": (_status(502), "status"),
    "503": (_status(503), "status"),
    "503, compressed": (_packed(503), "status"),
    "503, cut off": (_cut(503), "status"),
}
LASTING: dict[str, tuple[Fault, str]] = {
    "400": (_status(400), "status"),
    "401": (_status(401), "status"),
    "404": (_status(404), "status"),
    "422": (_status(422), "status"),
    "400, compressed": (_packed(400), "status"),
    "400, cut off": (_cut(400), "status"),
    "wrong content type": (_body(b"<html>Welcome to nginx</html>", "text/html"), "unreadable"),
    "10 MB": (_body(OTHER_BYTES), "unreadable"),
    "compressed": (_body(b"\x1f\x8b", headers="Content-Encoding: gzip\r\n"), "unreadable"),
}
FAULTS: dict[str, Fault] = {name: fault for name, (fault, _) in (PASSING | LASTING).items()}
KINDS: dict[str, str] = {name: kind for name, (_, kind) in (PASSING | LASTING).items()} | {"refuse": "unreachable"}


def _answer(wire: Any, streamed: bool) -> None:
    if not streamed:
        _say(wire, 200, _whole())
        return
    _begin(wire, streamed)
    for event in _events():
        _piece(wire, event, streamed)
    wire.write(b"0\r\n\r\n")


def _whole() -> bytes:
    message = {"role": "assistant", "content": "".join(WORDS)}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return json.dumps(_frame("chat.completion") | {"choices": choices, "usage": _USAGE}).encode()


def _events() -> list[bytes]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, *({"content": word} for word in WORDS)]
    choices: list[list[dict[str, Any]]] = [[{"index": 0, "delta": d, "finish_reason": None}] for d in deltas]
    choices += [[{"index": 0, "delta": {}, "finish_reason": "stop"}], []]
    frames = [_frame("chat.completion.chunk") | {"choices": one} for one in choices]
    frames[-1]["usage"] = _USAGE
    return [b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in frames] + [b"data: [DONE]\n\n"]


_USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


def _frame(kind: str) -> dict[str, Any]:
    return {"id": "x", "object": kind, "created": 0, "model": "scripted"}


def _begin(wire: Any, streamed: bool) -> None:
    """Send the head of an answer: a stream in chunks, or a body whose length it gives."""
    head = "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked"
    whole = f"Content-Type: application/json\r\nContent-Length: {len(_whole())}"
    wire.write(f"HTTP/1.1 200 OK\r\n{head if streamed else whole}\r\n\r\n".encode())


def _piece(wire: Any, piece: bytes, streamed: bool) -> None:
    wire.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" if streamed else piece)


def _say(wire: Any, status: int, body: bytes, *, kind: str = "application/json", headers: str = "") -> None:
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    wire.write(head.encode())
    for at in range(0, len(body), 65_536):
        wire.write(body[at : at + 65_536])


def _read(wire: Any) -> tuple[str, dict[str, Any]] | None:
    """Read one request; None at the connection's end."""
    line = wire.readline().decode()
    if not line:
        return None
    length = 0
    while (header := wire.readline().decode().strip().lower()) != "":
        if header.startswith("content-length:"):
            length = int(header.partition(":")[2])
    content = b""
    while len(content) < length and (piece := wire.read(length - len(content))):
        content += piece
    return line.split()[1], json.loads(content or b"{}")


def _name(body: dict[str, Any]) -> str:
    """Return the name that a call says in its last message."""
    return str(body["messages"][-1]["content"])
