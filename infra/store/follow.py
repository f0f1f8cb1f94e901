"""The vectors follow the library: every document in the outbox is brought up to what SQLite says.

``Followed`` is a vector store with what keeps it in step; thread-safe, blocking. Other processes may go on changing the
library meanwhile. A document leaves the outbox when its vectors are on the disk, which is put off: writing to the disk
costs the engine up to a second, in which it holds the whole process. Whatever is killed in between is done again.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import RLock, Timer

from loguru import logger
from numpy import float32
from numpy.typing import NDArray

from infra.errors import StoreError
from infra.store.library import Library
from infra.store.lookup import Lookup
from infra.store.memory import EmbeddingMemory
from infra.store.records import Hit, StoredWindow, Window, embedded_text
from infra.store.roots import scopes_of
from infra.store.vectors import VectorStore
from infra.text.terms import terms

FOLLOW_WINDOWS = 1_024
"""Windows handed to the vector store at once: bounds memory while a large library is repaired."""

FLUSH_WINDOWS = 8_192
"""Windows that may wait to be put on the disk: about what is done again after a kill."""

FLUSH_SECONDS = 10.0
"""How long they may wait."""

KNOWN_WINDOWS = 2_048
"""Windows whose terms are remembered: some 10 MB."""

Progress = Callable[[int, int], None]
"""Told how many documents follow by now, and how many there are to follow."""


def no_progress(done: int, total: int) -> None:
    """Tell nobody."""


@lru_cache(maxsize=KNOWN_WINDOWS)
def counted_terms(header: str, text: str) -> Counter[str]:
    """How often each term stands in what is embedded and searched of a window; not to be changed.

    A window's terms are wanted twice within seconds: when it comes into the library, and when its vectors follow.
    """
    return Counter(terms(embedded_text(header, text)))


@dataclass(frozen=True, slots=True)
class Truth:
    """What vectors are made from."""

    library: Library
    lookup: Lookup
    memory: EmbeddingMemory


@dataclass(frozen=True, slots=True)
class _Read:
    """A document as the library had it: its scopes, and its windows with the keys of their embeddings."""

    id: str
    scopes: tuple[str, ...]
    windows: list[tuple[StoredWindow, str]]


class Followed:
    """A vector store that follows a library.

    Args:
        store: the vectors; closed with this.
        truth: the library they follow.
    """

    def __init__(self, store: VectorStore, truth: Truth) -> None:
        self._store = store
        self._truth = truth
        self._lock = RLock()
        self._unflushed: dict[str, int] = {}
        self._unflushed_windows = 0
        self._timer: Timer | None = None
        self._closed = False

    def dense(self, vector: NDArray[float32], limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        """As ``VectorStore.dense``."""
        return self._store.dense(vector, limit, scopes)

    def sparse(self, weights: Mapping[str, float], limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        """As ``VectorStore.sparse``."""
        return self._store.sparse(weights, limit, scopes)

    def count(self) -> int:
        """How many windows are stored."""
        return self._store.count()

    def follow(self, progress: Progress = no_progress) -> None:
        """Work through the outbox as it is now, in pieces; what changes meanwhile stays in it.

        Args:
            progress: told after each piece; what it raises ends the work after that piece.

        Raises:
            StoreError: the library cannot be read or the vectors cannot be written.
        """
        with self._lock:
            self._follow(progress)

    def settle(self) -> None:
        """Put on the disk what follows, so that the outbox holds only what does not."""
        with self._lock:
            self._stop_timer()
            if self._unflushed:
                self._store.flush()
                self._truth.library.clear_outbox(self._unflushed)
                self._unflushed, self._unflushed_windows = {}, 0

    def close(self) -> None:
        """Settle and close the store; safe to call twice."""
        with self._lock:
            if not self._closed:
                self._closed = True
                try:
                    self.settle()
                finally:
                    self._store.close()  # whatever failed: the next owner must be able to open them

    def _follow(self, progress: Progress) -> None:
        outbox = dict(self._truth.library.outbox().items() - self._unflushed.items())
        piece: list[_Read] = []
        windows = done = 0
        for document_id in sorted(outbox):
            piece.append(self._read(document_id))
            windows += len(piece[-1].windows)
            if windows >= FOLLOW_WINDOWS:
                done += len(piece)
                self._hand_over(piece, outbox)
                progress(done, len(outbox))
                piece, windows = [], 0
        if piece:
            self._hand_over(piece, outbox)
            progress(len(outbox), len(outbox))

    def _read(self, document_id: str) -> _Read:
        place = self._truth.lookup.place_of(document_id)
        windows = self._truth.lookup.windows_of(document_id) if place else []
        return _Read(document_id, scopes_of(*place) if place else (), windows)

    def _hand_over(self, piece: Sequence[_Read], outbox: Mapping[str, int]) -> None:
        known = self._truth.memory.recall(
            {key: embedded_text(w.header, w.text) for document in piece for w, key in document.windows}
        )
        # an embedding that is gone belongs to a document that changed since it was read: its new ticket is still open
        whole = [document for document in piece if all(key in known for _, key in document.windows)]
        windows = [
            Window(w.id, w.chunk_id, document.id, document.scopes, known[key], counted_terms(w.header, w.text))
            for document in whole
            for w, key in document.windows
        ]
        # in this order, so that whoever searches meanwhile misses nothing that stays
        self._store.upsert(windows)
        self._store.delete_documents([document.id for document in whole], [window.id for window in windows])
        self._unflushed |= {document.id: outbox[document.id] for document in whole}
        self._unflushed_windows += len(windows)
        if self._unflushed_windows >= FLUSH_WINDOWS:
            self.settle()
        elif self._timer is None:
            self._timer = Timer(FLUSH_SECONDS, self._settle_late)
            self._timer.daemon = True
            self._timer.start()

    def _settle_late(self) -> None:
        with self._lock:
            if self._closed:
                return
            try:
                self.settle()
            except StoreError as error:
                # nothing is lost: what is not on the disk still stands in the outbox
                logger.warning(f"vectors wait to be put on the disk: {error}")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
