"""What words point back to: names and noun phrases, and the pronouns that stand for them.

Rules, in plain words:

* A name is a run of words with a capital or a digit among their letters (``Ann Miller``, ``JakeWatson``, ``FP8``); a
  function word that is capitalised because it begins a sentence is none.
* A noun phrase is ``the``, ``a``, ``my``, ``our``, ``your`` and the words after it, at most five, as far as the next
  function word, participle or mark, or behind ``did``, ``will`` and such the next verb; with an ``of ...`` behind it.
* he, she, his, her stand for the first name of the nearest text that has one (its subject, most often), except that
  him, her, them after a name stand for the first name that the question itself does not hold. Of he and she in one
  text the one that comes second stands for the last name.
* it, its, they, them, their, this, that (alone), this one, that one stand for the first noun phrase of the nearest
  text that no preposition stands before; else, after ``which thing did X do``, for ``the thing X do``; else for its
  last noun phrase, its last plain words, its first name. They may stand for two names joined by ``and``. Behind say,
  think, want and such the pronoun stays, with ``about`` and what it stands for.
* ``this thing``, ``those things`` stand for a noun phrase that ends in the same noun.
* ``there`` stands for the last ``in`` or ``at`` with what follows it, else for ``in`` and the last name.
* A pronoun stays when the question itself names something before it (``it``: something other than the subject behind
  an auxiliary); ``it`` stays before ``true``, ``possible`` and
  such and in ``it ... that``, and ``there`` before ``is`` and ``are``, where they stand for nothing.
"""

import re
from collections.abc import Sequence
from itertools import takewhile

from infra.engine.tasks.words import (
    ADVERBS,
    AUXILIARIES,
    BASE_VERBS,
    CONJUNCTIONS,
    DETERMINERS,
    IRREGULAR_PASTS,
    NEGATIONS,
    PARTICIPLES,
    PREPOSITIONS,
    PRONOUNS,
    QUESTION_WORDS,
    REQUESTS,
)

FUNCTION_WORDS = (
    QUESTION_WORDS | AUXILIARIES | DETERMINERS | PREPOSITIONS | NEGATIONS | CONJUNCTIONS | PRONOUNS | REQUESTS
)
_WORD = re.compile(r"[^\W_][\w'’.-]*[^\W_]|[^\W_]")
_POSSESSIVE = re.compile(r"['’]s?$")
_HE = frozenset({"he", "him", "his"})
_PERSON = re.compile(r"\b(?:he|she|him|his|her|hers)\b", re.IGNORECASE)
_THING = re.compile(
    r"\b(?:it(?!\s+that\b)|its|they|them|their|theirs|this one|that one|these ones|those ones"
    r"|(?:this|that|these|those)(?=\s*(?:[?.,!]|$)|\s+(?:is|are|was|were|does|do|did|has|have|in|on|for|at)\b))(?!['’\w])",
    re.IGNORECASE,
)
_POINTED = re.compile(r"(?<!it )\b(?:[Tt]his|[Tt]hat|[Tt]hese|[Tt]hose)\s+([a-z][\w-]{2,})\b")
_THERE = re.compile(r"(?<!is )(?<!are )(?<!was )(?<!were )\bthere\b(?!\s+(?:is|are|was|were|will|be)\b)", re.IGNORECASE)
_PLACE = re.compile(r"\b(?:in|at)\s+((?:the\s+)?[^\W_][\w'’-]*(?:\s+[A-Z][\w'’-]*)*)")
_EMPTY_IT = re.compile(
    r"it\s+(?:(?:is|was)\s+)?(?:true|possible|necessary|likely|time|raining|rain|snow|worth|happen)\b",
    re.IGNORECASE,
)
_LONG_IT = re.compile(r"\blong\s+\w+\s+it\s+take", re.IGNORECASE)
_WHICH = re.compile(
    rf"(?:which|what)\s+(?P<noun>[a-z]\w*(?:\s+[a-z]\w*)?)\s+(?:{'|'.join(sorted(AUXILIARIES))})\s+(?P<rest>[^?]+)",
    re.IGNORECASE,
)
_SAID = re.compile(r"\b(?:say|said|tell|told|mean|think|want|know)\s+$", re.IGNORECASE)
_JOINED_NAMES = re.compile(r"[A-Z][\w-]*(?: [A-Z][\w-]*)* and [A-Z][\w-]*(?: [A-Z][\w-]*)*")
_PHRASE_STARTS = frozenset({"the", "a", "an", "my", "our", "your"})
_LONGEST_PHRASE = 5
_LONGEST_RELATIVE = 6
_BEFORE_VERBS = frozenset(
    {"do", "does", "did", "will", "would", "can", "could", "shall", "should", "may", "might", "must"}
)
_OWNING = frozenset({"his", "hers", "its", "their", "theirs"})
_OBJECTS = frozenset({"him", "her", "them"})


