"""Processes share an index; whichever of them is killed, the others go on, and nothing acknowledged is lost."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest

from infra.settings import load_settings
from infra.store.index import Index, tenant_folder
from tests.infra.store import sharing_process
from tests.infra.store.samples import ROOT, CountingEmbedder, entry, snapshot

KILLS = 20
WORKERS = 3
PATIENCE = 120


class Worker:
    """A running ``sharing_process``, and what it said last about each of its documents."""

    def __init__(self, data_dir: Path, name: str) -> None:
        self.name = name
        self.acknowledged: dict[str, int] = {}
        self.heard: list[dict[str, Any]] = []
        self.said: Queue[dict[str, Any]] = Queue()
        command = [sys.executable, sharing_process.__file__, str(data_dir), name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reading = Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = json.loads(line)
            if "path" in said:
                self.acknowledged[said["path"]] = said["number"]
            self.heard.append(said)
            self.said.put(said)

    def works(self, changes: int) -> None:
        """Wait until it has acknowledged so many changes more."""
        while changes:
            changes -= "path" in self.said.get(timeout=PATIENCE)

    def end(self, *, kill: bool = False) -> None:
        """Let it finish, or kill it."""
        if kill:
            self.process.kill()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=PATIENCE)
        self._reading.join()
        self.process.stdout.close()
        assert not any("wrong" in said for said in self.heard), self.heard[-1]
        assert kill or (self.process.returncode, self.heard[-1]) == (0, {"closed": True})


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    """Processes that are ended with the test."""
    started: list[Worker] = []
    yield started
    for worker in started:
        if worker.process.poll() is None:
            worker.end(kill=True)


def owner(data_dir: Path) -> int:
    """The process that owns the index; 0 while nobody says so."""
    try:
        return json.loads((tenant_folder(load_settings(data_dir=data_dir)) / "owner.json").read_text())["pid"]
    except (OSError, ValueError):
        return 0


def test_a_second_process_asks_and_ingests_while_the_first_owns(data_dir: Path, workers: list[Worker]) -> None:
    with Index.open(load_settings(data_dir=data_dir), CountingEmbedder()) as index:
        workers.append(Worker(data_dir, "other"))
        workers[0].works(6)
        assert index.owns
        index.change([entry(f"{ROOT}/mine.md", "dogs bark")])
        workers[0].end()
        assert workers[0].heard[0] == {"opened": True, "owns": False}
        number = workers[0].acknowledged[f"{ROOT}/other-1.md"]
        assert len(index.sparse([sharing_process.word("other", number)], 9)) == 1


def test_the_second_process_goes_on_when_the_first_is_killed(data_dir: Path, workers: list[Worker]) -> None:
    workers.append(Worker(data_dir, "first"))
    workers[0].works(2)
    with Index.open(load_settings(data_dir=data_dir), CountingEmbedder()) as index:
        assert not index.owns
        workers[0].end(kill=True)
        index.change([entry(f"{ROOT}/mine.md", "dogs bark")])
        assert index.owns
        number = workers[0].acknowledged[f"{ROOT}/first-1.md"]
        assert len(index.sparse([sharing_process.word("first", number)], 9)) == 1


@pytest.mark.prove
def test_nothing_acknowledged_is_lost_whoever_is_killed(data_dir: Path, workers: list[Worker]) -> None:
    chance = random.Random(5)
    names = iter(f"w{n}" for n in range(1_000))
    workers += [Worker(data_dir, next(names)) for _ in range(WORKERS)]
    owners_killed = 0
    for _ in range(KILLS):
        running = [worker for worker in workers if worker.process.poll() is None]
        assert len(running) == WORKERS, "a process ended by itself"
        running[-1].works(chance.randint(1, 6))
        pid = owner(data_dir)
        victim = next((w for w in running if w.process.pid == pid and chance.random() < 0.8), chance.choice(running))
        owners_killed += victim.process.pid == pid
        os.kill(victim.process.pid, signal.SIGKILL)
        victim.end(kill=True)
        workers.append(Worker(data_dir, next(names)))
    assert owners_killed > KILLS // 2
    for worker in workers[-WORKERS:]:
        worker.works(1)
    for worker in workers:
        if worker.process.poll() is None:
            worker.end()

    embedder = CountingEmbedder()
    with Index.open(load_settings(data_dir=data_dir), embedder) as index:
        index.library.set_roots([ROOT])
        stored = {document.path: index.text_of(document.id) for document in index.documents()}
        for worker in workers:
            for path, number in worker.acknowledged.items():
                version = int(stored[path].split()[0].partition("v")[2])
                assert version >= number, f"{path}: {stored[path]!r}, acknowledged: {number}"
        shown = snapshot(index, embedder)
    with Index.open(load_settings(data_dir=data_dir / "fresh"), embedder) as fresh:
        fresh.library.set_roots([ROOT])
        fresh.change([entry(path, text) for path, text in stored.items()])
        assert _words(snapshot(fresh, embedder)) == _words(shown)


def _words(shown: tuple[object, ...]) -> tuple[object, ...]:
    """A snapshot without the nearest by meaning: of equally near ones any may be among the hundred."""
    return (*shown[:3], *shown[4:])
