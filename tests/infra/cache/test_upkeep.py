"""A tenant's cache is looked after from its files, while a process that answers has them open, and without a model."""

import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import run

import pytest

from infra.cache.calls import CALLS_FILE, CallCache
from infra.cache.upkeep import Cleared, Upkeep, upkeep
from infra.errors import ConfigurationError
from infra.settings import Settings, load_settings
from tests.infra.cache.calls_world import Words
from tests.infra.cache.house import Tenant, answer_of, found, quick

CATS, DOGS = "Where do cats sleep?", "What do dogs chase?"


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenant]:
    quick(monkeypatch)
    tenant = Tenant(tmp_path)
    tenant.write("dogs.md", "Dogs chase cats in the garden.\n")
    tenant.learn(DOGS)
    tenant.now += 10
    tenant.write("cats.md", "Cats sleep all day.\n")
    tenant.learn(CATS)
    assert tenant.answered(CATS) is not None
    tenant.cache.stats()  # what was noted is written
    yield tenant
    tenant.close()


@pytest.fixture
def settings(one: Tenant) -> Settings:
    return load_settings(data_dir=one.home / "data", tenant=one.name)


@pytest.fixture
def held(settings: Settings) -> Iterator[Upkeep]:
    with upkeep(settings) as held:
        yield held


def test_it_shows_what_the_process_at_work_shows(one: Tenant, held: Upkeep) -> None:
    assert held.stats() == one.cache.stats()
    assert held.stats().hits == 1
    assert held.why(None, 20) == one.cache.why()
    assert [d.outcome for d in held.why(f" {CATS}\n", 20)] == ["hit", "miss"]
    assert held.why("half \udcff", 20) == []
    assert len(held.why(None, 2)) == 2


def test_answers_are_exported_with_the_documents_they_rest_on(one: Tenant, held: Upkeep) -> None:
    cats, dogs = str(one.docs / "cats.md"), str(one.docs / "dogs.md")
    every = {one.kept.question: one for one in held.export()}
    assert every[CATS].kept.answer == answer_of(found(one.index, CATS))
    assert every[CATS].documents == (cats, dogs)
    assert every[DOGS].documents == (dogs,)
    assert {one.kept.question for one in held.export([dogs])} == {CATS, DOGS}
    assert {one.kept.question for one in held.export([cats])} == {CATS}
    assert list(held.export([f"{cats}x"])) == []


def test_the_answers_served_last_come_first(one: Tenant, held: Upkeep) -> None:
    assert [kept.question for kept in held.latest(9)] == [CATS, DOGS]
    one.now += 10
    one.learn(DOGS)  # its search brings the cats by now
    assert [kept.question for kept in held.latest(1)] == [DOGS]


def test_what_a_document_holds_up_is_cleared_for_the_process_at_work_too(one: Tenant, held: Upkeep) -> None:
    cats = str(one.docs / "cats.md")
    assert held.clear([cats]) == Cleared(answers=1, calls=0, documents=1)
    assert [decision.question for decision in held.why(None, 20)] == [DOGS]
    assert one.ask(CATS).outcome == "miss"
    assert [kept.question for kept in one.cache.export()] == [DOGS]
    assert held.clear([f"{cats}x"]) == Cleared(answers=0, calls=0, documents=0)


def test_all_is_cleared_with_what_calls_were_kept(one: Tenant, settings: Settings, held: Upkeep) -> None:
    calls = CallCache(settings.tenant_dir / CALLS_FILE)
    for text in ("a", "b", "a"):
        calls.once(text, lambda: "reply", Words())
    calls.close()
    assert (held.calls()["call"].entries, held.calls()["call"].hits) == (2, 1)
    assert held.clear() == Cleared(answers=2, calls=2, documents=None)
    assert held.calls() == {}
    assert (one.ask(CATS).outcome, one.ask(DOGS).outcome) == ("miss", "miss")


@pytest.mark.parametrize("everything", [True, False])
def test_no_question_that_is_cleared_stays_on_the_disk(one: Tenant, held: Upkeep, everything: bool) -> None:
    folder = one.index.folder
    assert _holding(folder, CATS) == {"library.sqlite3", "answers/library.sqlite3"}
    held.clear(None if everything else [str(one.docs / "cats.md")])
    assert _holding(folder, CATS) == set()
    assert _holding(folder, DOGS) == (set() if everything else {"library.sqlite3", "answers/library.sqlite3"})


def test_similar_questions_are_found_after_a_clearing_as_before(one: Tenant, held: Upkeep) -> None:
    held.clear([str(one.docs / "cats.md")])
    one.learn(CATS)
    refused = one.ask("Where do cats sleep now?")
    assert (refused.reason, refused.candidate) == ("another question", CATS)


def test_without_documents_it_says_so_and_makes_nothing(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "nowhere", tenant="two")
    with pytest.raises(ConfigurationError, match="No documents of tenant two in") as refused, upkeep(settings):
        pass
    assert "run `docmind ingest PATH` first" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_figures_of_calls_make_no_file(one: Tenant, settings: Settings, held: Upkeep) -> None:
    assert held.calls() == {}
    assert not (settings.tenant_dir / CALLS_FILE).exists()


def test_it_needs_no_model_no_vectors_and_no_gates() -> None:
    code = "import sys, infra.cache.upkeep; print(sorted({'onnxruntime','qdrant_edge','gptcache'} & set(sys.modules)))"
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def _holding(folder: Path, words: str) -> set[str]:
    """The databases under ``folder`` in whose files, SQLite's log included, ``words`` stand."""
    files = [path for path in folder.rglob("*.sqlite3*") if not path.name.endswith("-shm")]
    return {str(path.relative_to(folder)).removesuffix("-wal") for path in files if words.encode() in path.read_bytes()}
