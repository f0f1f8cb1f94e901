"""Whatever goes wrong in the answer cache, questions are answered as without it, and it says so once."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Literal

import pytest

from infra.cache.records import Asked, Kept, Search
from infra.errors import StoreError
from infra.store.index import Index
from tests.infra.cache.house import COST, SameText, Tenant, answer_of, found, quick
from tests.infra.cache.talk import Talker, Way

ROOT = Path(__file__).resolve().parents[3]
QUESTION = "Where do cats sleep?"


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenant]:
    quick(monkeypatch)
    tenant = Tenant(tmp_path)
    tenant.write("cats.md", "Cats sleep all day.\n")
    yield tenant
    tenant.close()


def corrupt(folder: Path) -> None:
    for path in folder.glob("library.sqlite3*"):
        path.unlink()
    (folder / "library.sqlite3").write_bytes(b"no database, " * 1_000)


def test_damaged_files_turn_it_off_with_one_line_and_it_is_made_anew_next_time(one: Tenant, logged: list[str]) -> None:
    one.learn(QUESTION)
    one.close()
    corrupt(one.index.folder / "answers")
    one.open()
    # the same text needs no file but the documents' own
    assert one.answered(QUESTION) is not None
    off = one.ask("Where do cats sleep now?")
    assert off.outcome == "off"
    assert "is not a database" in off.reason
    assert one.ask(QUESTION).reason == one.cache.off
    assert one.cache.keep(one.asked(QUESTION), "answer", [], COST, generation=1) == one.cache.off
    with pytest.raises(StoreError, match="off until the next start"):
        one.cache.stats()
    assert len(logged) == 1
    assert logged[0].startswith("the answer cache is off until the next start: the database")
    one.restart()
    assert one.answered(QUESTION) is not None
    one.learn("dogs")
    vector = one.cache._questions.embed(QUESTION)
    assert len(one.cache._questions.nearest(vector, one.asked("").partition.digest, 9)) == 2


def test_a_search_that_fails_is_one_decision_and_one_line(one: Tenant, logged: list[str]) -> None:
    one.learn(QUESTION)
    one.write("birds.md", "Birds sing.\n")

    def fails(old: Search) -> Search:
        raise ValueError("no such thing\nas this")

    for _ in range(5):
        decision = one.cache.ask(one.asked(QUESTION), fails)
        assert (decision.outcome, decision.reason) == ("off", "the cache failed: no such thing as this")
    assert logged == ["the answer cache failed, questions are answered anew: no such thing as this"]
    assert one.ask(QUESTION).outcome == "miss"
    assert one.cache.stats().offs == 5


def test_a_store_that_goes_on_failing_turns_it_off(one: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    one.learn(QUESTION)

    def full(*_: object) -> None:
        raise StoreError("the database failed: disk full")

    monkeypatch.setattr(one.cache._table, "put", full)
    refused = [one.keep(QUESTION, decision) for decision in [one.ask("another")] * 3]
    assert refused == ["the cache failed: the database failed: disk full"] * 3
    assert one.cache.off == "the answer cache is off until the next start: the database failed: disk full"
    assert one.ask(QUESTION).outcome == "off"
    one.restart()
    assert one.answered(QUESTION) is not None


def test_time_that_runs_out_is_a_miss(one: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    one.learn(QUESTION)
    monkeypatch.setattr("infra.cache.source.monotonic", lambda: float("inf"))
    decision = one.ask(QUESTION)
    assert (decision.outcome, decision.reason) == ("miss", "no time was left to look at it")


def test_many_ask_and_store_at_once_while_documents_change(one: Tenant) -> None:
    """Every answer served is one that was right when it was asked for or later: no document is ever put back."""
    versions = [f"Cats sleep {number} hours." for number in range(6)]
    stored: list[str] = []

    def change(version: str) -> None:
        one.write("cats.md", version)
        stored.append(version)

    def ask(number: int) -> None:
        question = f"How long do cats sleep {number % 4}"
        newest = len(stored) - 1
        decision = one.ask(question)
        assert decision.outcome in {"hit", "miss"}, decision
        if decision.outcome == "miss":
            one.keep(question, decision)
        else:
            assert decision.kept is not None
            assert any(version in decision.kept.answer for version in versions[newest:]), decision

    change(versions[0])
    with ThreadPoolExecutor(16) as threads:
        writer = threads.submit(lambda: [change(version) for version in versions[1:]])
        list(threads.map(ask, range(128)))
        writer.result()
    for number in range(4):
        question = f"How long do cats sleep {number}"
        served = one.answered(question)
        assert served in {None, answer_of(found(one.index, question))}


KILLED = """
import os, signal, sys
from pathlib import Path
import pytest
from tests.infra.cache.house import Tenant, quick
quick(pytest.MonkeyPatch())
one = Tenant(Path(sys.argv[1]))
from infra.store.database import Database
transaction, left = Database.transaction, int(sys.argv[2])
from contextlib import contextmanager
@contextmanager
def mortal(database):
    global left
    with transaction(database) as change:
        yield change
        left -= 1
        if left == 0 and sys.argv[3] == "before":
            os.kill(os.getpid(), signal.SIGKILL)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
