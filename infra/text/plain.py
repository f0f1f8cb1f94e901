"""Somebody's words where they are shown: one line, and nothing in it that a terminal or a reader takes for ours."""

import unicodedata

_BLANKS = frozenset({"Cc", "Zl", "Zp", "Zs"})  # control characters, line ends, and every width of blank
_DROPPED = frozenset({"Cf", "Cs"})  # what is not seen, such as a change of direction, and halves of characters
_JOINERS = "\u200c\u200d"  # some scripts and emoji are written with them


def one_line(text: str) -> str:
    """Return ``text`` on one line, its runs of blanks as one, without control, invisible and broken characters."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    return " ".join("".join(map(_seen, text)).split())


def lines(text: str) -> str:
    """Return ``text`` with each of its lines as `one_line` gives it."""
    return "\n".join(map(one_line, text.split("\n")))


def _seen(character: str) -> str:
    kind = unicodedata.category(character)
    if kind in _BLANKS:
        return " "
    return "" if kind in _DROPPED and character not in _JOINERS else character
