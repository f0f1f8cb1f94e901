"""The questions of cached answers, found by meaning: one-window documents in an index of their own.

The index is the folder ``answers`` beside the documents', so it is shared between processes, repaired after kills, and
on a Qdrant server where one is set (``infra.store.index``). A partition is a root in it: a search for what lies under
one partition finds nothing of another. The answers' table is the truth, and its outbox says what does not follow yet. A
question found may have no answer any more; whoever finds one hands it in. The index is opened when first needed. One
whose files are damaged is deleted, to be made anew when the cache is opened next. Thread-safe, blocking.
"""

import shutil
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from infra.cache.data import ANY_AGE, AnswerTable
from infra.cache.records import FOLDER, Kept
from infra.errors import StoreError, StoreLocked
from infra.store.embeddings import Embedder
from infra.store.index import Index
from infra.store.owner import Ownership
from infra.store.records import Chunk, Document, Entry, Span, digest_of
from infra.store.roots import scope_id

PIECE = 128
"""Questions that follow at a time: what a call may take of them, a second or two where all must be embedded anew."""

TIDY_AFTER = 512
"""Questions removed after which the embeddings that nobody uses are dropped."""

LEAST_FREE_BYTES = 32_000_000
"""With less room on the disk, a failure to open says nothing about the files."""

OPEN_SECONDS = 60.0
"""How long a store waits for the index to be opened: its own bound is 30 seconds, and a repair comes on top."""

Open = Callable[[], Index]
Vector = NDArray[np.float32]


class NotOpened(StoreError):  # noqa: N818 - what happened, not what is wrong
    """The index of questions could not be opened.

    Attributes:
        damaged: whether its files may be the reason; a folder that another process holds is none.
    """

    def __init__(self, message: str, *, damaged: bool) -> None:
        super().__init__(message)
        self.damaged = damaged


class Questions:
    """The questions that stand in an ``AnswerTable``.

    Args:
        folder: where they are kept.
        embedder: the model they are embedded with.
        table: the answers they belong to.
        open_index: opens the index in ``folder``.
        wait_seconds: how long a question waits while it is being opened.
    """

    def __init__(
        self, folder: Path, embedder: Embedder, table: AnswerTable, open_index: Open, wait_seconds: float
    ) -> None:
        self._folder = folder
        self._embedder = embedder
        self._table = table
        self._open = open_index
        self._lock = Lock()
        self._wait_seconds = wait_seconds
        self._opening: Future[Index] | None = None
        self._closed = False
        self._removed = 0

    def embed(self, text: str) -> Vector:
        """The vector of a question, asked or kept."""
        return self._embedder.embed([text])[0]

    def nearest(self, vector: Vector, partition: str, limit: int) -> list[tuple[float, str]]:
        """Cosine and key of a partition's questions that are nearest, best first; none while it is being opened."""
        try:
            index = self._opened(self._wait_seconds)
        except TimeoutError:
            return []
        hits = index.dense(vector, limit, [_root(partition)])
        return [(hit.score, hit.chunk_id) for hit in hits]

    def remember(self, text: str, vector: Vector) -> None:
        """Keep the vector of a question that is about to follow."""
        self._opened().library.keep_embeddings(self._embedder.model_id, {digest_of(text): vector})

    def follow(self) -> None:
        """Bring the questions up to the answers, some at a time; what changes meanwhile stays in the outbox."""
        tickets = self._table.outbox(PIECE)
        if not tickets:
            return
        index = self._opened()
        keys = list(dict.fromkeys(tickets.values()))
        live = self._table.live(keys, ANY_AGE)
        stored = index.passages([key for key in keys if key not in live], [])
        known = [passage.document_id for passage in stored]
        if live or known:
            index.change([_entry(kept) for kept in live.values()], known)
        self._table.followed(tickets, live)
        self._tidy(index, len(known))

    def close(self) -> None:
        """Put everything on the disk; safe to call twice. Raises StoreError."""
        with self._lock:
            self._closed = True
            opening, self._opening = self._opening, None
        if opening is not None:
            with suppress(NotOpened):  # nothing to close, and it was said
                opening.result(OPEN_SECONDS).close()

    def discard(self) -> None:
        """Delete damaged files, unless another process has them or the disk is full; they are made anew later."""
        with suppress(StoreError, OSError):
            self.close()
        with suppress(StoreError, OSError):
            if shutil.disk_usage(self._folder).free < LEAST_FREE_BYTES:
                return
            owned = Ownership(self._folder, wait_seconds=0)
            try:
                for path in self._folder.iterdir():
                    if path.is_dir():
                        shutil.rmtree(path)
                    elif path.suffix != ".lock":
                        path.unlink()
            finally:
                owned.release()

    def _opened(self, wait_seconds: float = OPEN_SECONDS) -> Index:
        with self._lock:
            if self._closed:
                raise StoreError(f"the answer cache in {self._folder} is closed")
            if self._opening is None:
                self._opening = Future()
                Thread(target=self._open_into, args=(self._opening,), name="docmind-answers", daemon=True).start()
            opening = self._opening
        return opening.result(wait_seconds)

    def _open_into(self, opening: "Future[Index]") -> None:
        try:
            index = self._open()
            if not index.generation:
                self._table.fill_outbox()  # it is new, or was made anew
        except StoreError as error:
            opening.set_exception(NotOpened(str(error), damaged=not isinstance(error, StoreLocked)))
        except BaseException as error:  # noqa: BLE001 - whoever waits hears of it
            opening.set_exception(error)
        else:
            opening.set_result(index)

    def _tidy(self, index: Index, removed: int) -> None:
        self._removed += removed
        if self._removed >= TIDY_AFTER:
            self._removed = 0
            index.library.drop_unused_embeddings()


def _root(partition: str) -> str:
    return f"/{partition}"


def _entry(kept: Kept) -> Entry:
    """A question as a document of one chunk and one window, all of them known by the answer's key."""
    root, path, text = _root(kept.partition), f"/{kept.partition}/{kept.key}", kept.question
    identity, digest = scope_id(path), digest_of(text)
    document = Document(identity, root, path, digest, len(text), 0, FOLDER, "", text)
    chunk = Chunk(kept.key, identity, 0, 0, len(text), "", digest)
    return Entry(document, (chunk,), (Span(str(UUID(hex=kept.key)), kept.key, 0, len(text), digest),))
