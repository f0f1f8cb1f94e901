"""The vectors of the process that owns them, asked over its socket; thread-safe, blocking.

An owner at work says so each second; one that says nothing is taken for gone. ``OwnerGone`` is for
``infra.store.shared``, which looks for the next owner.
"""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import BoundedSemaphore, Lock

from numpy import float32
from numpy.typing import NDArray

from infra.errors import StoreError
from infra.store.records import Hit
from infra.store.wire import (
    FRAME_SECONDS,
    Count,
    Dense,
    Follow,
    Hello,
    Reply,
    Request,
    Sparse,
    TooLong,
    WireError,
    check_same_user,
    read_reply,
    send,
)

MAX_CHANNELS = 8
"""Connections of one process; more threads than that wait for each other."""

SILENCE_SECONDS = 30.0
"""How long an owner may say nothing, not even that it is at work."""


class OwnerGone(Exception):  # noqa: N818 - a fact, not a fault
    """The owner does not answer any more.

    Attributes:
        sent: whether the request had reached it.
    """

    def __init__(self, why: str, *, sent: bool = False) -> None:
        """Say why."""
        super().__init__(why)
        self.sent = sent


class OtherVectors(Exception):  # noqa: N818 - a fact, not a fault
    """The owner has vectors of another model or layout."""


class RemoteVectors:
    """The vectors ``collection`` of the process that listens at ``path``.

    Raises:
        OwnerGone: nobody does.
        OtherVectors: its vectors are others.
    """

    def __init__(self, path: Path, collection: str) -> None:
        self._path = path
        self._collection = collection
        self._lock = Lock()
        self._turns = BoundedSemaphore(MAX_CHANNELS)
        self._idle: list[socket.socket] | None = []
        self._put_back(self._connected())

    def dense(self, vector: NDArray[float32], limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        """As ``VectorStore.dense``."""
        data = vector.astype("<f4").tobytes()
        return _hits(self._ask(Dense(vector=data, limit=limit, scopes=_tuple(scopes))))

    def sparse(self, weights: Mapping[str, float], limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        """As ``VectorStore.sparse``."""
        return _hits(self._ask(Sparse(weights=dict(weights), limit=limit, scopes=_tuple(scopes))))

    def count(self) -> int:
        """How many windows are stored."""
        return self._ask(Count()).count

    def follow(self) -> None:
        """Have the owner bring the vectors up to the library."""
        self._ask(Follow())

    def settle(self) -> None:
        """Have the owner put on the disk what follows."""
        self._ask(Follow(settle=True))

    def close(self) -> None:
        """End the connections; safe to call twice."""
        with self._lock:
            idle, self._idle = self._idle or [], None
        for channel in idle:
            channel.close()

    def _ask(self, request: Request) -> Reply:
        if not self._turns.acquire(timeout=SILENCE_SECONDS):
            raise StoreError(f"the index is asked by too many threads at once ({MAX_CHANNELS} are answered)")
        try:
            channel = self._channel()
            try:
                reply = _exchange(channel, request)
            except BaseException:
                channel.close()
                raise
            self._put_back(channel)
        finally:
            self._turns.release()
        if reply.kind == "error":
            raise StoreError(reply.error)
        return reply

    def _channel(self) -> socket.socket:
        while True:
            with self._lock:
                channel = self._idle.pop() if self._idle else None
            if channel is None:
                return self._connected()
            if _is_silent(channel):
                return channel
            channel.close()

    def _put_back(self, channel: socket.socket) -> None:
        with self._lock:
            if self._idle is not None:
                self._idle.append(channel)
                return
        channel.close()

    def _connected(self) -> socket.socket:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            channel.settimeout(FRAME_SECONDS)
            channel.connect(str(self._path))
            check_same_user(channel)
            send(channel, Hello(collection=self._collection))
            greeting = read_reply(channel, FRAME_SECONDS).kind
        except (OSError, WireError) as error:
            channel.close()
            raise OwnerGone(str(error)) from error
        if greeting == "ok":
            return channel
        channel.close()
        raise OtherVectors if greeting == "other" else OwnerGone("it has no room for one more")


def _is_silent(channel: socket.socket) -> bool:
    """Whether a connection on which nothing was asked is as it should be: what can be read of it is its end."""
    channel.setblocking(False)  # not `select`, which knows no file beyond the 1,024th
    try:
        channel.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _exchange(channel: socket.socket, request: Request) -> Reply:
    sent = False
    try:
        send(channel, request)
        sent = True
        while (reply := read_reply(channel, SILENCE_SECONDS)).kind == "wait":
            pass
    except TooLong as error:
        raise StoreError(f"the index is asked for too much at once: {error}; name fewer folders or files") from error
    except WireError as error:
        raise OwnerGone(str(error), sent=sent) from error
    return reply


def _tuple(scopes: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if scopes is None else tuple(scopes)


def _hits(reply: Reply) -> list[Hit]:
    return [Hit(*hit) for hit in reply.hits]
