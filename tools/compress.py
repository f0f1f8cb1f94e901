"""State compression: what a stage said becomes a note of bounded length.

A note is chosen, not written: whole sentences of the original in their order, those first that carry the question's
terms, numbers, dates, paths and identifiers, until the cap is reached. Nothing is invented, at no model call.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from infra.text.extract import extract
from infra.text.terms import terms

NOTE_TOKENS = 250
"""Tokens of a note, at most (requirements: "a stage's result in at most 250 tokens")."""

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
    wanted = set(terms(question))
    while True:
        chosen = extract(text, wanted, room)
        after = await count(chosen)
        if after <= cap or room <= 1:
            return Note(chosen, before, after)
        room = int(room * min(0.9, cap / after))
