"""A circuit breaker: a server that seems dead is left alone for a while instead of being asked again and again.

Gives `Breaker`, one for each server. It is closed; it opens after so many failed tries in a row; while it is open every
try is refused at once with `LeftAlone`; after its time it is half open: one try at a time goes through, and the first
that shows life closes it. What is a sign of death is for the caller to say. Thread-safe, and safe for asyncio because
nothing here waits. (M. Nygard, Release It!, 2nd ed. 2018, chapter 5.)
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from infra.errors import BackendUnavailable
from infra.settings import CallSettings

SETTING = "DOCMIND_CALLS__BREAKER_SECONDS"


class LeftAlone(BackendUnavailable):
    """A try was refused because its server failed too often just before; nothing was sent.

    Attributes:
        seconds: until the server is asked again; 0 while one try is finding out.
    """

    def __init__(self, who: str, failures: int, last: str, seconds: float) -> None:
        again = f"it is asked again in {seconds:.1f} s" if seconds > 0 else "another call is finding out"
        super().__init__(
            f"{who} is left alone after {failures} failed tries in a row (last: {last}); {again}; {SETTING} decides"
        )
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Sign:
    """What a try says of its server: whether it lives (None: nothing), and the failure in a few words."""

    alive: bool | None
    said: str = ""


class Breaker:
    """The breaker of one server.

    Args:
        calls: how many failed tries open it, and for how many seconds.
        clock: seconds that only grow.
    """

    def __init__(self, calls: CallSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = Lock()
        self._most, self._seconds, self._clock = calls.breaker_failures, calls.breaker_seconds, clock
        self._failures = 0
        self._last = ""
        self._opened: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether a try would be refused now."""
        with self._lock:
            return self._opened is not None and (self._probing or self._left(self._opened) > 0)

    def enter(self, who: str) -> bool:
        """Begin a try of ``who``; returns whether it is the one that finds out. Every try that enters must `leave`.

        Raises:
            LeftAlone: the server is left alone.
        """
        with self._lock:
            if self._opened is None:
                return False
            left = self._left(self._opened)
            if left > 0 or self._probing:
                raise LeftAlone(who, self._failures, self._last, left)
            self._probing = True
            return True

    def leave(self, probe: bool, sign: Sign) -> None:
        """End a try; ``probe`` is what `enter` returned."""
        with self._lock:
            if probe:
                self._probing = False
            if sign.alive is None:
                return
            if sign.alive:
                self._failures, self._opened = 0, None
                return
            self._failures, self._last = self._failures + 1, sign.said
            if self._failures >= self._most and (probe or self._opened is None):
                self._opened = self._clock()

    def _left(self, opened: float) -> float:
        return max(0.0, opened + self._seconds - self._clock())
