"""The ``judge`` task: does a claim follow from the sources it marks?

Rules, in plain words:

* A claim is supported when it stands in a marked source word for word; line breaks, upper and lower case, the shape of
  quotation marks and the mark at its end do not count.
* Else it is supported when one to three neighbouring sentences of one marked source hold at least four fifths of its
  terms, all its numbers and all its names (the source's context line counts for names), and the one that holds most of
  its terms negates exactly if the claim does. The reason names the first of these that no stretch of the sources meets.
* A claim without a term, or whose marks name no source, is not supported.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from infra.engine.tasks.reference import names
from infra.engine.tasks.task_input import TaskInput
from infra.engine.tasks.words import NEGATIONS
from infra.text.blocks import Block
from infra.text.sentences import split_sentences
from infra.text.terms import terms

ENOUGH = 0.8
"""Share of a claim's terms that must stand close together."""
SENTENCES = 3
"""How close: within so many neighbouring sentences."""

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_MARKS = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "‹": "<"})  # noqa: RUF001 - the marks people write


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence's terms and numbers, and whether it holds a negation."""

    terms: frozenset[str]
    numbers: frozenset[str]
    negates: bool


@dataclass(frozen=True, slots=True)
class Window:
    """Neighbouring sentences of one source, with the terms of the source's context line."""

    sentences: tuple[Sentence, ...]
    context: frozenset[str]

    @property
    def terms(self) -> frozenset[str]:
        """The terms of all its sentences."""
        return frozenset[str]().union(*(sentence.terms for sentence in self.sentences))

    @property
    def numbers(self) -> frozenset[str]:
        """The numbers of all its sentences."""
        return frozenset[str]().union(*(sentence.numbers for sentence in self.sentences))

    def negates(self, wanted: frozenset[str]) -> bool:
        """Tell whether the sentence that holds most of ``wanted`` negates."""
        return max(self.sentences, key=lambda sentence: len(sentence.terms & wanted)).negates


def judge(task: TaskInput) -> dict[str, Any]:
    """Return one judgement a claim."""
    sources = {block.attrs.get("id", ""): block for block in reversed(task.blocks("source"))}
    judgements: list[dict[str, Any]] = []
    for claim in task.blocks("claim"):
        marks = re.split(r"[\s,;]+", claim.attrs.get("marks", ""))
        supported, reason = _verdict(claim.body, [sources[mark] for mark in marks if mark in sources])
        judgements.append({"claim": claim.attrs.get("id", ""), "supported": supported, "reason": reason})
    return {"judgements": judgements}


def _verdict(claim: str, marked: Sequence[Block]) -> tuple[bool, str]:
    if not marked:
        return False, "it marks no source that is given"
    if not terms(claim):
        return False, "it says nothing"
    if any(_flat(claim).rstrip(".!? ") in _flat(source.body) for source in marked):
        return True, "it stands in the source"
    return _covered(claim, [window for source in marked for window in _windows(source)])


def _covered(claim: str, windows: Sequence[Window]) -> tuple[bool, str]:
    """Judge by what the windows hold: each rule keeps those that meet it, and the first that keeps none decides."""
    wanted = frozenset(terms(claim))
    named = frozenset(term for name in names(claim[:1].lower() + claim[1:]) for term in terms(name))
    numbers, negates = _numbers(claim), _negates(claim)
    left = [window for window in windows if len(wanted & window.terms) >= ENOUGH * len(wanted)]
    if not left:
        return False, "its words do not stand together in the marked sources"
    left = [window for window in left if numbers <= window.numbers]
    if not left:
        return False, "its numbers are not there"
    left = [window for window in left if named <= window.terms | window.context]
    if not left:
        return False, "its names are not there"
    if all(window.negates(wanted) != negates for window in left):
        return False, "the source says the opposite"
    return True, "the source says so in other words"


def _windows(source: Block) -> Iterator[Window]:
    """Give every run of one to ``SENTENCES`` sentences of ``source``."""
    context = frozenset(terms(source.attrs.get("context", "")))
    texts = [source.body[start:end] for start, end in split_sentences(source.body)]
    sentences = [Sentence(frozenset(terms(text)), _numbers(text), _negates(text)) for text in texts]
    for size in range(1, SENTENCES + 1):
        for n in range(len(sentences) - size + 1):
            yield Window(tuple(sentences[n : n + size]), context)


def _numbers(text: str) -> frozenset[str]:
    return frozenset(number.replace(",", "") for number in _NUMBER.findall(text))


def _negates(text: str) -> bool:
    return not NEGATIONS.isdisjoint(_WORD.findall(text.translate(_MARKS).lower()))


def _flat(text: str) -> str:
    return " ".join(text.translate(_MARKS).casefold().split())
