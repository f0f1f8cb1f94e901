"""A question without what asks nothing: greetings, courtesy, fillers, and the frames of indirect questions.

Gives text of the same length as the question's, with blanks where something was taken away, so that places in it are
places in the question.
"""

import re
import unicodedata

from infra.cache.gates.lexicon import Lexicon

MAX_FRAMES = 6
"""Frames stripped at each end of a question at most."""
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2019\u2018\u02bc\u0060\u00b4", "'"))
_SOMETHING = re.compile(r"\w+\W+\w+")
_LEADING = re.compile(r"[\s,;:.!?\"']+")


def folded(text: str) -> str:
    """Return ``text`` in lower case and compatibility form, each character in its place."""
    text = text.translate(_APOSTROPHES)
    return text.lower() if text.isascii() else "".join(_folded(character) for character in text)


def _folded(character: str) -> str:
    for changed in (unicodedata.normalize("NFKC", character).lower(), character.lower()):
        if len(changed) == 1:
            return changed
    return character


def plainer(text: str, lexicon: Lexicon) -> str:
    """Return folded ``text`` with its frames and fillers blanked; what would leave less than two words stays."""
    for _ in range(MAX_FRAMES):
        shorter = lexicon.inside.sub(_blank, text)
        start = _start(shorter)
        head = lexicon.heads.match(shorter, start)
        if head and head.end() > start:
            shorter = " " * head.end() + shorter[head.end() :]
        tail = lexicon.tails.search(shorter)
        if tail:
            shorter = shorter[: tail.start()] + " " * (len(shorter) - tail.start())
        if shorter == text or not _SOMETHING.search(shorter):
            break
        text = shorter
    return text


def _start(text: str) -> int:
    found = _LEADING.match(text)
    return found.end() if found else 0


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])