Database.transaction = mortal
one.learn("cats sleep")
(one.docs / "cats.md").write_text("Cats sleep at night.\\n")
one.ingest()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, 8, 10])
@pytest.mark.prove
def test_a_kill_anywhere_leaves_no_stale_answer(one: Tenant, at: int, moment: str) -> None:
    one.close()
    command = [sys.executable, "-c", KILLED, str(one.home), str(at), moment]
    killed = subprocess.run(command, cwd=ROOT, env=os.environ, check=False, capture_output=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    one.open()
    assert one.answered("cats sleep") in {None, answer_of(found(one.index, "cats sleep"))}
    (one.docs / "cats.md").write_text("Cats sleep at night.\n", encoding="utf-8")
    one.ingest()
    assert one.answered("cats sleep") in {None, answer_of(found(one.index, "cats sleep"))}
    if one.answered("cats sleep") is None:
        one.learn("cats sleep")
    assert "at night" in (one.answered("cats sleep") or "")


AT_WORK = """
import os, sys
from pathlib import Path
from tests.infra.cache.talk import Talker, Way
one, way = Talker(Path(sys.argv[1])), Way()
print("ready", flush=True)
number = 0
while True:
    number += 1
    (one.docs / "cats.md").write_text(f"The price of a car is {number} coins. Tickets for the tram: {number}.\\n")
    one.ingest()
    for question in ("What is the price of a car?", f"Where can a traveller buy {number} tickets for the tram?"):
        decision = one.ask_so(question, way)
        if decision.outcome == "miss":
            one.keep_so(question, way, decision, one.work(question, way))
"""


@pytest.mark.prove
def test_a_kill_at_any_moment_over_the_real_engine(tmp_path: Path) -> None:
    """A process that writes documents and keeps answers is killed again and again; whoever comes next serves no lie."""
    moments = Random(5)
    way, questions = Way(), ("What is the price of a car?", "what's the price of a car?")
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", AT_WORK, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        with suppress(subprocess.TimeoutExpired):
            process.wait(moments.uniform(0.2, 2.5))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        one = Talker(tmp_path)
        for question in questions:
            decision = one.ask_so(question, way)
            assert decision.outcome in {"hit", "miss"}, decision
            assert decision.kept is None or decision.kept.answer == one.says_now(decision.kept.searches, way)
            if decision.outcome == "miss" and (work := one.work(question, way))[1][0].passages:
                assert one.keep_so(question, way, decision, work) == ""
                assert one.ask_so(question.upper().lower(), way).outcome == "hit"
        one.close()


@pytest.mark.parametrize("lost", ["question", "answer"])
def test_a_kill_between_the_two_stores_hides_no_answer_and_serves_none_that_is_gone(one: Tenant, lost: str) -> None:
    class Any(SameText):
        def judge(self, asked: Asked, kept: Kept) -> tuple[Literal["hit"], str]:
            return "hit", "whatever it is"

    one.gates = Any()
    one.restart()
    folder, before = one.index.folder / "answers", one.home / "before"
    one.learn("dogs")
    one.close()
    shutil.copytree(folder, before)
    one.open()
    if lost == "question":  # the answer was stored, and the process killed before its question was
        one.cache._questions.follow = lambda: None
        decision = replace(one.ask("cats sleep"), outcome="miss", generation=one.index.generation)
        assert one.keep("cats sleep", decision) == ""
        one.restart()
        one.cache._questions.follow()
        vector = one.cache._questions.embed("cats sleep")
        assert len(one.cache._questions.nearest(vector, one.asked("").partition.digest, 9)) == 2
    else:  # the answer went, and the process was killed before its question did
        with one.index.library.dependents.database.transaction() as change:
            change.execute("DELETE FROM answers")
        one.close()
        shutil.rmtree(folder)
        shutil.copytree(before, folder)
        one.open()
        assert one.ask("dogs now").outcome == "miss"
        one.learn("cats purr")
    assert one.ask("cats sleep").outcome == "hit"


def test_an_index_that_another_process_holds_with_another_model_turns_it_off(one: Tenant) -> None:
    class Other:
        def __init__(self, tenant: Tenant) -> None:
            self.model_id = "words/other"
            self.dimension = tenant.embedder.dimension
            self.embed = self.embed_queries = tenant.embedder.embed

    one.learn(QUESTION)
    one.close()
    held = Index(one.index.folder / "answers", Other(one))
    one.open()
    held_off = one.ask("another question")
    assert held_off.outcome == "off"
    assert "is in use by" in held_off.reason
    assert (one.index.folder / "answers" / "library.sqlite3").exists()
    held.close()
