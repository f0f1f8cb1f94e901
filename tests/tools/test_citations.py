"""Citations stand to the letter."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.text.blocks import neutral
from tools.citations import Citation, best_quote, carries, check, locate, whole_sentences
from tools.evidence import Passage

BEFORE = "Some words before. "


def passage(text: str, header: str = "") -> Passage:
    return Passage("p", "notes.txt", len(BEFORE), len(BEFORE) + len(text), text, header, 1.0, "d")


def quoted(quote: str, text: str) -> str | None:
    place = locate(quote, passage(text))
    return None if place is None else (BEFORE + text)[place[0] : place[1]]


@pytest.mark.parametrize(
    ("quote", "text", "found"),
    [
        ("takes 9 GiB", "The cache takes 9 GiB here.", "takes 9 GiB"),
        ("takes 9 GiB", "The cache takes\n   9\u00a0GiB here.", "takes\n   9\u00a0GiB"),
        ("  takes\t9 GiB \n", "The cache takes 9 GiB here.", "takes 9 GiB"),
        ("write ‹source> here", "You write <source> here.", "write <source> here"),
        ("write <source> here", "You write ‹source> here.", "write ‹source> here"),
        ('"it\'s" - so...', "He said “it’s” – so… And", "“it’s” – so…"),
        ("“it’s” — so…", 'He said "it\'s" - so... And', '"it\'s" - so...'),
        ("co-operate", "We co\u00ad-operate", "co\u00ad-operate"),
        ('"We agree."', "Then: We agree. Now", "We agree."),
        ("cat", "concatenate the cat", "cat"),
    ],
)
def test_a_quote_is_found_however_it_was_copied_and_returned_as_it_stands(quote: str, text: str, found: str):
    assert quoted(quote, text) == found


@pytest.mark.parametrize(
    ("quote", "text"),
    [
        ("takes 8 GiB", "The cache takes 9 GiB here."),
        ("The Cache", "The cache takes 9 GiB here."),
        ("ache", "The cache takes 9 GiB here."),
        ("takes 9", "The cache takes 90 GiB here."),
        ("The cache ... here", "The cache takes 9 GiB here."),
        ("", "The cache"),
        (" \n", "The cache"),
        ("...", "Well... yes"),
        ('""', 'say ""'),
        ("The cache", ""),
    ],
)
def test_what_does_not_stand_there_is_not_found(quote: str, text: str):
    assert locate(quote, passage(text)) is None


def test_a_quote_longer_than_its_passage_is_refused_at_once():
    started = time.thread_time()
    assert locate("a " * 5_000_000, passage("a a a")) is None
    assert time.thread_time() - started < 0.1


@pytest.mark.parametrize("piece", ["a", "a ", " ", "ab", "- ", "…"])
def test_a_hostile_quote_costs_no_more_than_its_length(piece: str):
    text = piece * (100_000 // len(piece))
    started = time.thread_time()
    locate(text[: len(text) // 2] + "b", passage(text))
    locate("a", passage(text))
    assert time.thread_time() - started < 3


WORDS = st.lists(
    st.sampled_from(["the", "cache", "<source", "“it’s”", "–", "9", "GiB…", "\n", "\u00a0", "x."]),
    min_size=1,
    max_size=30,
)


@given(WORDS, st.data())
@settings(max_examples=50)
def test_every_stretch_of_whole_words_of_a_passage_is_found_to_the_letter(words: list[str], data: st.DataObject):
    text = " ".join(words)
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, len(words) - 1))
    stretch = " ".join(words[first : last + 1])
    shown = " ".join(neutral(stretch).replace("’", "'").replace("“", '"').split())
    found = quoted(shown, text)
    if any(map(str.isalnum, stretch)):
        assert found is not None
        assert "".join(found.split()) in "".join(text.split())
        assert locate(found, passage(text)) is not None
    else:
        assert found is None


@given(st.text(max_size=60), st.text(max_size=120))
@settings(max_examples=50)
def test_whatever_is_found_lies_inside_the_passage_and_passes_the_check(quote: str, text: str):
    for place in (locate(quote, passage(text)), best_quote(quote, passage(text))):
        if place is not None:
            document = BEFORE + text
            citation = Citation("E1", "notes.txt", *place, document[place[0] : place[1]])
            assert len(BEFORE) <= place[0] < place[1] <= len(document)
            assert check(citation, document)


TEXT = "The depot opened in 1998. It stores grain and salt. Maria Santos runs it since 2004. Visitors are welcome."


def best(sentence: str, header: str = "", text: str = TEXT) -> str | None:
    place = best_quote(sentence, passage(text, header))
    return None if place is None else (BEFORE + text)[place[0] : place[1]]


def test_the_sentence_that_carries_the_words_is_the_best_quote():
    assert best("The depot was opened in 1998.") == "The depot opened in 1998."
    assert best("Grain and salt are stored there.") == "It stores grain and salt."


def test_two_sentences_are_quoted_when_one_does_not_carry_enough():
    assert best("The depot opened in 1998 and stores grain and salt.") == (
        "The depot opened in 1998. It stores grain and salt."
    )


def test_the_header_carries_what_the_text_need_not_repeat():
    claim = "Ann said on 6 May 2026 that the boiler leaks."
    text = "The boiler leaks. Call someone."
    assert best(claim, "2026-05-06 Ann, Bob", text) == "The boiler leaks."
    assert best(claim, "2026-05-07 Ann, Bob", text) is None


@pytest.mark.parametrize(
    "sentence",
    ["The depot opened in 1997.", "Trains leave for the coast every hour.", "", "the of and", "1998 2004 1998 2011"],
)
def test_a_claim_that_no_sentence_carries_has_no_quote(sentence: str):
    assert best(sentence) is None


def test_a_passage_without_words_has_no_quote():
    assert best("The depot", text=" ") is None


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (5, 5), (0, 99), (1, 6), (3, 2)])
def test_a_citation_whose_quote_is_not_at_its_offsets_fails_the_check(start: int, end: int):
    assert not check(Citation("E1", "a", start, end, "Hello"), "Hello there")


def test_a_citation_at_its_place_passes_the_check():
    assert check(Citation("E1", "a", 0, 5, "Hello"), "Hello there")


def test_the_tail_of_a_long_sentence_is_not_passed_over() -> None:
    text = "Ann Miller sold the bakery."
    assert best_quote(text + " It went very well." * 9 + " It brought 9,000,000 dollars.", passage(text)) is None


@pytest.mark.parametrize(
    ("texts", "sentence", "carried"),
    [
        (["Ann opened it.", "That was in 2021."], "In 2021 Ann opened it.", True),
        (["Ann opened it."], "In 2021 Ann opened it.", False),
        (["Ann opened it."], "Zoe baked bread, cakes and rolls.", False),
        (["Ann opened the mill."], "Later she sold the mill.", True),
    ],
)
def test_what_carries_a_sentence_has_all_its_numbers_and_some_of_its_words(
    texts: list[str], sentence: str, carried: bool
):
    assert carries(texts, sentence) is carried


def test_a_span_is_widened_to_the_sentences_it_touches() -> None:
    text = "One is here. Two is there. Three."
    place = len(BEFORE) + text.index("Two"), len(BEFORE) + text.index("Two") + 3
    start, end = whole_sentences(place, passage(text))
    assert (BEFORE + text)[start:end] == "Two is there."
