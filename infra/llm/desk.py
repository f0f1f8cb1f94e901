"""What all calls of one guarded model share.

Gives `Desk` (the back end, its clients, counter and window; budgets and ledger; what was learned of its server) and
`Retries`. Every request of a call, and every count, is made inside `Desk.asking`: refused while the server is left
alone, its failures ours and told the breaker.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tenacity import wait_exponential, wait_random
from tenacity.wait import wait_base

from infra.errors import BackendError
from infra.llm.breaker import Breaker, Sign
from infra.llm.budget import Budget
from infra.llm.diagnose import failure_of, translated
from infra.llm.endpoint import Abilities, Backend, Clients
from infra.llm.failures import who_is
from infra.llm.kept import Keeper
from infra.llm.ledger import Ledger
from infra.llm.live_window import LiveWindow
from infra.llm.stepdown import Learned
from infra.llm.tokens import Count, TokenCounter
from infra.settings import CallSettings
from infra.text.plain import short_line


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is tried, and the waits between.

    Attributes:
        tries: requests of one call, at most.
        wait: 1, 2, 4 s (issue's figures; three tries use the first two), and a little more, so that callers who failed
            together do not come back together.
        longest_seconds: a server's Retry-After is followed up to this.
    """

    tries: int = 3
    wait: wait_base = field(default_factory=lambda: wait_exponential(multiplier=1, min=1, max=4) + wait_random(0, 0.25))
    longest_seconds: float = 8.0


@dataclass(frozen=True, slots=True)
class Desk:
    """What all calls of one guarded model share; the breaker and what was learned are its server's.

    Without a ``keeper`` every call is made, however often it was made before.
    """

    backend: Backend
    clients: Clients
    counter: TokenCounter
    window: LiveWindow
    budget: Budget
    ledger: Ledger
    retries: Retries = field(default_factory=Retries)
    calls: CallSettings = field(default_factory=CallSettings)
    breaker: Breaker = field(default_factory=lambda: Breaker(CallSettings()))
    learned: Learned = field(default_factory=Learned)
    keeper: Keeper | None = None

    @property
    def abilities(self) -> Abilities:
        """What the server can do: as it said, corrected by what was seen."""
        return self.learned.over(self.backend.abilities)

    @property
    def streams(self) -> bool:
        """Whether replies come as streams: in process there is no silence to notice, and each piece costs half a ms."""
        return self.backend.name != "engine"

    @contextmanager
    def asking(self, *, shows_life: bool = True) -> Generator[None]:
        """Run one request: refused while the server is left alone; its failures become ours and are told the breaker.

        Args:
            shows_life: whether its success says that the server answers calls; a count may come from memory.

        Raises:
            LeftAlone: nothing was sent.
            BackendError: the request failed.
        """
        probe = self.breaker.enter(who_is(self.backend))
        sign = Sign(None)
        try:
            with translated(self.backend):
                yield
            sign = Sign(alive=True if shows_life else None)
        except BackendError as error:
            failure = failure_of(error)
            if failure is not None:
                sign = Sign(failure.shows_life, short_line(failure.message))
            raise
        finally:
            self.breaker.leave(probe, sign)

    def count(self, asked: Mapping[str, Any] | str) -> Count:
        """Count a request body, or bare text. Raises BackendError."""
        with self.asking(shows_life=False):
            return self.counter.count_text(asked) if isinstance(asked, str) else self.counter.count(asked)

    async def acount(self, asked: Mapping[str, Any] | str) -> Count:
        """Await a count; see `count`."""
        with self.asking(shows_life=False):
            return await (self.counter.acount_text(asked) if isinstance(asked, str) else self.counter.acount(asked))
