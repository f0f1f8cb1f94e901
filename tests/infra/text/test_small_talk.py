"""Small talk is known by its whole words; whatever may ask for something is not small talk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.text.small_talk import small_talk


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Hello!", "greeting"),
        ("  good\nmorning,  can you help me? ", "greeting"),
        ("Thanks a lot", "thanks"),
        ("bye", "goodbye"),
        ("ok", "assent"),
        ("Who are you?", "about"),
        ("What can you do for me?", "about"),
    ],
)
def test_small_talk_is_known_by_its_kind(said: str, kind: str) -> None:
    assert small_talk(said) == kind


@pytest.mark.parametrize(
    "said",
    [
        "Hi, when was the boiler serviced?",
        "Who are you in the play?",
        "Thanks, and who paid?",
        "What is the capital of France?",
        "hello " * 40,
        "hello" + " " * 300 + "and who paid?",
        "",
        "?",
    ],
)
def test_what_may_ask_for_something_is_no_small_talk(said: str) -> None:
    assert small_talk(said) is None


@given(st.text())
def test_whatever_follows_a_greeting_is_not_lost(asked: str) -> None:
    assert small_talk(f"Hello, who is Zacharias {asked}") is None
