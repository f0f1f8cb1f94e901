"""The ``draft`` task: the sentences that answer best, verbatim, each with the mark of its source.

Rules, in plain words:

* Each ``<part>`` is answered on its own; without parts the question is the only one. ``scoring`` says which unit of the
  sources fits best.
* Where even the best unit's surroundings hold less than a quarter of the question's weight, nothing fits: no claim.
* The best unit is the first claim. One or two more units of its document support it when their scores are not far
  behind. Questions at a unit's end are left off: open ones ("What do you think?"), and others without a word of the
  question. A table row comes with its table's first row, and other rows do not support it.
* A question for a time, for the order of events or for the time between them also gets the line that dates the
  document.
* A single question cites a second document, with its best unit, when that is nearly as good. Several parts cite one
  document each.
* What an earlier draft was told not to say (``<text>``) is not said again, and nothing is said twice.
* Claims stop where the call's bound on tokens would be passed.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from infra.engine.tasks.answer_type import answer_type
from infra.engine.tasks.scoring import Asked, Scored, score, weigh
from infra.engine.tasks.sentence_kinds import asks, is_suggestion
from infra.engine.tasks.task_input import TaskInput
from infra.engine.tasks.units import Source, read_sources
from infra.text.sentences import split_sentences
from infra.text.terms import terms

MAX_DOCUMENTS = 2
ENOUGH = 0.25
"""Coverage under which nothing fits: low on purpose, the caller's own signal is the finer judge.

Measured: it turns away 0 of 255 answerable and 5 of 30 unanswerable questions about chat records, 2 % of 418 about
encyclopaedia paragraphs and 8 % of 276 long ones about essays (where half of those had no answer among the sources).
"""
CLOSE = 0.35
"""How far behind the first document's score a second one may be, to be cited too."""
CLOSE_COVERAGE = 0.65
"""The share of the first document's coverage that the second one must have."""
SUPPORT = (0.5, 0.2)
"""How far behind the best unit's score the first and the second supporting unit may be."""
SUPPORT_TERMS = 4
CHARS_PER_TOKEN = 3
"""Fewer than English has, so that the bound on tokens holds."""

_ORDER = re.compile(r"\b(?:before|after|earlier|later|sooner)\b", re.IGNORECASE)
_SPAN = re.compile(r"\bhow long\b|\binterval\b|\btime between\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Chosen:
    """One claim: the text and the mark of its source."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Ranking:
    """One part of the question with the units that deal with it, best first (none where nothing fits)."""

    asked: Asked
    items: Sequence[Scored]

    def best(self, docs: Iterable[str] | None = None) -> Scored | None:
        """Return the best unit, of all documents or of ``docs``."""
        return next((item for item in self.items if docs is None or item.unit.doc in docs), None)


def draft(task: TaskInput) -> dict[str, Any]:
    """Return the claims that answer the question."""
    sources = read_sources(task.blocks("source"))
    parts = [part.body.strip() for part in task.blocks("part") if part.body.strip()] or [task.question]
    rankings = [_rank(weigh(part, sources, turns=len(parts)), sources) for part in parts]
    docs = _documents(rankings)
    dated = _wants_dates(task.question)
    told = " ".join(" ".join(text.body.split()) for text in task.blocks("text"))
    found = [
        [claim for claim in _claims(ranking, docs, sources, dated=dated) if claim.text not in told]
        for ranking in rankings
    ]
    chosen = [claim for claims in found for claim in claims]
    once = {claim.text: claim for claim in reversed(chosen)}
    claims = _bounded([claim for claim in chosen if once[claim.text] is claim], CHARS_PER_TOKEN * task.max_tokens)
    return {"claims": claims}


def _rank(asked: Asked, sources: Sequence[Source]) -> Ranking:
    items = score(asked, sources)
    return Ranking(asked, items if items and items[0].coverage >= ENOUGH else [])


def _documents(rankings: Sequence[Ranking]) -> list[str]:
    """Return the documents to cite, best first: each part's own; for a single question the best and a close second."""
    if len(rankings) == 1:
        bests: dict[str, Scored] = {}
        for item in rankings[0].items:
            bests.setdefault(item.unit.doc, item)
        first = next(iter(bests.values()), None)
        return [doc for doc, item in bests.items() if first and _is_close(item, first)][:MAX_DOCUMENTS]
    firsts = sorted((best for ranking in rankings if (best := ranking.best())), key=lambda item: -item.score)
    return list(dict.fromkeys(item.unit.doc for item in firsts))


def _is_close(item: Scored, first: Scored) -> bool:
    return item.score >= first.score - CLOSE and item.coverage >= CLOSE_COVERAGE * first.coverage


def _claims(ranking: Ranking, docs: Sequence[str], sources: Sequence[Source], *, dated: bool) -> list[Chosen]:
    """Return the claims of one part from ``docs``, the document of its best unit first."""
    first = ranking.best(docs)
    if first is None or first.coverage < ENOUGH:
        return []
    own = [item for item in ranking.items if item.unit.doc == first.unit.doc and _supports(item, first, ranking.asked)]
    items = [first, *(item for item, behind in zip(own, SUPPORT, strict=False) if item.score >= first.score - behind)]
    claims = [claim for item in items for claim in _said(item, ranking.asked)]
    if dated or ranking.asked.kind == "when":
        claims.extend(_date_line(first.unit.doc, sources))
    if ranking.asked.turns == 1 and (second := ranking.best(set(docs) - {first.unit.doc})):
        claims.extend(_said(second, ranking.asked))
    return claims


def _supports(item: Scored, first: Scored, asked: Asked) -> bool:
    """Tell whether ``item`` may stand beside ``first``: it has words of the question, and does not repeat ``first``."""
    ours, theirs = (" ".join(scored.unit.text.split()) for scored in (item, first))
    if item is first or (item.unit.table_head and first.unit.table_head):
        return False
    about = not item.unit.terms.isdisjoint(asked.weights) and len(item.unit.terms) >= SUPPORT_TERMS
    return about and ours not in theirs and theirs not in ours


def _said(item: Scored, asked: Asked) -> list[Chosen]:
    """Return the unit's words without the questions at its end, a table row after its table's first row.

    Line breaks of running text become spaces.
    """
    unit = item.unit
    text = unit.text[: unit.stated_chars] or unit.text
    for start, end in reversed(split_sentences(text)):
        sentence = text[start:end]
        if (
            start == 0
            or not asks(sentence)
            or is_suggestion(sentence)
            or not asked.weights.keys().isdisjoint(terms(sentence))
        ):
            text = text[:end]
            break
    texts = [unit.table_head, text] if unit.table_head else [text]
    return [Chosen(said if unit.is_list else " ".join(said.split()), unit.source) for said in texts]


def _wants_dates(question: str) -> bool:
    """Tell whether ``question`` is about the order of events or the time between them."""
    return bool(_SPAN.search(question)) or (answer_type(question) == "yes_no" and bool(_ORDER.search(question)))


def _date_line(doc: str, sources: Sequence[Source]) -> list[Chosen]:
    """Return the line that dates ``doc``, where the sources show it."""
    return [Chosen(s.date_line, s.id) for s in sources if s.doc == doc and s.date_line][:1]


def _bounded(chosen: Iterable[Chosen], room: int) -> list[dict[str, Any]]:
    """Return the claims as they are sent, as many as fit ``room`` characters; the first always is."""
    claims: list[dict[str, Any]] = []
    for claim in chosen:
        room -= len(claim.text) + len('{"marks":[""],"text":""},')
        if claims and room < 0:
            break
        claims.append({"marks": [claim.source], "text": claim.text})
    return claims
