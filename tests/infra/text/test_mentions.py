"""What a question names and a text does not."""

import time

import pytest

from infra.text.mentions import MAX_NAMED, MAX_NAMED_CHARS, unmentioned
from infra.text.terms import terms


def test_names_numbers_and_quoted_words_that_stand_nowhere_are_given() -> None:
    question = 'When did Ann Miller sell "the old mill" for 9000 dollars to Bob?'
    assert unmentioned(question, set(terms("Ann Miller owned the bakery."))) == ["the old mill", "9000", "Bob"]


def test_each_is_given_once_and_few_of_them() -> None:
    assert unmentioned("Was it Bob or Bob?", set()) == ["Bob"]
    assert len(unmentioned(" ".join(f"x Name{n}" for n in range(50)), set())) == MAX_NAMED


def test_what_is_too_long_for_a_name_is_not_repeated_but_the_names_in_it_are() -> None:
    assert unmentioned(f"Is it X{'y' * MAX_NAMED_CHARS} here?", set()) == []
    assert unmentioned(f'He wrote "{"so " * 40}to Bob" once.', set()) == ["Bob"]


@pytest.mark.parametrize("piece", ["“", '"', '"a ', "“a ", "a 1", "A ", "1.", "x"])
def test_time_grows_with_the_question(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    started = time.thread_time()
    unmentioned(text, set())
    assert time.thread_time() - started < 5
