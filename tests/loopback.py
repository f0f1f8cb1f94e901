"""A real HTTP server on a free loopback port, answered by a function: for clients whose transport cannot be given.

Each request is answered in a thread of its own and recorded. What the function raises breaks the connection. And
`reserved_port`, for servers that are told their port, and for those who are to find nobody.
"""

import json
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: parts of the path, unquoted; the query's last values; the body as JSON."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer: a value for JSON, or bytes as they are."""

    value: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])


class Broken(Exception):  # noqa: N818 - what the connection is
    """Raised by an answering function: the connection ends without an answer."""


@dataclass(slots=True)
class Loopback:
    """The server as tests see it."""

    url: str
    requests: list[Asked]

    def bodies(self, path: str) -> list[Any]:
        """The bodies of the requests to a path, in order."""
        return [asked.body for asked in self.requests if asked.path == path]


@contextmanager
def reserved_port() -> Generator[int]:
    """A loopback port at which nobody listens; until the block ends no other process is given it.

    A server may be told to listen there: servers bind with SO_REUSEADDR, and so does this.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


@contextmanager
def serving(answer: Callable[[Asked], Answered]) -> Generator[Loopback]:
    """Serve until the block ends."""
    requests: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            content = self.rfile.read(length)
            url = urlsplit(self.path)
            query = {key: values[-1] for key, values in parse_qs(url.query).items()}
            headers = {key.lower(): value for key, value in self.headers.items()}
            body = json.loads(content) if content else None
            asked = Asked(self.command, unquote(url.path), query, headers, body)
            requests.append(asked)
            try:
                answered = answer(asked)
            except Broken:
                return
            value = answered.value
            sent = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(answered.status)
            for key, told in {"content-type": "application/json", "content-length": str(len(sent))}.items():
                if key not in answered.headers:
                    self.send_header(key, told)
            for key, told in answered.headers.items():
                self.send_header(key, told)
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815 - names of the standard library

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Loopback(f"http://127.0.0.1:{server.server_port}", requests)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
