"""Citations: where the words of a quote stand, exactly.

Gives offsets in a document such that ``text[start:end]`` is the quote to the letter, or nothing. Found are a passage's
own words, however they were copied: white space in any run, ``‹`` for ``<`` (a stand-in of ``infra.text.blocks``),
typographic for plain quotation marks, dashes and ellipses. Whether a quote supports a claim is not judged here. Time is
linear in the lengths of quote and passage.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from functools import lru_cache

from infra.text.blocks import STAND_IN
from infra.text.sentences import split_sentences
from infra.text.terms import terms
from tools.coverage import Cover, best_cover, grid_of, header_terms
from tools.evidence import Passage

ENOUGH_SHARE = 0.6
"""Share of a sentence's terms that its best quote and the header carry together, at least."""

ENOUGH_OWN_SHARE = 0.5
"""Share of the terms the header does not have that the quote itself carries, at least."""

LEAST_SHARE = 0.25
"""Share of a reworded sentence's terms that must stand in what it cites before a model is asked about it."""

LONGEST_QUOTE_SENTENCES = 3
_EXTRA_SENTENCE_GAIN = 0.15
_MAX_PLACES = 64
_QUOTES = "\"'"

_VARIANTS = {
    STAND_IN: "<",
    "\u2026": "...",
    **dict.fromkeys("\u00ad\u200b\u2060\ufeff", ""),
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032`\u00b4", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
}


@dataclass(frozen=True, slots=True)
class Citation:
    """Words of a document that an answer rests on.

    Attributes:
        label: the mark in the answer (``E1``).
        doc: name of the document.
        start: offset of the quote's first character in the document's extracted text.
        end: offset after its last character.
        quote: exactly ``extracted[start:end]``.
        section: where in the document the quote stands, for people ("page 3", "Caches > Kinds"), or "".
    """

    label: str
    doc: str
    start: int
    end: int
    quote: str
    section: str = ""


def locate(quote: str, passage: Passage) -> tuple[int, int] | None:
    """Return where ``quote`` stands in ``passage``, as offsets in the document; None when it does not stand there.

    Case counts, and a quote does not begin or end inside a word. A pair of quotation marks around it may be missing
    in the passage. A quote without a letter or digit, or longer than the passage, stands nowhere.
    """
    if len(quote) > _longest(passage.text):
        return None
    plain, offsets = _plain(passage.text)
    wanted = _plain(quote)[0].strip()
    for words in (wanted, wanted.strip(_QUOTES).strip()):
        place = _find(words, plain) if any(map(str.isalnum, words)) else None
        if place is not None:
            start, end = offsets[place], offsets[place + len(words) - 1] + 1
            return passage.start + start, passage.start + end
    return None


def best_quote(sentence: str, passage: Passage) -> tuple[int, int] | None:
    """Return the sentence or sentences of ``passage`` that carry the terms of ``sentence``, as document offsets.

    At most ``LONGEST_QUOTE_SENTENCES`` consecutive ones; one more is taken only when it adds enough. None when they do
    not carry enough of it, when a number of ``sentence`` stands neither there nor in the passage's header, and for a
    sentence that is longer than the passage could be copied to.
    """
    if len(sentence) > _longest(passage.text):
        return None
    given = header_terms(passage.header)
    wanted = dict.fromkeys(terms(sentence), 1.0)
    own = {term: weight for term, weight in wanted.items() if term not in given} or wanted
    grid = grid_of(passage.text)
    cover = Cover(0.0, 0, 0)
    for width in range(1, min(LONGEST_QUOTE_SENTENCES, len(grid.spans)) + 1):
        wider = best_cover(grid, own, sentences=width, given=frozenset())
        if wider.share >= cover.share + (_EXTRA_SENTENCE_GAIN if cover.share else 0.0) and wider.share:
            cover = wider
    if not cover.share:
        return None
    start, end = grid.spans[cover.first][0], grid.spans[cover.last][1]
    said = frozenset(terms(passage.text[start:end]))
    if len(said & own.keys()) < ENOUGH_OWN_SHARE * len(own) or not _enough(wanted.keys(), said | given):
        return None
    return passage.start + start, passage.start + end


def whole_sentences(span: tuple[int, int], passage: Passage) -> tuple[int, int]:
    """Return ``span`` (document offsets) widened to the sentences of ``passage`` that it touches."""
    start, end = span[0] - passage.start, span[1] - passage.start
    touched = [s for s in split_sentences(passage.text) if s[0] < end and s[1] > start]
    first = min([start, *(s[0] for s in touched)])
    last = max([end, *(s[1] for s in touched)])
    return passage.start + first, passage.start + last


def carries(texts: Iterable[str], sentence: str) -> bool:
    """Tell whether ``texts`` together hold every number of ``sentence`` and at least ``LEAST_SHARE`` of its terms.

    That much can be told without understanding; whether they support it cannot.
    """
    there = {term for text in texts for term in terms(text)}
    return _enough(set(terms(sentence)), there, LEAST_SHARE)


def check(citation: Citation, document_text: str) -> bool:
    """Return whether the citation's quote stands, to the letter, at its offsets in the document's extracted text."""
    inside = 0 <= citation.start < citation.end <= len(document_text)
    return inside and document_text[citation.start : citation.end] == citation.quote


def _enough(wanted: Set[str], there: Set[str], share: float = ENOUGH_SHARE) -> bool:
    numbers = {term for term in wanted if any(map(str.isdigit, term))}
    return len(wanted & there) >= share * len(wanted) and numbers <= there


def _longest(text: str) -> int:
    return 2 * len(text) + 64


@lru_cache(maxsize=256)
def _plain(text: str) -> tuple[str, tuple[int, ...]]:
    """Return ``text`` in plain characters, white space as single blanks, and the offset each one came from."""
    kept: list[str] = []
    offsets: list[int] = []
    blank = True
    for offset, character in enumerate(text):
        if character.isspace():
            if not blank:
                kept.append(" ")
                offsets.append(offset)
            blank = True
            continue
        for plain in _VARIANTS.get(character, character):
            kept.append(plain)
            offsets.append(offset)
            blank = False
    return "".join(kept), tuple(offsets)


def _find(words: str, text: str) -> int | None:
    """Return the first place of ``words`` in ``text`` that begins and ends at a word's edge."""
    place = text.find(words)
    for _ in range(_MAX_PLACES):
        if place < 0:
            return None
        after = place + len(words)
        opens = place == 0 or not (text[place - 1].isalnum() and words[0].isalnum())
        closes = after == len(text) or not (text[after].isalnum() and words[-1].isalnum())
        if opens and closes:
            return place
        place = text.find(words, place + 1)
    return None
