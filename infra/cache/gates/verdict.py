"""The verdict on a kept answer: serve it, treat it as near, or refuse it; always with the reason.

``serve``: the questions are the same words, or all vetoes and the alignment pass. ``near``: only the vetoes pass; what
was found for the kept question may be of use, its answer is not to be given. ``refuse``: a veto objects.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np

from infra.cache.gates.pairs import Pair, paired
from infra.cache.gates.reading import Reading, Word
from infra.cache.gates.vetoes import refused
from infra.cache.gates.words import DERIVED, WORD

Outcome = Literal["serve", "near", "refuse"]

LEAST_ALIKE = 0.75
"""Cosine of token vectors below which two words are not the same thing said otherwise (own trial with MiniLM)."""
LEAST_STEM = 5
"""Letters that two words of one stem share."""
MAX_EXCHANGED = 1
"""Open words that may be said otherwise in one question."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gates decided, and why."""

    outcome: Outcome
    gate: str
    """The gate that decided: a veto's name, ``language``, ``deictic``, ``alignment`` or ``same words``."""
    reason: str
    """One line for a person."""


def verdict(asked: Reading, kept: Reading) -> Verdict:
    """Decide whether the answer kept for one question may be given to another.

    Symmetric: the outcome is the same whichever of the two was asked first. Takes about 0.1 ms.
    """
    if asked.deictic or kept.deictic:
        return Verdict("refuse", "deictic", "the question points at something outside itself")
    if asked.key == kept.key and asked.key:
        return Verdict("serve", "same words", "the same words but for case, punctuation, courtesy or contraction")
    if not (asked.known and kept.known):
        return Verdict("refuse", "language", "not in a language the gates know: matched word for word only")
    pair = paired(asked, kept)
    if objection := refused(pair):
        return Verdict("refuse", *objection)
    if objection := _unlike(pair):
        return Verdict("near", "alignment", objection)
    return Verdict("serve", "alignment", "the same question in other words")


def _unlike(pair: Pair) -> str | None:
    """Why the open words do not mean the same; None where they do."""
    if len(pair.only_asked) != len(pair.only_kept) or pair.lined_up is None:
        return f"words differ: {_words(pair.only_asked)} against {_words(pair.only_kept)}"
    if _forms(pair.asked, pair, 0) != _forms(pair.kept, pair, 1):
        return "the forms of words differ (one or many, verb or noun)"
    if not pair.only_asked:
        return None
    if len(pair.only_asked) > MAX_EXCHANGED:
        return f"too many words differ: {_words(pair.only_asked)} against {_words(pair.only_kept)}"
    if kinds := _other_kind(pair):
        return f"{kinds} are two kinds of word from one stem"
    alike = _weakest(pair)
    return None if alike >= LEAST_ALIKE else f"{_words(pair.only_asked)} is not {_words(pair.only_kept)} ({alike:.2f})"


def _other_kind(pair: Pair) -> str | None:
    """Two exchanged words of one beginning, of which one ends as derived words do: pharmacy, pharmacist."""
    exchanged = {id(word) for word in pair.only_asked}
    for one, other in pair.lined_up or ():
        forms = [word.form.replace("our", "or") for word in (one, other)]
        alike = next((n for n, (a, b) in enumerate(zip(*forms, strict=False)) if a != b), min(map(len, forms)))
        endings = [next((end for end in DERIVED if form.rstrip("s").endswith(end)), "") for form in forms]
        if id(one) in exchanged and alike >= LEAST_STEM and endings[0] != endings[1]:
            return f"'{one.form}' and '{other.form}'"
    return None


def _words(words: tuple[Word, ...]) -> str:
    return ", ".join(f"'{word.form}'" for word in words[:4]) or "nothing"


def _forms(read: Reading, pair: Pair, side: int) -> tuple[int, Counter[str]]:
    """How many words end in an s (*does* is one), and which other endings there are; misspelt words left out."""
    skipped = {id(both[side]) for both in pair.misspelt}
    exchanged = {id(word) for word in (*pair.only_asked, *pair.only_kept)}
    words = [word for word in read.words if id(word) not in skipped]
    endings = Counter(word.ending for word in words if word.ending and id(word) not in exchanged)
    return sum(word.ending_s for word in words), endings


def _weakest(pair: Pair) -> float:
    """The least cosine of a word's best match in the other question, both ways; of an exchanged pair, its own.

    Misspelt words are left out; -1 without vectors.
    """
    ours, theirs = pair.asked.vectors.astype(np.float32), pair.kept.vectors.astype(np.float32)
    if not len(ours) or not len(theirs) or ours.shape[1] != theirs.shape[1] or pair.lined_up is None:
        return -1.0
    alike = ours @ theirs.T
    skipped = {id(word) for both in pair.misspelt for word in both}
    rows = [word.row for word in pair.asked.words if word.kind == WORD and id(word) not in skipped]
    columns = [word.row for word in pair.kept.words if word.kind == WORD and id(word) not in skipped]
    exchanged = {id(word) for word in pair.only_asked}
    own = min(float(alike[one.row, other.row]) for one, other in pair.lined_up if id(one) in exchanged)
    return min(own, float(alike[rows].max(axis=1).min()), float(alike[:, columns].max(axis=0).min()))
