"""A text for a pattern: found where the search is short, given up where it is not."""

import pytest

from infra.engine.pattern import holds_match, short_match

SLOW = "^(a|aa|aaa)+$"


@pytest.mark.parametrize(
    ("pattern", "min_chars", "text"),
    [
        ("", 0, ""),
        ("[a-z]+", 0, "a"),
        ("[a-z]+", 3, "aaa"),
        (r"\d{4}-\d{2}", 0, "0000-00"),
        ("Zürich|Q", 0, "Zürich"),
        ("(?:yes|no)!", 0, "yes!"),
    ],
)
def test_a_short_match_is_found(pattern: str, min_chars: int, text: str):
    assert short_match(pattern, min_chars) == text


@pytest.mark.parametrize("pattern", ["(", "a{65}", "(?!)"])
def test_what_is_no_pattern_or_matches_nothing_in_reach_has_none(pattern: str):
    assert short_match(pattern, 0) is None


def test_a_pattern_is_looked_for_anywhere():
    assert holds_match("b+", "abc")
    assert not holds_match("^b", "abc")


def test_what_is_no_pattern_or_takes_too_long_matches_nothing():
    assert not holds_match("(", "(")
    assert not holds_match(SLOW, "a" * 4_000 + "b")
