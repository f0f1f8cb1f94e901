"""When a claim is itself a quote: whole sentences of a passage, each word and mark of them.

Only what changes no statement may differ: white space, the shape of marks, one full stop at the end. All else is for a
model to judge, be it as small as a list's bullet (what stands above the list may forbid or deny its items), a linking
word (what stood before may condition or attribute what it links), a capital ("N" is not "n"), a mark at the end ("52!"
is not 52, a list's part ends in ";", dots leave out words) or a pair of quotation marks (who says it?).
"""

from collections.abc import Sequence
from functools import lru_cache

from tools.citations import locate
from tools.coverage import grid_of
from tools.evidence import Passage

_DOTS = "\u2026"


@lru_cache(maxsize=1_024)
def copied_span(claim: str, passage: Passage) -> tuple[int, int] | None:
    """Return where ``claim`` stands in ``passage`` as whole sentences, one full stop more or less at its end.

    Remembered, for a draft that is heard while it is written is checked again with each sentence.
    """
    grid = grid_of(passage.text).spans
    whole = locate(claim, passage)
    if whole is not None and _is_sentences(whole, passage, grid) and _keeps_edges(claim, whole, passage):
        return whole
    said = _core(claim)
    for start, end in grid if any(map(str.isalnum, said)) else ():
        if said == _core(passage.text[start:end]):
            return passage.start + start, passage.start + end
    return None


def _is_sentences(span: tuple[int, int], passage: Passage, grid: Sequence[tuple[int, int]]) -> bool:
    """Tell whether a span is whole sentences: part of one may have lost what negates it, or that it asks."""
    start, end = span[0] - passage.start, span[1] - passage.start
    ends = {last for _, last in grid}
    bare = {last - 1 for first, last in grid if len(_core(words := passage.text[first:last])) < len(_line(words))}
    return start in {first for first, _ in grid} and end in ends | bare


def _keeps_edges(claim: str, span: tuple[int, int], passage: Passage) -> bool:
    """Tell whether a claim begins and ends as its place: `locate` forgives quotation marks, and takes "…" for dots."""
    first, last = passage.text[span[0] - passage.start], passage.text[span[1] - passage.start - 1]
    opens = claim.strip()[:1].isalnum() or not first.isalnum()
    return opens and (last != _DOTS or claim.rstrip().endswith((_DOTS, "...")))


def _line(words: str) -> str:
    return " ".join(words.split())


def _core(sentence: str) -> str:
    """Return a sentence in one line, without the full stop at its end; dots that leave out words stay."""
    line = _line(sentence)
    return line[:-1] if line.endswith(".") and not line.endswith("..") else line
