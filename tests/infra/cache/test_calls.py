"""The cache of calls: equal work is done once, now and ever after, and never fails for the sake of the cache."""

import asyncio
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace

import pytest

from infra.cache.calls import CALLS_FILE, CallCache, clear_calls, edition, open_calls
from infra.cache.calls_file import CallFigures
from infra.settings import load_settings
from tests.infra.cache.calls_world import Words, Work, cache, waited_for_by

WORDS = Words()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tenant" / CALLS_FILE


@pytest.fixture
def calls(path: Path) -> Iterator[CallCache]:
    with cache(path) as opened:
        yield opened


async def aonce(calls: CallCache, work: Work, key: str = "key") -> str:
    return await calls.aonce(key, work.later, WORDS)


async def test_work_is_done_once_for_blocking_and_for_awaiting_askers(calls: CallCache) -> None:
    work = Work("one", "two")
    said = [calls.once("key", work, WORDS), await aonce(calls, work), calls.once("key", work, WORDS)]
    assert (said, work.done) == (["one"] * 3, 1)
    assert calls.once("other", work, WORDS) == "two"


def test_what_is_kept_outlives_the_process_that_made_it(path: Path) -> None:
    work = Work()
    for _ in range(2):
        with cache(path) as opened:
            assert opened.once("key", work, WORDS) == "said"
    assert work.done == 1


async def test_sixty_four_askers_at_once_make_one_call(calls: CallCache) -> None:
    work = Work(held=True)
    askers = [asyncio.create_task(aonce(calls, work)) for _ in range(64)]
    await work.begun.wait()
    work.go.set()
    assert await asyncio.gather(*askers) == ["said"] * 64
    assert work.done == 1


def test_sixty_four_threads_at_once_make_one_call(calls: CallCache) -> None:
    work, together = Work(), Barrier(64)

    def ask(_: int) -> str:
        together.wait(60)
        return calls.once("key", work, WORDS)

    with ThreadPoolExecutor(64) as threads:
        assert list(threads.map(ask, range(64))) == ["said"] * 64
    assert work.done == 1


async def test_a_leader_that_fails_fails_nobody_else(calls: CallCache) -> None:
    work = Work(ValueError("mine"), "said", held=True)
    askers = [asyncio.create_task(aonce(calls, work)) for _ in range(4)]
    await work.begun.wait()
    work.go.set()
    outcomes = await asyncio.gather(*askers, return_exceptions=True)
    assert sorted(map(str, outcomes)) == ["mine", "said", "said", "said"]
    assert calls.once("key", work, WORDS) == "said"


async def test_an_error_is_not_kept(calls: CallCache) -> None:
    work = Work(ValueError("down"), "said")
    with pytest.raises(ValueError, match="down"):
        calls.once("key", work, WORDS)
    assert [calls.once("key", work, WORDS), work.done] == ["said", 2]


async def test_a_leader_that_is_stopped_leaves_its_place_to_one_other(calls: CallCache) -> None:
    first, second = Work(held=True), Work("said", held=True)
    leader = asyncio.create_task(aonce(calls, first))
    await first.begun.wait()
    followers = [asyncio.create_task(aonce(calls, second)) for _ in range(8)]
    await waited_for_by(calls, 8)
    leader.cancel()
    with suppress(asyncio.CancelledError):
        await leader
    await second.begun.wait()
    second.go.set()
    assert await asyncio.gather(*followers) == ["said"] * 8
    assert (first.done, second.done) == (0, 1)


async def test_a_follower_that_is_stopped_stops_nobody_else(calls: CallCache) -> None:
    work = Work(held=True)
    leader, follower = asyncio.create_task(aonce(calls, work)), asyncio.create_task(aonce(calls, work))
    await work.begun.wait()
    follower.cancel()
    work.go.set()
    assert (await leader, work.done) == ("said", 1)


async def test_a_value_that_may_not_be_given_again_is_given_to_nobody_else(calls: CallCache) -> None:
    work = Work("cut 1", "cut 2", "cut 3")
    assert [await aonce(calls, work) for _ in range(3)] == ["cut 1", "cut 2", "cut 3"]


