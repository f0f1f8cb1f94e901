"""Many ask at once, in threads and in several processes, while documents change: nothing wrong, nothing stuck."""

import sys
from pathlib import Path
from subprocess import PIPE, Popen
from time import monotonic

import pytest

from tests.infra.cache.asker import note
from tests.infra.cache.house import Tenant, answer_of, found, quick

SECONDS = 150.0
"""Nobody takes longer, whatever else the machine does; a minute is usual on two busy processors."""


def start(home: Path, askers: int, rounds: int) -> "Popen[str]":
    command = [sys.executable, "-m", "tests.infra.cache.asker", str(home), str(askers), str(rounds)]
    process = Popen(command, stdin=PIPE, stdout=PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def say(running: "list[Popen[str]]", word: str) -> None:
    for process in running:
        assert process.stdin
        process.stdin.write(f"{word}\n")
        process.stdin.flush()


def write(one: Tenant, version: int) -> None:
    note(one.home, "begun", version)
    one.write("cats.md", f"Cats sleep {version} hours.\n")
    note(one.home, "whole", version)


@pytest.mark.parametrize(
    ("processes", "askers", "rounds", "versions"),
    [(2, 32, 2, 3), pytest.param(3, 64, 12, 12, marks=pytest.mark.prove)],
)
def test_nothing_stale_is_served_to_many_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int, askers: int, rounds: int, versions: int
) -> None:
    quick(monkeypatch)
    began = monotonic()
    one = Tenant(tmp_path)
    write(one, 1)
    running = [start(tmp_path, askers, rounds) for _ in range(processes)]
    try:
        say(running, "go")
        for version in range(2, versions + 1):
            write(one, version)
        say(running, "again")
        ended = [process.communicate(timeout=SECONDS)[0].split() for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0] * processes
    hits, wrong, off, made = (sum(int(of[place]) for of in ended) for place in range(4))
    assert (wrong, off) == (0, 0)
    assert hits > 0
    # one call for each question and state of the documents, made once for all processes; while a document goes, what is
    # kept of calls goes, so that a few are made twice
    assert made <= 2 * 4 * versions
    assert monotonic() - began < SECONDS
    for number in range(4):
        question = f"How long do cats sleep {number}"
        assert one.answered(question) in {None, answer_of(found(one.index, question))}
    one.close()
