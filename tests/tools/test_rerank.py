"""A rerank model orders the best passages; without its answer they stay as they were."""

from collections.abc import Sequence

from loguru import logger

from infra.errors import BackendError
from tests.tools.ranked import names, ranked
from tools.rerank import reranked

RANKED = [ranked("a.1", 4.0), ranked("b.1", 3.0), ranked("c.1", 2.0), ranked("d.1", 1.0)]


class Model:
    """Scores by a table of passages; keeps what it was asked."""

    def __init__(self, scores: Sequence[float] | BackendError) -> None:
        self.given, self.asked = scores, list[tuple[str, Sequence[str]]]()

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        self.asked.append((question, texts))
        if isinstance(self.given, BackendError):
            raise self.given
        return list(self.given)


def test_the_best_come_in_the_order_of_the_model_and_the_rest_behind_them():
    model = Model([0.1, 0.9, 0.5])
    found = reranked("q?", RANKED, model, top_n=3)
    assert names(found) == ["b.1", "c.1", "a.1", "d.1"]
    assert [item.score for item in found] == [4.0, 3.0, 2.0, 1.0]
    assert model.asked == [("q?", ["Text of a.1.", "Text of b.1.", "Text of c.1."])]


def test_equal_scores_leave_the_order_of_the_search():
    assert names(reranked("q?", RANKED, Model([1.0, 1.0, 1.0, 1.0]), top_n=9)) == names(RANKED)


def test_one_passage_is_not_asked_about():
    model = Model([1.0])
    assert reranked("q?", RANKED[:1], model, top_n=9) == RANKED[:1]
    assert reranked("q?", [], model, top_n=9) == []
    assert model.asked == []


def test_a_model_that_fails_changes_nothing_and_the_log_says_so():
    said: list[str] = []
    sink = logger.add(lambda message: said.append(str(message)), format="{level} {message}")
    try:
        found = reranked("q?", RANKED, Model(BackendError("the rerank server at X cannot be reached")), top_n=3)
    finally:
        logger.remove(sink)
    assert found == RANKED
    assert said == ["WARNING passages stay in the order of the search: the rerank server at X cannot be reached\n"]
