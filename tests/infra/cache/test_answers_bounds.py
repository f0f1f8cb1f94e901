"""How long answers are kept, how many, and that one that is gone hides none."""

from typing import Literal

from infra.cache.records import Asked, Kept
from tests.infra.cache.house import PATIENT, QUESTION, SameText, Tenant, partition_of


def test_an_answer_outlives_a_restart_and_another_process_serves_it(one: Tenant) -> None:
    one.learn(QUESTION)
    other = Tenant(one.home)
    assert other.answered(QUESTION) == one.answered(QUESTION)
    other.close()
    one.restart()
    assert one.answered(QUESTION) is not None


def test_the_same_question_stored_twice_is_one_answer(one: Tenant) -> None:
    decision = one.ask(QUESTION)
    assert one.keep(QUESTION, decision) == one.keep(f" {QUESTION}", decision) == ""
    assert one.cache.stats().answers == 1
    assert len(one.cache._questions.nearest(one.cache._questions.embed(QUESTION), partition_of().digest, 10)) == 1


def test_an_old_answer_is_not_served_and_goes_with_the_next_store(one: Tenant) -> None:
    one.learn(QUESTION)
    one.now += 30 * 86_400
    assert one.answered(QUESTION) is None
    one.learn("dogs chase")
    stats = one.cache.stats()
    assert (stats.answers, stats.expired) == (1, 1)


def test_the_least_recently_used_go_first_also_after_a_restart(one: Tenant) -> None:
    one.bounds = PATIENT(answers=3, least_cosine=0.5)
    one.restart()
    for question in ("cats one", "cats two", "cats three"):
        one.now += 1
        one.learn(question)
    one.now += 1
    assert one.answered("cats one") is not None
    one.restart()
    one.now += 1
    one.learn("cats four")
    kept = {kept.question for kept in one.cache.export()}
    assert kept == {"cats one", "cats three", "cats four"}
    assert one.cache.stats().evicted == 1
    # the question went with the answer
    vector = one.cache._questions.embed("cats two")
    assert len(one.cache._questions.nearest(vector, partition_of().digest, 10)) == 3


def test_size_is_bounded_too(one: Tenant) -> None:
    one.bounds = PATIENT(megabytes=0.003, least_cosine=0.5)
    one.restart()
    for number in range(12):
        one.now += 1
        one.learn(f"cats {number}")
    stats = one.cache.stats()
    assert 0 < stats.answers < 12
    assert stats.megabytes <= 0.003


def test_candidates_that_are_gone_hide_none_that_is_there(one: Tenant) -> None:
    class Any(SameText):
        def judge(self, asked: Asked, kept: Kept) -> tuple[Literal["hit"], str]:
            return "hit", "whatever it is"

    one.gates = Any()
    one.bounds = PATIENT(least_cosine=0.0)
    one.restart()
    decision = one.ask("start")
    for number in range(8):
        assert one.keep(f"cats sleep {number}", decision) == ""
    assert one.keep("dogs chase", decision) == ""
    database = one.index.library.dependents.database
    with database.transaction() as change:
        change.execute("DELETE FROM answers WHERE question LIKE 'cats%'")
        change.execute("DELETE FROM answer_outbox")  # as if a kill had come between
    assert one.ask("cats sleep").candidate == "dogs chase"
    one.cache.stats()
    one.cache._questions.follow()
    vector = one.cache._questions.embed("cats sleep")
    assert len(one.cache._questions.nearest(vector, partition_of().digest, 20)) == 1
