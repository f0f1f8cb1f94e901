"""What one answer of a Qdrant server may take: seconds and bytes, however slowly and however much it sends.

Gives the hooks that qdrant-client's HTTP clients call with each answer before its body is read. The client's own
time-out is for each piece alone. A compressed answer is not asked for and not taken: its size could not be known.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

MAX_BYTES = 64 * 2**20
"""100,000 hits, the most that are asked for, are about 20 MB of JSON."""
HEADERS = {"Accept-Encoding": "identity"}


class TooMuch(Exception):  # noqa: N818 - a fact, not a fault
    """An answer is longer than any of ours, or compressed."""


def blocking(seconds: float) -> Callable[[Any], None]:
    """Bound the answers to blocking callers."""

    def hook(response: Any) -> None:  # noqa: ANN401 - the vendor's, which we do not import
        check = _Check(response, seconds)

        def pieces(read: Callable[[], Iterator[bytes]] = response.iter_bytes) -> Iterator[bytes]:
            return map(check, read())

        response.iter_bytes = pieces

    return hook


def awaiting(seconds: float) -> Callable[[Any], Awaitable[None]]:
    """Bound the answers to awaiting callers."""

    async def hook(response: Any) -> None:  # noqa: ANN401 - likewise
        check = _Check(response, seconds)

        async def pieces(read: Callable[[], AsyncIterator[bytes]] = response.aiter_bytes) -> AsyncIterator[bytes]:
            async for piece in read():
                yield check(piece)

        response.aiter_bytes = pieces

    return hook


class _Check:
    """Passes the pieces of one answer on while they are within the bounds."""

    def __init__(self, response: Any, seconds: float) -> None:  # noqa: ANN401 - likewise
        if response.headers.get("content-encoding", "identity") != "identity":
            raise TooMuch("its answer is compressed")
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._left = MAX_BYTES

    def __call__(self, piece: bytes) -> bytes:
        self._left -= len(piece)
        if self._left < 0:
            raise TooMuch(f"its answer is longer than {MAX_BYTES:,} bytes")
        if time.monotonic() > self._deadline:
            raise TimeoutError(f"not done after {self._seconds:g} s")
        return piece
