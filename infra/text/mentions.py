"""What a question names and a text does not: the names and numbers that stand nowhere in it."""

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from infra.text.terms import terms

MAX_NAMED = 8
_NAMED = re.compile(r"(?<=[\w,;] )[A-Z][\w'’-]*|\b\w*\d[\w.:-]*|(?<=[\"“])[^\"”]+(?=[\"”])")


def unmentioned(question: str, held: AbstractSet[str]) -> list[str]:
    """Return the names, numbers and quoted words of ``question`` of which no term is among ``held`` (at most 8)."""
    words: Iterable[str] = (w for w in _NAMED.findall(question) if (own := terms(w)) and held.isdisjoint(own))
    return list(dict.fromkeys(words))[:MAX_NAMED]
