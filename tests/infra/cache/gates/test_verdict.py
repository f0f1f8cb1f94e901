"""What the gates decide on the whole: serve, near, refuse."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cache.gates.reading import MAX_CHARS, packed, reading, unpacked
from infra.cache.gates.verdict import verdict
from tests.infra.cache.gates.asked import judged, read

QUESTIONS = [
    "What is the capital of Peru?",
    "How many people live in the city of Bern?",
    "Why was the old bridge closed in 2019?",
    "Who didn't sign the contract with Müller & Sons?",
    "Can guests use the pool before 10 am?",
    "Which of the two routes is shorter, and by how much?",
    "Name a common disease.",
    "Was ist die Hauptstadt von Peru?",
    "東京の人口は?",
    "solar panel cost",
]
question = st.sampled_from(QUESTIONS)
any_text = st.one_of(question, st.text(max_size=120))


@given(any_text)
def test_a_question_serves_itself_unless_it_points_outside(text: str) -> None:
    read_once = read(text)
    expected = "refuse" if read_once.deictic or not read_once.key else "serve"
    assert verdict(read_once, read_once).outcome == expected


@given(any_text, any_text)
def test_the_outcome_is_the_same_both_ways(one: str, other: str) -> None:
    assert judged(one, other).outcome == judged(other, one).outcome


@given(question, st.sampled_from(["upper", "lower", "title"]), st.sampled_from(["", ".", "?!", " ...", " ?"]))
def test_case_and_punctuation_never_matter(text: str, case: str, end: str) -> None:
    changed = {"upper": text.upper(), "lower": text.lower(), "title": text.title()}[case]
    assert judged(text, changed.rstrip("?.") + end).gate == "same words"


@given(question, st.integers(0, 10**6))
def test_a_number_more_refuses(text: str, number: int) -> None:
    assert judged(f"{text.rstrip('?.')} {number}?", text).outcome == "refuse"


@pytest.mark.parametrize(
    "said",
    [
        "Please, {}",
        "Hello! {}",
        "Could you please tell me: {}",
        "Thanks for your help. {}",
        "{} Thank you!",
        "I have a quick question: {}",
        "So, um, {}",
        "Well, {}",
        "{}, please?",
        "By the way, {}",
    ],
)
def test_courtesy_and_filler_ask_nothing(said: str) -> None:
    asked = "what is the capital of Peru"
    assert judged(said.format(asked), asked).gate == "same words"


def test_words_that_the_vetoes_do_not_know_make_a_question_near_only() -> None:
    near = judged("What is the main duty of the council?", "What is the strange duty of the council?")
    assert (near.outcome, near.gate) == ("near", "alignment")
    assert near.reason.startswith("'main' is not 'strange' (")
    added = judged("What is the duty of the council?", "What is the strange duty of the council?")
    assert (added.outcome, added.reason) == ("near", "words differ: nothing against 'strange'")


def test_one_word_may_be_said_otherwise_two_may_not() -> None:
    assert judged("Where can I buy a ticket?", "Where can I purchase a ticket?").outcome == "serve"
    both = judged("Where can I buy a car?", "Where can I purchase an automobile?")
    assert both.outcome == "near"


def test_one_and_many_are_near_only() -> None:
    assert judged("Which city did she see?", "Which cities did she see?").outcome == "near"


def test_without_vectors_words_are_never_exchanged() -> None:
    asked, kept = reading("Where can I buy a ticket?"), reading("Where can I purchase a ticket?")
    assert verdict(asked, kept).outcome == "near"
    assert verdict(asked, reading("where can I buy a ticket")).outcome == "serve"


def test_two_words_of_the_dictionary_are_never_a_misspelling_of_each_other() -> None:
    assert judged("Which force is used?", "Which forge is used?").outcome != "serve"


def test_a_name_is_never_a_misspelling_of_another() -> None:
    assert judged("When did Jonson arrive?", "When did Johnson arrive?").outcome == "refuse"


def test_a_reading_comes_back_as_it_was_kept() -> None:
    made = read(QUESTIONS[3])
    back = unpacked(packed(made))
    assert back is not None
    assert (back.key, back.known, back.words) == (made.key, made.known, made.words)
    assert (back.vectors == made.vectors).all()
    assert len(packed(read("Where can guests with small children and old dogs park their heavy cars?"))) < 10_000


def test_a_reading_of_another_version_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = packed(read(QUESTIONS[0]))
    monkeypatch.setattr("infra.cache.gates.reading.VERSION", "gates-0")
    assert unpacked(kept) is None


@pytest.mark.parametrize(
    "piece", [" ", ",", "please ", "um, ", "so, ", "I ", "me: ", "1-", "a.", "'s ", "_", "this ", "x"]
)
def test_a_hostile_question_takes_bounded_time(piece: str) -> None:
    text = (piece * MAX_CHARS)[:MAX_CHARS]
    started = time.thread_time()
    verdict(reading(text), reading(text[:-2] + " b?"))
    assert time.thread_time() - started < 2


def test_a_question_that_is_too_long_is_matched_as_it_stands() -> None:
    long = "What is " + "the " * MAX_CHARS
    assert judged(long, long).outcome == "serve"
    assert judged(long, long + "end").outcome == "refuse"


def test_another_kind_of_word_from_one_stem_is_near_only() -> None:
    for one, other in (("chemist", "chemistry"), ("pharmacists", "pharmacy")):
        asked = judged(f"Who knew the {one} in Rome?", f"Who knew the {other} in Rome?")
        assert asked.outcome == "near"


def test_asking_for_the_way_is_the_same_whoever_goes_it() -> None:
    for other in ("How can we reset the router?", "How do you reset the router?", "How can one reset the router?"):
        assert judged("How do I reset the router?", other).outcome == "serve"
    for other in ("How should I reset the router?", "How did I reset the router?", "How do they reset the router?"):
        assert judged("How do I reset the router?", other).outcome == "refuse"


def test_a_degree_of_a_known_word_is_known() -> None:
    assert judged("Which is the largest tram in Rome?", "Which is the quietest tram in Rome?").outcome == "near"
    assert judged("Which is the largest tram in Rome?", "Which is the smallest tram in Rome?").gate == "polarity"
