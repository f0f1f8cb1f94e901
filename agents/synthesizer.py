"""The synthesizer: a draft in which each sentence carries the marks of its evidence."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, cast

from langchain_core.messages import BaseMessage
from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from agents.common import SYSTEM, Texts, Written, listed, question_block, source_blocks
from agents.planner import Plan
from infra.llm.ask import Asker, UnreadableReply
from infra.llm.partial import Elements
from infra.llm.prompt import Template, load, render
from infra.text.blocks import block
from tools.evidence import Evidence

PROMPT = load(Path(__file__).parent / "prompts" / "synthesizer.md")
RULES = f"{SYSTEM}\n\n{PROMPT.system}"
"""The system text of every prompt over evidence: what an answer is like, for whoever writes or judges one."""
MAX_CLAIMS = 12
MAX_CLAIM_CHARS = 4_000
"""No sentence is longer, nor is a passage of 200 tokens."""

_MARK = re.compile(r"\bE[0-9]{1,4}\b")
_MARKED = re.compile(r" ?\[ ?E[0-9]{1,4}(?:[,; ]{1,2}E[0-9]{1,4}){0,9} ?\]")


def _marks(value: object) -> object:
    """Return the marks of a claim, however a model lists them: ``"E1, E2"``, ``["[E1][E2]"]``, ``["E1"]``."""
    given = listed(value)
    if not isinstance(given, list):
        return given
    items = cast("list[object]", given)
    return [mark for item in items for mark in (_MARK.findall(item) if isinstance(item, str) else []) or [item]]


class Claim(Written):
    """One sentence of an answer, the marks of the passages it rests on, and their words."""

    text: str
    marks: Annotated[list[str], BeforeValidator(_marks)]
    quotes: Texts = Field(default_factory=list[str])


class Draft(Written):
    """An answer before it is checked."""

    model_config = ConfigDict(title="draft")

    claims: list[Claim]
    omitted: SkipJsonSchema[int] = 0
    """How many sentences were not taken: longer than ``MAX_CLAIM_CHARS``, or beyond the first ``MAX_CLAIMS``."""


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
    """Render a prompt that begins the same for every agent that works on ``case``.

    Its system text is the same for all questions; of ``template`` only the task is read, which stands at the end.
    """
    parts = [block("part", s.question, id=s.id) for s in case.plan.steps] if len(case.plan.steps) > 1 else []
    blocks = [question_block(case.question), *parts, *more]
    task = replace(template, system="")
    return render(task, system=RULES, sources=source_blocks(case.evidence), blocks=blocks)


async def draft(
    case: Case, asker: Asker, *, objections: Sequence[str] = (), told: Callable[[Sequence[Claim]], None] | None = None
) -> Draft:
    """Write the answer from the evidence; ``objections`` are what the validator said of the round before.

    An unreadable draft becomes an empty one: the answer abstains rather than showing what nobody can check.

    ``told`` is given the claims so far, each time that one more is whole while the model still writes. A reply that
    breaks, or cannot be read, is written again from the beginning, and the draft may then begin otherwise.
    """
    notes = [block("text", "\n".join(objections))] if objections else []
    heard = Elements("claims", Claim, lambda claims: told(_taken(claims).claims)) if told else None
    try:
        reply = await asker.ask(case_messages(PROMPT, case, *notes), Draft, task="draft", listener=heard)
    except UnreadableReply:
        return Draft(claims=[])
    return _taken(reply.value.claims)


def _taken(said: Sequence[Claim]) -> Draft:
    """Return what is taken of a model's claims."""
    written = [claim for claim in map(_unmarked, said) if claim.text]
    claims = [claim for claim in written if len(claim.text) <= MAX_CLAIM_CHARS][:MAX_CLAIMS]
    return Draft(claims=claims, omitted=len(written) - len(claims))


def _unmarked(claim: Claim) -> Claim:
    """Take marks out of a claim's own words, where small models like to put them."""
    inside = [mark for place in _MARKED.findall(claim.text) for mark in _MARK.findall(place)]
    text = " ".join(_MARKED.sub("", claim.text).split())
    return claim.model_copy(update={"text": text, "marks": list(dict.fromkeys([*claim.marks, *inside]))})
