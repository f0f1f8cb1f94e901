"""Budgets in tokens and calls, reserved before a call leaves and settled after it.

Gives `Limits` (what a call, an agent on one question, a question and a thread may use) and `Budget`, shared by all
branches of all questions; thread-safe, and safe for asyncio because nothing here waits. A reservation is an upper bound
of what its call can use (prompt and whole reply), so parallel branches cannot overshoot: what is used plus what is
reserved never exceeds a limit. What a call used is known from the server's usage; where it is not (a stream that broke,
a server that reports none) the whole reservation counts as used.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock

from infra.errors import BudgetExceeded
from infra.llm.ledger import Scope

_SETTING = "DOCMIND_BUDGET__"
CALLS_SETTING = f"{_SETTING}QUESTION_CALLS"


class CallsExceeded(BudgetExceeded):
    """A question has made all the model calls it may make; `needed` and `available` are calls."""

    def __init__(self, question_calls: int) -> None:
        super().__init__("another model call", needed=1, available=0, setting=CALLS_SETTING)
        self.args = (f"this question has made all of its {question_calls:,} model calls; {CALLS_SETTING} decides",)


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be used, in prompt and reply tokens together; None: no limit of its own.

    Attributes:
        call_tokens: by one try of one call.
        agent_tokens: by one agent on one question.
        question_tokens: by one question, all calls.
        question_calls: model calls of one question; a retried call counts once.
        thread_tokens: by one conversation, while the program runs.
    """

    call_tokens: int | None = None
    agent_tokens: int | None = None
    question_tokens: int | None = None
    question_calls: int | None = None
    thread_tokens: int | None = None


@dataclass(slots=True)
class _Account:
    used: int = 0
    reserved: int = 0
    calls: int = 0
    open: int = 0


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens set aside for one try of one call, in the accounts that it was made in."""

    scope: Scope
    tokens: int
    accounts: tuple[_Account, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Spent:
    """Where a question stands: tokens used and still reserved, and calls begun."""

    used_tokens: int
    reserved_tokens: int
    calls: int


_Key = tuple[str, ...]


class Budget:
    """The budgets of all questions and threads.

    Args:
        limits: what may be used.
        max_accounts: accounts remembered; beyond that the one idle longest is forgotten (never one with an open call).
    """

    def __init__(self, limits: Limits, *, max_accounts: int = 16_384) -> None:
        self._lock = Lock()
        self._accounts: OrderedDict[_Key, _Account] = OrderedDict()
        self._limits = limits
        self._max_accounts = max_accounts

    def reserve(self, scope: Scope, tokens: int, *, retry: bool = False) -> Reservation:
        """Set tokens aside before a call leaves.

        Args:
            scope: on whose account it goes.
            tokens: upper bound of what the call can use, prompt and reply.
            retry: True for another try of a call that was counted already.

        Raises:
            BudgetExceeded: a budget does not suffice (`setting` says which); nothing is set aside.
        """
        with self._lock:
            question = self._accounts.get(_question(scope), _Account())
            most = self._limits.question_calls
            if most is not None and not retry and question.calls >= most:
                raise CallsExceeded(most)
            self._check(scope, tokens)
            keys = self._keys(scope)
            accounts = tuple(self._accounts.setdefault(key, _Account()) for key in keys)
            for key, account in zip(keys, accounts, strict=True):
                self._accounts.move_to_end(key)
                account.calls += not retry
                account.reserved += tokens
                account.open += 1
            self._evict()
            return Reservation(scope, tokens, accounts)

    def settle(self, reservation: Reservation, used_tokens: int | None) -> None:
        """Give a reservation back and count what was used; None counts the whole reservation.

        A server that used more than was reserved is counted in full: the next call finds less. A question that was
        forgotten meanwhile is over: one of the same name that has begun since is another, and is not touched.
        """
        with self._lock:
            for account in reservation.accounts:
                account.reserved -= reservation.tokens
                account.open -= 1
                account.used += reservation.tokens if used_tokens is None else used_tokens

    def spent(self, question_id: str) -> Spent:
        """Return where a question stands; all zero for one that is not known."""
        with self._lock:
            account = self._accounts.get(("question", question_id), _Account())
            return Spent(account.used, account.reserved, account.calls)

    def forget(self, question_id: str) -> None:
        """Drop a question that is over, with its agents' accounts; its thread's stays."""
        with self._lock:
            agents = [key for key in self._accounts if key[:2] == ("agent", question_id)]
            for key in [("question", question_id), *agents]:
                self._accounts.pop(key, None)

    def _keys(self, scope: Scope) -> list[_Key]:
        """Return whose accounts a call goes on; a thread's, which nobody ever ends, only where threads are limited."""
        limited = scope.thread_id and self._limits.thread_tokens is not None
        return [_question(scope), _agent(scope), *([_thread(scope)] if limited else [])]

    def _check(self, scope: Scope, tokens: int) -> None:
        limits = self._limits
        accounts: tuple[tuple[str, int | None, _Key | None], ...] = (
            ("call", limits.call_tokens, None),
            ("agent", limits.agent_tokens, _agent(scope)),
            ("question", limits.question_tokens, _question(scope)),
            ("thread", limits.thread_tokens, _thread(scope)),
        )
        for owner, most, key in accounts:
            if most is None or (owner == "thread" and not scope.thread_id):
                continue
            account = self._accounts.get(key, _Account()) if key else _Account()
            left = most - account.used - account.reserved
            if tokens > left:
                raise BudgetExceeded(
                    f"this model call is more than its {owner} {'may use' if owner == 'call' else 'has left'}",
                    needed=tokens,
                    available=max(0, left),
                    setting=f"{_SETTING}{owner.upper()}_TOKENS",
                )

    def _evict(self) -> None:
        excess = len(self._accounts) - self._max_accounts
        idle = [key for key, account in self._accounts.items() if not account.open] if excess > 0 else []
        for key in idle[: max(0, excess)]:
            del self._accounts[key]


def _question(scope: Scope) -> _Key:
    return ("question", scope.question_id)


def _agent(scope: Scope) -> _Key:
    return ("agent", scope.question_id, scope.agent)


def _thread(scope: Scope) -> _Key:
    return ("thread", scope.thread_id)
