"""An answer is served again while it is what would be answered anew, and never otherwise."""

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Literal

import pytest

from infra.cache.records import Asked, Decision, Kept, Search
from infra.errors import StoreError
from infra.store.dependents import Changed
from infra.store.index import Index
from tests.infra.cache.house import (
    CATS,
    COST,
    PATIENT,
    QUESTION,
    SameText,
    Tenant,
    answer_of,
    found,
    partition_of,
    search_of,
)


def test_a_question_is_missed_once_and_then_served(one: Tenant) -> None:
    missed = one.ask(QUESTION)
    assert (missed.outcome, missed.reason, missed.candidate) == ("miss", "nothing similar was asked before", "")
    assert one.keep(QUESTION, missed) == ""
    hit = one.ask(f"  {QUESTION}\n")
    assert (hit.outcome, hit.reason, hit.candidate) == ("hit", "the same question", QUESTION)
    assert hit.kept is not None
    assert (hit.kept.answer, hit.kept.cost) == (answer_of(found(one.index, QUESTION)), COST)
    # nothing changed, so nothing was searched again
    assert one.searched == []


def test_a_similar_question_is_the_gates_to_decide(one: Tenant) -> None:
    one.learn(QUESTION)
    refused = one.ask("Where do cats sleep now?")
    assert (refused.outcome, refused.reason, refused.candidate) == ("miss", "another question", QUESTION)

    class SameButNow(SameText):
        def judge(self, asked: Asked, kept: Kept) -> tuple[Literal["hit"], str]:
            return "hit", "but for one word"

    one.gates = SameButNow()
    one.restart()
    decision = one.ask("Where do cats sleep now?")
    assert (decision.outcome, decision.reason, decision.candidate) == ("hit", "but for one word", QUESTION)


def test_what_is_near_waits_for_the_verifier(one: Tenant) -> None:
    class Near(SameText):
        def judge(self, asked: Asked, kept: Kept) -> tuple[Literal["near"], str]:
            return "near", "a word differs"

    one.gates = Near()
    one.restart()
    one.learn(QUESTION)
    near = one.ask("Where do cats rest?")
    assert (near.outcome, near.reason) == ("near", "a word differs")
    no = one.cache.verified(near, same=False)
    assert (no.outcome, no.reason) == ("miss", "a word differs; the verifier: another question")
    yes = one.cache.verified(near, same=True)
    assert yes.outcome == "hit"
    assert yes.kept == near.kept
    none = one.cache.verified(near, same=False, unasked="no model is there")
    assert (none.outcome, none.reason) == ("miss", "no model is there")
    one.write("birds.md", "Birds sing.\n")
    late = one.cache.verified(near, same=True)
    assert (late.outcome, late.reason) == ("miss", "a word differs; the documents changed meanwhile")
    stats = one.cache.stats()
    assert (stats.nears, stats.hits, stats.misses, stats.saved_tokens) == (1, 1, 4, 100)


@pytest.mark.parametrize("prompts", ["2", "1"])
def test_partitions_share_nothing(one: Tenant, prompts: str) -> None:
    one.learn(QUESTION)
    decision = one.cache.ask(Asked(QUESTION, partition_of(prompts=prompts)), one.search)
    assert (decision.outcome == "hit") == (prompts == "1")


def test_questions_of_another_partition_are_not_even_candidates(one: Tenant) -> None:
    one.learn(QUESTION)
    two = Asked(QUESTION, partition_of(prompts="2"))
    finding = found(one.index, "dogs")
    missed = one.cache.ask(two, one.search)
    assert one.cache.keep(two, "another", [search_of(finding)], COST, generation=missed.generation or 0) == ""
    assert one.cache._questions.nearest(one.cache._questions.embed(QUESTION), two.partition.digest, 10)[0][1] == two.key
    assert len(one.cache._questions.nearest(one.cache._questions.embed(QUESTION), two.partition.digest, 10)) == 1
    hit = one.cache.ask(two, one.search)
    assert hit.kept is not None
    assert hit.kept.answer == "another"


class Broken:
    """Follows after the answers, and cannot."""

    name = "broken"
    tables: Sequence[str] = ()

    def follow(self, change: Connection, changed: Changed) -> None:
        change.execute("DELETE FROM nowhere")

    def clear(self, change: Connection) -> None:
        """Nothing is kept."""


def document_id(one: Tenant, name: str) -> str:
    return next(document.id for document in one.index.documents() if document.path.endswith(name))


def test_a_document_takes_its_answers_with_it_or_stays_with_them(one: Tenant) -> None:
    one.learn("dogs chase")
    document = document_id(one, "dogs.md")
    one.index.library.dependents.attach(Broken())
    with pytest.raises(StoreError, match="nowhere"):
        one.index.library.change([], [document])
    assert one.answered("dogs chase") is not None
    one.restart()
    # the vectors do not follow yet: what is removed in the library is enough
    one.index.library.change([], [document])
    stats = one.cache.stats()
    assert (stats.answers, stats.gone) == (0, 1)


def test_an_answer_goes_when_its_passage_stands_elsewhere(one: Tenant) -> None:
    one.write("long.md", "# One\n\nThe parrot talks.\n\n# Two\n\nThe whale sings.\n")
    one.learn("Where is the whale?")
    one.write("long.md", "# One\n\nThe parrot talks much.\n\n# Two\n\nThe whale sings.\n")
    assert one.cache.stats().answers == 0


