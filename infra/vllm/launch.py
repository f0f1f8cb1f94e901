"""One vLLM server from its start to its end: what is told on the way, and how it ended.

Gives `follow`. It hears the log (in the reader's thread), tells each phase of the start-up once, asks ``/health`` when
the port is opened (now and then before, as a log may be silent), and waits. A server that said that its engine failed
but does not end by itself is waited for no longer than `STUCK_SECONDS`; one that does not come up in time is given up.
Ending it is left to the caller, also after a Ctrl-C, which passes through.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Literal

from infra.vllm.child import Child
from infra.vllm.failures import Diagnosis, FailureWatch
from infra.vllm.startup import WORDS, Figures, Phase, Startup

STUCK_SECONDS = 30.0
STEP_SECONDS = 0.2
HEALTH_EVERY_SECONDS = 1.0
UNTOLD_SECONDS = 10.0
"""How often ``/health`` is asked before the log says that the port is open: with less of a log it never says so."""

How = Literal["ended", "stuck", "late"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a server ended.

    Attributes:
        how: it ended by itself; its engine failed and it did not end; it did not come up in time.
        code: of its first process, negative for a signal; None while that runs.
        was_up: whether it had answered.
        phase: the last phase of its start-up.
        seconds: from its start.
    """

    how: How
    code: int | None
    was_up: bool
    phase: Phase
    seconds: float


class Ear:
    """Hears the log, line by line, in whichever thread reads it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._startup = Startup()
        self._watch = FailureWatch()
        self._begun: SimpleQueue[Phase] = SimpleQueue()
        self._failed_at: float | None = None

    def __call__(self, line: str) -> None:
        """Take one line."""
        with self._lock:
            phase = self._startup.feed(line)
            if phase == "up":  # what looked like a failure before was none
                self._watch, self._failed_at = FailureWatch(), None
            if self._watch.feed(line, self._startup.phase) and self._failed_at is None:
                self._failed_at = self._clock()
        if phase is not None:
            self._begun.put(phase)

    def begun(self, seconds: float) -> Phase | None:
        """Return the next phase that has begun, waiting so long for one."""
        try:
            return self._begun.get(timeout=seconds)
        except Empty:
            return None

    @property
    def phase(self) -> Phase:
        """Where the start-up is."""
        with self._lock:
            return self._startup.phase

    @property
    def figures(self) -> Figures:
        """What the log said so far."""
        with self._lock:
            return self._startup.figures

    @property
    def failed_at(self) -> float | None:
        """When the log first said that the engine had failed."""
        with self._lock:
            return self._failed_at

    def diagnosis(self, log: str) -> Diagnosis:
        """Return what went wrong; see `FailureWatch.diagnosis`."""
        with self._lock:
            return self._watch.diagnosis(log)


def follow(
    child: Child,
    ear: Ear,
    healthy: Callable[[], bool],
    say: Callable[[Phase, str], None],
    limit_seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Ended:
    """Follow a server until it ends, or until there is no use in waiting.

    Args:
        child: the server; it is not ended here.
        ear: what its reader tells.
        healthy: asks ``/health``, in a second or two at most.
        say: told of each phase as it begins, with its progress line.
        limit_seconds: time until it must answer.
        clock: seconds that only grow.
    """
    began, up, asked = clock(), False, 0.0
    while True:
        phase = ear.begun(STEP_SECONDS)
        now = clock() - began
        if phase is not None and phase != "up":
            say(phase, progress(phase, now, ear.figures))
        code = child.code()
        if code is not None:
            return Ended("ended", code, up, ear.phase, now)
        every = HEALTH_EVERY_SECONDS if ear.phase in ("server", "up") else UNTOLD_SECONDS
        if not up and now - asked >= every:
            asked, up = now, healthy()
            if up:
                say("up", progress("up", now, ear.figures))
        failed = ear.failed_at
        if failed is not None and not up and clock() - failed > STUCK_SECONDS:
            return Ended("stuck", None, up, ear.phase, now)
        if not up and now > limit_seconds:
            return Ended("late", None, up, ear.phase, now)


def progress(phase: Phase, seconds: float, figures: Figures) -> str:
    """Return the line that tells that a phase has begun."""
    told = figures.told(phase)
    return f"{seconds:7.1f} s  {WORDS[phase]}{f': {told}' if told else ''}"
