"""What of a finding is shown: the best passages, what is nearly as good, and what still fits beside them.

A finding is clear when its best passage leads those of every other document, if there is one, by ``LEAD`` and says
``SAID`` of the question's words. Passages that lie less than ``NEAR`` behind the best are then kept, where it is not
clear those less than ``FAR`` behind it; of the others as many as fit a number of tokens beside them, those of the best
one's document first. What is kept depends on the finding alone, and narrowing it again changes nothing. Pure; asks no
model.

The constants were chosen with all questions of four sets in view (chat logs, a manual, essays, encyclopaedic prose;
the embedded engine's answers; `docs/retrieval.md` has the table). On either half of the look-ups no fewer answers
cite what answers the question. A passage that answers is among the kept for 95.3 % of the chat logs' look-ups (96.9 %
before), 94.3 % of the essays' (94.7) and as many of the others. With ``SAID`` .5 one half of the manual loses 2 % of
its answers; with ``NEAR`` 1.5 essays, whose passages are of few documents, lose 3 % of the spans; with ``LEAD`` 0
chat logs lose an answer where two records are alike.

Tokens are those of the embedded engine's tokenizer for the whole block in which a passage is shown, the same on every
machine and without a call. It is an estimate: Qwen's tokenizer counts .92 to 1.09 of it in nine of ten passages of chat
logs, and 1.19 at most.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from infra.engine.tokenizer import encode
from infra.text.terms import terms
from tools.coverage import grid_of, header_terms
from tools.evidence import Finding, Passage, source_block

LEAD = 1.0
"""How far the best passage's score lies above those of all other documents, at least."""

SAID = 0.6
"""Share of the question's words that stand in the best passage or its header, at least."""

NEAR = 2.0
"""How far behind the best a passage's score may lie without being left out, where the finding is clear."""

FAR = 3.5
"""The same where the finding is not clear."""

_LABEL = "E10"


def narrowed(finding: Finding, tokens: int) -> Finding:
    """Return ``finding`` without the passages that need not be shown, the others in their order.

    Args:
        finding: what one search brought, best first.
        tokens: up to which passages are added to those that lie near the best; 0: all stay.
    """
    if not tokens or not finding.passages:
        return finding
    best, *_ = finding.passages
    bound = NEAR if _clear(finding) else FAR
    near = [passage for passage in finding.passages if best.score - passage.score < bound]
    far = sorted((p for p in finding.passages if p not in near), key=lambda passage: passage.doc != best.doc)
    kept = [*near, *_fitting(far, tokens - sum(map(_tokens, near)))]
    return replace(finding, passages=[passage for passage in finding.passages if passage in kept])


def _clear(finding: Finding) -> bool:
    best, *rest = finding.passages
    leads = all(best.score - passage.score >= LEAD for passage in rest if passage.doc != best.doc)
    return leads and _said(finding.query, best) >= SAID


def _said(question: str, passage: Passage) -> float:
    """The share (0..1) of the question's words that stand in a passage or its header."""
    asked = set(terms(question))
    there = asked & (grid_of(passage.text).places.keys() | header_terms(passage.header))
    return len(there) / len(asked) if asked else 0.0


def _fitting(passages: Sequence[Passage], room: int) -> list[Passage]:
    """Return those that fit ``room`` tokens, each where those before it leave room for it."""
    kept: list[Passage] = []
    for passage in passages:
        if (size := _tokens(passage)) <= room:
            kept.append(passage)
            room -= size
    return kept


@lru_cache(maxsize=256)
def _tokens(passage: Passage) -> int:
    return len(encode(source_block(passage, _LABEL)))
