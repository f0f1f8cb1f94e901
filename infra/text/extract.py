"""Choosing sentences: the shortest way to a summary that invents nothing."""

import re
from collections.abc import Set as AbstractSet

from infra.text.sentences import split_sentences
from infra.text.terms import terms

_FACT = re.compile(r"\d|\w[_/\\]\w|\w\.\w|[a-z][A-Z]")


def extract(text: str, wanted: AbstractSet[str], room: int) -> str:
    """Return the sentences of ``text`` that serve best, in their order, in at most ``room`` characters.

    A sentence is worth a point for each term of ``wanted`` that it holds, and half a point for holding a fact that
    cannot be guessed (a number, a path, an identifier). What does not fit is skipped, a shorter one after it may
    still.

    Args:
        text: what to choose from.
        wanted: terms (see ``infra.text.terms``), of the question for instance.
        room: characters, the line breaks between the sentences included.
    """
    spans = split_sentences(text)
    kept: list[tuple[int, int]] = []
    for start, end in sorted(spans, key=lambda span: (-_worth(text[slice(*span)], wanted), span)):
        if end - start + 1 <= room:
            kept.append((start, end))
            room -= end - start + 1
    return "\n".join(text[start:end] for start, end in sorted(kept))


def _worth(sentence: str, wanted: AbstractSet[str]) -> float:
    return len(wanted & set(terms(sentence))) + (0.5 if _FACT.search(sentence) else 0.0)
