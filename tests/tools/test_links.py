"""Names lead from passage to passage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.links import MAX_PHRASES, Seed, bridges, phrase_terms, phrases, strengths

SEED = Seed("Ann met Bob at Central Perk. They spoke of Hong Kong.\nSince then she studies.", "Notes of Ann", 1.0)
IDF = {"ann": 1.0, "bob": 2.0, "central": 5.0, "perk": 6.0, "hong": 6.0, "kong": 6.0, "note": 0.5, "studi": 1.0}


def test_phrases_are_capitalised_words_but_not_those_that_begin_a_sentence_or_a_line():
    assert phrases(SEED.text) == {("bob",), ("central", "perk"), ("hong", "kong")}
    assert phrases("The Bank of England rose.") == {("bank", "england")}


def test_what_the_question_names_itself_is_not_followed_and_rare_phrases_weigh_most():
    found = bridges([SEED], frozenset({"hong", "kong"}), IDF)
    assert list(found.items()) == [(("central", "perk"), 1.0), (("bob",), 2 / 6), (("note", "ann"), 1 / 6)]


def test_a_phrase_of_two_seeds_has_the_weight_of_both():
    other = Seed("He likes Central Perk.", "", 0.5)
    assert bridges([SEED, other], frozenset(), IDF)["central", "perk"] == 1.5


def test_terms_of_all_phrases_and_titles_are_asked_for_once():
    assert sorted(phrase_terms([SEED, SEED])) == ["ann", "bob", "central", "hong", "kong", "note", "perk"]


def test_a_text_is_linked_as_strongly_as_the_phrases_it_has():
    followed = {("central", "perk"): 1.0, ("bob",): 0.5}
    texts = ["A seat at Central Perk for Bob.", "The perk is central.", "Bob sleeps.", "Central Perk!"]
    assert strengths(texts, followed) == pytest.approx([1.0, 0.0, 1 / 3, 2 / 3])
    assert strengths(texts[:3], followed) == [1.0, 0.0, 1.0]
    assert strengths(texts, {}) == [0.0] * 4
    assert strengths([], followed) == []


@given(st.lists(st.text(alphabet="ABc .\n", max_size=60), max_size=5))
def test_links_are_bounded_whatever_the_texts_are(texts: list[str]):
    seeds = [Seed(text, text, 1.0) for text in texts]
    found = bridges(seeds, frozenset(), dict.fromkeys(phrase_terms(seeds), 2.0))
    assert len(found) <= MAX_PHRASES
    assert all(0 <= strength <= 1 for strength in strengths(texts, found))
