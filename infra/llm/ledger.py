"""The ledger: what every model call asked for, used and came to.

Gives `Scope` (on whose account a call goes), `Call` (one entry, in tokens and seconds) and `Ledger` (entries by
question, bounded, thread-safe). It counts nothing itself and knows no budget: the guard writes one entry a call, also
for calls that were refused or failed.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

Outcome = Literal["ok", "refused", "failed"]
FailureKind = Literal["unreachable", "timeout", "status", "broken", "unreadable"]
RemarkKind = Literal["repair", "fallback", "failover", "step_down", "budget", "compression"]


@dataclass(frozen=True, slots=True)
class Scope:
    """On whose account a call goes: the question, its thread, and the agent that asks."""

    question_id: str
    thread_id: str
    agent: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that left.

    Attributes:
        seconds: from its start to its end.
        failure: what went wrong; None: nothing.
        status: HTTP status of a refusal.
        error: the failure in one line; empty where there was none.
    """

    seconds: float
    failure: FailureKind | None = None
    status: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Remark:
    """What happened beside the calls, on a scope's account.

    Attributes:
        scope: on whose account.
        kind: ``repair`` a reply had to be asked for again; ``fallback`` rules answered for the model; ``failover``
            another back end took over; ``step_down`` a server refused a form, or held less than it said, and was asked
            in a plainer or shorter one;
            ``budget`` a budget ended the model's part; ``compression`` a text was made shorter.
        detail: one line for a person.
    """

    scope: Scope
    kind: RemarkKind
    detail: str


@dataclass(frozen=True, slots=True)
class Call:
    """One model call, as it went.

    Attributes:
        scope: on whose account it went.
        backend: name of the back end.
        model: name of the model asked.
        prompt_tokens: as the server reported them; 0 where it reported none.
        completion_tokens: as the server reported them; 0 where it reported none.
        cached_tokens: prompt tokens the server took from its prefix cache, as it reported them.
        started: unix time of the first count.
        seconds: wall time from the first count to the end, waits between tries included.
        attempts: the requests that left, in order; none for a refused call.
        first_token_seconds: from the last request's start to the first word of its reply; None where it is not known.
        outcome: ``refused`` never left, ``failed`` left and brought nothing.
        counted_tokens: prompt tokens counted before it left (of the prompt that was sent).
        exact: whether `counted_tokens` is exact or an upper estimate.
        dropped: ids of the evidence blocks left out so that it fits, best rank first.
        cut_tokens: tokens of a history or a long text left out so that it fits.
        count_failures: the requests for a count that failed, in order. Those that succeeded are not entered: a count
            may as well come from memory, or be made here.
        error: why it was refused or failed, one line; empty otherwise.
        engine: what was asked, in words (``vllm 0.32.0``).
        cached: whether the reply is one that was given to an identical call before: nothing left, no budget was used.
    """

    scope: Scope
    backend: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    seconds: float
    attempts: tuple[Attempt, ...]
    outcome: Outcome
    counted_tokens: int
    exact: bool = True
    started: float = 0.0
    first_token_seconds: float | None = None
    dropped: tuple[str, ...] = ()
    cut_tokens: int = 0
    count_failures: tuple[Attempt, ...] = ()
    error: str = ""
    engine: str = ""
    cached: bool = False

    @property
    def tries(self) -> int:
        """How many requests left, those for counts aside."""
        return len(self.attempts)

    @property
    def failures(self) -> list[Attempt]:
        """The requests that failed, those for counts first."""
        return [*self.count_failures, *(attempt for attempt in self.attempts if attempt.failure)]


@dataclass(slots=True)
class _Page:
    calls: list[Call] = field(default_factory=list[Call])
    remarks: list[Remark] = field(default_factory=list[Remark])


class Ledger:
    """Entries by question, in the order the calls ended.

    Args:
        max_questions: questions kept; beyond that the one written to longest ago is forgotten.
        max_calls: entries, and remarks, kept for one question; beyond that its oldest are forgotten.
    """

    def __init__(self, *, max_questions: int = 1024, max_calls: int = 1024) -> None:
        self._lock = Lock()
        self._pages: OrderedDict[str, _Page] = OrderedDict()
        self._max_questions = max_questions
        self._max_calls = max_calls
        self._listeners: list[Callable[[Call], None]] = []

    def listen(self, listener: Callable[[Call], None]) -> None:
        """Have ``listener`` told of every call from now on, as it is entered; it must not wait."""
        self._listeners.append(listener)

    def record(self, call: Call) -> None:
        """Enter one call under its question."""
        with self._lock:
            calls = self._page(call.scope.question_id).calls
            calls.append(call)
            del calls[: -self._max_calls]
        for listener in self._listeners:
            listener(call)

    def remark(self, remark: Remark) -> None:
        """Note what happened beside the calls."""
        with self._lock:
            remarks = self._page(remark.scope.question_id).remarks
            remarks.append(remark)
            del remarks[: -self._max_calls]

    def calls(self, question_id: str) -> list[Call]:
        """Return the entries of one question, oldest first; none for a question that is not known."""
        with self._lock:
            return list(self._pages.get(question_id, _Page()).calls)

    def remarks(self, question_id: str) -> list[Remark]:
        """Return the remarks on one question, oldest first."""
        with self._lock:
            return list(self._pages.get(question_id, _Page()).remarks)

    def forget(self, question_id: str) -> None:
        """Drop the entries of one question."""
        with self._lock:
            self._pages.pop(question_id, None)

    def _page(self, question_id: str) -> _Page:
        page = self._pages.setdefault(question_id, _Page())
        self._pages.move_to_end(question_id)
        while len(self._pages) > self._max_questions:
            self._pages.popitem(last=False)
        return page
