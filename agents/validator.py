"""The validator: marks and quotes are checked by code first, then the model judges what code cannot decide.

A claim is accepted when it carries at least one citation whose quote stands verbatim in the cited passage, and either
the claim itself is that quote or the model judges it supported. What the model's judgement leaves open is rejected.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from agents.common import Written
from agents.synthesizer import Case, Claim, Draft, case_messages
from infra.llm.ask import Asker, UnreadableReply
from infra.llm.prompt import load
from infra.text.blocks import block
from infra.text.sentences import split_sentences
from infra.text.shown import one_line
from tools.citations import Citation, best_quote, locate
from tools.evidence import Passage

PROMPT = load(Path(__file__).parent / "prompts" / "validator.md")


class Judgement(Written):
    """Whether one claim follows from its sources."""

    claim: str = Field(description="the claim's id")
    supported: bool = Field(description="true only if the marked sources say so")
    reason: str = Field(default="", description="a few words")


class Judgements(Written):
    """The judgements of a draft's claims."""

    model_config = ConfigDict(title="judge")

    judgements: list[Judgement]


class Accepted(BaseModel):
    """A claim that passed, with where it stands."""

    model_config = ConfigDict(frozen=True)

    text: str
    citations: list[Citation]


class Rejected(BaseModel):
    """A claim that did not pass, and why."""

    model_config = ConfigDict(frozen=True)

    text: str
    reason: str


class Verdict(BaseModel):
    """What may be said."""

    model_config = ConfigDict(frozen=True)

    accepted: list[Accepted]
    rejected: list[Rejected]


@dataclass(frozen=True, slots=True)
class _Checked:
    """A claim after the check by code: its citations, and whether it is itself a quote."""

    claim: Claim
    citations: list[Citation]
    verbatim: bool


async def validate(case: Case, draft: Draft, asker: Asker | None) -> Verdict:
    """Check every claim of ``draft`` against the evidence of ``case``; without an asker code alone decides."""
    passages = {e.label: e.passage for e in case.evidence}
    checked = [_check(claim, passages) for claim in draft.claims]
    open_claims = [c for c in checked if c.citations and not c.verbatim]
    judged = await _judge(case, open_claims, asker) if open_claims and asker else {}
    accepted: list[Accepted] = []
    rejected: list[Rejected] = []
    for item in checked:
        reason = _objection(item, judged)
        if reason is None:
            accepted.append(Accepted(text=item.claim.text.strip(), citations=item.citations))
        else:
            rejected.append(Rejected(text=item.claim.text.strip(), reason=reason))
    return Verdict(accepted=accepted, rejected=rejected)


def _check(claim: Claim, passages: dict[str, Passage]) -> _Checked:
    """Find each mark's words in its passage: the claim itself, the quote given, or the sentence that carries it."""
    citations: list[Citation] = []
    copied: list[Citation] = []
    for n, mark in enumerate(dict.fromkeys(claim.marks)):
        passage = passages.get(mark)
        if passage is None:
            continue
        whole = locate(claim.text, passage)
        quote = claim.quotes[n] if n < len(claim.quotes) else ""
        span = whole or (locate(quote, passage) if quote.strip() else None) or best_quote(claim.text, passage)
        if span is not None:
            citations.append(_citation(mark, passage, span))
        if whole is not None and _is_sentences(whole, passage):
            copied.append(citations[-1])
    return _Checked(claim, copied or citations, bool(copied))


def _is_sentences(span: tuple[int, int], passage: Passage) -> bool:
    """Tell whether a span is whole sentences: part of one may have lost what negates it."""
    grid = split_sentences(passage.text)
    start, end = span[0] - passage.start, span[1] - passage.start
    bare = {
        last - len(words) + len(words.rstrip(" .!?")) for first, last in grid if (words := passage.text[first:last])
    }
    return start in {first for first, _ in grid} and end in {last for _, last in grid} | bare


def _citation(mark: str, passage: Passage, span: tuple[int, int]) -> Citation:
    start, end = span
    return Citation(mark, passage.doc, start, end, passage.text[start - passage.start : end - passage.start])


def _objection(item: _Checked, judged: dict[int, Judgement]) -> str | None:
    if not item.citations:
        return "its words do not stand in the passages it cites"
    if item.verbatim:
        return None
    judgement = judged.get(id(item))
    if judgement is None:
        return "it was not judged"
    return None if judgement.supported else one_line(judgement.reason) or "the cited passages do not say so"


async def _judge(case: Case, claims: Sequence[_Checked], asker: Asker) -> dict[int, Judgement]:
    """Ask the model about the claims that code cannot decide; an unreadable judgement accepts none, nor do rules."""
    shown = [
        block("claim", c.claim.text, id=str(n), marks=" ".join(x.label for x in c.citations))
        for n, c in enumerate(claims, start=1)
    ]
    try:
        reply = await asker.without_rules().ask(case_messages(PROMPT, case, *shown), Judgements, task="judge")
    except UnreadableReply:
        return {}
    numbered = {str(n): id(c) for n, c in enumerate(claims, start=1)}
    ordered = sorted(reply.value.judgements, key=lambda j: not j.supported)  # a claim judged twice: the refusal stands
    return {numbered[j.claim]: j for j in ordered if j.claim in numbered}
