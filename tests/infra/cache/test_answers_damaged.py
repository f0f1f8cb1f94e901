"""Files and rows that are not as they were written: nothing of them is served, and none of it ends an ask."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.cache.records import Cost, Kept, Search
from infra.cache.rows import kept_of, row_of
from tests.infra.cache.house import quick
from tests.infra.cache.talk import Talker, Way

QUESTION = "What is the price of a car?"
REPHRASED = "What's the price of a car?"
WAY = Way()
COLUMNS = "stamp partition question answer searches generation tokens seconds created reading seal"
GARBAGE = {
    "nothing": "''",
    "no letters": "CAST(x'ff00fe' AS TEXT)",
    "bytes": "x'dfffffffff'",  # to msgpack: a map of four thousand million pairs
    "a list without end": "'" + "[" * 5_000 + "'",
    "a number": "7",
    "infinity": "9e999",
}


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Talker]:
    quick(monkeypatch)
    tenant = Talker(tmp_path)
    tenant.write("cars.md", "The price of a car is high.\n")
    assert learn(tenant) == ""
    yield tenant
    tenant.close()


def learn(one: Talker) -> str:
    decision = one.ask_so(QUESTION, WAY)
    return one.keep_so(QUESTION, WAY, decision, one.work(QUESTION, WAY))


def damage(one: Talker, sql: str) -> None:
    with one.index.library.dependents.database.transaction() as change:
        change.execute(sql)


@pytest.mark.parametrize("column", COLUMNS.split())
def test_a_damaged_row_is_passed_over_and_removed(one: Talker, column: str, logged: list[str]) -> None:
    for times, (name, value) in enumerate(GARBAGE.items(), start=1):
        damage(one, f"UPDATE OR REPLACE answers SET {column} = {value}")
        asked = [one.ask_so(question, WAY) for question in (REPHRASED, QUESTION)]
        assert [decision.outcome for decision in asked] == ["miss", "miss"], (name, asked)
        list(one.cache.export())
        assert one.cache.stats().answers == 0, name
        assert logged == ["1 damaged answers are removed from the cache"] * times
        assert learn(one) == ""
        assert one.ask_so(REPHRASED, WAY).outcome == "hit"


def test_one_figure_that_changed_in_an_answer_is_noticed(one: Talker) -> None:
    damage(one, "UPDATE answers SET answer = replace(answer, 'high', 'nigh')")
    assert one.ask_so(QUESTION, WAY).outcome == "miss"


def test_a_state_of_the_documents_that_changed_is_noticed(one: Talker) -> None:
    one.write("more.md", "The price of a car is low. The price of a car is what it is.\n")
    damage(one, "UPDATE answers SET generation = (SELECT number FROM meta WHERE name = 'generation')")
    assert one.ask_so(QUESTION, WAY).outcome == "miss"


def test_a_later_state_that_is_noted_leaves_the_row_whole(one: Talker) -> None:
    one.write("part/far.md", "Whales sing.\n" * 3)
    for _ in range(2):
        decision = one.ask_so(QUESTION, WAY)
        if decision.outcome == "miss":  # the whale came into its evidence
            assert learn(one) == ""
        one.cache.stats()
    one.write("part/far.md", "Whales sing no more.\n" * 3)
    one.restart()
    served = one.ask_so(QUESTION, WAY)
    assert served.kept is None or served.kept.answer == one.says_now(served.kept.searches, WAY)


def test_one_damaged_row_hides_no_other(one: Talker) -> None:
    other = "what is the price of an automobile?"
    way = Way(prompts="2")
    decision = one.ask_so(other, way)
    assert one.keep_so(other, way, decision, one.work(other, way)) == ""
    damage(one, "UPDATE answers SET reading = x'c1' WHERE question = 'What is the price of a car?'")
    assert [one.ask_so(QUESTION, WAY).outcome, one.ask_so(QUESTION, way).outcome] == ["miss", "hit"]


@pytest.mark.parametrize("name", ["library.sqlite3", "library.sqlite3-wal"])
def test_damaged_files_of_the_questions_cost_no_answer(one: Talker, name: str, logged: list[str]) -> None:
    """What is damaged while the cache is closed is found when it is needed; whatever it is, answers go on."""
    one.close()
    damaged = one.index.folder / "answers" / name
    damaged.write_bytes(b"\xff" * 50_000)
    one.open()
    for _ in range(3):
        assert one.ask_so("What is the price of an automobile?", WAY).outcome in {"hit", "miss", "off"}
        served = one.ask_so(QUESTION, WAY)
        assert served.outcome in {"hit", "off"}
        assert served.kept is None or served.kept.answer == one.says_now(served.kept.searches, WAY)
    assert len(logged) <= 1
    one.restart()
    assert one.ask_so(QUESTION, WAY).outcome == "hit"
    learn_more = "Where can a traveller buy a ticket for the tram?"
    decision = one.ask_so(learn_more, WAY)
    assert one.keep_so(learn_more, WAY, decision, one.work(learn_more, WAY)) == ""
    one.restart()
    assert one.ask_so(REPHRASED, WAY).outcome == "hit"


def test_a_row_under_another_key_is_nobodys(one: Talker) -> None:
    damage(one, "UPDATE answers SET id = 'another'")
    assert [one.ask_so(question, WAY).outcome for question in (QUESTION, REPHRASED)] == ["miss", "miss"]


def test_damaged_vectors_cost_no_answer(tmp_path: Path, logged: list[str]) -> None:
    """Over the real engine."""
    one = Talker(tmp_path)
    one.write("cars.md", "The price of a car is high.\n")
    assert learn(one) == ""
    one.close()
    for path in (one.index.folder / "answers").glob("vectors*/**/*"):
        if path.is_file():
            path.write_bytes(b"\xff" * max(100, path.stat().st_size // 2))
    one.open()
    outcomes = [one.ask_so(question, WAY).outcome for question in (REPHRASED, QUESTION)]
    assert outcomes in (["hit", "hit"], ["miss", "hit"], ["off", "off"])
    assert len(logged) <= 1, logged
    one.restart()
    assert one.ask_so(QUESTION, WAY).outcome == "hit"
    assert learn(one) == ""
    assert one.ask_so(REPHRASED, WAY).outcome == "hit"
    one.close()


def test_files_that_are_gone_are_made_anew(one: Talker) -> None:
    one.close()
    shutil.rmtree(one.index.folder / "answers")
    one.open()
    assert one.ask_so(QUESTION, WAY).outcome == "hit"
    decision = one.ask_so("Does the baker pay the miller?", WAY)
    assert decision.outcome == "miss"
    one.keep_so("Does the baker pay the miller?", WAY, decision, one.work("Does the baker pay the miller?", WAY))
    assert one.ask_so(REPHRASED, WAY).outcome == "hit"


KEPT = Kept(
    "a" * 32, "b" * 32, "c" * 32, "Q?", "{}", (Search("q", ("/r",), (("i", "d"),), True),), 3, Cost(1, 0.1), 2.5
)


@settings(max_examples=200)
@given(st.integers(0, 11), st.one_of(st.binary(max_size=40), st.integers(), st.floats(), st.none()))
def test_a_row_is_given_back_whole_or_not_at_all(column: int, value: object) -> None:
    written = row_of(KEPT)
    row = [part.encode() if isinstance(part, str) else part for part in written]
    assert kept_of(tuple(row)) == KEPT
    changed = row[column] != value or type(row[column]) is not type(value)
    row[column] = value
    if changed:
        assert kept_of(tuple(row)) is None
