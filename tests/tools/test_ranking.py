"""The order of the passages that were read."""

from tests.tools.ranked import names, ranked, stored
from tools.filters import limits_of
from tools.fusion import Scored
from tools.ranking import (
    COVERAGE_BONUS,
    DATE_BONUS,
    HEADING_BONUS,
    NEIGHBOUR_BONUS,
    Asked,
    heading_terms,
    lifted,
    rank,
    united,
)

WEIGHTS = {"boiler": 3.0, "leak": 1.0}


def scored(name: str, score: float) -> Scored:
    return Scored(name, name.split(".")[0], score, f"window of {name}")


def test_words_of_the_question_close_together_lift_a_passage():
    passages = {p.id: p for p in [stored("a.1"), stored("b.1", "The boiler leaks."), stored("c.1", "A boiler.")]}
    found = rank([scored("a.1", 1.0), scored("b.1", 1.0), scored("c.1", 1.0)], passages, Asked(WEIGHTS))
    assert names(found) == ["b.1", "c.1", "a.1"]
    assert [item.coverage for item in found] == [1.0, 0.75, 0.0]
    assert [item.score for item in found] == [1 + COVERAGE_BONUS, 1 + 0.75 * COVERAGE_BONUS, 1.0]
    assert found[0].window_id == "window of b.1"


def test_a_good_neighbour_lifts_a_passage():
    passages = {p.id: p for p in [stored("a.1"), stored("a.2", ordinal=1), stored("b.1"), stored("c.1")]}
    fused = [scored("a.1", 5.0), scored("b.1", 2.1), scored("a.2", 2.0), scored("c.1", 1.0)]
    found = rank(fused, passages, Asked({}))
    assert names(found) == ["a.1", "a.2", "b.1", "c.1"]
    assert found[1].score == 2.0 + NEIGHBOUR_BONUS * 4.0


def test_a_header_with_a_date_of_the_question_lifts_a_passage():
    passages = {p.id: p for p in [stored("a.1", header="7 May 2026"), stored("b.1", header="6 May 2026")]}
    dates = limits_of("What was said on 2026-05-06?").dates
    found = rank([scored("a.1", 1.5), scored("b.1", 1.0)], passages, Asked({}, dates))
    assert [(item.passage.id, item.score) for item in found] == [("b.1", 1.0 + DATE_BONUS), ("a.1", 1.5)]


def test_a_heading_lifts_a_passage_by_the_share_of_it_that_the_question_says():
    passages = {
        p.id: p for p in [stored("a.1"), stored("b.1", section="Boilers > Leaks"), stored("c.1", section="Leaks")]
    }
    passages["d.1"] = stored("d.1", section="Boiler prices")
    assert heading_terms(passages.values()) == ["boiler", "leak", "price"]
    idf = {"boiler": 3.0, "leak": 1.0, "price": 3.0}
    found = rank([scored(name, 1.0) for name in passages], passages, Asked(WEIGHTS, (), idf))
    assert [(item.passage.id, item.score) for item in found] == [
        ("b.1", 1 + HEADING_BONUS),
        ("c.1", 1 + HEADING_BONUS),
        ("d.1", 1 + HEADING_BONUS / 2),
        ("a.1", 1.0),
    ]
    assert [item.coverage for item in found] == [0.0] * 4


def test_what_is_no_longer_stored_is_left_out():
    assert names(rank([scored("gone.1", 9.0), scored("a.1", 1.0)], {"a.1": stored("a.1")}, Asked({}))) == ["a.1"]
    assert rank([scored("gone.1", 9.0)], {}, Asked({})) == []


def test_rankings_are_united_by_the_best_score_of_each_passage():
    one, other = [ranked("a.1", 3.0), ranked("b.1", 1.0)], [ranked("b.1", 4.0), ranked("c.1", 2.0)]
    found = [(item.passage.id, item.score) for item in united([one, other])]
    assert found == [("b.1", 4.0), ("a.1", 3.0), ("c.1", 2.0)]
    assert united([[], []]) == []


def test_gains_are_added_and_equal_scores_stay_in_order():
    found = lifted([ranked("a.1", 2.0), ranked("b.1", 1.0), ranked("c.1", 0.0)], [0.0, 1.0, 3.0])
    assert [(item.passage.id, item.score) for item in found] == [("c.1", 3.0), ("a.1", 2.0), ("b.1", 2.0)]
