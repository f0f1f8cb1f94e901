"""What a question names and a text does not: the names and numbers that stand nowhere in it.

Linear in the question's length, and what is given is short, whatever the question holds.
"""

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from itertools import islice

from infra.text.terms import terms

MAX_NAMED = 8
MAX_NAMED_CHARS = 80
"""Longer words and quotes are no names."""

_NAMED = re.compile(rf"(?<=[\w,;] )[A-Z][\w'’-]*|\b\w*\d[\w.:-]*|(?<=[\"“])[^\"“”]{{1,{MAX_NAMED_CHARS}}}(?=[\"”])")


def unmentioned(question: str, held: AbstractSet[str]) -> list[str]:
    """Return the names, numbers and quoted words of ``question`` of which no term is among ``held`` (at most 8)."""
    named: Iterable[str] = dict.fromkeys(word for word in _NAMED.findall(question) if len(word) <= MAX_NAMED_CHARS)
    return list(islice((word for word in named if (own := terms(word)) and held.isdisjoint(own)), MAX_NAMED))
