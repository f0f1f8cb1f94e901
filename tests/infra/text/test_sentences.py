"""Sentences with their exact places."""

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.text.sentences import MAX_SENTENCE_CHARS, split_sentences


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


def test_plain_prose_is_cut_at_its_full_stops():
    assert cut("It rains. Take a coat!  Will you? Yes") == ["It rains.", "Take a coat!", "Will you?", "Yes"]


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith and Mrs. Jones met at St. Mary's.",
        "It costs $3.50 with v1.2.3 installed.",
        "See https://a.b/c.d?e=f. g for more.",
        "J. R. R. Tolkien wrote it.",
        "Well... I think so… Maybe.",
        "Bring fruit, e.g. Apples, i.e. Those there.",
        "The U.S. Army came.",
        "He met us at 5 p.m. and left.",
        "We sell pens, ink etc. and paper.",
        "“Really?” he asked.",
    ],
)
def test_these_stay_one_sentence(text: str):
    assert cut(text) == [text]


def test_a_closing_quotation_mark_and_an_emoji_belong_to_the_sentence_before():
    assert cut("He said “Go.” She went.") == ["He said “Go.”", "She went."]
    assert cut("Great! 😊 See you 😀 Bye") == ["Great! 😊", "See you 😀", "Bye"]


def test_an_abbreviation_that_may_end_a_sentence_ends_it_before_a_capital():
    assert cut("He works at Acme Inc. She does not.") == ["He works at Acme Inc.", "She does not."]


def test_words_after_an_exclamation_may_go_on_in_small_letters():
    assert cut("thanks! see you") == ["thanks!", "see you"]


def test_chinese_full_stops_end_a_sentence():
    assert cut("今日は晴れ。明日は雨。」終") == ["今日は晴れ。", "明日は雨。」", "終"]


def test_lines_that_are_units_of_their_own_are_never_joined():
    text = "# Title\nText goes on.\n- one\n- two\n1. Install it\n| a | b |\n| c | d |\nAnn: hello\nBob: hi\n> quoted\n"
    assert cut(text) == [
        "# Title",
        "Text goes on.",
        "- one",
        "- two",
        "1. Install it",
        "| a | b |",
        "| c | d |",
        "Ann: hello",
        "Bob: hi",
        "> quoted",
    ]


def test_fenced_code_is_cut_at_its_lines():
    assert cut("See:\n```py\nx = 1\ny = 2\n```\nThen go.") == ["See:", "```py", "x = 1", "y = 2", "```", "Then go."]


def test_a_hard_wrapped_paragraph_is_joined():
    text = "This line is long enough to look as if it had been\nwrapped by an editor. And this is next.\n\nNew one."
    assert cut(text) == [
        "This line is long enough to look as if it had been\nwrapped by an editor.",
        "And this is next.",
        "New one.",
    ]


def test_short_lines_before_a_capital_are_not_joined():
    assert cut("Get started\nRead this first") == ["Get started", "Read this first"]


def test_a_list_number_does_not_end_a_sentence():
    assert cut("1. Install it. Then run it.") == ["1. Install it.", "Then run it."]


def test_a_stretch_without_an_end_is_cut_at_white_space():
    pieces = cut("word " * 1_000)
    assert [len(p) <= MAX_SENTENCE_CHARS for p in pieces] == [True] * 3
    assert " ".join(pieces).split() == ["word"] * 1_000
    assert [len(p) for p in cut("x" * 4_500)] == [2_000, 2_000, 500]


@pytest.mark.parametrize("text", ["", " \n\t\n ", "\n"])
def test_nothing_gives_nothing(text: str):
    assert split_sentences(text) == []


PIECES = st.sampled_from(
    ["Hello there", ". ", "! ", "\n", "\n\n", "Mr. ", "- x", "| a |", "Ann: ", "…", "😊 ", "```\n", "東。"]
)


@given(st.lists(PIECES | st.text(max_size=10), max_size=20).map("".join))
@settings(max_examples=50)
def test_spans_are_ordered_trimmed_and_lose_nothing_but_white_space(text: str):
    spans = split_sentences(text)
    assert all(start < end for start, end in spans)
    assert all(text[start:end] == text[start:end].strip() for start, end in spans)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    assert "".join("".join(text[a:b].split()) for a, b in spans) == "".join(text.split())
    assert not any("\n\n" in text[start:end] for start, end in spans)


@pytest.mark.parametrize(
    "piece", [". ", "a. ", "A: ", "|", "- ", "\n", "! ", "😊", "A ", "`", "1.", "1. ", "x", "(", "…", "\t", "# "]
)
def test_a_hostile_text_costs_no_more_than_its_length(piece: str):
    text = piece * (200_000 // len(piece))
    started = time.thread_time()
    split_sentences(text)
    assert time.thread_time() - started < 5


@pytest.mark.parametrize(
    "text", ["." * 100_000, "a!" * 50_000, "Oh!" + "\U0001f600" * 50_000], ids=["dots", "marks", "faces"]
)
def test_marks_that_end_nothing_cost_no_more_than_their_text(text: str):
    started = time.thread_time()
    split_sentences(f"{text}x")
    assert time.thread_time() - started < 5
