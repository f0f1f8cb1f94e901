"""When a claim is itself a quote: whole sentences of a passage, each word of them.

Only what changes no statement may differ: white space and the shape of marks, a list's bullet, a linking word and the
capital at the beginning, the full stop at the end. Leaving out or moving any other word is for a model to judge: it may
have negated, compared, limited or attributed what was said.
"""

import re

from infra.text.sentences import split_sentences
from tools.citations import locate
from tools.evidence import Passage

_OPENING = re.compile(
    r"(?:[-*+•‣▪–][ \t]+(?=[^\W\d_]))?"
    r"(?:(?:however|moreover|furthermore|additionally|in addition|also|indeed|in fact),\s+|(?:and|but)\s+(?=\w))?",
    re.IGNORECASE,
)
"""What a sentence says the same without: a bullet before a word (before a number it may be a minus), a linking word."""
_CLOSING = ".!; "
"""Marks that may be missing at a sentence's end; a question mark or a colon may not."""


def copied_span(claim: str, passage: Passage) -> tuple[int, int] | None:
    """Return where ``claim`` stands in ``passage`` as whole sentences, or as one of which only its edges differ."""
    whole = locate(claim, passage)
    if whole is not None and _is_sentences(whole, passage):
        return whole
    said = _core(claim)
    spans = split_sentences(passage.text) if any(map(str.isalnum, said)) else []
    for start, end in spans:
        words = " ".join(passage.text[start:end].split())
        opening = _OPENING.match(words)
        if said in (_core(words), _core(words[opening.end() :] if opening else words)):
            return passage.start + start, passage.start + end
    return None


def _is_sentences(span: tuple[int, int], passage: Passage) -> bool:
    """Tell whether a span is whole sentences: part of one may have lost what negates it, or that it asks."""
    grid = split_sentences(passage.text)
    start, end = span[0] - passage.start, span[1] - passage.start
    bare = {last - len(words) + len(words.rstrip(" .")) for first, last in grid if (words := passage.text[first:last])}
    return start in {first for first, _ in grid} and end in {last for _, last in grid} | bare


def _core(sentence: str) -> str:
    """Return a sentence's words in one line, without the marks at its end, its first letter small."""
    core = " ".join(sentence.split()).rstrip(_CLOSING)
    return core[:1].lower() + core[1:]
