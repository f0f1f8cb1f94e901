"""The file of kept work as its users see it: it never fails and never keeps anybody waiting for a write.

Gives `CallFile` and `CallFigures`. What is asked of it in vain (a file that is broken, locked, on a full disk) is said
once, in one line; then it is left alone for a while and opened anew. What is used is counted in memory and written down
now and then.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TypeVar

from loguru import logger

from infra.cache.calls_store import CallStore, Used
from infra.errors import StoreError
from infra.llm.kept import Kept

Result = TypeVar("Result")

PAUSE_SECONDS = 30.0
"""How long a file that failed is left alone."""

NOTE_SECONDS = 2.0
"""How long what was used is only in memory, while more is used."""

_READERS = 4


@dataclass(frozen=True, slots=True)
class CallFigures:
    """What came of one kind of work (``call``, ``search``), all processes together, since the last clearing.

    Attributes:
        hits: how often it was not done.
        misses: how often it was done.
        saved_prompt_tokens: what the hits would have taken, as the server reported it the first time.
        saved_completion_tokens: likewise.
        saved_seconds: likewise, as measured the first time.
        entries: values kept now.
        bytes: what they take, compressed.
    """

    hits: int = 0
    misses: int = 0
    saved_prompt_tokens: int = 0
    saved_completion_tokens: int = 0
    saved_seconds: float = 0.0
    entries: int = 0
    bytes: int = 0


class CallFile:
    """The file; thread-safe.

    Args:
        path: for what is said of it.
        opened: opens it; called when it is first needed, and again after it failed.
        clock: seconds since 1970.
        pause_seconds: how long it is left alone after it failed.
    """

    def __init__(
        self,
        path: Path,
        opened: Callable[[], CallStore],
        clock: Callable[[], float],
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self._path, self._opened, self._clock, self._pause = path, opened, clock, pause_seconds
        self._lock = Lock()
        self._store: CallStore | None = None
        self._resting_until = 0.0
        self._said = self._closed = False
        self._used, self._noted = Used(), time.monotonic()
        # threads of its own: those of the loop may all wait for the very work that is looked up here
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="call-cache")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="call-cache-writer")

    def ask(self, work: Callable[[CallStore], Result]) -> Result | None:
        """Return what ``work`` returns; None where the file fails, or failed a short while ago."""
        try:
            store = self._ready()
            return work(store) if store else None
        except StoreError as error:
            self._failed(error)
            return None

    async def aask(self, work: Callable[[CallStore], Result]) -> Result | None:
        """Await what `ask` returns."""
        try:
            asked = asyncio.get_running_loop().run_in_executor(self._readers, self.ask, work)
        except RuntimeError:  # closed
            return None
        return await asked

    def behind(self, work: Callable[[], object]) -> bool:
        """Have ``work`` done soon, in the order given, and nobody wait for it; returns False where this is closed."""
        try:
            self._writer.submit(work)
        except RuntimeError:
            return False
        return True

    def figures(self) -> dict[str, CallFigures]:
        """Return what came of each kind of work, as far as it is written down."""
        noted = self.ask(CallStore.figures) or {}
        kinds: dict[str, dict[str, float]] = {}
        for (kind, name), number in noted.items():
            kinds.setdefault(kind, {})[name] = number
        return {
            kind: CallFigures(
                hits=int(of.get("hits", 0)),
                misses=int(of.get("misses", 0)),
                saved_prompt_tokens=int(of.get("saved_prompt_tokens", 0)),
                saved_completion_tokens=int(of.get("saved_completion_tokens", 0)),
                saved_seconds=of.get("saved_seconds", 0.0),
                entries=int(of.get("entries", 0)),
                bytes=int(of.get("bytes", 0)),
            )
            for kind, of in sorted(kinds.items())
        }

    def hit(self, key: str, kind: str, kept: Kept) -> None:
        """Count a value that was given again."""
        self._count(
            kind,
            {
                "hits": 1,
                "saved_prompt_tokens": kept.prompt_tokens,
                "saved_completion_tokens": kept.completion_tokens,
                "saved_seconds": kept.seconds,
            },
            key,
        )

    def missed(self, kind: str) -> None:
        """Count work that was done."""
        self._count(kind, {"misses": 1})

    def note(self) -> None:
        """Write down what was used, soon."""
        with self._lock:
            used, self._used, self._noted = self._used, Used(), time.monotonic()
        if used.figures:
            self.behind(lambda: self.ask(lambda store: store.note(used)))

    def close(self) -> None:
        """Write what is waiting and close the file; safe to call twice."""
        self.note()
        self._writer.shutdown()
        self._readers.shutdown()
        with self._lock:
            store, self._store, self._closed = self._store, None, True
        _shut(store)

    def _count(self, kind: str, figures: dict[str, float], *keys: str) -> None:
        with self._lock:
            for name, number in figures.items():
                self._used.figures[kind, name] = self._used.figures.get((kind, name), 0) + number
            for key in keys:
                self._used.entries[key] = self._clock()
            is_due = time.monotonic() - self._noted > NOTE_SECONDS
        if is_due:
            self.note()

    def _ready(self) -> CallStore | None:
        with self._lock:
            if self._store is None and not self._closed and time.monotonic() >= self._resting_until:
                self._store = self._opened()
            return self._store

    def _failed(self, error: StoreError) -> None:
        with self._lock:
            store, self._store = self._store, None
            self._resting_until = time.monotonic() + self._pause
            said, self._said = self._said, True
        if not said:
            logger.warning(
                "no calls are taken from the cache: {}; remove {}, or set DOCMIND_CACHE__ENABLED=false",
                error,
                self._path,
            )
        _shut(store)


def _shut(store: CallStore | None) -> None:
    if store is not None:
        with suppress(StoreError):  # it failed before, and that was said
            store.close()
