"""Kept answers are compared with new ones; wrong ones are listed and removed."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from graph.cache import app
from graph.session import Ask, Session, prepare
from infra.cache.records import Stats
from infra.cache.upkeep import Upkeep, upkeep
from infra.resources import Resources
from infra.settings import load_settings
from tests.graph.desk import TEXTS
from tests.infra.cache.house import quick
from tests.tools.words import WordEmbedder

BAKERY = "Who opened the bakery in May 2021, selling forty loaves a day?"
MILL = "Who repaired the old mill by the river Ems?"
UNTRUE = {"answer": "Nobody did. [E1]", "abstained": False, "citations": []}


@pytest.fixture(autouse=True)
def _answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two questions were answered, and their answers are kept."""
    quick(monkeypatch)
    monkeypatch.setattr("infra.resources.open_embedder", lambda _: WordEmbedder())
    monkeypatch.setenv("DOCMIND_BACKEND", "engine")
    monkeypatch.setenv("DOCMIND_DATA_DIR", str(tmp_path / "data"))
    documents = tmp_path / "documents"
    documents.mkdir()
    for name, text in TEXTS.items():
        (documents / name).write_text(text, encoding="utf-8")
    asyncio.run(answer([BAKERY, MILL], documents))
    assert {kept.kept.question for kept in exported()} == {BAKERY, MILL}


async def answer(questions: Sequence[str], documents: Path) -> None:
    console = Console(quiet=True)
    resources = Resources(load_settings())
    prepare(resources, [documents], console)
    async with Session(resources, console, keep_threads=False) as session:
        for question in questions:
            await session.ask(Ask(question))


def exported() -> list[Any]:
    with upkeep(load_settings()) as held:
        return list(held.export())


def stats() -> Stats:
    with upkeep(load_settings()) as held:
        return held.stats()


def spoil(held: Upkeep, question: str) -> None:
    """Put an untrue answer in the place of the one that is kept."""
    (kept,) = (one.kept for one in held.export() if one.kept.question == question)
    assert held._table.put(replace(kept, answer=json.dumps({**json.loads(kept.answer), **UNTRUE}))) == ""


def audit(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments])


def test_answers_that_are_given_again_the_same_are_right() -> None:
    done = audit("--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == {"audited": 2, "wrong": 0, "not_served": 0, "disagreements": []}
    after = stats()
    assert (after.audited, after.wrong, after.answers) == (2, 0, 2)


def test_an_answer_found_wrong_is_shown_beside_the_new_one_and_removed() -> None:
    with upkeep(load_settings()) as held:
        spoil(held, BAKERY)
    done = audit()
    assert done.exit_code == 1
    question, kept, new, told = done.stdout.splitlines()
    assert question == BAKERY
    assert kept == f"    kept: Nobody did. [E1] (for: {BAKERY})"
    assert new.startswith("    new:  Ann Miller opened the bakery in May 2021")
    assert told == "2 answers compared with new ones, 1 wrong and removed."
    assert (stats().audited, stats().wrong) == (2, 1)
    assert "Nobody did" not in str(exported())
    # what was answered anew took its place
    assert json.loads(audit("--json").stdout)["wrong"] == 0


def test_a_question_is_asked_in_the_words_in_which_it_was_served(tmp_path: Path) -> None:
    otherwise = f"Could you please tell me {BAKERY[0].lower()}{BAKERY[1:]}"
    asyncio.run(answer([otherwise], tmp_path / "documents"))
    with upkeep(load_settings()) as held:
        assert [(asked, kept.question) for asked, kept in held.served(9)] == [(otherwise, BAKERY), (MILL, MILL)]
        spoil(held, BAKERY)
    (wrong,) = json.loads(audit("--json").stdout)["disagreements"]
    assert (wrong["question"], wrong["kept_for"]) == (otherwise, BAKERY)
    assert wrong["fresh"].startswith("Ann Miller opened the bakery")


def test_as_many_are_asked_as_are_wanted_the_last_first() -> None:
    with upkeep(load_settings()) as held:
        last = held.latest(1)[0].question
        spoil(held, last)
    told = json.loads(audit("--limit", "1", "--json").stdout)
    assert (told["audited"], [one["question"] for one in told["disagreements"]]) == (1, [last])


def test_what_would_not_be_served_is_compared_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCMIND_RETRIEVAL__TOP_K", "3")
    done = audit()
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == "0 answers compared with new ones, 0 wrong and removed."
    assert f"Not served now: {MILL} (nothing similar was asked before)" in done.stdout


def test_a_new_answer_is_made_without_kept_replies_and_searches() -> None:
    with upkeep(load_settings()) as held:
        before = {kind: (of.hits, of.misses) for kind, of in held.calls().items()}
        audit()
        assert {kind: (of.hits, of.misses) for kind, of in held.calls().items()} == before
    assert sum(before["call"]) > 0


def test_nothing_kept_is_nothing_asked() -> None:
    with upkeep(load_settings()) as held:
        held.clear()
    done = audit()
    assert (done.exit_code, done.stdout) == (0, "0 answers compared with new ones, 0 wrong and removed.\n")


def test_a_cache_that_is_off_is_not_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCMIND_CACHE__ANSWERS", "false")
    done = audit()
    assert done.exit_code == 2
    assert "DOCMIND_CACHE__ANSWERS" in done.stderr


def test_an_audit_that_is_broken_off_keeps_and_tells_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Session.ask
    asked: list[str] = []

    async def ask(self: Session, ask: Ask, *, show: bool = False) -> dict[str, Any]:
        asked.append(ask.text)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return await whole(self, ask, show=show)

    monkeypatch.setattr(Session, "ask", ask)
    done = audit("--json")
    assert done.exit_code == 130
    assert json.loads(done.stdout)["audited"] == 1
    assert "interrupted; what was done stays done" in done.stderr
    assert stats().audited == 1
