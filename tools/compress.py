"""State compression: what a stage said becomes a note of bounded length.

A note is chosen, not written: whole sentences of the original in their order, those first that carry the question's
terms, numbers, dates, paths and identifiers, until the cap is reached. Nothing is invented, at no model call.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from infra.text.sentences import split_sentences
from infra.text.terms import terms

NOTE_TOKENS = 250
"""Tokens of a note, at most (requirements: "a stage's result in at most 250 tokens")."""

_FACT = re.compile(r"\d|[A-Za-z]+[_/\\.-][A-Za-z]|[a-z][A-Z]")

Count = Callable[[str], Awaitable[int]]
"""How many tokens a text is to the model in use."""


@dataclass(frozen=True, slots=True)
class Note:
    """A stage's result after compression, with its size in tokens before and after."""

    text: str
    tokens_before: int
    tokens_after: int

    @property
    def shortened(self) -> bool:
        """Whether anything was left out."""
        return self.tokens_after < self.tokens_before


async def compress(text: str, question: str, count: Count, *, cap: int = NOTE_TOKENS) -> Note:
    """Return ``text`` whole within ``cap`` tokens, else its sentences that serve ``question`` best, within ``cap``."""
    before = await count(text)
    if before <= cap:
        return Note(text, before, before)
    room = int(len(text) * cap / before)
    while True:
        chosen = extract(text, question, room)
        after = await count(chosen)
        if after <= cap or room <= 1:
            return Note(chosen, before, after)
        room = int(room * min(0.9, cap / after))


def extract(text: str, question: str, room: int) -> str:
    """Return the sentences of ``text`` that serve ``question`` best, in their order, in at most ``room`` characters."""
    wanted = set(terms(question))
    spans = split_sentences(text)
    ranked = sorted(spans, key=lambda span: (-_worth(text[slice(*span)], wanted), span))
    kept: list[tuple[int, int]] = []
    for start, end in ranked:
        if end - start + 1 <= room:
            kept.append((start, end))
            room -= end - start + 1
    return "\n".join(text[start:end] for start, end in sorted(kept))


def _worth(sentence: str, wanted: set[str]) -> float:
    """Terms of the question count most, then whether there is a fact (number, path, identifier) to lose."""
    found = wanted.intersection(terms(sentence))
    return len(found) + (0.5 if _FACT.search(sentence) else 0.0)
