"""Work that need not be done twice: what is kept of it, and what the guard asks of whoever keeps it.

Gives `Kept`, `Keeping` (how one kind of work's value is kept and given again) and `Keeper`, which `infra.cache.calls`
implements and `infra.resources` hands to the desks.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one piece of work.

    Attributes:
        value: what it came to, a JSON object.
        prompt_tokens: what it took, as a server reported it.
        completion_tokens: likewise.
        seconds: what it took.
    """

    value: dict[str, Any]
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


class Keeping(Protocol[Value]):
    """How the value of one piece of work is kept and given again."""

    @property
    def kind(self) -> str:
        """What kind of work it is; figures are kept for each."""
        ...

    @property
    def mark(self) -> str:
        """What it holds for: values of its kind with another mark are dropped when one is kept; "" drops none."""
        ...

    @property
    def seconds(self) -> float:
        """The longest that it may take; nobody waits longer for another one who does it."""
        ...

    def kept(self, value: Value) -> Kept | None:
        """Return what is to be kept of ``value``; None: it may not be given again."""
        ...

    def given(self, kept: Kept) -> Value | None:
        """Return the value again; None: what was kept cannot be read, so the work is done."""
        ...


class Keeper(Protocol):
    """Does each piece of work once: who asks for the same meanwhile waits for it. Never fails by itself."""

    def once(self, key: str, make: Callable[[], Value], keeping: Keeping[Value]) -> Value:
        """Return what is kept under ``key``, else what ``make`` returns. Raises what ``make`` raises."""
        ...

    async def aonce(self, key: str, make: Callable[[], Awaitable[Value]], keeping: Keeping[Value]) -> Value:
        """Await what `once` returns."""
        ...

    def forget(self, key: str) -> None:
        """Drop what is kept under ``key``; never waits."""
        ...