async def test_nobody_waits_longer_than_the_work_may_take(calls: CallCache) -> None:
    held, own = Work(held=True), Work("own")
    leader = asyncio.create_task(aonce(calls, held))
    await held.begun.wait()
    assert await calls.aonce("key", own.later, Words(seconds=0.05)) == "own"
    held.go.set()
    assert await leader == "said"


async def test_a_blocking_asker_in_the_loop_of_an_awaiting_one_does_not_wait_for_it(calls: CallCache) -> None:
    held, own = Work(held=True), Work("own")
    leader = asyncio.create_task(aonce(calls, held))
    await held.begun.wait()
    assert calls.once("key", own, WORDS) == "own"
    held.go.set()
    assert await leader == "said"


def test_what_is_forgotten_is_done_anew(path: Path) -> None:
    work = Work("one", "two")
    for _ in range(2):
        with cache(path) as opened:
            opened.once("key", work, WORDS)
            opened.forget("key")
    assert work.done == 2


def test_the_figures_say_what_was_saved(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.cache.calls.time", SimpleNamespace(perf_counter=count(0.0, 0.5).__next__))
    with cache(path) as opened:
        for _ in range(3):
            opened.once("key", Work(), WORDS)
    with cache(path) as opened:
        figures = opened.figures()["call"]
    size = figures.bytes
    assert figures == CallFigures(2, 1, 200, 40, 1.0, 1, size)
    assert 0 < size < 100


def test_values_of_another_mark_go_when_one_is_kept(path: Path) -> None:
    with cache(path) as opened:
        for key, mark in (("a", "1"), ("b", "1"), ("c", "2")):
            opened.once(key, Work(), Words("search", mark))
        opened.once("d", Work(), WORDS)
    with cache(path) as opened:
        assert {kind: of.entries for kind, of in opened.figures().items()} == {"search": 1, "call": 1}


def test_the_file_is_its_users_alone(calls: CallCache, path: Path) -> None:
    calls.once("key", Work(), WORDS)
    calls.close()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_a_tenant_has_a_file_of_its_own_and_a_switch(data_dir: Path) -> None:
    one, two = (open_calls(load_settings(tenant=name)) for name in ("one", "two"))
    assert one
    assert two
    one.once("key", Work("one"), WORDS)
    assert two.once("key", Work("two"), WORDS) == "two"
    one.close()
    two.close()
    assert sorted(file.relative_to(data_dir).parts[1] for file in data_dir.rglob(CALLS_FILE)) == ["one", "two"]
    assert open_calls(load_settings(cache={"enabled": False})) is None


def test_clearing_a_tenant_leaves_nothing_of_its_replies(data_dir: Path) -> None:
    settings = load_settings()
    opened = open_calls(settings)
    assert opened
    opened.once("key", Work("a secret that is kept"), WORDS)
    opened.close()
    assert (clear_calls(settings), clear_calls(settings)) == (1, 0)
    assert clear_calls(load_settings(tenant="nobody")) == 0


def test_clearing_removes_a_file_that_cannot_be_read(data_dir: Path) -> None:
    settings = load_settings()
    settings.tenant_dir.mkdir(parents=True)
    (settings.tenant_dir / CALLS_FILE).write_bytes(b"nothing" * 1_000)
    assert clear_calls(settings) == 0
    assert not (settings.tenant_dir / CALLS_FILE).exists()


def test_other_code_does_not_answer_for_ours(path: Path) -> None:
    for name in ("one", "two"):
        with cache(path, edition=name) as opened:
            assert opened.once("key", Work(name), WORDS) == name
    assert len(edition()) == 64 == len(edition())


def test_what_is_kept_too_long_is_done_anew(path: Path) -> None:
    now = [1e9]
    work = Work("one", "two")
    for later in (0.0, 59.0, 2.0):
        now[0] += later
        with cache(path, max_age_seconds=60.0, clock=lambda: now[0]) as opened:
            opened.once("key", work, WORDS)
    assert work.done == 2


def test_an_asker_that_is_stopped_in_a_thread_leaves_no_claim(calls: CallCache) -> None:
    with pytest.raises(KeyboardInterrupt):
        calls.once("key", Work(KeyboardInterrupt()), WORDS)
    assert calls.once("key", Work(), WORDS) == "said"
