"""An edit moves no cut that is far from it, so that a changed document embeds only what changed."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.chunk import cut
from tools.extracted import Extracted, Section

MOST_CHANGED = 20
"""Passages one edit may change, however long the text: in 1,500 such texts it was 2 on average, and at most 13."""


def passages(sentences: list[str], *, lines: bool = False) -> list[str]:
    """The passages of one section; with ``lines`` each sentence is a unit, like a row or a line of a chat."""
    text, units, start = ("\n" if lines else " ").join(sentences), [], 0
    for sentence in sentences:
        units.append((start, start + len(sentence)))
        start += len(sentence) + 1
    section = Section(0, len(text), units=tuple(units) if lines else ())
    return [text[piece.start : piece.end] for piece in cut(Extracted(text, "", (section,)), lambda _: "")]


def sentence(chance: Random) -> str:
    words = ("".join(chance.choices("abcdefghij", k=chance.randint(2, 8))) for _ in range(chance.randint(1, 30)))
    return " ".join(words).capitalize() + "."


def edited(sentences: list[str], chance: Random) -> list[str]:
    place = chance.randrange(len(sentences))
    put = chance.choice([[], [sentence(chance)], [sentence(chance), sentences[place]]])
    return [*sentences[:place], *put, *sentences[place + 1 :]]


@given(st.integers(0, 10**9), st.integers(2, 200), st.booleans())
@settings(max_examples=20)
def test_an_edit_of_one_sentence_changes_few_passages_of_a_text_of_any_length(
    seed: int, length: int, lines: bool
) -> None:
    chance = Random(seed)
    before = [sentence(chance) for _ in range(length)]
    after = edited(before, chance)
    new = set(passages(after, lines=lines)) - set(passages(before, lines=lines))
    assert len(new) <= MOST_CHANGED


@pytest.mark.parametrize("period", [1, 2, 7, 40])
def test_in_a_text_that_repeats_itself_few_texts_are_new(period: int) -> None:
    chance = Random(period)
    before = [sentence(chance) for _ in range(period)] * (400 // period)
    for seed in range(3):
        new = set(passages(edited(before, Random(seed)))) - set(passages(before))
        assert len(new) <= max(MOST_CHANGED, period)


def test_what_stands_before_a_text_does_not_change_its_cuts() -> None:
    chance = Random(3)
    before = [sentence(chance) for _ in range(200)]
    after = [sentence(chance) for _ in range(50)] + before
    assert len(set(passages(before)) - set(passages(after))) <= MOST_CHANGED
