"""One model call's account: tried, reserved, settled, entered in the ledger, whatever becomes of it.

Gives `CallAccount`: one call at a `Desk` (`infra.llm.desk`), from its first count to its ledger entry. The rules:
nothing leaves without a reservation, or while its server is left alone; a try whose use is unknown (it broke half-way)
counts its whole reservation; a call is tried again only when the failure can pass, and after a server let its time pass
only where no other can be asked; every call ends as exactly one ledger entry, with all requests that failed.
"""

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tenacity import AsyncRetrying, RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from infra.errors import BackendError, BudgetExceeded
from infra.llm.breaker import LeftAlone
from infra.llm.budget import Reservation
from infra.llm.desk import Desk
from infra.llm.diagnose import failure_of, translated
from infra.llm.failures import Failure
from infra.llm.ledger import Attempt, Call, Outcome, Scope
from infra.llm.stepdown import Learned
from infra.llm.tokens import Count
from infra.llm.window import Fitted
from infra.text.plain import short_line


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one reply, as the server reported them."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


class CallAccount:
    """The account of one call; a context manager around all of it.

    Args:
        desk: what it shares with other calls.
        scope: on whose account it goes.
        has_next: whether another back end can be asked.
    """

    def __init__(self, desk: Desk, scope: Scope, *, has_next: bool = False) -> None:
        self._desk = desk
        self._scope = scope
        self._has_next = has_next
        self._started_at = time.time()
        self._started = self._sent = time.perf_counter()
        self._attempts: list[Attempt] = []
        self._count_failures: list[Attempt] = []
        self._fault: BackendError | None = None
        self._spent = False  # a budget allows no further try
        self._replayed = False
        self._fitted: Fitted | None = None
        self._count: Count | None = None
        self._usage: Usage | None = None
        self._first_token_seconds: float | None = None

    @property
    def learned(self) -> Learned:
        """What was learned of the server, to be added to."""
        return self._desk.learned

    @property
    def marks(self) -> dict[str, Any]:
        """What a reply's ``response_metadata`` says: who answered, and what was left out of the prompt."""
        marks: dict[str, Any] = {"backend": self._desk.backend.name}
        if self._fitted and self._fitted.dropped:
            marks["dropped"] = list(self._fitted.dropped)
        if self._fitted and self._fitted.cut_tokens:
            marks["cut_tokens"] = self._fitted.cut_tokens
        return marks

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        usage = self._usage or Usage(0, 0, 0)
        if self._count is not None and usage.prompt_tokens and error is None:
            self._desk.counter.reported(self._count, usage.prompt_tokens)
        self._desk.ledger.record(
            Call(
                scope=self._scope,
                backend=self._desk.backend.name,
                model=self._desk.backend.model,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                cached_tokens=usage.cached_tokens,
                started=self._started_at,
                seconds=time.perf_counter() - self._started,
                attempts=tuple(self._attempts),
                outcome=self._outcome(error),
                counted_tokens=self._fitted.prompt_tokens if self._fitted else 0,
                exact=self._count.exact if self._count else True,
                first_token_seconds=self._first_token_seconds,
                dropped=self._fitted.dropped if self._fitted else (),
                cut_tokens=self._fitted.cut_tokens if self._fitted else 0,
                count_failures=tuple(self._count_failures),
                error="" if error is None else short_line(str(error) or type(error).__name__),
                engine=self._desk.backend.engine,
                cached=self._replayed,
            )
        )
        self._fault = None  # its traceback knows this account, and connections: a cycle would keep them open

    def count(self, asked: Mapping[str, Any] | str) -> Count:
        """Count a request body, or bare text, once. Raises BackendError."""
        with self._counting():
            return self._desk.count(asked)

    async def acount(self, asked: Mapping[str, Any] | str) -> Count:
        """Await a count; see `count`."""
        with self._counting():
            return await self._desk.acount(asked)

    def fitted(self, fitted: Fitted, count: Count) -> None:
        """Note what is going to be sent, and the count that it rests on."""
        self._fitted, self._count = fitted, count

    def used(self, usage: Usage | None) -> None:
        """Note what the server says the call used; None says nothing."""
        self._usage = usage or self._usage

    def replayed(self) -> None:
        """Note that the reply is one that was given before: no server is asked."""
        self._replayed = True

    def spoke(self) -> None:
        """Note that the first word of the reply has come."""
        self._first_token_seconds = time.perf_counter() - self._sent

    def blocking_tries(self) -> Retrying:
        """Return the tries of a blocking caller."""
        return Retrying(**self._policy())

    def awaiting_tries(self) -> AsyncRetrying:
        """Return the tries of an awaiting caller."""
        return AsyncRetrying(**self._policy())

    @contextmanager
    def sending(self, replies: int = 1) -> Generator[None]:
        """Run one try of the call: reserved before, settled after, failures become ours.

        Args:
            replies: how many replies the call asks for.

        Raises:
            LeftAlone: the server is left alone; nothing is sent.
            BudgetExceeded: a budget has not enough left; nothing is sent. For another try the fault of the one before
                is raised instead: it is what went wrong, and another back end may still help.
            BackendError: the try failed.
        """
        if self._fitted is None:
            raise RuntimeError("a call must be fitted before it is sent")
        tokens = self._fitted.prompt_tokens + replies * self._fitted.reply_tokens
        with self._desk.asking():
            reservation = self._reserved(tokens)
            self._sent = time.perf_counter()
            self._usage = self._first_token_seconds = failure = None
            try:
                with translated(self._desk.backend):
                    yield
            except BackendError as error:
                self._fault, failure = error, failure_of(error)
                raise
            finally:
                self._attempts.append(_attempt(time.perf_counter() - self._sent, failure))
                self._desk.budget.settle(reservation, self._tokens_used(failure))

    @contextmanager
    def _counting(self) -> Generator[None]:
        started = time.perf_counter()
        try:
            yield
        except BackendError as error:
            if (failure := failure_of(error)) is not None:
                self._count_failures.append(_attempt(time.perf_counter() - started, failure))
            raise

    def _reserved(self, tokens: int) -> Reservation:
        try:
            return self._desk.budget.reserve(self._scope, tokens, retry=bool(self._attempts))
        except BudgetExceeded:
            if self._fault is None:
                raise
            self._spent = True
        raise self._fault

    def _tokens_used(self, failure: Failure | None) -> int | None:
        if self._usage is not None:
            return self._usage.prompt_tokens + self._usage.completion_tokens
        return 0 if failure is not None and failure.nothing_used and self._first_token_seconds is None else None

    def _policy(self) -> dict[str, Any]:
        stop = stop_after_attempt(self._desk.retries.tries)
        return {"stop": stop, "wait": self._wait, "retry": retry_if_exception(self._may_retry), "reraise": True}

    def _may_retry(self, error: BaseException) -> bool:
        failure = failure_of(error)
        if failure is None or not failure.can_pass or (failure.kind == "timeout" and self._has_next):
            return False
        return not self._spent and not self._desk.breaker.is_open

    def _wait(self, state: RetryCallState) -> float:
        """Return the seconds until the next try: the policy's, or what the server asked for if that is longer."""
        error = state.outcome.exception() if state.outcome else None
        failure = failure_of(error) if error else None
        asked = (failure.retry_after if failure else None) or 0.0
        return max(self._desk.retries.wait(state), min(asked, self._desk.retries.longest_seconds))

    def _outcome(self, error: BaseException | None) -> Outcome:
        if error is None:
            return "ok"
        return "refused" if isinstance(error, BudgetExceeded | LeftAlone) and not self._attempts else "failed"


def _attempt(seconds: float, failure: Failure | None) -> Attempt:
    if failure is None:
        return Attempt(seconds)
    return Attempt(seconds, failure.kind, failure.status, short_line(failure.message))
