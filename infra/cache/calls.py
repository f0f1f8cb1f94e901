"""Identical calls are made once: the cache of model replies and searches, shared by all agents and processes.

Gives `CallCache` (implements `infra.llm.kept.Keeper`), `open_calls` (one tenant's, as the settings say) and
`clear_calls`. Who asks for what is kept gets it again. Who asks for what another one is at work on waits for that one:
in this process (`infra.cache.calls_flights`), or in another, whose claim stands in the file and lapses seconds after it
is killed; never longer than the work may take. Keys carry an edition, so that other code does not answer for ours. The
file is written behind the asker's back, and where it fails the work is done as without it (`infra.cache.calls_file`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TypeVar, cast

from infra.cache.calls_claims import LEASE_SECONDS, Claims
from infra.cache.calls_file import CallFigures, CallFile
from infra.cache.calls_flights import Flight, Flights, Landing
from infra.cache.calls_store import CALLS_FILE, CallStore, Claim, Entry, unlink
from infra.errors import StoreError
from infra.llm.background import awaited
from infra.llm.kept import Keeping, Kept
from infra.settings import Settings

Value = TypeVar("Value")

FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.01, 0.25
"""Between two looks at work that another process does."""

_FLOORS = ("infra", "tools")


@dataclass(frozen=True, slots=True)
class _Ask:
    """A step of an asker's way: something of the file."""

    work: Callable[[CallStore], object]


@dataclass(frozen=True, slots=True)
class _Wait:
    """A step of an asker's way: waiting for a leader, or (None) a while."""

    seconds: float
    leader: Flight | None = None


_Way = Generator[_Ask | _Wait, object, Kept | None]


class CallCache:
    """The cache of one tenant; thread-safe, for blocking and for awaiting askers, from any event loop.

    Args:
        path: the file; opened when it is first needed.
        max_bytes: what it may hold.
        max_age_seconds: how long a value is given again.
        edition: makes keys different.
        clock: seconds since 1970.
        lease_seconds: how long a claim holds that is not renewed.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: float = 256e6,
        max_age_seconds: float = 7 * 86_400.0,
        edition: str = "",
        clock: Callable[[], float] = time.time,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._edition, self._clock, self._lease = edition, clock, lease_seconds
        opened = partial(CallStore, path, max_bytes=max_bytes, max_age_seconds=max_age_seconds)
        self._file = CallFile(path, opened, clock)
        self._flights = Flights()
        self._claims = Claims(self._renew, lease_seconds)

    def once(self, key: str, make: Callable[[], Value], keeping: Keeping[Value]) -> Value:
        """Return what is kept under ``key``, else what ``make`` returns. Raises what ``make`` raises.

        In the thread of a running event loop nobody is waited for: the other one may need that loop.
        """
        flight = Flight(self._key(key), 0.0 if _in_a_loop() else keeping.seconds)
        try:
            value = self._given(flight, self._walked(self._way(flight)), keeping)
            if value is None:
                began = time.perf_counter()
                value = make()
                self._made(flight, keeping, keeping.kept(value), time.perf_counter() - began)
        except BaseException as error:
            flight.landing = "alone" if isinstance(error, Exception) else "stopped"
            raise
        finally:
            self._land(flight)
        return value

    async def aonce(self, key: str, make: Callable[[], Awaitable[Value]], keeping: Keeping[Value]) -> Value:
        """Await what `once` returns, without its limit."""
        flight = Flight(self._key(key), keeping.seconds)
        try:
            value = self._given(flight, await self._awalked(self._way(flight)), keeping)
            if value is None:
                began = time.perf_counter()
                value = await make()
                self._made(flight, keeping, keeping.kept(value), time.perf_counter() - began)
        except BaseException as error:
            flight.landing = "alone" if isinstance(error, Exception) else "stopped"
            raise
        finally:
            self._land(flight)
        return value

    def forget(self, key: str) -> None:
        """Drop what is kept under ``key``; never waits."""
        named = self._key(key)
        self._flights.forget(named)
        self._file.behind(lambda: self._file.ask(lambda store: store.forget(named)))

    def clear(self) -> int:
        """Drop everything that is kept, and the figures; return how many values there were. Blocks."""
        self._flights.forget()
        return self._file.ask(CallStore.clear) or 0

    def figures(self) -> dict[str, CallFigures]:
        """Return what came of each kind of work, as far as it is written down (seconds ago); blocks."""
        return self._file.figures()

    def close(self) -> None:
        """Write what is waiting and close the file; safe to call twice. Work goes on without it."""
        self._claims.close()
        self._file.close()

    def _key(self, key: str) -> str:
        return sha256(f"{self._edition}\n{key}".encode()).hexdigest()

    def _way(self, flight: Flight) -> _Way:
        """Come to a value that is kept, or (None) to where the asker does the work."""
        while True:
            kept = yield _Ask(lambda store: store.read(flight.key, self._clock()))
            if isinstance(kept, Kept):
                return kept
            leader = self._flights.join(flight)
            if leader is None:
                return (yield from self._claiming(flight))
            if leader.landed.done():  # what it made is being written
                landing = leader.landed.result()
            else:
                landing = cast("Landing | None", (yield _Wait(min(leader.left, flight.left), leader)))
            if landing != "stopped":
                return landing if isinstance(landing, Kept) else None

    def _claiming(self, flight: Flight) -> _Way:
        """Come to a claim on the work, or to what another process makes of it."""
        pause = FIRST_POLL_SECONDS
        while True:
            got = yield _Ask(lambda store: self._claimed(store, flight))
            if isinstance(got, Kept):
                return got
            if got != "others" or not flight.left:
                return None
            yield _Wait(min(pause, flight.left))
            pause = min(2 * pause, LONGEST_POLL_SECONDS)

    def _claimed(self, store: CallStore, flight: Flight) -> Kept | str | None:
        with flight.lock:
            if flight.closed:  # whoever asked was stopped meanwhile
                return None
            now = self._clock()
            claim = Claim(flight.key, flight.holder, now + flight.left)
            if store.claim(claim, now, now + self._lease) == "others":
                return "others"
            flight.claimed, flight.gone = True, store.gone()
            self._claims.hold(claim)
            return store.read(flight.key, now)

    def _given(self, flight: Flight, kept: Kept | None, keeping: Keeping[Value]) -> Value | None:
        value = None if kept is None else keeping.given(kept)
        if kept is not None and value is not None:
            flight.landing = kept
            self._file.hit(flight.key, keeping.kind, kept)
        return value

    def _made(self, flight: Flight, keeping: Keeping[Value], kept: Kept | None, seconds: float) -> None:
        self._file.missed(keeping.kind)
        if kept is not None:
            flight.landing = replace(kept, seconds=seconds)
            flight.entry = Entry(flight.key, keeping.kind, keeping.mark, flight.landing, flight.gone)

    def _land(self, flight: Flight) -> None:
        """Tell those who wait, and put the value and the claim in order behind the asker's back."""
        if flight.leads:
            self._flights.land(flight)
        if (flight.leads or flight.entry is not None) and not self._file.behind(partial(self._settle, flight)):
            self._flights.leave(flight)

    def _settle(self, flight: Flight) -> None:
        with flight.lock:
            flight.closed = True
            self._claims.release(flight.holder)
            entry = flight.entry
            if entry is not None:
                self._file.ask(lambda store: store.put(entry, flight.holder, self._clock()))
            elif flight.claimed:
                self._file.ask(lambda store: store.drop_claim(flight.key, flight.holder))
            self._flights.leave(flight)

    def _renew(self, claims: Sequence[Claim]) -> None:
        self._file.ask(lambda store: store.renew(claims, self._clock() + self._lease))

    def _walked(self, way: _Way) -> Kept | None:
        answer: object = None
        try:
            while True:
                step = way.send(answer)
                answer = self._file.ask(step.work) if isinstance(step, _Ask) else _waited(step)
        except StopIteration as end:
            return end.value

    async def _awalked(self, way: _Way) -> Kept | None:
        answer: object = None
        try:
            while True:
                step = way.send(answer)
                answer = await (self._file.aask(step.work) if isinstance(step, _Ask) else _awaited(step))
        except StopIteration as end:
            return end.value


