"""The validator: marks and quotes are checked by code first, then the model judges what code cannot decide.

A claim is accepted when it carries at least one citation whose quote stands verbatim in the cited passage, and either
the claim itself is that quote, or its numbers and words stand in what it cites and the model judges it supported. What
the model's judgement leaves open is rejected, and so is what would cite more documents than an answer may.

What a quote is, `agents.copies` says. Quotes at a draft's beginning can be shown before the rest of it is written
(`settled`): the verdict holds them whatever follows.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agents.common import Written
from agents.copies import copied_span
from agents.documents import Checked, most, sure, within
from agents.synthesizer import Case, Claim, Draft, case_messages
from infra.llm.ask import Asker, UnreadableReply
from infra.llm.prompt import load
from infra.text.blocks import block
from infra.text.plain import short_line
from tools.citations import Citation, best_quote, carries, locate, whole_sentences
from tools.evidence import Passage

PROMPT = load(Path(__file__).parent / "prompts" / "validator.md")
MAX_QUOTES = 16
"""Of a claim that are looked for; it has one a mark."""
MAX_ID_CHARS = 40

_DIGITS = re.compile(r"[0-9]+")


class Judgement(Written):
    """Whether one claim follows from its sources."""

    claim: str
    supported: bool
    reason: str = ""


class Judgements(Written):
    """The judgements of a draft's claims."""

    model_config = ConfigDict(title="judge")

    judgements: list[Judgement]


class Accepted(BaseModel):
    """A claim that passed, with where it stands."""

    model_config = ConfigDict(frozen=True)

    text: str
    citations: list[Citation]
    follows: bool = False
    """Whether it was written in one claim with the sentence before it."""


class Rejected(BaseModel):
    """A claim that did not pass, and why."""

    model_config = ConfigDict(frozen=True)

    text: str
    reason: str
    judged_over: tuple[str, ...] = ()
    """Ids of the passages over which the model refused it; none where code did."""


class Verdict(BaseModel):
    """What may be said."""

    model_config = ConfigDict(frozen=True)

    accepted: list[Accepted]
    rejected: list[Rejected]


async def validate(case: Case, draft: Draft, asker: Asker | None, before: Sequence[Verdict] = ()) -> Verdict:
    """Check every claim of ``draft`` against the evidence of ``case``; without an asker code alone decides.

    What the model refused in a verdict ``before``, over the same passages, stays refused and is not put to it again.
    """
    passages = {e.label: e.passage for e in case.evidence}
    checked = [_check(claim, passages) for claim in draft.claims]
    open_claims = [c for c in checked if c.citations and not c.verbatim]
    judged = _refused(open_claims, before, passages)
    unjudged = [c for c in open_claims if id(c) not in judged]
    judged |= await _judge(case, unjudged, asker) if unjudged and asker else {}
    objections = {id(item): _objection(item, judged) for item in checked}
    supported = [item for item in checked if objections[id(item)] is None]
    kept = within(supported, case)
    rejected = [
        Rejected(text=item.claim.text, reason=why, judged_over=_over(item, passages) if id(item) in judged else ())
        if (why := objections[id(item)])
        else Rejected(text=item.claim.text, reason=f"it cites a document beyond the {most(case)} allowed")
        for item in checked
        if id(item) not in kept
    ]
    if draft.omitted:
        rejected.append(
            Rejected(text=f"({draft.omitted} more)", reason="too long, or beyond the sentences of an answer")
        )
    accepted = _once([replace(item, citations=kept[id(item)]) for item in supported if id(item) in kept])
    return Verdict(accepted=accepted, rejected=rejected)


def settled(case: Case, claims: Sequence[Claim]) -> list[Accepted]:
    """Return the sentences that the verdict will hold first, in this order, whatever claims follow these.

    They are quotes, each with all of its citations. What code refuses is passed over; where one comes that a model has
    to judge, or whose documents a later claim could still take, the row ends.
    """
    passages = {e.label: e.passage for e in case.evidence}
    row: list[Checked] = []
    for item in (_check(claim, passages) for claim in claims):
        if item.citations and not item.verbatim:
            break
        row += [item] if item.citations else []
    return _once(sure(row, case))


def _once(items: Sequence[Checked]) -> list[Accepted]:
    """Return what is said, without what was said before: the sentences of a claim with which an earlier one began.

    Sentences of one claim stay or go together: the first often says who speaks, and many claims may begin so. The last
    ones can still turn out to be new when more sentences of their claim come, but no longer to be old.
    """
    groups: list[list[Checked]] = []
    for item in items:
        if groups and _follows(item.claim, groups[-1][-1].claim):
            groups[-1].append(item)
        else:
            groups.append([item])
    said: list[list[str]] = []
    once: list[Accepted] = []
    for group in groups:
        texts = [item.claim.text for item in group]
        if not any(earlier[: len(texts)] == texts for earlier in said):
            said.append(texts)
            once += [Accepted(text=g.claim.text, citations=g.citations, follows=g is not group[0]) for g in group]
    return once


