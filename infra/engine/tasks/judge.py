"""The ``judge`` task: does a claim follow from the sources it marks?

Rules, in plain words: a claim is supported when it stands word for word in a marked source; else when up to three
neighbouring sentences of one marked source carry at least seven tenths of its terms and all its numbers, and negate
exactly if the claim does. A claim without a term, or whose marks name no source, is not supported.
"""

import re
from typing import Any

from infra.engine.tasks.task_input import TaskInput
from infra.engine.tasks.words import NEGATIONS
from infra.text.sentences import split_sentences
from infra.text.terms import terms

ENOUGH = 0.7
SENTENCES = 3
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def judge(task: TaskInput) -> dict[str, Any]:
    """Return one judgement a claim."""
    sources = {block.attrs.get("id", ""): block.body for block in task.blocks("source")}
    judgements: list[dict[str, Any]] = []
    for claim in task.blocks("claim"):
        marks = claim.attrs.get("marks", "").replace(",", " ").split()
        supported, reason = _verdict(claim.body, [sources[mark] for mark in marks if mark in sources])
        judgements.append({"claim": claim.attrs.get("id", ""), "supported": supported, "reason": reason})
    return {"judgements": judgements}


def _verdict(claim: str, marked: list[str]) -> tuple[bool, str]:
    wanted = set(terms(claim))
    if not (marked and wanted):
        return False, "it says nothing or marks no source"
    if any(_flat(claim) in _flat(source) for source in marked):
        return True, "it stands in the source"
    windows = [window for source in marked for window in _windows(source)]
    best = max(windows, key=lambda window: len(wanted & set(terms(window))), default="")
    if len(wanted & set(terms(best))) < ENOUGH * len(wanted):
        return False, "its words are not in the marked sources"
    if not set(_NUMBER.findall(claim)) <= set(_NUMBER.findall(best)):
        return False, "its numbers are not in the marked sources"
    if _negated(claim) != _negated(best):
        return False, "the source says the opposite"
    return True, "the source says so in other words"


def _windows(source: str) -> list[str]:
    """Return every run of one to ``SENTENCES`` sentences, shorter ones first."""
    spans = split_sentences(source)
    return [
        source[spans[n][0] : spans[n + size - 1][1]]
        for size in range(1, SENTENCES + 1)
        for n in range(len(spans) - size + 1)
    ]


def _negated(text: str) -> bool:
    return not NEGATIONS.isdisjoint(word.lower().replace("’", "'") for word in _WORD.findall(text))


def _flat(text: str) -> str:
    return " ".join(text.split())
