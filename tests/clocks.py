"""A clock for tests that wait in earnest: it stands still while the machine does.

Gives `patient_clock`. A limit of some tenths of a second is real work for sockets, threads and event loops, and no
machine keeps it always: it may be stopped for seconds, or have other things to do. On this clock a limit is over when
the test's own process had that time to work.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

TICK_SECONDS = 0.01


@contextmanager
def patient_clock(patch: pytest.MonkeyPatch) -> Generator[None]:
    """Have ``time.monotonic`` and ``time.perf_counter``, and so event loops, go on by a tick for each one slept."""
    over, ticks = Event(), 0

    def tick() -> None:
        nonlocal ticks
        while not over.wait(TICK_SECONDS):
            ticks += 1

    begun, counted = time.monotonic(), time.perf_counter()
    thread = Thread(target=tick, daemon=True)
    thread.start()
    try:
        with patch.context() as patched:
            patched.setattr(time, "monotonic", lambda: begun + ticks * TICK_SECONDS)
            patched.setattr(time, "perf_counter", lambda: counted + ticks * TICK_SECONDS)
            yield
    finally:
        over.set()
        thread.join()
