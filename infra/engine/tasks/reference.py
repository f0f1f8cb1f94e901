"""What words point back to: names and noun phrases, and the pronouns that stand for them.

Rules, in plain words:

* A name is a run of capitalised words (``Ann Miller``, ``JakeWatson``, ``FP8``); a question word, auxiliary or
determiner that is capitalised because it begins a sentence is none. * A noun phrase is ``the``, ``a``, ``my``,
``our``, ``your`` and up to four words after it, as far as the next preposition, auxiliary, conjunction or mark. * he,
she, his, her (before a noun) stand for the first name of the nearest text that has one, which is its subject most
often; him, her (alone) for the last. it, its, this, that (alone), this one stand for the last noun phrase, else name;
they, them, their likewise. * A pronoun stays when the question itself names something before it, and ``it`` stays
before ``true``, ``possible`` and such, where it stands for nothing.
"""

import re
from collections.abc import Sequence

from infra.engine.tasks.words import AUXILIARIES, DETERMINERS, NEGATIONS, PREPOSITIONS, QUESTION_WORDS

_CONJUNCTIONS = frozenset({"and", "or", "but", "if", "because", "while", "so", "that", "than", "then"})
_PERSONAL = frozenset({"i", "he", "she", "it", "we", "you", "they", "me", "him", "her", "us", "them", "there", "here"})
_NO_NAME = (
    QUESTION_WORDS
    | AUXILIARIES
    | DETERMINERS
    | PREPOSITIONS
    | NEGATIONS
    | _CONJUNCTIONS
    | _PERSONAL
    | frozenset(
        {"yes", "please", "tell", "explain", "list", "compare", "give", "show", "describe", "find", "both", "also"}
    )
)
_WORD = re.compile(r"[^\W_][\w'’.-]*[^\W_]|[^\W_]", re.UNICODE)
_PERSON = re.compile(r"\b(he|she|him|his|her|hers)\b", re.IGNORECASE)
_THING = re.compile(
    r"\b(it|its|this one|that one|(?:this|that)(?=\s*(?:[?.,!]|$)|\s+(?:is|was|does|has|in|on)\b))\b", re.IGNORECASE
)
_THEM = re.compile(r"\b(they|them|their|theirs|these|those)\b", re.IGNORECASE)
_IT_VERB = re.compile(r"\b(it|its)\b", re.IGNORECASE)
_EMPTY_IT = re.compile(r"\bit\s+(?:true|possible|necessary|likely|time|raining|take|worth)\b", re.IGNORECASE)
_OWNING = frozenset({"his", "its", "their", "theirs", "hers"})
_PHRASE_STARTS = frozenset({"the", "a", "an", "my", "our", "your"})
_LONGEST_PHRASE = 4


def names(text: str) -> list[str]:
    """Return the names in ``text``, in order."""
    found: list[str] = []
    end = -1
    for match in _WORD.finditer(text):
        word = match[0]
        bare = re.sub(r"['’]s$", "", word)
        if not (bare[0].isupper() and bare.lower() not in _NO_NAME):
            continue
        if found and text[end : match.start()] == " ":
            found[-1] = f"{found[-1]} {bare}"
        else:
            found.append(bare)
        end = match.start() + len(bare)
    return found


def noun_phrases(text: str) -> list[str]:
    """Return the noun phrases that begin with an article or a possessive, in order."""
    words = list(_WORD.finditer(text))
    found: list[str] = []
    for index, match in enumerate(words):
        if match[0].lower() not in _PHRASE_STARTS:
            continue
        last = _phrase_end(text, words, index)
        if last > index:
            found.append(text[match.start() : words[last].end()])
    return found


def resolve(question: str, context: Sequence[str]) -> str:
    """Return ``question`` with its pronouns replaced from ``context`` (nearest text first), where one fits."""
    first_name = min((question.find(name) for name in names(question)), default=len(question))
    for pattern, kinds in ((_PERSON, (names,)), (_THING, (noun_phrases, names)), (_THEM, (noun_phrases, names))):
        match = pattern.search(question)
        if match is None or first_name < match.start() or _EMPTY_IT.match(question, match.start()):
            continue
        found = next((found for text in context for kind in kinds if (found := kind(text))), list[str]())
        if found:
            first = found[0] if pattern is _PERSON else found[-1]
            question = _replaced(question, _same(match) if pattern is _THING else pattern, first, found[-1])
    return question


def _same(match: re.Match[str]) -> re.Pattern[str]:
    """Return the pattern that replaces every form of what was matched: it and its go together, ``this`` alone."""
    return _IT_VERB if match[0].lower() in ("it", "its") else re.compile(rf"\b{re.escape(match[0])}\b", re.IGNORECASE)


def _replaced(question: str, pattern: re.Pattern[str], first: str, last: str) -> str:
    """Replace every match: possessives by ``first's``, objects by ``last``; ``her`` owns the plain word after it."""

    def stand_in(match: re.Match[str]) -> str:
        word = match[0].lower()
        follows = _WORD.match(question, match.end() + 1)
        before_noun = follows is not None and follows[0].lower() not in _NO_NAME
        if word in _OWNING or (word == "her" and before_noun):
            return f"{first}'s"
        return last if word in ("him", "her") else first

    return pattern.sub(stand_in, question)


def _phrase_end(text: str, words: Sequence[re.Match[str]], index: int) -> int:
    last = index
    for following in range(index + 1, min(index + 1 + _LONGEST_PHRASE, len(words))):
        apart = text[words[following - 1].end() : words[following].start()]
        if apart.strip() or words[following][0].lower() in _NO_NAME:
            break
        last = following
    return last
