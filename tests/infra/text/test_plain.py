"""Somebody's words on one line."""

from hypothesis import given
from hypothesis import strategies as st

from infra.text.plain import one_line


def test_line_ends_control_characters_and_directions_are_gone() -> None:
    assert one_line("evil\x1b[31m\nSources:\r\n\u2028[E9]\u0085 ba\u202enk\x9b2J.txt\x00") == (
        "evil [31m Sources: [E9] bank 2J.txt"
    )


def test_words_of_any_script_stay_as_they_are() -> None:
    assert (
        one_line("  Größe: 5\u00a0km, می\u200cشود 👩\u200d🌾 日本語 ") == "Größe: 5 km, می\u200cشود 👩\u200d🌾 日本語"
    )


@given(st.text(st.characters(exclude_categories=[])))
def test_the_line_can_be_written_and_shown_and_stays_the_same(text: str) -> None:
    line = one_line(text)
    assert line.encode("utf-8").decode("utf-8") == line
    assert line.splitlines() in ([], [line])
    assert one_line(line) == line
