"""Speeds the engine can be given: when a token is due, and the clock that waits for it.

The first token is due when the uncached part of the prompt is prefilled, each further one 1/decode seconds later. Every
request is paced on its own, as on a server with room for all: requests do not slow each other down. On one card they
do: prefill keeps its processors busy, so prompts share its speed, while replies are written side by side (`Prefills`).
Without speeds all is due at once. What the rules need to think counts into the same time: they are fast compared with
the speeds.
"""

import asyncio
import time
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from infra.settings import EngineSettings


class Clock(Protocol):
    """Where time comes from and how to wait."""

    def now(self) -> float:
        """Return seconds from an arbitrary start; never goes back."""
        ...

    def wait(self, seconds: float) -> None:
        """Block this thread."""
        ...

    async def wait_async(self, seconds: float) -> None:
        """Let other tasks run; also for 0 seconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return ``time.perf_counter()``."""
        return time.perf_counter()

    def wait(self, seconds: float) -> None:
        """Sleep, if there is anything to wait for."""
        if seconds > 0:
            time.sleep(seconds)

    async def wait_async(self, seconds: float) -> None:
        """Sleep in asyncio; 0 gives the others a turn."""
        await asyncio.sleep(max(0.0, seconds))


@dataclass(frozen=True, slots=True)
class Pace:
    """The times of one reply, in seconds from the arrival of its request.

    Attributes:
        prefill_seconds: until the first token.
        token_seconds: between two tokens.
    """

    prefill_seconds: float
    token_seconds: float

    @classmethod
    def of(cls, settings: EngineSettings, uncached_tokens: int) -> "Pace":
        """Return the pace of a reply to a prompt of which ``uncached_tokens`` must be computed."""
        prefill, decode = settings.prefill_tokens_per_second, settings.decode_tokens_per_second
        return cls(uncached_tokens / prefill if prefill else 0.0, 1 / decode if decode else 0.0)

    def due_seconds(self, tokens: int) -> float:
        """Return when the ``tokens``-th token (from 1) is written."""
        return self.prefill_seconds + (tokens - 1) * self.token_seconds


class Prefills:
    """The prompts of one card: computed one after the other as they come, each at the whole speed. Thread-safe.

    A prompt whose asker went away keeps its turn.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._free_at = 0.0

    def behind(self, arrived: float, pace: Pace) -> Pace:
        """Return the pace of a reply whose prompt, which came at ``arrived``, waits for those before it."""
        with self._lock:
            self._free_at = max(self._free_at, arrived) + pace.prefill_seconds
            return Pace(self._free_at - arrived, pace.token_seconds)
