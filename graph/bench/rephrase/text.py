"""A question as words with places, and the shapes of English words: what all rules share.

Pure string work, no tagger: where a rule must know more than the neighbours of a word tell, it does not fire.
"""

import re
from dataclasses import dataclass

from graph.bench.rephrase.words import Words

_WORD = r"[^\W_](?:[\w-]*[^\W_])?"
_TOKEN = re.compile(rf"{_WORD}(?:[._/]{_WORD})+(?:\(\))?|{_WORD}(?:\(\))?|\S")
_NAME = re.compile(r"[A-Z][^\W\d_]*[^\W\d_-](?:-[^\W\d_]+)*")
_QUOTED = re.compile(r"\"[^\"]+\"|“[^”]+”|(?<!\w)'[^']+(?:'\w[^']*)*'(?!\w)|\u2018[^’]+’")

BE = frozenset({"is", "are", "was", "were"})
DO = frozenset({"do", "does", "did"})
HAVE = frozenset({"has", "have", "had"})
MODALS = frozenset({"can", "could", "will", "would", "shall", "should", "may", "might", "must"})
AUXILIARIES = BE | DO | HAVE | MODALS | {"am"}
WH = frozenset({"what", "who", "whom", "whose", "which", "when", "where", "why", "how"})
PRONOUNS = frozenset({"i", "you", "he", "she", "it", "we", "they", "one", "someone", "people"})
POSSESSIVES = frozenset({"my", "your", "his", "her", "its", "our", "their"})
DETERMINERS = frozenset(
    {"the", "a", "an", "this", "that", "these", "those", "some", "any", "each", "every", "no", "all"}
)
_PREPOSITIONS = """
    of in on at by for with from to into about between during after before since until under over through
"""
PREPOSITIONS = frozenset(_PREPOSITIONS.split())
SMALL = (
    AUXILIARIES | WH | PRONOUNS | POSSESSIVES | DETERMINERS | PREPOSITIONS | {"and", "or", "not", "be", "been", "as"}
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number or mark, and where it stands (half-open character offsets)."""

    text: str
    start: int
    end: int

    @property
    def low(self) -> str:
        """In small letters."""
        return self.text.lower()


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its tokens, and the spans of its names: token numbers, half-open.

    Attributes:
        text: as asked.
        tokens: in order; a genitive's apostrophe and s are tokens of their own.
        names: capitalised words inside the question that stand side by side.
    """

    text: str
    tokens: tuple[Token, ...]
    names: tuple[tuple[int, int], ...]

    @property
    def body(self) -> str:
        """Without the marks at its end."""
        return self.text.rstrip(" ?.!")

    def name(self, span: tuple[int, int]) -> str:
        """A name as written."""
        return self.text[self.tokens[span[0]].start : self.tokens[span[1] - 1].end]

    def low(self, number: int) -> str:
        """A token in small letters; empty outside the question."""
        return self.tokens[number].low if 0 <= number < len(self.tokens) else ""

    def replaced(self, number: int, new: str, *, until: int | None = None) -> str:
        """The text with a token, or the tokens before ``until``, replaced."""
        last = self.tokens[number if until is None else until - 1]
        return self.text[: self.tokens[number].start] + new + self.text[last.end :]


def read(text: str, words: Words) -> Question:
    """Split a question into tokens and find its names."""
    text = " ".join(text.split())
    tokens = tuple(Token(m.group(), m.start(), m.end()) for m in _TOKEN.finditer(text))
    quoted = [m.span() for m in _QUOTED.finditer(text)]
    calendar = {*words.months, *words.weekdays}
    named = [
        _NAME.fullmatch(token.text) is not None
        and token.text not in calendar
        and not (token.text.istitle() and token.low in SMALL)
        and not any(start <= token.start < end for start, end in quoted)
        and not _opens_sentence(tokens, number)
        for number, token in enumerate(tokens)
    ]
    return Question(text, tokens, tuple(_name_spans(text, tokens, named)))


def _opens_sentence(tokens: tuple[Token, ...], number: int) -> bool:
    """Whether a capital may come from the place only: after a mark, or first and not before another capital."""
    before = tokens[number - 1].text if number else "."
    if before not in {".", "?", ":"} or (number > 1 and _TITLE.fullmatch(tokens[number - 2].text)):
        return False
    after = tokens[number + 1].text if number + 1 < len(tokens) else ""
    return not after.istitle() or after.lower() in SMALL or tokens[number].low in _OPENERS


_TITLE = re.compile("St|Mr|Mrs|Dr|Mgr|Jr|[A-Z]")
_OPENERS = frozenset({"name", "unlike", "like", "besides", "despite", "because", "among", "excluding", "question"})


def _name_spans(text: str, tokens: tuple[Token, ...], named: list[bool]) -> list[tuple[int, int]]:
    """Capitalised words side by side, with "of", "of the", "on" and initials between, and a number behind."""
    spans: list[tuple[int, int]] = []
    number = 0
    while number < len(tokens):
        if not named[number]:
            number += 1
            continue
        end = number + 1
        while inside := next((n for n in (1, 2, 3) if _goes_on(text, tokens, named, end, n)), 0):
            end += inside
        spans.append((number, end))
        number = end
    return spans


def _goes_on(text: str, tokens: tuple[Token, ...], named: list[bool], end: int, count: int) -> bool:
    """Whether the next ``count`` tokens belong to a name."""
    last = end + count - 1
    if last >= len(tokens) or (text[tokens[end - 1].end] != " " and not _TITLE.fullmatch(tokens[end - 1].text)):
        return False
    between = " ".join(token.text for token in tokens[end:last])
    if count == 1:
        return named[last] or tokens[last].text.isdigit() or re.fullmatch("[IVXL]+", tokens[last].text) is not None
    initial = re.fullmatch(r"[A-Z](?: \.)?|\.", between) is not None
    return named[last] and (initial or between in {"of", "of the", "on", "de", "van", "the"})


def small_start(question: Question) -> str:
    """The text with its first letter small, where the first word is an ordinary one."""
    first = question.tokens[0]
    if first.low in SMALL and first.text != "I":
        return first.low + question.text[first.end :]
    ordinary = first.text.istitle() and question.low(1) in SMALL | {"one", "two"}
    return question.text[0].lower() + question.text[1:] if ordinary else question.text


def large_start(text: str) -> str:
    """The text with its first letter large."""
    return text[:1].upper() + text[1:]


def like(pattern: str, word: str) -> str:
    """A word written with the capitals of another."""
    if pattern.isupper() and len(pattern) > 1:
        return word.upper()
    return large_start(word) if pattern[:1].isupper() else word


def an_for(question: Question, number: int, text: str, new: str) -> str:
    """Mend "a" and "an" before a replaced word; ``text`` is the question after the replacement."""
    if question.low(number - 1) not in {"a", "an"}:
        return text
    article = question.tokens[number - 1]
    right = "an" if new[:1].lower() in "aeiou" else "a"
    return text[: article.start] + like(article.text, right) + text[article.end :]
