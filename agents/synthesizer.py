"""The synthesizer: a draft in which each sentence carries the marks of its evidence.

Models write several sentences as one claim. Those at its beginning that are copied, each a whole sentence of a passage
that the claim marks, become claims of their own with the same marks; what follows stays one claim, since a reworded
sentence may mean nothing alone. So what becomes of a copied sentence is decided by the words up to it, and it can be
told of before the claim is whole.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Annotated, cast

from langchain_core.messages import BaseMessage
from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from agents.common import SYSTEM, Texts, Written, listed, question_block, source_blocks
from agents.copies import copied_span
from agents.planner import Plan
from infra.llm.ask import Asker, UnreadableReply
from infra.llm.partial import Elements
from infra.llm.prompt import Template, load, render
from infra.text.blocks import block
from infra.text.sentences import Span, split_sentences
from tools.evidence import Evidence, Passage

PROMPT = load(Path(__file__).parent / "prompts" / "synthesizer.md")
RULES = f"{SYSTEM}\n\n{PROMPT.system}"
"""The system text of every prompt over evidence: what an answer is like, for whoever writes or judges one."""
MAX_CLAIMS = 12
"""Claims as a model lists them, however many sentences each is."""
MAX_PARTED = 24
"""Sentences of a draft that are parted from the claims in which they were written."""
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
    """One sentence of an answer, the marks of the passages it rests on, and their words.

    The marks stand first: whoever hears a claim while it is written knows by then where its sentences may stand.
    """

    marks: Annotated[list[str], BeforeValidator(_marks)]
    text: str
    quotes: Texts = Field(default_factory=list[str])
    before: SkipJsonSchema[str] = ""
    """What stood before it in the claim as it was written: copied sentences, to which it may refer."""


class Draft(Written):
    """An answer before it is checked."""

    model_config = ConfigDict(title="draft")

    claims: list[Claim]
    omitted: SkipJsonSchema[int] = 0
    """How many sentences were not taken: longer than ``MAX_CLAIM_CHARS``, or of claims beyond ``MAX_CLAIMS``."""


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

    ``told`` is given the claims so far, each time that one more is whole while the model still writes, also where only
    a copied sentence at the beginning of one is. A reply that breaks, or cannot be read, is written again from the
    beginning, and the draft may then begin otherwise.
    """
    passages = {e.label: e.passage for e in case.evidence}
    notes = [block("text", "\n".join(objections))] if objections else []
    heard = Elements("claims", Claim, _new(passages, told)) if told else None
    try:
        reply = await asker.ask(case_messages(PROMPT, case, *notes), Draft, task="draft", listener=heard)
    except UnreadableReply:
        return Draft(claims=[])
    return taken(passages, reply.value.claims)


def _new(
    passages: Mapping[str, Passage], told: Callable[[Sequence[Claim]], None]
) -> Callable[[Sequence[Claim], Claim | None], None]:
    """Return what tells of the claims so far where they are others than those told last."""
    last: list[Claim] = []

    def heard(whole: Sequence[Claim], begun: Claim | None) -> None:
        nonlocal last
        claims = taken(passages, whole, begun).claims
        if claims != last:
            last = claims
            told(claims)

    return heard


def taken(passages: Mapping[str, Passage], said: Sequence[Claim], begun: Claim | None = None) -> Draft:
    """Return what is taken of a model's claims, and of the one that has ``begun`` what will be whatever follows."""
    claims: list[Claim] = []
    listed = omitted = parted = 0
    for claim in said:
        parts = _parted(claim, passages, MAX_PARTED - parted if listed < MAX_CLAIMS else 0)
        fitting = [part for part in parts if len(part.text) <= MAX_CLAIM_CHARS] if listed < MAX_CLAIMS else []
        claims += fitting
        listed += bool(fitting)
        parted += max(0, len(parts) - 1)
        omitted += len(parts) - len(fitting)
    if begun and listed < MAX_CLAIMS:
        claims += _sentences(begun, _copied(begun, passages, MAX_PARTED - parted, whole=False))
    return Draft(claims=claims, omitted=omitted)


def _parted(claim: Claim, passages: Mapping[str, Passage], most: int) -> list[Claim]:
    """Return the copied sentences at the beginning of a claim, at most ``most``, and what follows them, if anything."""
    copied = _copied(claim, passages, most)
    rest = _unmarked(claim, copied[-1][1] if copied else 0)
    return [*_sentences(claim, copied), *([rest] if rest.text else [])]


def _copied(claim: Claim, passages: Mapping[str, Passage], most: int, *, whole: bool = True) -> list[Span]:
    """Return where in a claim's line the sentences at its beginning stand that are copied, at most ``most``.

    Where the claim is not ``whole``, without those that may still turn out to go on: the last one, and the one before
    while what follows it may be its end (an emoji, dashes).
    """
    line = _line(claim.text)
    spans = split_sentences(line)
    goes_on = bool(spans) and not any(map(str.isalnum, line[slice(*spans[-1])]))
    if not whole:
        spans = spans[: -2 if goes_on or not line[spans[-1][0]].isascii() else -1] if spans else []
    elif goes_on:
        spans = [*spans[:-2], (spans[-2:][0][0], spans[-1][1])]
    marked = [passages[mark] for mark in dict.fromkeys(claim.marks) if mark in passages]

    def stands(span: Span) -> bool:
        text = line[slice(*span)]
        return not _MARKED.search(text) and any(copied_span(text, passage) for passage in marked)

    return list(takewhile(stands, spans[:most]))


def _sentences(claim: Claim, spans: Sequence[Span]) -> list[Claim]:
    line, marks = _line(claim.text), list(dict.fromkeys(claim.marks))
    return [Claim(marks=marks, text=line[start:end], before=line[:start].rstrip()) for start, end in spans]


def _unmarked(claim: Claim, start: int) -> Claim:
    """Return what a claim's line says from ``start`` on, without the marks small models like to put there."""
    line = _line(claim.text)
    inside = [mark for place in _MARKED.findall(line[start:]) for mark in _MARK.findall(place)]
    marks = list(dict.fromkeys([*claim.marks, *inside]))
    text = _line(_MARKED.sub("", line[start:]))
    return claim.model_copy(update={"marks": marks, "text": text, "before": line[:start].rstrip()})


def _line(words: str) -> str:
    return " ".join(words.split())
