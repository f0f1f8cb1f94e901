"""Budgets of a question: tokens and calls, reserved before a call leaves and settled after it.

Gives `Budget`, shared by all branches of all questions; thread-safe, and safe for asyncio because nothing here waits. A
reservation is an upper bound of what its call can use (prompt and whole reply), so parallel branches cannot overshoot:
what is used plus what is reserved never exceeds the limit. What a call used is known from the server's usage; where it
is not (a stream that broke, a server that reports none) the whole reservation counts as used.
"""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from infra.errors import BudgetExceeded

TOKENS_SETTING = "DOCMIND_BUDGET__QUESTION_TOKENS"
CALLS_SETTING = "DOCMIND_BUDGET__QUESTION_CALLS"


class CallsExceeded(BudgetExceeded):
    """A question has made all the model calls it may make; `needed` and `available` are calls."""

    def __init__(self, question_calls: int) -> None:
        super().__init__("another model call", needed=1, available=0, setting=CALLS_SETTING)
        self.args = (f"this question has made all of its {question_calls:,} model calls; {CALLS_SETTING} decides",)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens set aside for one try of one call."""

    question_id: str
    tokens: int


@dataclass(slots=True)
class _Account:
    used: int = 0
    reserved: int = 0
    calls: int = 0
    open: int = 0


@dataclass(frozen=True, slots=True)
class Spent:
    """Where a question stands: tokens used and still reserved, and calls begun."""

    used_tokens: int
    reserved_tokens: int
    calls: int


class Budget:
    """The budgets of all questions.

    Args:
        question_tokens: prompt and reply tokens a question may use, all calls together.
        question_calls: model calls a question may make; a retried call counts once.
        max_questions: questions remembered; beyond that the one idle longest is forgotten (never one with an open
            call).
    """

    def __init__(self, *, question_tokens: int, question_calls: int, max_questions: int = 4096) -> None:
        self._lock = Lock()
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._tokens = question_tokens
        self._calls = question_calls
        self._max_questions = max_questions

    def reserve(self, question_id: str, tokens: int, *, retry: bool = False) -> Reservation:
        """Set tokens aside before a call leaves.

        Args:
            question_id: whose budget it is.
            tokens: upper bound of what the call can use, prompt and reply.
            retry: True for another try of a call that was counted already.

        Raises:
            BudgetExceeded: the question's tokens or calls do not suffice; nothing is set aside.
        """
        with self._lock:
            account = self._accounts.setdefault(question_id, _Account())
            self._accounts.move_to_end(question_id)
            if not retry and account.calls >= self._calls:
                raise CallsExceeded(self._calls)
            left = self._tokens - account.used - account.reserved
            if tokens > left:
                raise BudgetExceeded(
                    "this model call is more than its question has left",
                    needed=tokens,
                    available=max(0, left),
                    setting=TOKENS_SETTING,
                )
            account.calls += not retry
            account.reserved += tokens
            account.open += 1
            self._evict()
            return Reservation(question_id, tokens)

    def settle(self, reservation: Reservation, used_tokens: int | None) -> None:
        """Give a reservation back and count what was used; None counts the whole reservation.

        A server that used more than was reserved is counted in full: the next call finds less.
        """
        with self._lock:
            account = self._accounts.get(reservation.question_id)
            if account is None:  # forgotten while the call was under way: its question is over
                return
            account.reserved -= reservation.tokens
            account.open -= 1
            account.used += reservation.tokens if used_tokens is None else used_tokens

    def spent(self, question_id: str) -> Spent:
        """Return where a question stands; all zero for one that is not known."""
        with self._lock:
            account = self._accounts.get(question_id, _Account())
            return Spent(account.used, account.reserved, account.calls)

    def forget(self, question_id: str) -> None:
        """Drop a question that is over."""
        with self._lock:
            self._accounts.pop(question_id, None)

    def _evict(self) -> None:
        excess = len(self._accounts) - self._max_questions
        idle = [name for name, account in self._accounts.items() if not account.open] if excess > 0 else []
        for name in idle[: max(0, excess)]:
            del self._accounts[name]
