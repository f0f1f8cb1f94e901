"""A question that leans on a conversation, made to stand alone.

Rules, in plain words:

* ``more``, ``go on``, ``what else`` and such ask the last question again.
* A question word alone (``why?``, ``and when?``) is put before the last question.
* ``and X?``, ``what about X?``, ``how about X?``, ``same for X?``, ``and did X?`` and up to three words with a question
  mark repeat the last question with X in the place of what is of its kind: a token of the same shape (year by year,
  number by number, FP16 for FP8), a month or weekday by one, an ordinal by one, ``the red one`` what describes a noun;
  with a preposition, what stands behind the same preposition; a name for the first name; a noun phrase for one with the
  same noun, else the first; plain words for the first plain words. Where there is none of its kind, X is put behind
  the question.
* Otherwise pronouns are filled (``reference``) from the user's earlier questions, the latest first, each before its
  answer; for he and she the answer to a question for who comes first, because it names the person.
* What needs none of this stays as it is.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import dropwhile, takewhile

from infra.engine.tasks.reference import is_noun, names, noun_phrases, resolve
from infra.engine.tasks.words import (
    AUXILIARIES,
    MONTHS,
    ORDINALS,
    PREPOSITIONS,
    QUESTION_WORDS,
    WEEKDAYS,
)

LONGEST_FILLER_WORDS = 7
LONGEST_BARE_WORDS = 3
MODIFIED_WORDS = 3
"""Words of a noun phrase that has more than its article and its noun."""

Span = tuple[int, int]

_AGAIN = re.compile(
    r"(?:and |so )?(?:(?:tell me |give me |show me )?more(?: details?| about (?:it|that|this))?|go on|continue"
    r"|what else|anything else|and then|elaborate|explain further)(?: please)?",
    re.IGNORECASE,
)
_WHY = re.compile(
    r"(?:and |but |so )?(?P<word>why|when|where|who|how|how many|how much|how long|how often|since when|until when)"
    r"(?: not| exactly| is that| was that| so)?",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    rf"(?:and |but |or |so )?(?:(?:what|how) about|what of|(?:the )?same for|(?<=and )|(?<=but )|(?<=or ))\s*"
    rf"(?:(?:{'|'.join(sorted(AUXILIARIES - {'may'}, key=len, reverse=True))})\s+(?=[A-Z]))?(?P<filler>.+)",
    re.IGNORECASE,
)
_PREPOSITION = re.compile(rf"(?:{'|'.join(sorted(PREPOSITIONS, key=len, reverse=True))})\s+", re.IGNORECASE)
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d")
_WORD = re.compile(r"[^\s?!,;]+(?<![.])")


@dataclass(frozen=True, slots=True)
class Turn:
    """One exchange: what the user asked, and the answer ('' where it is not known)."""

    asked: str
    answered: str = ""


def standalone(question: str, turns: Sequence[Turn]) -> str:
    """Return ``question`` as it stands without the ``turns`` before it (latest first)."""
    if not turns:
        return question
    before, bare = turns[0].asked, question.strip(" \t\n?!.")
    if _AGAIN.fullmatch(bare):
        return before
    if match := _WHY.fullmatch(bare):
        return f"{match['word'].capitalize()}{' ' if _is_yes_no(before) else ', '}{before[:1].lower()}{before[1:]}"
    if filler := _filler(bare, is_asked=question.rstrip().endswith("?")):
        return _refilled(before, filler)
    context = [text for turn in turns for text in (turn.asked, turn.answered)]
    return resolve(question, context, [text for turn in turns for text in _persons_of(turn)])


def _persons_of(turn: Turn) -> tuple[str, str]:
    asks_for_person = re.match(r"who\b|whose\b", turn.asked, re.IGNORECASE)
    return (turn.answered, turn.asked) if asks_for_person else (turn.asked, turn.answered)


def _is_yes_no(question: str) -> bool:
    return question.split(" ", 1)[0].lower() in AUXILIARIES


def _filler(bare: str, *, is_asked: bool) -> str:
    """Return the words that are to be put into the last question; '' where ``bare`` is a question of its own."""
    match = _ABOUT.fullmatch(bare)
    filler = match["filler"].strip() if match else bare
    words = [word.lower() for word in filler.split()]
    if not words or not (QUESTION_WORDS | AUXILIARIES).isdisjoint(words[:1] if match else words):
        return ""
    short = len(words) <= (LONGEST_FILLER_WORDS if match else LONGEST_BARE_WORDS)
    return filler if short and (match or is_asked) else ""


def _refilled(before: str, rest: str) -> str:
    """Return the earlier question with ``rest`` in the place of what is of its kind."""
    preposition = _PREPOSITION.match(rest)
    filler = rest[preposition.end() :] if preposition else rest
    slots: list[Callable[[], Span | None]] = [
        lambda: _same_shape(before, filler),
        lambda: _same_list(before, filler),
        lambda: _same_noun(before, filler),
        lambda: _behind(before, preposition[0].strip()) if preposition else _same_kind(before, filler),
    ]
    for slot in slots:
        if span := slot():
            kept = "'s" if before[span[1] :].startswith(("'s", "’s")) else ""
            return before[: span[0]] + _short(filler).removesuffix(kept or "\n") + before[span[1] :]
    return f"{before.rstrip('?. ')} {rest}?"


def _same_shape(before: str, filler: str) -> Span | None:
    """The last words of ``before`` that differ from ``filler`` in their digits only."""
    if not any(c.isdigit() for c in filler):
        return None
    words, count, wanted = list(_WORD.finditer(before)), len(filler.split()), _shape(filler)
    runs = [(words[n].start(), words[n + count - 1].end()) for n in range(len(words) - count + 1)]
    return next((span for span in reversed(runs) if _shape(before[slice(*span)]) == wanted), None)


def _shape(text: str) -> str:
    return " ".join(
        "year" if _YEAR.fullmatch(word) else re.sub(r"\d+(?:[.,]\d+)*", "0", word.casefold()) for word in text.split()
    )


def _same_list(before: str, filler: str) -> Span | None:
    """The last month, weekday or ordinal of ``before``, when ``filler`` has one of the same list."""
    given = {word.lower() for word in _short(filler).split()}
    for known in (MONTHS - {"may"} | {"May"}, WEEKDAYS, ORDINALS):
        if given & {word.lower() for word in known}:
            found = [m.span() for m in _WORD.finditer(before) if m[0].lower() in known or m[0] in known]
            return found[-1] if found else None
    return None


def _same_noun(before: str, filler: str) -> Span | None:
    """What stands between the article and the noun of a phrase, for ``the red one``."""
    if _short(filler) == filler:
        return None
    phrases = [phrase for phrase in noun_phrases(before, with_of=False) if len(phrase.split()) >= MODIFIED_WORDS]
    if not phrases:
        return None
    start = before.find(phrases[-1])
    inner = phrases[-1].split(" ", 1)[1].rsplit(" ", 1)[0]
    return start + phrases[-1].find(inner), start + phrases[-1].find(inner) + len(inner)


def _short(filler: str) -> str:
    """Return ``the red one`` as ``red`` and ``the second`` as ``second``; anything else as it is."""
    words = filler.split()
    plain = [word for word in words if word.lower() not in ("the", "one", "ones")]
    if not plain or len(plain) == len(words):
        return filler
    pointing = words[-1].lower() in ("one", "ones") or (len(plain) == 1 and plain[0].lower() in ORDINALS)
    return " ".join(plain) if pointing else filler


def _behind(before: str, preposition: str) -> Span | None:
    """What stands behind the last ``preposition`` of ``before``: a noun phrase, a name, or one word."""
    found = list(re.finditer(rf"\b{preposition}\s+", before, re.IGNORECASE))
    if not found:
        return None
    start = found[-1].end()
    for phrase in [*noun_phrases(before[start:], with_of=False)[:1], *names(before[start:])[:1]]:
        if before.startswith(phrase, start):
            return start, start + len(phrase)
    word = _WORD.match(before, start)
    return word.span() if word else None


def _same_kind(before: str, filler: str) -> Span | None:
    """The name, noun phrase or plain words of ``before`` that ``filler`` stands for."""
    phrases = noun_phrases(before, with_of=False)
    named = [name for name in names(before) if not any(c.isdigit() for c in name)] or names(before)
    noun = filler.split()[-1].lower().rstrip("s")
    alike = [phrase for phrase in phrases if phrase.split()[-1].lower().rstrip("s") == noun]
    if alike or (noun_phrases(filler) and phrases):
        return _span_of(before, (alike or phrases)[0])
    if names(filler) and named:
        return _span_of(before, named[0])
    if noun_phrases(filler):
        return None
    return _plain_words(before) or next((_span_of(before, slot) for slot in [*phrases, *named]), None)


def _plain_words(before: str) -> Span | None:
    """The first run of plain nouns."""
    words = dropwhile(lambda match: not is_noun(match[0]), _WORD.finditer(before))
    run = list(takewhile(lambda match: is_noun(match[0]), words))
    return (run[0].start(), run[-1].end()) if run else None


def _span_of(text: str, part: str) -> Span:
    start = text.find(part)
    return start, start + len(part)
