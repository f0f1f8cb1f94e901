"""Who is at work on what, in this process: equal work at the same time is done once.

Gives `Flight` (one asker's way through a piece of work) and `Flights` (those of this process). The first asker of a key
leads; the others wait for what becomes of it. A leader who was stopped leaves its place to one of them; one who failed,
or whose value is not to be given again, keeps nobody waiting: each of the others then does the work itself.
"""

import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal
from uuid import uuid4

from infra.cache.calls_store import Entry
from infra.llm.kept import Kept

Landing = Kept | Literal["alone", "stopped"]
"""What became of a leader: a value for all; each by itself; or one of the others leads."""


@dataclass(slots=True, eq=False)
class Flight:
    """One asker's way.

    Attributes:
        key: whose work.
        seconds: how long the work may take; nobody waits longer.
        landed: what became of it, for those who wait.
        landing: what is going to be told them.
        leads: whether others may wait for it.
        holder: the name of its claim on the key, which no other asker has.
        entry: the value it made, to be kept.
        claimed: whether it holds that claim.
        gone: the state of the file's `gone` when it claimed.
        closed: whether it is over: a claim that comes later is not made.
        lock: held while a claim is made or given back.
    """

    key: str
    seconds: float
    landed: "Future[Landing]" = field(default_factory=Future["Landing"])
    landing: Landing = "alone"
    leads: bool = False
    holder: str = field(default_factory=lambda: uuid4().hex)
    entry: Entry | None = None
    claimed: bool = False
    gone: int | None = None
    closed: bool = False
    lock: Lock = field(default_factory=Lock)
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds that others still wait."""
        return max(0.0, self.began + self.seconds - time.monotonic())


class Flights:
    """The flights of this process that lead; thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._leading: dict[str, Flight] = {}

    def join(self, flight: Flight) -> Flight | None:
        """Have ``flight`` lead its key and return None; or return the one that does."""
        with self._lock:
            leader = self._leading.setdefault(flight.key, flight)
            flight.leads = leader is flight
            return None if flight.leads else leader

    def land(self, flight: Flight) -> None:
        """Tell those who wait; ``flight`` is still found by its key until it is left."""
        if isinstance(flight.landing, str):
            self.leave(flight)  # first: who is told to take over must not find it again
        flight.landed.set_result(flight.landing)

    def leave(self, flight: Flight) -> None:
        """Free the key of ``flight``."""
        with self._lock:
            if self._leading.get(flight.key) is flight:
                del self._leading[flight.key]

    def forget(self, key: str | None = None) -> None:
        """Have nobody find who leads ``key``, or (None) any."""
        with self._lock:
            for gone in [*self._leading] if key is None else [key]:
                self._leading.pop(gone, None)
