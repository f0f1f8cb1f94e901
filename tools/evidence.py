"""Passage, Finding, Evidence: what a search brings back and what an answer rests on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from infra.text.blocks import block

MAX_GAP_CHARS = 2
"""Characters between two passages that follow each other, at most: an empty line."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of one document, exactly as it stands there.

    Attributes:
        id: stable id of the passage (same document content and position, same id).
        doc: path relative to its root (with several roots it starts with the root's name).
        start: offset of the first character in the document's extracted text.
        end: offset after the last character; ``extracted[start:end] == text``.
        text: the words themselves.
        header: what gives them context (title, headings, date); embedded and shown, never quoted.
        score: fused relevance, higher is better; comparable within one query only.
        digest: content hash of ``text`` (hex), to tell later whether it still stands.
        section: where in the document it stands, for people ("page 3", "Caches > Kinds"); a passage never crosses the
            border of a section, so this is where each of its quotes stands too. "" when there are none.
    """

    id: str
    doc: str
    start: int
    end: int
    text: str
    header: str
    score: float
    digest: str
    section: str = ""


@dataclass(frozen=True, slots=True)
class Signal:
    """Whether the documents seem to hold an answer.

    Attributes:
        coverage: share (0..1) of the question's idf weight covered inside one small window of the best passages.
        likely: False when the probability lies under the calibrated threshold.
        probability: calibrated probability (0..1) that the documents hold an answer.
    """

    coverage: float
    likely: bool
    probability: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What one search brought: the query, its passages (best first) and the signal."""

    query: str
    passages: list[Passage]
    signal: Signal


@dataclass(frozen=True, slots=True)
class Evidence:
    """A passage with the mark it is cited by (``E1``, ``E2``, ...)."""

    label: str
    passage: Passage


def source_block(passage: Passage, label: str) -> str:
    """Return the block in which a model is shown ``passage``."""
    return block("source", passage.text, id=label, doc=passage.doc, context=passage.header)


def merge(findings: Iterable[Finding], limit: int) -> list[Evidence]:
    """Merge findings into labelled evidence: interleaved by rank, once by passage id, at most ``limit``.

    Passages that follow each other in a document are put side by side, in the order of the document, where the better
    one stands. The order depends only on the findings and their order, so two prompts built from the same findings
    share a prefix.
    """
    lists: list[Sequence[Passage]] = [f.passages for f in findings]
    chosen: dict[str, Passage] = {}
    for rank in range(max((len(p) for p in lists), default=0)):
        for passages in lists:
            if rank < len(passages):
                chosen.setdefault(passages[rank].id, passages[rank])
    joined = _joined(list(chosen.values())[:limit])
    return [Evidence(f"E{n}", passage) for n, passage in enumerate(joined, start=1)]


def _joined(passages: Iterable[Passage]) -> list[Passage]:
    """Put passages that follow each other side by side, where the first of them stood."""
    runs: list[list[Passage]] = []
    for passage in passages:
        before = next((run for run in runs if _follows(run[-1], passage)), None)
        after = next((run for run in runs if _follows(passage, run[0])), None)
        grown = [*(before or ()), passage, *(after or ())]
        place = min((runs.index(run) for run in (before, after) if run), default=len(runs))
        runs = [*runs[:place], grown, *(run for run in runs[place:] if run is not before and run is not after)]
    return [passage for run in runs for passage in run]


def _follows(first: Passage, second: Passage) -> bool:
    """Tell whether ``second`` stands directly behind ``first``, no more than an empty line between them."""
    return first.doc == second.doc and 0 <= second.start - first.end <= MAX_GAP_CHARS