def test_a_new_passage_that_belongs_to_the_evidence_makes_an_answer_outdated(one: Tenant) -> None:
    one.learn(QUESTION)
    one.write("more.md", "Cats sleep where it is warm. Cats sleep in the garden.\n")
    decision = one.ask(QUESTION)
    reason = "the documents changed, and its searches bring other passages now"
    assert (decision.outcome, decision.reason, decision.candidate) == ("miss", reason, QUESTION)
    assert one.keep(QUESTION, decision) == ""
    assert one.answered(QUESTION) == answer_of(found(one.index, QUESTION))
    assert one.cache.stats().outdated <= 1


def test_a_change_elsewhere_leaves_an_answer_and_is_looked_at_once(one: Tenant) -> None:
    for name in "abc":  # enough that fits better than what comes
        one.write(f"{name}.md", f"Cats sleep {name} {name}.\n")
    one.learn("cats sleep")
    one.write("birds.md", "Ostriches run.\n")
    assert one.answered("cats sleep") == answer_of(found(one.index, "cats sleep"))
    assert one.searched == ["cats sleep"]
    one.cache.stats()  # what was noted is written
    assert one.answered("cats sleep") is not None
    assert one.searched == ["cats sleep"]


def test_an_answer_made_before_a_change_and_stored_after_it_does_not_enter(one: Tenant) -> None:
    missed = one.ask(QUESTION)
    finding = found(one.index, QUESTION)
    one.write("more.md", "Cats sleep where it is warm. Cats sleep in the garden.\n")
    refused = one.cache.keep(
        one.asked(QUESTION), answer_of(finding), [search_of(finding)], COST, generation=missed.generation or 0
    )
    assert refused == "the documents changed while the answer was made"
    assert one.answered(QUESTION) is None
    assert one.cache.stats().refused == 1


def test_an_answer_whose_passages_are_not_stored_does_not_enter(one: Tenant) -> None:
    missed = one.ask(QUESTION)
    search = Search(QUESTION, None, (("0" * 32, "1" * 32),), True)
    refused = one.cache.keep(one.asked(QUESTION), "made up", [search], COST, generation=missed.generation or 0)
    assert refused == "the passages it rests on are not stored as it knows them"
    nothing = one.cache.keep(one.asked(QUESTION), "made up", [], COST, generation=missed.generation or 0)
    assert nothing == "the answer rests on 0 searches; 1 to 16 can be made again"


def test_vectors_that_lag_behind_make_no_stale_answer(one: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between the library and the vectors: the library knows a passage that no search finds yet."""
    one.learn(QUESTION)
    follow = one.index._vectors.follow
    monkeypatch.setattr(one.index._vectors, "follow", lambda: None)
    monkeypatch.setattr(one.index._vectors, "settle", lambda: None)
    one.write("more.md", "Cats sleep where it is warm. Cats sleep in the garden.\n")
    lagging = answer_of(found(one.index, QUESTION))
    monkeypatch.setattr(one.index._vectors, "follow", follow)
    decision = one.ask(QUESTION)
    assert decision.outcome == "miss"
    assert answer_of(found(one.index, QUESTION)) != lagging


def test_a_process_without_the_cache_that_changes_documents_empties_it(one: Tenant) -> None:
    one.learn(QUESTION)
    other = Index(one.index.folder, one.embedder)
    (one.docs / "birds.md").write_text("Birds sing.\n", encoding="utf-8")
    one.ingest(other)
    other.close()
    reason = "another process changed documents without the cache"
    begun = Decision("miss", "", "cats", "", one.now, generation=one.index.generation)
    assert one.keep("cats", begun) == reason
    decision = one.ask(QUESTION)
    assert (decision.outcome, decision.reason) == ("miss", reason)
    assert one.cache.stats().answers == 0
    one.learn(QUESTION)
    assert one.answered(QUESTION) is not None


def test_cleared_by_document_and_altogether(one: Tenant) -> None:
    one.delete("cats.md")
    one.learn("dogs chase")
    one.write("cats.md", CATS)
    one.learn("sleep all day")
    assert one.cache.clear(str(one.docs / "nothing.md")) == 0
    assert one.cache.clear(str(one.docs / "cats.md")) == 1
    assert [kept.question for kept in one.cache.export()] == ["dogs chase"]
    assert one.cache.clear() == 1
    assert list(one.cache.export()) == []
    assert one.cache.why() == []


def test_every_decision_is_remembered_with_its_reason_up_to_a_bound(one: Tenant) -> None:
    one.bounds = PATIENT(decisions=3, least_cosine=0.5)
    one.restart()
    one.learn(QUESTION)
    one.answered(QUESTION)
    told = [(d.outcome, d.reason, d.candidate) for d in one.cache.why(QUESTION)]
    assert told == [("hit", "the same question", QUESTION), ("miss", "nothing similar was asked before", "")]
    for number in range(5):
        one.ask(f"number {number}")
    one.cache.close()
    one.open()
    assert [decision.question for decision in one.cache.why()] == ["number 4", "number 3", "number 2"]


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (" \n", "the question is empty"),
        ("x" * 4_001, "the question has more than 4,000 characters"),
        ("half \ud800", "the question holds broken characters"),
    ],
)
def test_what_cannot_be_compared_is_answered_anew(one: Tenant, question: str, reason: str) -> None:
    decision = one.ask(question)
    assert (decision.outcome, decision.reason) == ("miss", reason)
    assert one.cache.keep(one.asked(question), "answer", [], COST, generation=1)
    assert one.cache.why()[0].reason == reason
