"""One model call's account: tried, reserved, settled, entered in the ledger, whatever becomes of it.

Gives `Desk` (what all calls of one model share) and `CallAccount` (one call, from its first count to its ledger entry).
The
rules: nothing leaves without a reservation; a try whose use is unknown (it broke half-way) counts its whole
    reservation; a call is tried again only when the failure can pass and nothing of a reply was passed on; every call
    ends as exactly one ledger entry. It knows no vendor: which exception means what is told by ``diagnose``.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tenacity import AsyncRetrying, Retrying, retry_if_exception, stop_after_attempt, wait_exponential
from tenacity.wait import wait_base

from infra.errors import BackendError, BudgetExceeded
from infra.llm.budget import Budget
from infra.llm.endpoint import Backend, Clients
from infra.llm.failures import Diagnose, Failure, one_line, translated
from infra.llm.ledger import Attempt, Call, Ledger, Outcome, Scope
from infra.llm.tokens import TokenCounter
from infra.llm.window import Fitted, Window


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one reply, as the server reported them."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is tried, and the waits between: 1, 2, 4 s (issue's figures; three tries use the first two)."""

    tries: int = 3
    wait: wait_base = field(default_factory=lambda: wait_exponential(multiplier=1, min=1, max=4))


@dataclass(frozen=True, slots=True)
class Desk:
    """What all calls of one guarded model share."""

    backend: Backend
    clients: Clients
    counter: TokenCounter
    window: Window
    budget: Budget
    ledger: Ledger
    retries: Retries = field(default_factory=Retries)


class CallAccount:
    """The account of one call; a context manager around all of it.

    Args:
        desk: what it shares with other calls.
        scope: on whose account it goes.
        diagnose: the facts of a vendor's exception; None for one that is not a failure of the call.
    """

    def __init__(self, desk: Desk, scope: Scope, diagnose: Diagnose) -> None:
        self.passed_on = False  # set once a part of the reply was handed to the caller: no further try then
        self._desk = desk
        self._scope = scope
        self._diagnose = diagnose
        self._started = time.perf_counter()
        self._attempts: list[Attempt] = []
        self._fitted: Fitted | None = None
        self._usage: Usage | None = None
        self._failure: Failure | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        usage = self._usage or Usage(0, 0, 0)
        self._desk.ledger.record(
            Call(
                scope=self._scope,
                backend=self._desk.backend.name,
                model=self._desk.backend.model,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                cached_tokens=usage.cached_tokens,
                seconds=time.perf_counter() - self._started,
                attempts=tuple(self._attempts),
                outcome=self._outcome(error),
                counted_tokens=self._fitted.prompt_tokens if self._fitted else 0,
                dropped=self._fitted.dropped if self._fitted else (),
                error="" if error is None else one_line(str(error) or type(error).__name__),
            )
        )

    def fitted(self, fitted: Fitted) -> None:
        """Note what is going to be sent."""
        self._fitted = fitted

    def used(self, usage: Usage | None) -> None:
        """Note what the server says the call used; None says nothing."""
        self._usage = usage or self._usage

    def blocking_tries(self) -> Retrying:
        """Return the tries of a blocking caller."""
        policy = self._desk.retries
        return Retrying(
            stop=stop_after_attempt(policy.tries),
            wait=policy.wait,
            retry=retry_if_exception(self._may_retry),
            reraise=True,
        )

    def awaiting_tries(self) -> AsyncRetrying:
        """Return the tries of an awaiting caller."""
        policy = self._desk.retries
        return AsyncRetrying(
            stop=stop_after_attempt(policy.tries),
            wait=policy.wait,
            retry=retry_if_exception(self._may_retry),
            reraise=True,
        )

    @contextmanager
    def sending(self, replies: int = 1) -> Generator[None]:
        """Run one try of the call: reserved before, settled after, failures become ours.

        Args:
            replies: how many replies the call asks for.

        Raises:
            BudgetExceeded: the question has not enough left; nothing is sent.
            BackendError: the try failed.
        """
        if self._fitted is None:
            raise RuntimeError("a call must be fitted before it is sent")
        tokens = self._fitted.prompt_tokens + replies * self._fitted.reply_tokens
        reservation = self._desk.budget.reserve(self._scope, tokens, retry=bool(self._attempts))
        began = time.perf_counter()
        self._usage = self._failure = None
        try:
            with translated(self._diagnose, self._desk.backend):
                yield
        except BackendError as error:
            self._failure = self._cause_of(error)
            raise
        finally:
            self._attempts.append(self._attempt(time.perf_counter() - began))
            self._desk.budget.settle(reservation, self._tokens_used())

    def _attempt(self, seconds: float) -> Attempt:
        failure = self._failure
        return (
            Attempt(seconds, failure.kind, failure.status, one_line(failure.message)) if failure else Attempt(seconds)
        )

    def _tokens_used(self) -> int | None:
        if self._usage is not None:
            return self._usage.prompt_tokens + self._usage.completion_tokens
        return 0 if self._failure is not None and self._failure.nothing_used and not self.passed_on else None

    def _cause_of(self, error: BaseException) -> Failure | None:
        cause = error.__cause__
        return self._diagnose(cause) if isinstance(error, BackendError) and cause is not None else None

    def _may_retry(self, error: BaseException) -> bool:
        failure = self._cause_of(error)
        return failure is not None and failure.can_pass and not self.passed_on

    def _outcome(self, error: BaseException | None) -> Outcome:
        if error is None:
            return "ok"
        return "refused" if isinstance(error, BudgetExceeded) and not self._attempts else "failed"
