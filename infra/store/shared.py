"""The vectors of a folder, whoever owns them: this process, or another one that is asked.

A process takes the folder when nobody has it, and asks the owner otherwise. When the owner is gone, however it ended,
those who find out try to take the folder: one wins, repairs the vectors from the outbox and answers from then on, the
others connect to it. What was asked meanwhile is asked once more. Thread-safe, blocking, and bounded in time.
"""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import RLock
from typing import TypeVar

from loguru import logger
from numpy import float32
from numpy.typing import NDArray

from infra.errors import StoreError, StoreLocked
from infra.store.client import OtherVectors, OwnerGone, RemoteVectors
from infra.store.collection import VectorHome
from infra.store.follow import Followed, Progress, Truth, no_progress
from infra.store.owner import Ownership, holder, socket_of
from infra.store.records import Hit
from infra.store.server import VectorServer
from infra.store.wire import MAX_LIMIT, socket_path

WAIT_SECONDS = 30.0
"""How long a new owner is looked for."""

PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.01, 0.5
TIMES_SENT = 2
"""A request that has ended two owners is not given to a third."""

Answer = TypeVar("Answer")
_Side = Followed | RemoteVectors


class SharedVectors:
    """Vectors that follow a library and are shared by the processes of one user.

    Args:
        collection: where they are kept.
        truth: the library they follow.
        progress: told how far a repair or a rebuild is, when this process does it while opening.

    Raises:
        StoreLocked: the owner cannot be asked: it uses another embedding model, or answers nobody.
        StoreError: the folder cannot be read or written.
    """

    def __init__(self, collection: VectorHome, truth: Truth, progress: Progress = no_progress) -> None:
        self._collection = collection
        self._truth = truth
        self._lock = RLock()
        self._closed = False
        self._owned: ExitStack | None = None
        self._side: _Side | None = self._join(progress)

    @property
    def owns(self) -> bool:
        """Whether this process owns the vectors now."""
        return self._owned is not None

    def dense(self, vector: NDArray[float32], limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        """As ``VectorStore.dense``; a limit beyond ``MAX_LIMIT`` counts as that."""
        return self._ask(lambda side: side.dense(vector, min(limit, MAX_LIMIT), scopes)) if limit > 0 else []

    def sparse(self, weights: Mapping[str, float], limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        """As ``VectorStore.sparse``, likewise."""
        return self._ask(lambda side: side.sparse(weights, min(limit, MAX_LIMIT), scopes)) if limit > 0 else []

    def count(self) -> int:
        """How many windows are stored."""
        return self._ask(lambda side: side.count())

    def follow(self) -> None:
        """Bring the vectors up to the library: what was changed is found when this returns."""
        self._ask(lambda side: side.follow())

    def settle(self) -> None:
        """Follow, and put everything on the disk, so that the outbox is empty when nobody else changes anything."""
        self._ask(lambda side: side.settle())

    def close(self) -> None:
        """Hand the folder back, or end the connection to its owner; safe to call twice."""
        with self._lock:
            self._closed = True
            side, self._side = self._side, None
            if self._owned is not None:
                self._owned.close()
                self._owned = None
            elif side is not None:
                side.close()

    def _ask(self, question: Callable[[_Side], Answer]) -> Answer:
        lost = 0
        while True:
            side = self._side or self._joined()
            try:
                return question(side)
            except OwnerGone as gone:
                lost += gone.sent
                if lost >= TIMES_SENT:
                    folder = self._collection.folder
                    raise StoreError(f"the index in {folder} lost its owner twice over one request: {gone}") from gone
                self._leave(side)

    def _leave(self, side: _Side) -> None:
        with self._lock:
            if self._side is side:
                self._side = None
        side.close()

    def _joined(self) -> _Side:
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            raise StoreError(f"the index in {self._collection.folder} is being repaired; ask again later")
        try:
            if self._closed:
                raise StoreError(f"the index in {self._collection.folder} is closed")
            if self._side is None:
                self._side = self._join(no_progress)
            return self._side
        finally:
            self._lock.release()

    def _join(self, progress: Progress) -> _Side:
        deadline = time.monotonic() + WAIT_SECONDS
        pause = PAUSE_SECONDS
        while True:
            try:
                return self._own(progress)
            except StoreLocked:
                remote = self._connected()
                if remote is not None:
                    return remote
                if not hasattr(socket, "AF_UNIX") or time.monotonic() > deadline:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _connected(self) -> RemoteVectors | None:
        """The owner's vectors; None when it cannot be asked just now."""
        folder = self._collection.folder
        place = socket_of(folder)
        try:
            return RemoteVectors(place, self._collection.name) if place else None
        except OtherVectors as error:
            raise StoreLocked(_other_model(folder)) from error
        except OwnerGone:
            return None

    def _own(self, progress: Progress) -> Followed:
        """Take the folder, listen, and open the vectors; raises StoreLocked when another process has it."""
        folder, path = self._collection.folder, socket_path(self._collection.folder)
        with ExitStack() as undo:
            ownership = Ownership(folder, wait_seconds=0, asked_at=str(path))
            undo.callback(ownership.release)
            server = _server(path, self._collection.name)
            if server is not None:
                undo.callback(server.close)
            followed = self._collection.open(self._truth, progress)
            undo.callback(followed.close)
            if server is not None:
                undo.callback(server.close)  # before the vectors: whoever asks looks for the next owner
                server.serve(followed)
            self._owned = undo.pop_all()
        return followed


def _server(path: Path, name: str) -> VectorServer | None:
    """The server at ``path``; None where the system or the disk knows no such sockets: then nobody can ask."""
    if not hasattr(socket, "AF_UNIX"):
        return None
    try:
        return VectorServer(path, name)
    except StoreError as error:
        logger.warning(f"other processes cannot share this index: {error}")
        return None


def _other_model(folder: Path) -> str:
    who = holder(folder)
    return (
        f"the index in {folder} is in use by {who} with another embedding model or another version of DocMind; "
        f"stop it, or set DOCMIND_DATA_DIR to work on another one"
    )