def _follows(claim: Claim, last: Claim) -> bool:
    return bool(claim.before) and claim.before.startswith(last.before) and claim.before.endswith(last.text)


def _refused(claims: Sequence[Checked], before: Sequence[Verdict], shown: dict[str, Passage]) -> dict[int, Judgement]:
    """Return what the model said of the claims that it refused before."""
    said = {(r.text, r.judged_over): r.reason for verdict in before for r in verdict.rejected if r.judged_over}
    reasons = {id(item): said.get((item.claim.text, _over(item, shown)), "") for item in claims}
    return {place: Judgement(claim="", supported=False, reason=why) for place, why in reasons.items() if why}


def _over(item: Checked, passages: dict[str, Passage]) -> tuple[str, ...]:
    return tuple(sorted({passages[citation.label].id for citation in item.citations}))


def _check(claim: Claim, passages: dict[str, Passage]) -> Checked:
    """Find each mark's words in its passage: the claim itself, else the sentences of a given quote, else the best ones.

    A claim that is no quote is dropped here when its words or numbers do not stand in what it cites: no model has to be
    asked about it, and none can talk it in.
    """
    marked = {mark: passages[mark] for mark in claim.marks if mark in passages}
    spans = {mark: copied_span(claim.text, passage) for mark, passage in marked.items()}
    if copied := [_citation(mark, marked[mark], span) for mark, span in spans.items() if span]:
        return Checked(claim, copied, verbatim=True)
    citations: list[Citation] = []
    for mark, passage in marked.items():
        span = locate(claim.text, passage) or _quoted(claim.quotes, passage) or best_quote(claim.text, passage)
        if span is not None:
            citations.append(_citation(mark, passage, whole_sentences(span, passage)))
    headers = [passages[citation.label].header for citation in citations]
    carried = carries([*headers, *(citation.quote for citation in citations)], claim.text)
    return Checked(claim, citations if carried else [], verbatim=False)


def _quoted(quotes: Sequence[str], passage: Passage) -> tuple[int, int] | None:
    """Return where the longest of ``quotes`` that stands in ``passage`` stands; models pair quotes and marks badly."""
    places = [place for quote in quotes[:MAX_QUOTES] if (place := locate(quote, passage))]
    return max(places, key=lambda place: place[1] - place[0], default=None)


def _citation(mark: str, passage: Passage, span: tuple[int, int]) -> Citation:
    start, end = span
    quote = passage.text[start - passage.start : end - passage.start]
    return Citation(mark, passage.doc, start, end, quote, passage.section)


def _objection(item: Checked, judged: dict[int, Judgement]) -> str | None:
    if not item.citations:
        return "its words do not stand in the passages it cites"
    if item.verbatim:
        return None
    judgement = judged.get(id(item))
    if judgement is None:
        return "it was not judged"
    return None if judgement.supported else short_line(judgement.reason) or "the cited passages do not say so"


async def _judge(case: Case, claims: Sequence[Checked], asker: Asker) -> dict[int, Judgement]:
    """Ask the model about the claims that code cannot decide.

    What did not fit the model's window was not judged: those claims are asked about once more, beside no other sources
    than theirs. An unreadable judgement accepts nothing, nor do rules.
    """
    judged, unseen = await _judged(case, claims, asker)
    if not unseen:
        return judged
    marked = {citation.label for item in unseen for citation in item.citations}
    narrow = replace(case, evidence=[e for e in case.evidence if e.label in marked])
    if len(narrow.evidence) == len(case.evidence) and len(unseen) == len(claims):
        return judged
    return judged | (await _judged(narrow, unseen, asker))[0]


async def _judged(case: Case, claims: Sequence[Checked], asker: Asker) -> tuple[dict[int, Judgement], list[Checked]]:
    """Return the judgements of one call, and the claims whose words or sources the model did not see whole."""
    shown = [
        block(
            "claim", f"{c.claim.before} {c.claim.text}".strip(), id=str(n), marks=" ".join(x.label for x in c.citations)
        )
        for n, c in enumerate(claims, start=1)
    ]
    try:
        reply = await asker.without_rules().ask(case_messages(PROMPT, case, *shown), Judgements, task="judge")
    except UnreadableReply:
        return {}, []
    if reply.source == "rules":
        return {}, []
    unseen = [c for c in claims if reply.cut_tokens or any(x.label in reply.dropped for x in c.citations)]
    numbered = {str(n): id(c) for n, c in enumerate(claims, start=1) if c not in unseen}
    ordered = sorted(reply.value.judgements, key=lambda j: not j.supported)  # a claim judged twice: the refusal stands
    return {numbered[number]: j for j in ordered if (number := _number(j.claim)) in numbered}, unseen


def _number(claim: str) -> str:
    """Return the number in a claim's id as a model may write it (``claim 1``), else the id."""
    numbers = _DIGITS.findall(claim[:MAX_ID_CHARS])
    return numbers[0] if len(numbers) == 1 else claim
