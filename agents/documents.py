"""Which documents an answer cites, where its claims would cite more than it may.

Gives `within`, the choice over a whole draft, and `sure`, what of it stands by a draft's beginning alone.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from agents.synthesizer import Case, Claim
from infra.text.terms import terms
from tools.citations import Citation


@dataclass(frozen=True, slots=True)
class Checked:
    """A claim after the check by code: its citations, and whether it is itself a quote."""

    claim: Claim
    citations: list[Citation]
    verbatim: bool


def most(case: Case) -> int:
    """How many documents an answer may cite: each part of a question may have one of its own."""
    return max(case.max_documents, len(case.plan.steps))


def within(supported: Sequence[Checked], case: Case) -> dict[int, list[Citation]]:
    """Choose what may be cited: the parts of the question take turns, so that the first does not use up the documents.

    Returns the citations of the claims that stay, by the claim's id. A copied sentence may lose some of its places,
    since each holds it whole; a judged claim stays with all of its citations or not at all.
    """
    turns = _in_turns(supported, [step.question for step in case.plan.steps])
    allowed, kept = _allowed([item for _, _, item in turns], most(case))
    also = (citation.doc for item in kept if item.verbatim for citation in item.citations)
    found = list(dict.fromkeys([*allowed, *also]))[: most(case)]
    return {id(item): [citation for citation in item.citations if citation.doc in found] for item in kept}


def sure(row: Sequence[Checked], case: Case) -> list[Checked]:
    """Return the first of ``row``, quotes at a draft's beginning, that stay with all citations whatever follows."""
    parts = [step.question for step in case.plan.steps]
    turns = enumerate(_in_turns(row, parts))
    firm = [item for n, (turn, part, item) in turns if n == turn * len(parts) + part]  # nobody's turn comes before
    allowed, _ = _allowed(firm, most(case))
    return list(takewhile(lambda item: all(citation.doc in allowed for citation in item.citations), row))


def _allowed(items: Sequence[Checked], most: int) -> tuple[dict[str, None], list[Checked]]:
    """Return the documents that ``items``, first come first served, may cite, and those that find room."""
    allowed: dict[str, None] = {}
    kept: list[Checked] = []
    for item in items:
        documents = dict.fromkeys(citation.doc for citation in item.citations)
        if item.verbatim:
            documents = {} if documents.keys() & allowed.keys() else dict.fromkeys([next(iter(documents))])
        if len(allowed | documents) <= most:
            allowed |= documents
            kept.append(item)
    return allowed, kept


def _in_turns(items: Sequence[Checked], parts: Sequence[str]) -> list[tuple[int, int, Checked]]:
    """Order claims so that each part's first one comes before any part's second one; with its turn and its part.

    A claim belongs to the part it shares most words with.
    """
    words = [set(terms(part)) for part in parts]
    turns: Counter[int] = Counter()
    placed: list[tuple[int, int, Checked]] = []
    for item in items:
        said = set(terms(" ".join([item.claim.text, *(c.quote for c in item.citations)])))
        part = max(range(len(words)), key=lambda n: len(words[n] & said), default=0)
        placed.append((turns[part], part, item))
        turns[part] += 1
    return sorted(placed, key=lambda place: place[:2])