def open_calls(settings: Settings) -> CallCache | None:
    """Return the cache of the settings' tenant; None where it is switched off. Opens nothing yet."""
    ours = settings.cache
    if not ours.enabled:
        return None
    path = settings.tenant_dir / CALLS_FILE
    age = ours.calls_max_age_hours * 3_600
    return CallCache(path, max_bytes=ours.calls_max_mb * 1e6, max_age_seconds=age, edition=edition())


def clear_calls(settings: Settings) -> int:
    """Drop what is kept for the settings' tenant; return how many values. A file that cannot be read is removed.

    Raises:
        StoreError: the file cannot be removed.
    """
    path = settings.tenant_dir / CALLS_FILE
    if not path.exists():
        return 0
    try:
        store = CallStore(path, max_bytes=0, max_age_seconds=0)
        try:
            return store.clear()
        finally:
            store.close()
    except StoreError:
        unlink(path)
        return 0


def edition() -> str:
    """Return a name for the code that calls come from: sizes and times of the files of the two lower floors."""
    house = Path(__file__).parents[2]
    files = sorted(path for floor in _FLOORS for path in (house / floor).rglob("*.py"))
    stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return sha256(repr(stamps).encode()).hexdigest()


def _waited(step: _Wait) -> Landing | None:
    if step.leader is None:
        time.sleep(step.seconds)
        return None
    try:
        return step.leader.landed.result(step.seconds)
    except TimeoutError:
        return None


async def _awaited(step: _Wait) -> Landing | None:
    try:
        async with asyncio.timeout(step.seconds):
            return await (asyncio.sleep(step.seconds) if step.leader is None else awaited(step.leader.landed))
    except TimeoutError:
        return None


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
