"""The gates over a real cache: one pass of the model a question, and what is never kept."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.cache.meaning import REMEMBERED, Meaning
from infra.cache.records import Asked
from tests.infra.cache.gates.asked import pieces
from tests.infra.cache.house import Tenant, found, partition_of, quick
from tests.infra.cache.talk import MadeUp
from tests.tools.words import WordEmbedder

QUESTION = "Where can a traveller buy a ticket for the tram?"


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenant]:
    quick(monkeypatch)
    model = MadeUp()
    tenant = Tenant(tmp_path, gates=Meaning(model, pieces), model=model)
    tenant.write("trams.md", "A traveller can buy a ticket for the tram at the kiosk.\n")
    yield tenant
    tenant.close()


@pytest.mark.parametrize(
    ("asked", "outcome", "reason"),
    [
        ("where can a traveller buy a ticket for the tram", "hit", "same words"),
        ("Where can a traveller purchase a ticket for the tram?", "hit", "alignment"),
        ("Where can a traveller hide a ticket for the tram?", "near", "alignment"),
        ("Where can't a traveller buy a ticket for the tram?", "miss", "negation"),
        ("Where could a traveller buy 2 tickets for the tram?", "miss", ""),
    ],
)
def test_a_question_is_judged_by_its_words_and_their_vectors(
    one: Tenant, asked: str, outcome: str, reason: str
) -> None:
    one.learn(QUESTION)
    decision = one.ask(asked)
    assert (decision.outcome, decision.candidate) == (outcome, QUESTION)
    assert decision.reason.startswith(reason)


def test_the_same_words_are_found_without_a_search_by_meaning(one: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    one.learn(QUESTION)

    def fails(*_: object) -> list[tuple[float, str]]:
        raise AssertionError("no vectors are needed")

    monkeypatch.setattr(one.cache._questions, "nearest", fails)
    hit = one.ask(f"Please tell me {QUESTION[0].lower()}{QUESTION[1:-1]}")
    assert (hit.outcome, hit.candidate) == ("hit", QUESTION)
    assert (
        one.ask("Where can a traveller hide a ticket for the tram?").reason == "the cache failed: no vectors are needed"
    )


def test_an_outdated_answer_to_the_same_words_is_judged_once(one: Tenant) -> None:
    one.learn(QUESTION)
    one.write("more.md", "A traveller can buy a ticket for the tram on board.\n")
    one.searched.clear()
    decision = one.ask(QUESTION.lower())
    assert (decision.outcome, len(one.searched)) == ("miss", 1)
    assert decision.reason.startswith("the documents changed")


def test_the_model_runs_once_for_each_new_question_and_never_for_the_kept_ones(one: Tenant) -> None:
    one.learn(QUESTION)
    model = MadeUp()
    one.model, one.gates = model, Meaning(model, pieces)
    one.restart()
    one.ask("Where can a traveller purchase a ticket for the tram?")
    one.ask("Where can a traveller purchase a ticket for the tram?")
    assert model.passes == ["Where can a traveller purchase a ticket for the tram?"]


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("What does this picture show of the tram?", "the question points at something outside itself"),
        ("Where did I buy a ticket for the tram?", "the question is about whoever asks it"),
        ("Where is my ticket for the tram?", "the question is about whoever asks it"),
    ],
)
def test_a_question_that_does_not_stand_alone_is_neither_served_nor_kept(
    one: Tenant, question: str, reason: str
) -> None:
    decision = one.ask(question)
    assert (decision.outcome, decision.reason, decision.generation) == ("miss", reason, None)
    begun = replace(decision, generation=one.index.generation)
    assert one.keep(question, begun, found(one.index, QUESTION)) == reason
    assert one.cache.stats().answers == 0


@pytest.mark.parametrize(
    "question",
    [
        "How do I buy a ticket?",
        "How can   we buy a ticket?",
        "Should I buy a ticket?",
        "Can you tell me where one buys a ticket?",
        "When did World War I begin?",
    ],
)
def test_asking_what_one_does_is_not_personal(question: str) -> None:
    assert Meaning(WordEmbedder(), pieces).unfit(Asked(question, partition_of())) == ""


def test_a_model_without_token_vectors_leaves_other_words_to_the_verifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    tenant = Tenant(tmp_path, gates=Meaning(WordEmbedder(), None))
    tenant.write("trams.md", "A traveller can buy a ticket for the tram at the kiosk.\n")
    tenant.learn(QUESTION)
    assert tenant.ask(QUESTION.lower()).outcome == "hit"
    assert tenant.ask("Where can a traveller purchase a ticket for the tram?").outcome == "near"
    tenant.close()


def test_what_is_remembered_is_bounded() -> None:
    model = MadeUp()
    meaning = Meaning(model, pieces)
    for number in range(REMEMBERED + 1):
        meaning.embed([f"question {number}"])
    meaning.embed(["question 1"])
    assert len(model.passes) == REMEMBERED + 1
    meaning.embed(["question 0"])
    assert len(model.passes) == REMEMBERED + 2
