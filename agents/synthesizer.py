"""The synthesizer: a draft in which each sentence carries the marks of its evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from langchain_core.messages import BaseMessage
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from agents.common import SYSTEM, Texts, Written, listed, question_block, source_blocks
from agents.planner import Plan
from infra.llm.ask import Asker, UnreadableReply
from infra.llm.prompt import Template, load, render
from infra.text.blocks import block
from tools.evidence import Evidence

PROMPT = load(Path(__file__).parent / "prompts" / "synthesizer.md")
MAX_CLAIMS = 12
MAX_CLAIM_CHARS = 4_000
"""No sentence is longer, nor is a passage of 200 tokens."""


def _bare(mark: str) -> str:
    return mark.strip("[] ")


Mark = Annotated[str, AfterValidator(_bare)]


class Claim(Written):
    """One sentence of an answer, the marks of the passages it rests on, and their words."""

    text: str = Field(description="one sentence")
    marks: Annotated[list[Mark], BeforeValidator(listed)] = Field(
        description="ids of the sources it rests on, such as E1"
    )
    quotes: Texts = Field(
        default_factory=list[str],
        description="for each mark the exact words that carry the sentence; empty when it is itself copied",
    )


class Draft(Written):
    """An answer before it is checked."""

    model_config = ConfigDict(title="draft")

    claims: list[Claim] = Field(description="the answer, sentence by sentence; empty when the sources do not hold it")


@dataclass(frozen=True, slots=True)
class Case:
    """What synthesizer and validator work on.

    Attributes:
        question: in its standalone form.
        plan: its parts; one step where it has none.
        evidence: what was found for all parts.
        max_documents: how many documents an answer may cite; at least one for each part.
    """

    question: str
    plan: Plan
    evidence: Sequence[Evidence]
    max_documents: int = 2


def case_messages(template: Template, case: Case, *more: str) -> list[BaseMessage]:
    """Render a prompt that begins the same for every agent that works on ``case``."""
    parts = [block("part", s.question, id=s.id) for s in case.plan.steps] if len(case.plan.steps) > 1 else []
    blocks = [question_block(case.question), *parts, *more]
    return render(template, system=SYSTEM, sources=source_blocks(case.evidence), blocks=blocks)


async def draft(case: Case, asker: Asker, *, objections: Sequence[str] = ()) -> Draft:
    """Write the answer from the evidence; ``objections`` are what the validator said of the round before.

    An unreadable draft becomes an empty one: the answer abstains rather than showing what nobody can check.
    """
    notes = [block("text", "\n".join(objections))] if objections else []
    try:
        reply = await asker.ask(case_messages(PROMPT, case, *notes), Draft, task="draft")
    except UnreadableReply:
        return Draft(claims=[])
    claims = [claim for claim in reply.value.claims if 0 < len(claim.text.strip()) <= MAX_CLAIM_CHARS][:MAX_CLAIMS]
    return Draft(claims=_within(claims, case))


def _within(claims: Sequence[Claim], case: Case) -> list[Claim]:
    """Take out the marks of documents beyond the first ``max_documents``, and the claims that lose all of theirs.

    Each part of a question may have a document of its own, however many parts there are.
    """
    most = max(case.max_documents, len(case.plan.steps))
    doc_of = {e.label: e.passage.doc for e in case.evidence}
    cited = [doc_of[mark] for claim in claims for mark in claim.marks if mark in doc_of]
    beyond = set(list(dict.fromkeys(cited))[most:])
    kept: list[Claim] = []
    for claim in claims:
        marks = [mark for mark in claim.marks if doc_of.get(mark) not in beyond]
        if len(marks) == len(claim.marks):
            kept.append(claim)
        elif marks:
            quotes = [q for mark, q in zip(claim.marks, claim.quotes, strict=False) if mark in marks]
            kept.append(claim.model_copy(update={"marks": marks, "quotes": quotes}))
    return kept