def names(text: str) -> list[str]:
    """Return the names in ``text``, in order."""
    found: list[str] = []
    end = -1
    for match in _WORD.finditer(text):
        bare = _POSSESSIVE.sub("", match[0])
        if not _is_name(bare):
            continue
        if found and text[end : match.start()] == " ":
            found[-1] = f"{found[-1]} {bare}"
        else:
            found.append(bare)
        end = match.start() + len(bare)
    return found


def noun_phrases(text: str, *, with_of: bool = True) -> list[str]:
    """Return the noun phrases that begin with an article or a possessive, in order; with their ``of ...`` if asked."""
    return [text[start:end] for start, end in _phrase_spans(text, with_of=with_of)]


def resolve(question: str, context: Sequence[str], persons: Sequence[str] | None = None) -> str:
    """Return ``question`` with its pronouns replaced, where something fits.

    Args:
        question: what to complete.
        context: the texts it may point back to, nearest first.
        persons: the same texts in the order in which they name persons, where that is another one.
    """
    question = _persons(_pointed(question, context), context if persons is None else persons)
    return _there(_things(question, context), context)


def is_noun(word: str) -> bool:
    """Tell whether ``word`` may be a plain noun: it is no function word, adverb, name or common form of a verb."""
    plain = word.lower()
    if plain in FUNCTION_WORDS | ADVERBS | PARTICIPLES | IRREGULAR_PASTS or plain.endswith("ed") or _is_name(word):
        return False
    return plain not in BASE_VERBS and plain.removesuffix("s") not in BASE_VERBS


def _is_name(word: str) -> bool:
    if word.casefold() in FUNCTION_WORDS:
        return False
    return any(c.isupper() for c in word) or (any(c.isdigit() for c in word) and any(c.isalpha() for c in word))


def _phrase_spans(text: str, *, with_of: bool) -> list[tuple[int, int]]:
    words = list(_WORD.finditer(text))
    spans: list[tuple[int, int]] = []
    for index, match in enumerate(words):
        if match[0].lower() not in _PHRASE_STARTS or (spans and match.start() < spans[-1][1]):
            continue
        last = _phrase_end(text, words, index, with_of=with_of)
        if last > index:
            spans.append((match.start(), words[last].end()))
    return spans


def _phrase_end(text: str, words: Sequence[re.Match[str]], index: int, *, with_of: bool) -> int:
    """Return the index of the phrase's last word; ``index`` itself where there is none after the article."""
    last = index
    is_subject = index > 0 and words[index - 1][0].lower() in _BEFORE_VERBS
    for following in range(index + 1, min(index + 1 + _LONGEST_PHRASE, len(words))):
        word = words[following][0].lower()
        apart = text[words[following - 1].end() : words[following].start()].strip()
        verb = last > index and (word in PARTICIPLES or word.endswith("ed") or (is_subject and word in BASE_VERBS))
        if apart or verb or word in FUNCTION_WORDS:
            break
        last = following
    behind = [word[0].lower() for word in words[last + 1 : last + 3]]
    if with_of and last > index and behind[:1] == ["of"] and len(behind) > 1:
        begin = last + 2 if behind[1] in _PHRASE_STARTS else last + 1
        return max(_phrase_end(text, words, begin, with_of=False), last)
    return last


def _persons(question: str, context: Sequence[str]) -> str:
    matches = list(_PERSON.finditer(question))
    candidates = next((found for text in context if (found := names(text))), list[str]())
    if not matches or not candidates:
        return question
    own = names(question)
    first = matches[0]
    if any(question.find(name) < first.start() for name in own):
        others = [name for name in candidates if not any(_same_name(name, mine) for mine in own)]
        if first[0].lower() not in _OBJECTS or not others:
            return question
        candidates = others
    is_he = first[0].lower() in _HE

    def stand_in(match: re.Match[str]) -> str:
        same = (match[0].lower() in _HE) == is_he
        return _form(question, match, candidates[0] if same else candidates[-1])

    return _PERSON.sub(stand_in, question)


