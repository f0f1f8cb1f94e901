"""The one normalisation of words, for documents and questions alike.

Gives the terms a text is searched, weighed and compared by. ``terms`` is a pure function of its text: documents indexed
with one version of it must be asked with the same version (``VERSION`` names it). What it does:

* Unicode compatibility forms and accents folded, case folded, English stop words dropped, English Snowball stems;
* identifiers split at case, underscore and punctuation, and kept whole too (``WolfgangSchulz`` gives
  ``wolfgangschulz``, ``wolfgang``, ``schulz``), so both spellings meet;
* dates in one form: every way of writing 6 May 2026 gives ``2026-05-06``, ``05-06``, ``may``, ``2026`` (a label
  ``Time:`` or ``Date:`` before it and the clock time of a timestamp are dropped); clock times as ``19:00``;
* numbers without thousands separators; a unit written on to its number also stands alone (``16GB`` gives ``16gb``,
  ``16``, ``gb``);
* runs of Chinese, Japanese or Korean script as overlapping pairs of characters.

It knows nothing of weights: inverse document frequencies come from the index.
"""

import re
import unicodedata
from functools import lru_cache
from threading import Lock

from snowballstemmer.english_stemmer import EnglishStemmer

VERSION = "terms-1"

MAX_WORD_CHARS = 64
"""Longer words (hashes, base64) are cut to this length, so that no text can make a term or a cache entry large."""

STOP_WORDS: frozenset[str] = frozenset(
    """
    a about above after again against ain all also am an and any are aren arent as at be because been before being
    below between both but by can cannot cant could couldnt d did didnt do does doesnt doing dont down during each
    either etc ever few for from further had hadnt has hasnt have havent having he hed hell her here heres hers
    herself hes hi him himself his how hows http https i id if ill im in into is isnt it itd itll its itself ive
    just let lets ll m may me might more most must my myself neither no nor not now o of off on once only or other
    ought our ours ourselves out over own please re s same shall she shed shell shes should shouldnt so some such t
    than that thatll thats the their theirs them themselves then there theres these they theyd theyll theyre theyve
    this those through to too under until up upon us ve very via was wasnt we wed well were werent weve what whats
    when whens where wheres whether which while who whom whos whose why whys will with within without wont would
    wouldnt www yet you youd youll your youre yours yourself yourselves youve
    """.split()  # noqa: SIM905 - a list to be read by people
)
"""English function words, question words and contractions without their apostrophe."""

_MONTHS = tuple(
    "january february march april may june july august september october november december".split()  # noqa: SIM905 - a list to be read by people
)
_HOURS = 12
_MONTH_DAYS = 31
_SHORTEST_STEMMED = 3
_MONTH_OF_MAY = "month05"
_MONTH_NUMBERS = {name[:3]: number for number, name in enumerate(_MONTHS, start=1)}
_SYMBOLS = {"%": "percent", "$": "dollar", "€": "euro", "£": "pound"}

