"""How much of some terms stands close together."""

import pytest

from tools.coverage import Cover, best_cover, grid_of, header_terms

NOTHING: frozenset[str] = frozenset()
TEXT = "Ann bakes bread. Bob drinks tea. Cid eats bread with tea. Dan sleeps."


def test_a_grid_notes_in_which_sentences_a_term_stands():
    grid = grid_of(TEXT)
    assert [TEXT[start:end] for start, end in grid.spans][1] == "Bob drinks tea."
    assert (grid.places["bread"], grid.places["tea"], grid.places["dan"]) == (0b0101, 0b0110, 0b1000)


@pytest.mark.parametrize(
    ("weights", "sentences", "expected"),
    [
        ({"bread": 1.0, "tea": 1.0}, 1, Cover(1.0, 2, 2)),
        ({"ann": 3.0, "dan": 1.0}, 1, Cover(0.75, 0, 0)),
        ({"ann": 1.0, "dan": 1.0}, 4, Cover(1.0, 0, 3)),
        ({"ann": 1.0, "tea": 1.0}, 2, Cover(1.0, 0, 1)),
        ({"ann": 1.0, "dan": 1.0}, 99, Cover(1.0, 0, 3)),
        ({"zoe": 1.0}, 2, Cover(0.0, 0, 1)),
        ({}, 2, Cover(0.0, 0, 0)),
    ],
)
def test_the_window_that_covers_most_weight_is_found(weights: dict[str, float], sentences: int, expected: Cover):
    assert best_cover(grid_of(TEXT), weights, sentences=sentences, given=NOTHING) == expected


def test_a_header_counts_everywhere_and_only_once():
    cover = best_cover(grid_of(TEXT), {"may": 1.0, "bread": 1.0}, sentences=1, given=header_terms("May 2026, bread"))
    assert cover == Cover(1.0, 0, 0)


def test_a_text_without_sentences_covers_only_what_is_given():
    assert best_cover(grid_of(" "), {"may": 1.0, "tea": 1.0}, sentences=3, given=frozenset({"may"})).share == 0.5
