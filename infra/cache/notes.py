"""What the answer cache notes while it answers, written down a moment later and off the question's way.

Decisions, counts, when answers were last served, which were seen to be fresh or outdated. A kill loses the last second
of it, and nothing that an answer's freshness rests on: what was not noted is looked at again. Thread-safe.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from threading import Lock, Timer

from infra.cache.data import AnswerTable
from infra.cache.records import Decision, Kept
from infra.errors import StoreError

DELAY_SECONDS = 1.0
MOST = 4_096
"""Decisions that wait at most; while nothing can be written, the others are only counted."""

_COUNTED = {"hit": "hits", "near": "nears", "miss": "misses", "off": "offs"}


@dataclass(slots=True)
class _Waiting:
    decisions: list[Decision] = field(default_factory=list[Decision])
    counts: Counter[str] = field(default_factory=Counter[str])
    seconds: float = 0.0
    used: dict[str, float] = field(default_factory=dict[str, float])
    fresh: dict[str, tuple[Kept, int]] = field(default_factory=dict[str, tuple[Kept, int]])
    outdated: dict[str, Kept] = field(default_factory=dict[str, Kept])
    dead: set[str] = field(default_factory=set[str])
    attach: bool = False


class Notes:
    """Gathers for an ``AnswerTable`` and writes at most ``DELAY_SECONDS`` later, from a thread of its own.

    Args:
        table: where it is written.
        say: told where that fails.
    """

    def __init__(self, table: AnswerTable, say: Callable[[Exception], None]) -> None:
        self._table = table
        self._say = say
        self._lock = Lock()
        self._writing = Lock()
        self._waiting = _Waiting()
        self._timer: Timer | None = None
        self._closed = False

    def decided(self, decision: Decision) -> None:
        """Note a decision; a hit is counted with what it saves."""
        with self._lock:
            waiting = self._waiting
            waiting.counts[_COUNTED[decision.outcome]] += 1
            if len(waiting.decisions) < MOST:
                waiting.decisions.append(decision)
            if decision.outcome == "hit" and decision.kept:
                waiting.counts["saved_tokens"] += decision.kept.cost.tokens
                waiting.seconds += decision.kept.cost.seconds
                waiting.used[decision.kept.key] = decision.at
            self._soon()

    def fresh(self, kept: Kept, generation: int) -> None:
        """Note that an answer's searches are true of a later state of the documents."""
        with self._lock:
            self._waiting.fresh[kept.stamp] = (kept, generation)
            self._soon()

    def outdated(self, kept: Kept) -> None:
        """Note that an answer must go."""
        with self._lock:
            self._waiting.outdated[kept.stamp] = kept
            self._soon()

    def audited(self, kept: Kept, *, same: bool) -> None:
        """Count an answer that was compared with a new one; one that differs must go."""
        with self._lock:
            self._waiting.counts["audited"] += 1
            if not same:
                self._waiting.counts["wrong"] += 1
                self._waiting.outdated[kept.stamp] = kept
            self._soon()

    def dead(self, keys: Collection[str]) -> None:
        """Note questions that were found and have no answer any more."""
        with self._lock:
            if keys:
                self._waiting.dead |= set(keys)
                self._soon()

    def refused(self) -> None:
        """Count an answer that was not let in before the table was asked."""
        with self._lock:
            self._waiting.counts["refused"] += 1
            self._soon()

    def attach(self) -> None:
        """Note that the answers missed a change of the documents and must be attached anew."""
        with self._lock:
            self._waiting.attach = True
            self._soon()

    def write(self) -> None:
        """Write down what waits. Raises StoreError; what waited is lost then, and nothing depends on it."""
        with self._writing:
            with self._lock:
                waiting, self._waiting = self._waiting, _Waiting()
                timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
            if waiting.attach:
                self._table.attach()
            if waiting.dead:
                self._table.hand_in(waiting.dead)
            if waiting.counts or waiting.fresh or waiting.outdated:
                counts = {**waiting.counts, "saved_seconds": waiting.seconds}
                fresh, outdated = waiting.fresh.values(), waiting.outdated.values()
                self._table.note(waiting.decisions, counts, waiting.used, fresh, outdated)

    def close(self) -> None:
        """Write down what waits and take no more; safe to call twice. Raises StoreError."""
        with self._lock:
            self._closed = True
        self.write()

    def _soon(self) -> None:
        if self._timer is None and not self._closed:
            self._timer = Timer(DELAY_SECONDS, self._write_late)
            self._timer.daemon = True
            self._timer.start()

    def _write_late(self) -> None:
        try:
            self.write()
        except StoreError as error:
            if not self._closed:
                self._say(error)
