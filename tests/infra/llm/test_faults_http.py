"""Faults over HTTP: what can pass is recovered, what cannot is not tried again, and nothing hangs."""

import asyncio
import gc
import random
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from infra.errors import BackendError
from infra.llm.budget import Budget, Limits
from infra.llm.guard import GuardedChat
from infra.llm.ledger import Call, Ledger, Scope
from tests.infra.llm.bench import BACKEND, chat_of, desk, look
from tests.infra.llm.faulty import KINDS, LASTING, PASSING, WORDS, Faulty

pytestmark = pytest.mark.usefixtures("patient")

SECONDS = 1.5  # for the first word, and for a silence
TOTAL = 2.5
SLACK = 3.0  # of a busy machine; a server that hangs does so for 30 s
TRIES = 3
CALLS = {
    "connect_seconds": 5,
    "first_token_seconds": SECONDS,
    "stall_seconds": SECONDS,
    "total_seconds": TOTAL,
    "breaker_failures": 100,
}
THREADS = ThreadPoolExecutor(64)
Way = Callable[[GuardedChat, str], Coroutine[Any, Any, str]]


async def _in_thread(call: Callable[[], Any]) -> Any:
    """Run a blocking call in a thread of its own: waiting calls must not keep others from asyncio's few."""
    return await asyncio.wrap_future(THREADS.submit(call))


async def _streamed(chat: GuardedChat, name: str) -> str:
    return "".join([piece.text async for piece in chat.astream(name)])


async def _with_tools(chat: GuardedChat, name: str) -> str:
    vendor: Any = chat
    reply: AIMessage = await vendor.bind_tools([look]).ainvoke(name)
    return reply.text


async def _blocking_with_tools(chat: GuardedChat, name: str) -> str:
    vendor: Any = chat
    reply: AIMessage = await _in_thread(lambda: vendor.bind_tools([look]).invoke(name))
    return reply.text


async def _asked(chat: GuardedChat, name: str) -> str:
    return (await chat.ainvoke(name)).text


async def _blocking(chat: GuardedChat, name: str) -> str:
    return (await _in_thread(lambda: chat.invoke(name))).text


async def _blocking_streamed(chat: GuardedChat, name: str) -> str:
    return await _in_thread(lambda: "".join(piece.text for piece in chat.stream(name)))


