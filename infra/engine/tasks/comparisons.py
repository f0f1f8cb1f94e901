"""The sides of a comparison, each as a question of its own.

Rules, in plain words:

* ``difference between A and B``, ``compare A with B``, ``how does A differ from B``, ``A versus B`` ask "What about A?"
  and "What about B?"; what stands behind B from a preposition on (``in memory use``) goes to both.
* ``is A larger than B`` and ``which is larger, A or B`` ask "How large is A?" and "How large is B?".
* ``both A and B``, with two names, asks the same of A and of B.
* Where A is one word of the same shape as B's first (``FP8 and FP16 caches``), B's other words go to A, too.
"""

import re

from infra.engine.tasks.words import AUXILIARIES, DETERMINERS, LARGER_THAN_LARGE, QUESTION_WORDS

LONGEST_SIDE_CHARS = 60

_A, _B = r"(?P<a>.{1,120}?)", r"(?P<b>.{1,60}?)"
_REST = r"(?P<rest>\s+(?:in|for|with|on|at|when|regarding|by|during|under)\s.*)?"
_MORE = r"(?P<more>(?:more|less)\s+[a-z]+|[a-z]{2,}er|better|worse)"
_PAIRS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf".*?\b(?:differences?|similarit(?:y|ies)|comparison)\s+(?:between|of)\s+{_A}\s+(?:and|to|with|from)\s+{_B}{_REST}",
        rf"(?:please\s+)?(?:compare|contrast|distinguish)\s+{_A}\s+(?:and|with|to|against|versus|vs\.?|from)\s+{_B}{_REST}",
        rf"how\s+(?:does|do|did|is|are)\s+{_A}\s+(?:differ(?:ent)?|compared?)\s+(?:from|to|with)\s+{_B}{_REST}",
        rf"{_A}\s+(?:vs\.?|versus)\s+{_B}{_REST}",
    )
]
_DEGREES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?P<be>is|are|was|were)\s+{_A}\s+{_MORE}\s+than\s+{_B}{_REST}",
        rf"(?:which|who|what)(?:\s+one)?\s+(?P<be>is|are|was|were)\s+{_MORE}\s*[,:]?\s+{_A}\s+or\s+{_B}{_REST}",
    )
]
_BOTH = re.compile(
    r"(?P<lead>.*?)\bboth\s+(?P<a>[A-Z]\w*(?:\s+[A-Z]\w*)*)\s+and\s+(?P<b>[A-Z]\w*(?:\s+[A-Z]\w*)*)(?P<rest>.*)"
)
_SINGULAR = {"do": "does", "are": "is", "were": "was", "have": "has"}


def sides(text: str) -> list[str]:
    """Return a question for each side of the comparison ``text`` makes; none where it makes none."""
    bare = text.strip(" ?.!")
    if both := _BOTH.fullmatch(bare):
        lead = " ".join(_SINGULAR.get(word, word) for word in both["lead"].split())
        return [f"{lead} {both[side]}{both['rest']}?".strip() for side in ("a", "b")]
    for pattern in _PAIRS:
        if match := pattern.fullmatch(bare):
            return [f"What about {side}{match['rest'] or ''}?" for side in _named_sides(match)]
    for pattern in _DEGREES:
        if match := pattern.fullmatch(bare):
            lead = f"How {_plain(match['more'].lower())} {match['be'].lower()}"
            return [f"{lead} {side}{match['rest'] or ''}?" for side in _named_sides(match)]
    return []


def _named_sides(match: re.Match[str]) -> list[str]:
    """Return the two sides, or three where the first is a list; none where one cannot be a thing's name."""
    found = [side.strip() for side in re.split(r",\s*", match["a"]) if side.strip()] + [match["b"].strip()]
    words = {word.lower() for side in found for word in side.split()}
    if any(len(side) > LONGEST_SIDE_CHARS for side in found) or not words.isdisjoint(QUESTION_WORDS | AUXILIARIES):
        return []
    last = _without_article(found[-1]).split()
    return [
        f"{side} {' '.join(last[1:])}" if len(last) > 1 and _same_shape(_without_article(side), last[0]) else side
        for side in found[:-1]
    ] + found[-1:]


def _without_article(side: str) -> str:
    first, _, rest = side.partition(" ")
    return rest if rest and first.lower() in DETERMINERS else side


def _same_shape(one: str, other: str) -> bool:
    shapes = [re.sub(r"\d+", "0", word.casefold()) for word in (one, other)]
    return "0" in shapes[0] and shapes[0] == shapes[1]


def _plain(more: str) -> str:
    """Return the adjective of a comparative: larger, more useful, happier, bigger -> large, useful, happy, big."""
    if " " in more:
        return more.split()[-1]
    if more in LARGER_THAN_LARGE:
        return LARGER_THAN_LARGE[more]
    stem = more.removesuffix("er")
    if stem.endswith("i"):
        return f"{stem[:-1]}y"
    doubled = stem[-1:] == stem[-2:-1] and stem[-1] not in "ls"
    return stem[:-1] if doubled else stem
