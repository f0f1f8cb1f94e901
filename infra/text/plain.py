"""Words of strangers (documents, servers, files) where they are shown: nothing in them passes for ours, or acts."""

import unicodedata

MAX_MESSAGE_CHARS = 240

_BLANKS = frozenset({"Cc", "Zl", "Zp", "Zs"})  # control characters, line ends, and every width of blank
_DROPPED = frozenset({"Cf", "Cs"})  # what is not seen, such as a change of direction, and halves of characters
_JOINERS = "\u200c\u200d"  # some scripts and emoji are written with them


def one_line(text: str) -> str:
    """Return ``text`` on one line, its runs of blanks as one, without control, invisible and broken characters."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    return " ".join("".join(map(_seen, text)).split())


def short_line(text: str, limit: int = MAX_MESSAGE_CHARS) -> str:
    """Return the first words of ``text`` on one line, as a part of a message of ours."""
    words = one_line(text[: 8 * limit])
    return words if len(words) <= limit else f"{words[: limit - 1]}…"


def lines(text: str) -> str:
    """Return ``text`` with each of its lines as `one_line` gives it."""
    return "\n".join(map(one_line, text.split("\n")))


def _seen(character: str) -> str:
    kind = unicodedata.category(character)
    if kind in _BLANKS:
        return " "
    return "" if kind in _DROPPED and character not in _JOINERS else character
