"""Two lists of windows become one list of passages."""

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.store.records import Hit
from tools.fusion import Scored, fuse


def hits(*scored: tuple[str, float]) -> list[Hit]:
    """Windows named ``document.chunk.window``."""
    return [Hit(name, name.rsplit(".", 1)[0], name.split(".")[0], score) for name, score in scored]


def order(scored: list[Scored]) -> list[str]:
    return [item.chunk_id for item in scored]


def test_nothing_found_gives_nothing():
    assert fuse([], [], limit=200) == []


def test_scores_are_standard_scores_added_with_a_share_of_the_document_best():
    found = fuse(hits(("a.1.1", 3.0), ("b.1.1", 1.0)), [], limit=200)
    assert found == [Scored("a.1", "a", 0.575, "a.1.1"), Scored("b.1", "b", -0.575, "b.1.1")]


def test_a_passage_has_the_score_of_its_best_window():
    dense = hits(("a.1.1", 0.1), ("a.1.2", 0.9), ("b.1.1", 0.5))
    assert order(fuse(dense, [], limit=200)) == ["a.1", "b.1"]


def test_a_window_in_both_lists_beats_a_window_in_one():
    dense = hits(("a.1.1", 0.9), ("b.1.1", 0.9), ("c.1.1", 0.1))
    assert order(fuse(dense, hits(("b.1.1", 5.0)), limit=200)) == ["b.1", "a.1", "c.1"]


def test_the_only_window_with_the_words_stands_out():
    few = hits(("a.1.1", 0.52), ("b.1.1", 0.51), ("c.1.1", 0.5))
    many = hits(*((f"a.{n}.1", 0.9 - n / 100) for n in range(30)), ("c.1.1", 0.6))
    for dense in (few, many):
        assert order(fuse(dense, hits(("c.1.1", 4.0)), limit=200))[0] == "c.1"


def test_in_a_full_word_list_a_missing_window_has_the_least_score_not_zero():
    dense = hits(("a.1.1", 0.9), ("b.1.1", 0.1))
    words = hits(("b.1.1", 10.0), ("c.1.1", 9.0))
    full = {s.chunk_id: s.score for s in fuse(dense, words, limit=2)}
    short = {s.chunk_id: s.score for s in fuse(dense, words, limit=200)}
    assert full["a.1"] == 0.0
    assert short["a.1"] < full["a.1"]


def test_a_better_document_lifts_its_other_passages():
    dense = hits(("a.1.1", 0.9), ("a.2.1", 0.3), ("b.1.1", 0.3))
    assert order(fuse(dense, [], limit=200)) == ["a.1", "a.2", "b.1"]


def test_only_the_best_come_when_a_number_is_wanted():
    dense = hits(*((f"a.{n}.1", n / 10) for n in range(9)))
    assert fuse(dense, [], limit=200, most=3) == fuse(dense, [], limit=200)[:3]


def test_equal_scores_are_ordered_by_id():
    assert order(fuse(hits(("b.1.1", 0.5), ("a.1.1", 0.5)), [], limit=200)) == ["a.1", "b.1"]


NAMED = st.dictionaries(
    st.sampled_from([f"{d}.{c}.{w}" for d in "abc" for c in "12" for w in "12"]), st.floats(0.01, 50), max_size=12
)


@given(NAMED, NAMED, st.sampled_from([4, 200]))
@settings(max_examples=50)
def test_every_passage_comes_once_best_first_and_the_order_of_the_lists_does_not_matter(
    dense: dict[str, float], words: dict[str, float], limit: int
):
    one = fuse(hits(*dense.items()), hits(*words.items()), limit=limit)
    other = fuse(hits(*reversed(dense.items())), hits(*reversed(words.items())), limit=limit)
    assert order(one) == order(other)
    assert sorted(order(one)) == sorted({name.rsplit(".", 1)[0] for name in [*dense, *words]})
    assert [item.score for item in one] == sorted((item.score for item in one), reverse=True)


@given(st.floats(0.1, 50), st.integers(1, 40))
def test_equal_scores_say_nothing(score: float, count: int):
    found = fuse([], hits(*((f"a.{n}.1", score) for n in range(count))), limit=count)
    assert {item.score for item in found} == {0.0}