_MONTH = (
    r"(?P<{0}>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_DAY = r"(?P<{0}>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_YEAR = r"(?P<{0}>(?:1[5-9]|20|21)\d\d)"
_CLOCK_TAIL = r"(?:[T_ ]{1,2}\d\d?:?\d\d(?::?\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?(?![\d:])"
_MOMENT = re.compile(
    r"(?:\b(?:time|date|datetime|timestamp)\s{0,3}[:=]\s{0,3})?(?<![\d.,:/])(?<!\d-)(?:"
    + _YEAR.format("y1")
    + r"(?P<sep>[-/.]?)(?P<m1>0[1-9]|1[0-2]|(?<=[-/.])[1-9])(?P=sep)(?P<d1>0[1-9]|[12]\d|3[01]|(?<=[-/.])[1-9])(?!\d)"
    + _CLOCK_TAIL
    + r"|(?P<a>\d\d?)(?P<sep2>[/.])(?P<b>\d\d?)(?P=sep2)"
    + _YEAR.format("y2")
    + r"(?![\d.])|(?<![^\W\d])"
    + _DAY.format("d3")
    + r"\s{1,3}(?:of\s{1,3})?"
    + _MONTH.format("m3")
    + r"(?:,?\s{1,3}"
    + _YEAR.format("y3")
    + r"\b(?!\.\d))?|\b"
    + _MONTH.format("m4")
    + r"\s{0,3}(?:"
    + _DAY.format("d4")
    + r"\b(?![.:,]\d)(?:(?:,\s{0,3}|\s{1,3})"
    + _YEAR.format("y4")
    + r"\b)?|,?\s{0,3}"
    + _YEAR.format("y5")
    + r"\b)|(?P<hour>[01]?\d|2[0-3])(?::(?P<minute>[0-5]\d)(?::[0-5]\d)?)?\s?(?P<half>[ap])\.?m\b\.?"
    + r"|(?P<hour2>[01]?\d|2[0-3]):(?P<minute2>[0-5]\d)(?![\d:]))",
    re.IGNORECASE,
)
_WORD = re.compile(r"[vV]?\d+(?:[.,]\d+)+[^\W\d_]*|[A-Za-z]\+\+|[CF]#|[^\W_]+(?:[_'’]+[^\W_]+)*|[%$€£]")
_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[^\W\d_A-Za-z]+")
_NUMBER = re.compile(r"(\d+(?:[.,]\d+)*)([^\W\d_]*)")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_PLURAL_ACRONYM = re.compile(r"[A-Z]{2,}s")
_VERSION = re.compile(r"[vV]\d+[.]\d")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+")
_MAY = re.compile(r"(?<=[a-z,] )May\b(?!-)")
_ACCENTS = re.compile(r"[\u0300-\u036f]+")
_DIGIT = re.compile(r"\d")

_stemmer = EnglishStemmer()
_stemmer_lock = Lock()


def terms(text: str) -> list[str]:
    """Return the terms of ``text`` in reading order, duplicates kept; empty for a text of stop words only.

    Linear in the text's length; safe under threads.
    """
    text = _fold(text)
    found: list[str] = []
    position = 0
    if _DIGIT.search(text):
        for moment in _MOMENT.finditer(text):
            _add_words(found, text[position : moment.start()])
            found.extend(_moment_terms(moment))
            position = moment.end()
    _add_words(found, text[position:] if position else text)
    return found


def _fold(text: str) -> str:
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", _ACCENTS.sub("", unicodedata.normalize("NFKD", text)))


def _add_words(found: list[str], text: str) -> None:
    if "May" in text:
        text = _MAY.sub(_MONTH_OF_MAY, text)
    for word in _WORD.findall(text):
        found.extend(_word_terms(word if len(word) <= MAX_WORD_CHARS else word[:MAX_WORD_CHARS]))


@lru_cache(maxsize=1 << 16)
def _word_terms(word: str) -> tuple[str, ...]:
    if word in _SYMBOLS:
        return (_SYMBOLS[word],)
    if word == _MONTH_OF_MAY:
        return ("may",)
    if word[0].isdigit() or _VERSION.match(word):
        return _number_terms(word.lstrip("vV"))
    if not word.isascii() and _CJK.search(word):
        return tuple(_cjk_terms(word))
    word = _without_apostrophe(word)
    if _PLURAL_ACRONYM.fullmatch(word):
        return (word[:-1].casefold(),)
    return _identifier_terms(word)


def _without_apostrophe(word: str) -> str:
    word = word.replace("’", "'")
    return word.removesuffix("'s").removesuffix("'S").replace("'", "") if "'" in word else word


def _identifier_terms(word: str) -> tuple[str, ...]:
    whole = word.casefold()
    if whole in STOP_WORDS:
        return ()
    if word.isalpha() and (word.islower() or word.isupper() or word[1:].islower()):
        return (_stem(whole),)
    parts = [part.casefold() for part in _PART.findall(word)]
    kept = [_stem(part) for part in parts if len(part) > 1 and part not in STOP_WORDS and part != whole]
    return (whole, *kept)


def _number_terms(word: str) -> tuple[str, ...]:
    match = _NUMBER.match(word)
    if match is None:
        return (word.casefold(),)
    number, unit = match[1], match[2].casefold()
    numbers = [number.replace(",", "")] if _THOUSANDS.fullmatch(number) else number.split(",")
    rest = word[match.end() :].casefold()
    if rest:
        return (word.casefold(), *numbers)
    if not unit or unit in {"st", "nd", "rd", "th"}:
        return tuple(numbers)
    return (numbers[-1] + unit, *numbers, *((_stem(unit),) if len(unit) > 1 and unit not in STOP_WORDS else ()))


def _cjk_terms(word: str) -> list[str]:
    found: list[str] = []
    position = 0
    for run in _CJK.finditer(word):
        found.extend(_word_terms(word[position : run.start()]) if run.start() > position else ())
        pairs = [run[0][at : at + 2] for at in range(len(run[0]) - 1)]
        found.extend(pairs or [run[0]])
        position = run.end()
    return found + list(_word_terms(word[position:]) if position < len(word) else ())


def _stem(word: str) -> str:
    if len(word) < _SHORTEST_STEMMED or not word.isascii():
        return word
    with _stemmer_lock:
        return str(_stemmer.stemWord(word))  # pyright: ignore[reportUnknownMemberType,reportUnknownArgumentType] - untyped


_MONTH_STEMS = tuple(map(_stem, _MONTHS))


def _moment_terms(match: re.Match[str]) -> list[str]:
    part = match.groupdict()
    if part["hour"]:
        hour = _of_24(int(part["hour"]), part["half"].casefold())
        return [f"{hour:02d}:{part['minute'] or '00'}"]
    if part["hour2"]:
        return [f"{int(part['hour2']):02d}:{part['minute2']}"]
    if part["a"]:
        return _numeric_date_terms(int(part["a"]), int(part["b"]), part["sep2"], part["y2"])
    year = part["y1"] or part["y3"] or part["y4"] or part["y5"]
    day = part["d1"] or part["d3"] or part["d4"]
    name = part["m3"] or part["m4"]
    month = int(part["m1"]) if part["m1"] else _MONTH_NUMBERS[name[:3].casefold()]
    return _date_terms(year, month, int(day) if day else None)


def _of_24(hour: int, half: str) -> int:
    if hour > _HOURS:
        return hour
    return hour % _HOURS + (_HOURS if half == "p" else 0)


def _numeric_date_terms(first: int, second: int, separator: str, year: str) -> list[str]:
    """6.5.2026 is day first, 5/6/2026 month first, unless only the other reading is a date."""
    day, month = (first, second) if separator == "." else (second, first)
    if month > len(_MONTHS):
        day, month = month, day
    if not (1 <= month <= len(_MONTHS) and 1 <= day <= _MONTH_DAYS):
        return [str(first), str(second), year]
    return _date_terms(year, month, day)


def _date_terms(year: str | None, month: int, day: int | None) -> list[str]:
    found = [f"{year}-{month:02d}-{day:02d}"] if year and day else []
    found += [f"{month:02d}-{day:02d}"] if day else []
    return [*found, _MONTH_STEMS[month - 1], *([year] if year else [])]