WAYS: dict[str, Way] = {
    "ainvoke": _asked,
    "astream": _streamed,
    "ainvoke with tools": _with_tools,
    "invoke": _blocking,
    "stream": _blocking_streamed,
    "invoke with tools": _blocking_with_tools,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one call."""

    faults: tuple[str, ...]
    way: str
    reply: str | BackendError
    seconds: float
    requests: int
    entry: Call


Plan = dict[str, tuple[tuple[str, ...], str]]
"""Calls by name: the faults that each meets, and the way it is made."""


async def _run(plan: Plan, at_once: int) -> dict[str, Outcome]:
    """Make every planned call, so many at once."""
    turn, ledger = asyncio.Semaphore(at_once), Ledger(max_questions=10_000)
    with Faulty({name: faults for name, (faults, _) in plan.items()}).serving() as server:
        backend = replace(BACKEND, base_url=server.url)
        shared = desk(server.transports, backend, ledger=ledger, budget=Budget(Limits()), calls=CALLS)

        async def make(name: str) -> Outcome:
            faults, way = plan[name]
            async with turn:
                began = time.perf_counter()
                reply: str | BackendError
                try:
                    reply = await WAYS[way](chat.scoped(Scope(name, "", "a")), name)
                except BackendError as error:
                    reply = error
                seconds = time.perf_counter() - began
            (entry,) = ledger.calls(name)
            return Outcome(faults, way, reply, seconds, server.requests[name], entry)

        async with chat_of(shared) as chat:
            return dict(zip(plan, await asyncio.gather(*(make(name) for name in plan)), strict=True))


def _drawn(number: int, seed: int) -> Plan:
    """Draw so many calls: each try meets a fault in a fifth of the cases, and a tenth of the calls a lasting one."""
    draw = random.Random(seed)
    plan: Plan = {}
    for n in range(number):
        faults: list[str] = []
        while len(faults) < TRIES and draw.random() < 0.2:
            faults.append(draw.choice([*PASSING, "refuse"]))
        if draw.random() < 0.1:
            faults.append(draw.choice(list(LASTING)))
        plan[f"call {n}"] = tuple(faults), draw.choice(list(WAYS))
    return plan


def _met(faults: tuple[str, ...]) -> list[str]:
    """Return the faults that a call meets: up to a lasting one, in three tries at most."""
    lasting = next((n for n, fault in enumerate(faults) if fault in LASTING), TRIES)
    return list(faults[: min(lasting + 1, TRIES)])


def _check(outcome: Outcome) -> None:
    met, entry = _met(outcome.faults), outcome.entry
    fails = len(met) == TRIES or any(fault in LASTING for fault in met)
    assert isinstance(outcome.reply, BackendError if fails else str), outcome
    assert fails or outcome.reply == "".join(WORDS)
    assert outcome.requests == entry.tries == len(met) + (not fails), outcome
    for fault, attempt in zip(met, entry.attempts, strict=False):
        assert attempt.failure is not None, outcome
        assert attempt.failure in KINDS[fault], outcome
        assert attempt.error
        assert attempt.seconds < TOTAL + SLACK, outcome
    assert entry.outcome == ("failed" if fails else "ok")
    assert outcome.seconds < TRIES * TOTAL + SLACK, outcome


def _patience(fault: str, way: str) -> str:
    """Return how the ledger tells that patience ended, and which; empty for other faults.

    An awaiting caller waits for words, a blocking one for bytes; what comes in one piece has the total only.
    """
    if KINDS[fault] != "timeout":
        return ""
    if "tools" in way or (fault in ("drip", "trickled head") and way in ("invoke", "stream")):
        return f"not done after {TOTAL:g} s"
    return f"{'silent for' if fault == 'stall in the middle' else 'no word within'} {SECONDS:g} s"


def _recovered(outcomes: dict[str, Outcome]) -> float:
    """Return the share of recovered calls among those that met only faults that can pass."""
    hit = [o for o in outcomes.values() if o.faults and not any(fault in LASTING for fault in o.faults)]
    return sum(isinstance(o.reply, str) for o in hit) / len(hit)


async def test_over_nine_in_ten_of_what_can_pass_is_recovered_and_what_lasts_is_asked_once() -> None:
    outcomes = await _run(_drawn(300, seed=3), at_once=24)
    for outcome in outcomes.values():
        _check(outcome)
    assert _recovered(outcomes) > 0.9
    lasting = [o for o in outcomes.values() if o.faults and o.faults[0] in LASTING]
    assert len(lasting) > 10
    assert all(o.requests == 1 for o in lasting)


async def test_each_fault_is_survived_or_said_at_once_in_every_way_of_calling() -> None:
    faults = [*PASSING, "refuse", *LASTING]
    outcomes = await _run({f"{fault}, {way}": ((fault,), way) for fault in faults for way in WAYS}, at_once=24)
    for outcome in outcomes.values():
        _check(outcome)
        assert _patience(outcome.faults[0], outcome.way) in outcome.entry.attempts[0].error, outcome
    assert {o.faults[0] for o in outcomes.values() if isinstance(o.reply, str)} == {*PASSING, "refuse"}


async def test_nothing_that_reads_an_answer_is_left_to_the_garbage_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may run in any thread, and would end a generator that its loop is ending (`already executing`)."""
    loops: Any = asyncio.BaseEventLoop
    ended, collecting, left = loops._asyncgen_finalizer_hook, False, list[str]()

    def noted(loop: asyncio.AbstractEventLoop, generator: Any) -> None:
        if collecting:
            left.append(generator.__qualname__)
        ended(loop, generator)

    monkeypatch.setattr(loops, "_asyncgen_finalizer_hook", noted)
    faults = ["error event", "cut in the middle", "503", "400", "wrong content type", "10 MB", "compressed"]
    gc.collect()
    gc.disable()
    try:
        outcomes = await _run({f"{fault}, {way}": ((fault,), way) for fault in faults for way in WAYS}, at_once=4)
        assert len(outcomes) == len(faults) * len(WAYS)
        outcomes.clear()
        collecting = True
        gc.collect()
    finally:
        gc.enable()
    assert left == []


@pytest.mark.prove
async def test_a_long_run_of_faults() -> None:
    outcomes = await _run(_drawn(5_000, seed=11), at_once=24)
    for outcome in outcomes.values():
        _check(outcome)
    assert _recovered(outcomes) > 0.9
