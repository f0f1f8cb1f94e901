"""The words of a question: its text cut into tokens, each with its class and the form in which it must be the same.

Numbers, dates, units, identifiers, words of the closed classes, open words, and what is left over (symbols, other
scripts). Pure functions of text and lexicon.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

from infra.cache.gates.lexicon import Lexicon
from infra.cache.gates.slips import one_slip

WORD, IDENTIFIER, RESIDUE = "word", "identifier", "residue"
POSSESSIVE = "'s"
_NAMING = frozenset({WORD, "unit", "number", "date"})
_CHUNK = re.compile(r"[^\W_](?:\w|(?:['._/@:+-]|(?<=\d),(?=\d))(?=\w))*|_\w+|\S")
_PLAIN = frozenset(".,;:!?'\"()[]{}-–—…“”«»\u2039\u203a/\\_")
_PIECE = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_NUMBER = re.compile(r"(\d+(?:[.,:/+-]\d+)*)([^\W\d_]*)")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_ORDINAL = frozenset({"st", "nd", "rd", "th"})
_NUMBER_FIRST = re.compile(r"\d+(?:[.,]\d+)*(?:-[^\W\d_]+)+")
_LEAST_CORRECTED = 4
DERIVED = ("ion", "er", "or", "ly", "ment", "ity", "ness", "al", "ive", "able", "ist", "ism", "ing")
_YEAR = re.compile(r"(?:1[0-9]|20|21)\d\d(?:s|'s)?|\d{4}-\d\d(?:-\d\d)?|\d{1,2}[:]\d\d|\d{1,2}[./]\d{1,2}[./]\d{4}")


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a question."""

    form: str
    """As it stands there, in lower case."""
    same: str
    """What must be the same in another question: a stem, a number's value, a unit's name."""
    kind: str
    start: int
    end: int


def tokens(text: str, lexicon: Lexicon) -> list[Token]:
    """Return the tokens of ``text`` (folded, without frames) in order; linear in its length."""
    found = [token for chunk in _CHUNK.finditer(text) for token in _chunk(chunk, text, lexicon)]
    return _which(_phrases(found, lexicon))


def _phrases(found: list[Token], lexicon: Lexicon) -> list[Token]:
    """The tokens with each question phrase (for what reason) as its question word (why)."""
    made: list[Token] = []
    for token in found:
        made.append(token)
        for length in (2, 3):
            word = lexicon.phrases.get(tuple(token.form for token in made[-length:]))
            if word and len(made) >= length:
                made[-length:] = [Token(word, word, "question", made[-length].start, token.end)]
                break
    return made


def _which(found: list[Token]) -> list[Token]:
    """*Which* before an open word asks what *what* asks there (Quirk et al. 1985, 6.38: it only offers a choice)."""
    return [
        replace(token, same="what") if token.form == "which" and after and after.kind in _NAMING else token
        for token, after in zip_longest(found, found[1:])
    ]


def _chunk(chunk: re.Match[str], text: str, lexicon: Lexicon) -> Iterator[Token]:
    word, start = chunk[0], chunk.start()
    if not (word[0].isalnum() or word[0] == "_"):
        yield from _symbol(word, start, text, lexicon)
    elif word[0].isdigit() and (number := list(_number(word, start, lexicon))):
        yield from number
    elif any(c.isdigit() or c in "._@:+" for c in word):
        yield Token(word, word, IDENTIFIER, start, chunk.end())
    else:
        for piece in _PIECE.finditer(word):
            yield from _word(piece[0], start + piece.start(), lexicon)


def _symbol(mark: str, start: int, text: str, lexicon: Lexicon) -> Iterator[Token]:
    negative = mark in "-–" and text[start + 1 : start + 2].isdigit()
    if mark in lexicon.units:
        yield Token(mark, lexicon.units[mark], "unit", start, start + 1)
    elif mark not in _PLAIN or negative:
        yield Token(mark, mark, RESIDUE, start, start + 1)


def _number(word: str, start: int, lexicon: Lexicon) -> Iterator[Token]:
    """A number with what is written on to it; nothing where it is no number but a code."""
    end = start + len(word)
    if _YEAR.fullmatch(word):
        yield Token(word, word.replace("'", ""), "date", start, end)
        return
    if _NUMBER_FIRST.fullmatch(word):
        number, _, rest = word.partition("-")
        yield from _number(number, start, lexicon)
        for piece in _PIECE.finditer(rest):
            yield from _word(piece[0], start + len(number) + 1 + piece.start(), lexicon)
        return
    found = _NUMBER.fullmatch(word)
    if not found:
        return
    value = found[1].replace(",", "") if _THOUSANDS.fullmatch(found[1]) else found[1]
    if not found[2]:
        yield Token(word, value, "number", start, end)
    elif found[2] in _ORDINAL:
        yield Token(word, value + found[2], "number", start, end)
    elif found[2] in lexicon.units:
        yield Token(found[1], value, "number", start, start + found.end(1))
        yield Token(found[2], lexicon.units[found[2]], "unit", start + found.end(1), end)


def _word(word: str, start: int, lexicon: Lexicon) -> Iterator[Token]:
    expanded = _expanded(word, lexicon)
    for part in expanded:
        kind, same = _kind(part, lexicon)
        yield Token(part, same, kind, start, start + len(word))


def _expanded(word: str, lexicon: Lexicon) -> list[str]:
    """The words a contraction stands for; of others, a possessive s on its own."""
    if word in lexicon.contractions:
        return lexicon.contractions[word].split()
    if "'" not in word:
        return [word]
    for ending, stands_for in lexicon.contracted_ends:
        if word.endswith(ending) and word != ending:
            return [word.removesuffix(ending), stands_for]
    return [word]


def _kind(word: str, lexicon: Lexicon) -> tuple[str, str]:
    if word == POSSESSIVE:
        return "bare", word
    if word in lexicon.numbers:
        return lexicon.numbers[word]
    if word in lexicon.units:
        return "unit", lexicon.units[word]
    if word in lexicon.closed:
        kind = lexicon.closed[word]
        return kind, "have" if kind == "have" else word
    if not word.isascii():
        return (WORD, word) if all("a" <= c <= "\u024f" or c == "'" for c in word) else (RESIDUE, word)
    return WORD, lexicon.base(word)


def corrected(token: Token, lexicon: Lexicon) -> Token:
    """Return ``token``; an unknown word one slip from a single word that is never exchanged as that word (whcih)."""
    if token.kind != WORD or len(token.form) < _LEAST_CORRECTED or lexicon.is_word(token.form):
        return token
    if token.form in lexicon.names:
        return token
    near = [word for word in lexicon.fixed if one_slip(token.form, word)]
    meant = {_kind(word, lexicon) for word in near}
    if len(meant) != 1:
        return token
    kind, same = meant.pop()
    return Token(near[0], same, kind, token.start, token.end)


def endings(form: str, same: str, lexicon: Lexicon) -> tuple[bool, bool, str]:
    """Return whether ``form`` is a past form, whether it ends in a plural's or a verb's s, and its other ending."""
    if form in {"did", "had"} or form in lexicon.past or (form.endswith("ed") and form != same):
        return True, False, ""
    if form in {"does", "has"}:
        return False, True, ""
    if form == same:
        return False, False, ""
    ending_s = form.endswith("s") and not form.endswith("ss")
    return False, ending_s, next((end for end in DERIVED if form.removesuffix("s").endswith(end)), "")
