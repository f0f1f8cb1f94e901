"""What goes in and out of the engine: a request, and an answer whose chunks know when they are due."""

from collections.abc import Generator
from dataclasses import dataclass

MAX_BODY_BYTES = 32 * 2**20
"""Largest request body that is read: a window of a million tokens at six bytes a token fits five times."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    Attributes:
        method: upper case.
        path: without the query.
        content_type: of the body, '' where none is said.
        body: read whole.
        arrived: the clock's time when it came in, in seconds.
    """

    method: str
    path: str
    content_type: str
    body: bytes
    arrived: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes to be written, due ``due_seconds`` after the request arrived; empty bytes only mark a moment."""

    due_seconds: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response; close ``chunks`` when it is not read to the end.

    Attributes:
        status: HTTP status code.
        headers: lower-case names.
        chunks: the body in the order it is written; they are made as they are asked for, by one reader.
    """

    status: int
    headers: dict[str, str]
    chunks: Generator[Chunk, None, None]


def answer_of(status: int, body: bytes, content_type: str = "application/json") -> Answer:
    """Return an answer that is due at once; ``content_type`` '' leaves the header out."""
    headers = {"content-type": content_type, "content-length": str(len(body))}
    return Answer(status, {name: value for name, value in headers.items() if value}, _at_once(body))


def _at_once(body: bytes) -> Generator[Chunk, None, None]:
    yield Chunk(0.0, body)
