"""An ingestion killed at 50 random moments loses nothing it acknowledged, and the next run gives a fresh build's index.

The model is one of words, so that the rest of the work is what is hit. The command with its own model is killed in
``test_ingest_door``.
"""

import json
import multiprocessing
import os
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from infra.settings import IngestSettings, load_settings
from infra.store.index import Index
from infra.store.roots import scope_id
from tests.tools.library_state import fresh_state, state_of
from tests.tools.words import WordEmbedder
from tools import ingest_work
from tools.ingest import ingest

pytestmark = pytest.mark.prove

KILLS = 50
FILES = 60
WORDS = ["mill", "river", "bakery", "loaves", "curtain", "window", "engine", "guard", "token", "cache", "Ann", "Bob"]


def write_documents(folder: Path, version: int) -> None:
    """Write 60 small documents, of which each version changes a third, leaves one out and calls one otherwise."""
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    for n in range(FILES):
        chance = random.Random(f"{n}-{version if n % 3 == version % 3 else 0}")
        lines = [" ".join(chance.choices(WORDS, k=12)).capitalize() + "." for _ in range(20)]
        name = f"moved-{version}.txt" if n == 1 else f"{n:02d}.txt"
        if n != 5 + version % 7:
            (folder / name).write_text("\n".join(lines), encoding="utf-8")


def work(data: Path, documents: Path, told: Path) -> None:
    """Ingest in small groups; note in ``told`` when the work begins and each change once it is acknowledged."""
    pytest.MonkeyPatch().setattr(ingest_work, "GROUP_WINDOWS", 24)
    change: Callable[..., None] = Index.change

    def noted(index: Index, entries: Any, removed: Any = ()) -> None:
        change(index, entries, removed)
        tell({"stored": {e.document.id: e.document.digest for e in entries}, "removed": list(removed)})

    def tell(what: object) -> None:
        os.write(notes, f"{json.dumps(what)}\n".encode())

    notes = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    pytest.MonkeyPatch().setattr(Index, "change", noted)
    tell("begun")
    with Index.open(load_settings(data_dir=data), WordEmbedder()) as index:
        ingest(index, WordEmbedder(), [documents], settings=IngestSettings())
    tell("ended")


class Killer:
    """Starts ingestions and kills them.

    Attributes:
        possible: by document what may be stored of it: the digest acknowledged last or any that its file had since;
            None for no document.
        amid: how many were killed after their first change was acknowledged.
    """

    def __init__(self, data: Path, documents: Path) -> None:
        self.given = (data, documents)
        self.notes = data.parent / "notes"
        # a process of its own that has imported everything and forks: an ingestion begins at once
        self.start_in = multiprocessing.get_context("forkserver")
        self.start_in.set_forkserver_preload(["tools.ingest_work", "tests.tools.test_ingest_kills"])
        self.possible: dict[str, set[str | None]] = {}
        self.amid = 0

    def started(self) -> BaseProcess:
        current = {scope_id(str(file)): sha256(file.read_bytes()).hexdigest() for file in self.given[1].iterdir()}
        for document, digests in self.possible.items():
            digests.add(current.get(document))
        self.notes.write_bytes(b"")
        process = self.start_in.Process(target=work, args=(*self.given, self.notes))
        process.start()
        until = time.monotonic() + 60
        while not self.notes.stat().st_size:
            assert time.monotonic() < until
            time.sleep(0.002)
        return process

    def seconds(self) -> float:
        """How long an ingestion takes that nobody kills."""
        process = self.started()
        began = time.monotonic()
        process.join(60)
        assert process.exitcode == 0
        self.note()
        return time.monotonic() - began

    def kill(self, seconds: float) -> bool:
        """Kill an ingestion after ``seconds`` of work; whether it was still at work."""
        process = self.started()
        time.sleep(seconds)
        process.kill()
        process.join(60)
        noted = self.note()
        self.amid += noted > 0
        return process.exitcode != 0

    def note(self) -> int:
        """Take in what was acknowledged; return how many changes."""
        # what stands after the last line's end was being written
        lines = [json.loads(line) for line in self.notes.read_text().split("\n")[:-1]]
        changes = [what for what in lines if isinstance(what, dict)]
        for what in changes:
            told: dict[str, str | None] = dict.fromkeys(what["removed"]) | what["stored"]
            self.possible |= {document: {digest} for document, digest in told.items()}
        return len(changes)

    def lost(self) -> list[str]:
        """Documents of which something else is stored than what was acknowledged or came after it."""
        library = next(self.given[0].rglob("library.sqlite3"))
        with closing(sqlite3.connect(f"file:{library}?mode=ro", uri=True)) as database:
            stored = dict(database.execute("SELECT id, digest FROM documents"))
        return [document for document, digests in self.possible.items() if stored.get(document) not in digests]


def test_after_fifty_kills_nothing_acknowledged_is_lost_and_the_next_run_equals_a_fresh_build(tmp_path: Path) -> None:
    documents, data = tmp_path / "documents", tmp_path / "data"
    killer = Killer(data, documents)
    chance = random.Random(7)
    write_documents(documents, 0)
    killer.seconds()
    write_documents(documents, 1)
    usual = killer.seconds()
    version, killed = 1, 0
    while killed < KILLS:
        version += 1
        assert version < 3 * KILLS, "too few runs were still at work when they were killed"
        write_documents(documents, version)
        killed += killer.kill(chance.uniform(0, usual))
        assert killer.lost() == []
    assert killer.amid > KILLS // 4

    killer.seconds()
    embedder = WordEmbedder()
    with Index.open(load_settings(data_dir=data), embedder) as index:
        assert state_of(index, embedder) == fresh_state(tmp_path / "fresh", embedder, [documents])
