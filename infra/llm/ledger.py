"""The ledger: what every model call asked for, used and came to.

Gives `Scope` (on whose account a call goes), `Call` (one entry, in tokens and seconds) and `Ledger` (entries by
question, bounded, thread-safe). It counts nothing itself and knows no budget: the guard writes one entry a call, also
for calls that were refused or failed.
"""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Literal

Outcome = Literal["ok", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Scope:
    """On whose account a call goes: the question, its thread, and the agent that asks."""

    question_id: str
    thread_id: str
    agent: str


@dataclass(frozen=True, slots=True)
class Call:
    """One model call, as it went.

    Attributes:
        scope: on whose account it went.
        model: name of the model asked.
        prompt_tokens: as the server reported them; 0 where it reported none.
        completion_tokens: as the server reported them; 0 where it reported none.
        cached_tokens: prompt tokens the server took from its prefix cache, as it reported them.
        seconds: wall time from the first count to the end, waits between tries included.
        tries: requests that left; 0 for a refused call.
        outcome: ``refused`` never left, ``failed`` left and brought nothing.
        counted_tokens: prompt tokens counted before it left (of the prompt that was sent).
        dropped: ids of the evidence blocks left out so that it fits, best rank first.
        error: why it was refused or failed, one line; empty otherwise.
    """

    scope: Scope
    model: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    seconds: float
    tries: int
    outcome: Outcome
    counted_tokens: int
    dropped: tuple[str, ...] = ()
    error: str = ""


class Ledger:
    """Entries by question, in the order the calls ended.

    Args:
        max_questions: questions kept; beyond that the one written to longest ago is forgotten.
        max_calls: entries kept for one question; beyond that its oldest are forgotten.
    """

    def __init__(self, *, max_questions: int = 1024, max_calls: int = 1024) -> None:
        self._lock = Lock()
        self._questions: OrderedDict[str, list[Call]] = OrderedDict()
        self._max_questions = max_questions
        self._max_calls = max_calls

    def record(self, call: Call) -> None:
        """Enter one call under its question."""
        with self._lock:
            calls = self._questions.setdefault(call.scope.question_id, [])
            calls.append(call)
            del calls[: -self._max_calls]
            self._questions.move_to_end(call.scope.question_id)
            while len(self._questions) > self._max_questions:
                self._questions.popitem(last=False)

    def calls(self, question_id: str) -> list[Call]:
        """Return the entries of one question, oldest first; none for a question that is not known."""
        with self._lock:
            return list(self._questions.get(question_id, ()))

    def forget(self, question_id: str) -> None:
        """Drop the entries of one question."""
        with self._lock:
            self._questions.pop(question_id, None)
