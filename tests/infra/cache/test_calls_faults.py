"""The cache of calls where things break: a file that fails costs no answer, and a killed process holds nobody up."""

import asyncio
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex
from subprocess import PIPE, Popen
from time import monotonic

import pytest

from infra.cache.calls import CALLS_FILE, CallCache
from infra.cache.calls_store import CallStore
from infra.store.database import Database
from tests.infra.cache.calls_world import LEASE_SECONDS, Words, Work, cache, waited_for_by

WORDS = Words()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tenant" / CALLS_FILE


async def aonce(calls: CallCache, work: Work, key: str = "key") -> str:
    return await calls.aonce(key, work.later, WORDS)


def test_a_file_that_is_no_database_is_said_once_and_costs_no_answer(path: Path, logged: list[str]) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 100)
    with cache(path) as opened:
        work = Work()
        assert [opened.once(f"{n}", work, WORDS) for n in range(5)] == ["said"] * 5
    assert len(logged) == 1
    assert logged[0].startswith(f"no calls are taken from the cache: the database {path} failed: file is not a data")
    assert logged[0].endswith(f"; remove {path}, or set DOCMIND_CACHE__ENABLED=false")


async def test_equal_work_at_once_is_done_once_without_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    work = Work(held=True)
    with cache(tmp_path / "file" / CALLS_FILE) as opened:
        askers = [asyncio.create_task(aonce(opened, work)) for _ in range(8)]
        await work.begun.wait()
        await waited_for_by(opened, 7)
        work.go.set()
        assert await asyncio.gather(*askers) == ["said"] * 8
    assert work.done == 1


def test_a_file_that_was_broken_under_us_costs_no_answer(path: Path, logged: list[str]) -> None:
    with cache(path) as opened:
        opened.once("key", Work("one"), WORDS)
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 40_960)
    with cache(path) as opened:
        assert opened.once("key", Work("two"), WORDS) in ("one", "two")
        assert opened.once("other", Work("three"), WORDS) == "three"
    assert len(logged) == 1


def test_a_damaged_value_is_made_anew_and_mended(path: Path) -> None:
    with cache(path) as opened:
        opened.once("key", Work("one"), WORDS)
    database = Database(path, "")
    with database.transaction() as change:
        change.execute("UPDATE entries SET value = x'789c00'")
    database.close()
    work = Work("two")
    for _ in range(2):
        with cache(path) as opened:
            assert opened.once("key", work, WORDS) == "two"
    assert work.done == 1


def test_a_full_disk_costs_no_answer(path: Path, logged: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    CallStore(path, max_bytes=1e9, max_age_seconds=60).close()

    def full(execute: Callable[[str], object]) -> None:
        execute("PRAGMA max_page_count=1")  # no page more than there are

    monkeypatch.setattr("infra.cache.calls_store._patience", full)
    texts = [token_hex(9_000) for _ in range(20)]
    with cache(path) as opened:
        assert [opened.once(text, Work(text), WORDS) for text in texts] == texts
    assert [line.partition("failed: ")[2].partition(";")[0] for line in logged] == ["database or disk is full"]


def test_a_folder_that_cannot_be_written_costs_no_answer(tmp_path: Path, logged: list[str]) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with cache(tmp_path / "file" / CALLS_FILE) as opened:
        assert opened.once("key", Work(), WORDS) == "said"
    assert len(logged) == 1


def test_work_goes_on_after_closing(path: Path) -> None:
    with cache(path) as opened:
        opened.once("key", Work("one"), WORDS)
    work = Work("two")
    assert [opened.once("key", work, WORDS) for _ in range(2)] == ["two"] * 2
    opened.close()


def _process(path: Path, says: str, lease_seconds: float = LEASE_SECONDS) -> "Popen[str]":
    """Start a process that does the work of a key until it is told to go on; returns when it has begun."""
    command = [sys.executable, "-m", "tests.infra.cache.calls_world", str(path), says, str(lease_seconds)]
    process = Popen(command, stdin=PIPE, stdout=PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "began\n"
    return process


def test_two_processes_make_one_call(path: Path) -> None:
    process = _process(path, "theirs", lease_seconds=600)  # it does not lapse though its process may be stopped
    with cache(path) as opened, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(opened.once, "key", Work("ours"), Words(seconds=60))
        process.communicate("go\n", timeout=60)
        assert waiting.result(60) == "theirs"


def test_the_claim_of_a_killed_process_lapses(path: Path) -> None:
    process = _process(path, "theirs")
    process.kill()
    process.communicate(timeout=30)
    with cache(path) as opened:
        assert opened.once("key", Work("ours"), WORDS) == "ours"
        assert opened.once("key", Work("never"), WORDS) == "ours"


def test_a_claim_is_renewed_while_its_work_is_done(path: Path) -> None:
    process, database, late = _process(path, "theirs"), Database(path, ""), monotonic() + 60
    ((holder, lapses),) = database.rows("SELECT holder, until FROM claims")
    while database.rows("SELECT holder FROM claims WHERE until > ?", (lapses,)) != [(holder,)]:
        assert monotonic() < late
        os.sched_yield()
    with cache(path, clock=lambda: lapses) as opened:  # the moment at which it would have lapsed
        assert opened.once("key", Work("own"), Words(seconds=0.05)) == "own"
    assert database.rows("SELECT holder FROM claims") == [(holder,)]
    database.close()
    process.communicate("go\n", timeout=60)
