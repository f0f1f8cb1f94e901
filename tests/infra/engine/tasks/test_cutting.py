"""Where texts are cut, and which lines only give context."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.engine.tasks.cutting import (
    UNIT_CHARS,
    cut,
    has_list,
    is_date_line,
    is_fragment,
    is_heading,
    is_row,
    is_rule,
    speaker_of,
    without_bullet,
)


def pieces(text: str) -> list[str]:
    return [text[start:end] for start, end in cut(text)]


def test_a_said_line_stays_whole_and_prose_is_cut_into_sentences():
    text = "Ann: It works. I tried it.\nThe pump is new. It is quiet.\nBob: Good!"
    assert pieces(text) == ["Ann: It works. I tried it.", "The pump is new.", "It is quiet.", "Bob: Good!"]


def test_a_said_line_that_is_too_long_is_cut_into_sentences():
    line = "Ann: " + "It is a long story. " * (UNIT_CHARS // 20 + 1)
    assert pieces(line)[:2] == ["Ann: It is a long story.", "It is a long story."]


def test_a_lead_line_takes_its_list_along():
    text = "Bring these:\n- a rope. It must be long.\n- a lamp\nThen wait outside."
    assert pieces(text) == ["Bring these:\n- a rope. It must be long.\n- a lamp", "Then wait outside."]


def test_a_list_that_would_make_the_piece_too_long_is_cut_between_its_items():
    items = [f"- item number {n} of a list that goes on and on" for n in range(40)]
    found = pieces("Bring these:\n" + "\n".join(items))
    assert found[0].startswith("Bring these:\n- item number 0")
    assert all(len(piece) <= UNIT_CHARS for piece in found)
    assert found[-1] == items[-1]


@pytest.mark.parametrize(
    ("line", "speaker"),
    [
        ("Ann: hello", "Ann"),
        ("Ann Miller-Ray (host): hello", "Ann Miller-Ray (host)"),
        ("no speaker here", ""),
        ("see http://example.org: fine", ""),
        ("Ann:", ""),
        ("12:30 lunch", ""),
    ],
)
def test_a_speaker_stands_before_a_colon(line: str, speaker: str):
    assert speaker_of(line) == speaker


@pytest.mark.parametrize("text", ["Time: 20260301_13:00", "2026-03-01", "Date: 1.3.2026", "# 2026-03-01 13:00"])
def test_a_line_that_only_states_a_date_is_a_date_line(text: str):
    assert is_date_line(text)


@pytest.mark.parametrize("text", ["We met on 2026-03-01 in Rome.", "Ann: 7 pm", "no digits at all"])
def test_a_line_that_says_more_than_a_date_is_none(text: str):
    assert not is_date_line(text)


@pytest.mark.parametrize("text", ["# Memory", "## The pump", "Safety notes", "Version 2"])
def test_headings_are_marked_or_short_without_an_end(text: str):
    assert is_heading(text)


@pytest.mark.parametrize("text", ["It works.", "- Item", "Ann: Hi", "| Head | Row |", "lower case words", "A" * 90])
def test_sentences_items_rows_and_said_lines_are_no_headings(text: str):
    assert not is_heading(text)


def test_drawn_lines_rows_lists_and_fragments_are_told_apart():
    assert is_rule("| --- | :-: |")
    assert not is_rule("a - b")
    assert is_row("| a | b |")
    assert not is_row("Ann: a | b")
    assert has_list("These:\n1. one")
    assert not has_list("1. one")
    assert is_fragment("Home About Products Services Team Contact Imprint Help")
    assert not is_fragment("Home About Products Services Team Contact Imprint Help.")
    assert not is_fragment("| Home | About | Products | Services | Team | Contact | Imprint |")
    assert not is_fragment("Too short to tell")
    assert without_bullet("- a rope") == "a rope"
    assert without_bullet("a rope - long") == "a rope - long"


@settings(max_examples=50)
@given(st.text(alphabet="aB. :\n-|?!1", max_size=200))
def test_pieces_are_ordered_never_empty_and_hold_everything_but_white_space(text: str):
    spans = cut(text)
    assert all(start < end and text[start:end].strip() == text[start:end] for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    kept = "".join(text[start:end] for start, end in spans)
    assert "".join(kept.split()) == "".join(text.split())