def _things(question: str, context: Sequence[str]) -> str:
    match = _THING.search(question)
    if match is None or _EMPTY_IT.match(question, match.start()) or _LONG_IT.search(question):
        return question
    if _names_an_object(question[: match.start()]):
        return question
    many = match[0].lower() in ("they", "them", "their", "theirs")
    found = next((found for text in context if (found := _topic(text, many=many)) and found not in question), "")
    word = {"its": "it", "theirs": "they", "their": "they", "them": "they"}.get(match[0].lower(), match[0].lower())
    again = {"it": r"\b(?:it(?!\s+that\b)|its)\b", "they": r"\b(?:they|them|their|theirs)\b"}.get(word, rf"\b{word}\b")
    if found and _SAID.search(question[: match.start()]):
        return f"{question[: match.end()]} about {found}{question[match.end() :]}"
    return re.sub(again, lambda m: _form(question, m, found), question, flags=re.IGNORECASE) if found else question


def _names_an_object(text: str) -> bool:
    """Tell whether ``text`` names something other than the subject that stands behind an auxiliary."""
    for name in names(text):
        before = re.findall(r"[\w'’]+", text[: text.find(name)])
        if not before or before[-1].lower() not in AUXILIARIES:
            return True
    return False


def _topic(text: str, *, many: bool) -> str:
    """Return what ``text`` is about, as far as its form tells; '' where it has no word for it."""
    if many and (pair := _JOINED_NAMES.search(text)) and pair[0].split()[0].lower() not in FUNCTION_WORDS:
        return pair[0]
    spans = _phrase_spans(text, with_of=True)
    for start, end in spans:
        before = re.findall(r"[\w'’]+", text[:start])
        if not before or before[-1].lower() not in PREPOSITIONS:
            return text[start:end]
    if (which := _WHICH.match(text)) and which["noun"].split()[-1].lower() not in PREPOSITIONS | PRONOUNS:
        return f"the {which['noun']} {' '.join(which['rest'].split()[:_LONGEST_RELATIVE])}"
    if spans:
        return text[slice(*spans[-1])]
    return _last_plain_words(text) or next(iter(names(text)), "")


def _last_plain_words(text: str) -> str:
    """Return the last run of words that are neither function words nor verbs nor names."""
    runs: list[list[str]] = [[]]
    for word in [match[0] for match in _WORD.finditer(text)]:
        if is_noun(word):
            runs[-1].append(word)
        else:
            runs.append([])
    return " ".join(next((run for run in reversed(runs) if run), list[str]()))


def _pointed(question: str, context: Sequence[str]) -> str:
    """Replace ``this thing`` by the phrase of ``context`` that ends in the same noun."""

    def stand_in(match: re.Match[str]) -> str:
        noun = match[1].rstrip("s")
        if match[1] in FUNCTION_WORDS:
            return match[0]
        pattern = re.compile(rf"(?:[\w'’-]+\s+){{1,3}}{re.escape(noun)}s?\b", re.IGNORECASE)
        for text in context:
            for phrase in noun_phrases(text):
                if phrase.split(" of ")[0].lower().rstrip("s").endswith(f" {noun.lower()}"):
                    return phrase
            if found := pattern.search(text):
                words = list(takewhile(is_noun, reversed(found[0].split()[:-1])))[::-1]
                return " ".join(["the", *words, found[0].split()[-1]]) if words else match[0]
        return match[0]

    return _POINTED.sub(stand_in, question)


def _there(question: str, context: Sequence[str]) -> str:
    if not _THERE.search(question):
        return question
    for text in context:
        if places := _PLACE.findall(text):
            return _THERE.sub(f"in {places[-1]}", question)
        if found := names(text):
            return _THERE.sub(f"in {found[-1]}", question)
    return question


def _form(question: str, match: re.Match[str], name: str) -> str:
    """Return ``name`` in the form of the pronoun: ``her`` owns the plain word after it."""
    word = match[0].lower()
    follows = _WORD.match(question, match.end() + 1)
    owns = word in _OWNING or (word == "her" and follows is not None and follows[0].lower() not in FUNCTION_WORDS)
    return f"{name}'s" if owns and not name.endswith("'s") else name


def _same_name(one: str, other: str) -> bool:
    return not set(one.lower().split()).isdisjoint(other.lower().split())
