"""Any order of edits, moves, deletions, kills and restarts leads to exactly the index a fresh build gives.

Fresh builds have plain vectors: what the engine answers is compared with arithmetic. Most steps run on plain vectors,
too, whose disk a kill cuts off at once; the engine itself takes a second to be opened and closed.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from sqlite3 import Connection

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from infra.settings import IngestSettings, load_settings
from infra.store import index as index_module
from infra.store import server as server_module
from infra.store.database import Database
from infra.store.index import Index
from infra.store.vectors import Bm25, EdgeVectors, VectorStore
from tests.tools.library_state import fresh_state, state_of
from tests.tools.plain_vectors import PlainVectors
from tests.tools.words import WordEmbedder
from tools import ingest as door
from tools.ingest import ingest

STEPS = 2_000
NEVER = 10**9
BOUNDS = IngestSettings()
NAMES = st.sampled_from(
    ["one/a.md", "one/b.txt", "one/deep/a.md", "one/deep/c.csv", "two/a.md", "two/a", "two/a/x.txt"]
)
FOLDERS = st.sampled_from(["one", "one/deep", "two", "two/a", "three"])
TEXTS = st.sampled_from(
    [
        b"# Caches\n\nA cache keeps what was read.\n\n## Kinds\n\nExact and semantic ones.\n",
        b"name,price\nsaw,12\nhammer,7\n",
        b"The same words.\n\nThe same words.",
        b"Plain sentence of words.",
        b"\0 no text",
        b"",
    ]
)
GIVEN = st.lists(st.sampled_from(["one", "two", "one/deep", "one/a.md", "three"]), min_size=1, max_size=3, unique=True)


class Killed(BaseException):
    """What ends a process at once."""


class OtherModel(WordEmbedder):
    """The same words under another name, so with vectors of its own."""

    model_id = "words/other"


class Kills:
    """Ends the work at a transaction: before it takes effect or right after; nothing is written from then on."""

    def __init__(self) -> None:
        self.left = NEVER
        self.after = False
        self._transaction = Database.transaction

    @property
    def dead(self) -> bool:
        return self.left < 0

    @contextmanager
    def transaction(self, database: Database) -> Generator[Connection]:
        if self.dead:
            raise Killed
        self.left -= 1
        due = self.dead
        with self._transaction(database) as change:
            yield change
            if due and not self.after:
                raise Killed
        if due:
            raise Killed


class MortalVectors(PlainVectors):
    """A dead process writes nothing."""

    kills = Kills()

    def flush(self) -> None:
        if self.kills.dead:
            raise Killed
        super().flush()


class Ingestions(RuleBasedStateMachine):
    """Files that change, and an index that is brought up to date now and then."""

    steps = 0
    compared = 0
    vectors: Callable[[Path, int, Bm25], VectorStore] = MortalVectors

    @initialize()
    def start(self) -> None:
        self.home = Path(tempfile.mkdtemp())
        self.docs = self.home / "docs"
        self.clock = 10**18
        self.embedder: WordEmbedder = WordEmbedder()
        self.fresh = 0
        self.patch = pytest.MonkeyPatch()
        self.kills = MortalVectors.kills
        self.kills.left = NEVER
        self.patch.setattr(Database, "transaction", lambda database: self.kills.transaction(database))
        self.patch.setattr(server_module, "BEAT_SECONDS", 0.02)  # what closing may wait for
        for name in ("one", "two", "three"):
            (self.docs / name).mkdir(parents=True)
        self.index = self.opened()

    def opened(self) -> Index:
        self.patch.setattr(index_module, "open_edge", self.vectors)
        return Index.open(load_settings(data_dir=self.home / "data"), self.embedder)

    @rule(name=NAMES, text=TEXTS)
    def write(self, name: str, text: bytes) -> None:
        self.put(self.docs / name, text)

    @rule(name=NAMES, place=st.sampled_from([0, 20, -1]))
    def edit(self, name: str, place: int) -> None:
        path = self.docs / name
        if path.is_file():
            text = path.read_bytes()
            self.put(path, text[:place] + b" An edit. " + text[place:])

    @rule(name=NAMES | FOLDERS, to=NAMES)
    def move(self, name: str, to: str) -> None:
        source, target = self.docs / name, self.docs / to
        if source.exists() and not target.is_relative_to(source) and not source.is_relative_to(target):
            self.make_room(target)
            if source.exists():
                source.rename(target)

    @rule(name=NAMES, to=NAMES)
    def copy(self, name: str, to: str) -> None:
        if (self.docs / name).is_file() and name != to:
            self.put(self.docs / to, (self.docs / name).read_bytes())

    @rule(name=NAMES, to=NAMES)
    def link(self, name: str, to: str) -> None:
        target = self.docs / to
        self.make_room(target)
        target.symlink_to(self.docs / name)

    @rule(name=NAMES | FOLDERS)
    def delete(self, name: str) -> None:
        self.remove(self.docs / name)

    @rule(name=NAMES, recent=st.booleans())
    def touch(self, name: str, recent: bool) -> None:
        if (self.docs / name).is_file():
            os.utime(self.docs / name, ns=(0, time.time_ns() if recent else self.tick()))

    @rule(given=GIVEN, prune=st.booleans())
    def ingest(self, given: list[str], prune: bool) -> None:
        if paths := self.there(given):
            ingest(self.index, self.embedder, paths, settings=BOUNDS, prune=prune)

    @rule(given=GIVEN, at=st.integers(0, 12), after=st.booleans())
    def ingest_and_be_killed(self, given: list[str], at: int, after: bool) -> None:
        self.kills.left, self.kills.after = at, after
        try:
            self.ingest(given, prune=False)
            self.index.close()
        except Killed:
            with suppress(Killed):
                self.index.close()
            self.index._database.close()
        self.kills.left = NEVER
        self.index = self.opened()

    @rule(version=st.sampled_from(["first", "second"]))
    def another_splitter(self, version: str) -> None:
        self.patch.setattr(door, "VERSION", version)

    @rule(model=st.sampled_from([WordEmbedder, OtherModel]))
    def restart(self, model: type[WordEmbedder]) -> None:
        self.index.close()
        self.embedder = model()
        self.index = self.opened()

    @rule()
    def compare(self) -> None:
        paths = self.there(["one", "two", "three"])
        if not paths:
            return
        ingest(self.index, self.embedder, paths, settings=BOUNDS, prune=True)
        self.fresh += 1
        self.patch.setattr(index_module, "open_edge", PlainVectors)
        expected = fresh_state(self.home / f"fresh-{self.fresh}", self.embedder, paths)
        assert state_of(self.index, self.embedder) == expected
        Ingestions.compared += 1

    @invariant()
    def count(self) -> None:
        Ingestions.steps += 1

    def teardown(self) -> None:
        if hasattr(self, "index"):
            self.compare()
            self.index.close()
            self.patch.undo()
            shutil.rmtree(self.home)

    def there(self, names: list[str]) -> list[Path]:
        return [self.docs / name for name in names if (self.docs / name).exists()]

    def tick(self) -> int:
        self.clock += 10**9
        return self.clock

    def put(self, path: Path, text: bytes) -> None:
        self.make_room(path)
        path.write_bytes(text)
        os.utime(path, ns=(0, self.tick()))

    def make_room(self, path: Path) -> None:
        for folder in [*reversed(path.relative_to(self.docs).parents)][1:]:
            if (self.docs / folder).is_symlink() or (self.docs / folder).is_file():
                (self.docs / folder).unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.remove(path)

    def remove(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.is_symlink() or path.exists():
            path.unlink()


class EngineIngestions(Ingestions):
    """The same on the engine; what was not flushed when the work was killed may be there or not."""

    vectors = EdgeVectors


def test_any_order_of_changes_leads_to_what_a_fresh_build_gives() -> None:
    run_state_machine_as_test(Ingestions, settings=settings(max_examples=8, stateful_step_count=15))


@pytest.mark.prove
def test_two_hundred_steps_on_the_engine_lead_to_what_a_fresh_build_gives() -> None:
    run_state_machine_as_test(EngineIngestions, settings=settings(max_examples=8, stateful_step_count=25))


@pytest.mark.prove
def test_two_thousand_steps_in_any_order_lead_to_what_a_fresh_build_gives() -> None:
    Ingestions.steps = Ingestions.compared = 0
    run_state_machine_as_test(Ingestions, settings=settings(max_examples=50, stateful_step_count=50))
    assert Ingestions.steps >= STEPS
    assert Ingestions.compared >= STEPS / 20
