"""Hard negatives in figures: a number, a date, a unit, an id."""

import re
from collections.abc import Iterator
from random import Random

from graph.bench.rephrase.rules import Change, Source
from graph.bench.rephrase.scope import eventful, plain
from graph.bench.rephrase.text import Question, like, small_start

_FIGURE = re.compile(
    r"(?<![\w.,:/-])(?<!\d )\d{1,3}(?:,\d{3})*(?:\.\d+)?(?![\w:/-]|[.,]\d| ?[ap]\.?m\b)", re.IGNORECASE
)
_ROMAN = re.compile(r"(?<![\w-])(?=[IVXL]{2,}\b)(XL|L?X{0,3})(IX|IV|V?I{0,3})(?![\w-])")
_YEAR = re.compile(r"(?<![\w.,:/$€£-])(?:1\d{3}|20\d{2})(?=s?(?![\w:/,-]))")
_STAMP = re.compile(r"(?<!\d)(20\d{2})(0[1-9]|1[0-2])([0-2]\d|3[01])(?!\d)")
_CLOCK = re.compile(r"(?<![\w:])(1[0-2]|[1-9])((?::[0-5]\d)? ?[ap]\.?m\b)", re.IGNORECASE)
_DAY = re.compile(r"\b(\d{1,2})(st|nd|rd|th)\b")
_BEFORE_A_TIME = "in of on during by until since early late last next this from and before after through every"
_IN_TIME = frozenset(_BEFORE_A_TIME.split())
_COUNTED = frozenset({"many", "much", "per", "several", "few", "what", "which", "a", "each"})
_ODD_PLURALS = {"foot": "feet", "inch": "inches", "penny": "pennies", "century": "centuries"}
_ONLY_PLURAL = frozenset({"second", "foot", "pound", "yard", "mark", "degree", "minute"})
_ID = re.compile(r"^(?=.*[A-Za-z])(?:\w+_\w+|[A-Za-z]+-?\d[\w.-]*|[\w-]+-\d+[\w-]*|\w+\.\w+\(\)|\w+\.\w+\.\w+)$")


def number(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Another figure, number word, ordinal or Roman numeral; dates are another kind."""
    changes = [*_figures(question, rng), *_romans(question, rng), *_number_words(question, source, rng)]
    yield from rng.sample(changes, len(changes))


def _figures(question: Question, rng: Random) -> Iterator[Change]:
    for found in _FIGURE.finditer(question.text):
        before = question.text[: found.start()].split()[-1:]
        if before and before[0] in {
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
        }:
            continue
        old = found[0]
        whole, dot, rest = old.partition(".")
        value = int(whole.replace(",", ""))
        for new in {value + rng.choice((1, 2, 3)), value * 10, max(0, value - 1)} - {value}:
            text = (f"{new:,}" if "," in whole else str(new)) + dot + rest
            yield _put(question, found, text)


def _romans(question: Question, rng: Random) -> Iterator[Change]:
    for found in _ROMAN.finditer(question.text):
        tens, ones = found[1], found[2]
        others = [one for one in ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX") if one != ones]
        new = tens + rng.choice([one for one in others if tens or len(one) > 1])
        yield _put(question, found, new)


def _number_words(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    for place, token in enumerate(question.tokens):
        for table in (source.words.cardinals, source.words.ordinals):
            if token.low not in table or token.low in {"one", "zero"} or question.low(place - 1) == "at":
                continue
            if token.low == "second" and question.low(place - 1) not in {"the", "his", "her", "s", "their", "a"}:
                continue
            others = [word for word in table if word not in {token.low, "one", "zero"}]
            value = table[token.low]
            new = rng.choice(sorted(others, key=lambda word: (abs(table[word] - value), word))[:4])
            yield Change(question.replaced(place, like(token.text, new)), f"{token.text} → {new}")


def date(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Another year, month, day of the month or of the week, or time of the day."""
    changes = [*_years(question, rng), *_days(question, rng), *_calendar(question, source, rng)]
    yield from rng.sample(changes, len(changes))


def _years(question: Question, rng: Random) -> Iterator[Change]:
    for found in _YEAR.finditer(question.text):
        year = int(found[0])
        ends_decade = question.text[found.end() : found.end() + 1] == "s"
        steps = (10, -10, 20) if ends_decade else (1, -1, 2, 10, -10, 100 if year < 1900 else -100)  # noqa: PLR2004
        yield from (_put(question, found, str(year + step)) for step in rng.sample(steps, 2))


def _days(question: Question, rng: Random) -> Iterator[Change]:
    for found in _STAMP.finditer(question.text):
        year, month, day = found.groups()
        yield _put(question, found, f"{year}{month}{int(day) % 28 + 1:02}")
        yield _put(question, found, f"{year}{int(month) % 12 + 1:02}{min(int(day), 28):02}")
    for found in _CLOCK.finditer(question.text):
        hour = rng.choice([h for h in range(1, 13) if h != int(found[1])])
        yield _put(question, found, f"{hour}{found[2]}")
    for found in _DAY.finditer(question.text):
        day = int(found[1])
        new = rng.choice([n for n in range(max(1, day - 3), day + 4) if n != day])
        yield _put(question, found, f"{new}{_ending(new)}")


def _ending(value: int) -> str:
    return "th" if value % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")


def _calendar(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    for place, token in enumerate(question.tokens):
        for series in (source.words.months, source.words.weekdays):
            plural = token.text.endswith("days")
            word = token.text[:-1] if plural else token.text
            month = series is source.words.months
            if word not in series or (month and question.low(place - 1) not in _IN_TIME):
                continue
            new = rng.choice([other for other in series if other != word]) + ("s" if plural else "")
            yield Change(question.replaced(place, new), f"{token.text} → {new}")


def unit(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Another unit of the same kind of measure, behind a figure or "how many"."""
    singular = {_plural(word): word for word in source.words.unit_class}
    for place, token in enumerate(question.tokens):
        word = singular.get(token.low, token.low)
        kind = source.words.unit_class.get(word)
        before = question.low(place - 1)
        counted = before in _COUNTED or before in source.words.cardinals or re.fullmatch(r"[\d.,]+", before)
        if not kind or not counted or (word in _ONLY_PLURAL and token.low == word):
            continue
        own = {synset for synset, other in source.words.units[kind] if other == word}
        others = [other for synset, other in source.words.units[kind] if synset not in own]
        for new in rng.sample(others, min(3, len(others))):
            shown = _plural(new) if token.low != word else new
            yield Change(question.replaced(place, like(token.text, shown)), f"{token.text} → {shown}")
    yield from _composed_unit(question, source, rng)


def _composed_unit(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """A distance or a time put to both questions."""
    if not plain(question) or not eventful(question):
        return
    past = {"did", "was", "were", "had", "has", "have"} & {token.low for token in question.tokens}
    kind = rng.choice(("time", "length") if past else ("length",))
    (one, first), (two, second) = rng.sample(source.words.units[kind], 2)
    cities = sorted(name for name, entry in source.words.names.items() if entry.kind == "city" and entry.tags > 1)
    form = "within {} {}" if kind == "time" else f"within {{}} {{}} of {rng.choice(cities)}"
    amount = rng.randrange(2, 30)
    if one != two:
        base, changed = (f"{question.body} {form.format(amount, _plural(u))}?" for u in (first, second))
        yield Change(changed, f"{_plural(first)} → {_plural(second)}", base)


def _plural(word: str) -> str:
    return _ODD_PLURALS.get(word, word + "s")


_HOLDERS = ("In ticket {}", "According to file {}", "In document {}", "For order {}", "In record {}", "For part {}")


def identifier(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Another code, name of a variable, version or model."""
    for place, token in enumerate(question.tokens):
        if _ID.match(token.text) and not _DAY.fullmatch(token.text) and not token.text.endswith("0s"):
            for new in _other_ids(token.text, source, rng):
                yield Change(question.replaced(place, new), f"{token.text} → {new}")
    letters = "".join(rng.sample("ABCDEFGHKLMNPRSTVWX", 2))
    code = str(rng.randrange(1000, 9999))
    holder = rng.choice(_HOLDERS)
    digit = rng.randrange(4)
    other = code[:digit] + str((int(code[digit]) + rng.randrange(1, 9)) % 10) + code[digit + 1 :]
    one, two = f"{letters}-{code}", rng.choice((f"{letters}-{other}", f"{letters[::-1]}-{code}"))
    base, changed = (f"{holder.format(i)}, {small_start(question)}" for i in (one, two))
    yield Change(changed, f"{one} → {two}", base)


def _other_ids(old: str, source: Source, rng: Random) -> Iterator[str]:
    digits = [at for at, letter in enumerate(old) if letter.isdigit()]
    if digits:
        at = rng.choice(digits)
        yield old[:at] + str((int(old[at]) + rng.randrange(1, 9)) % 10) + old[at + 1 :]
    same = [other for other in source.ids if other != old and ("_" in other) == ("_" in old)]
    if same:
        yield rng.choice(same)


def ids_in(question: Question) -> list[str]:
    """The code-like ids of a question."""
    return [t.text for t in question.tokens if _ID.match(t.text) and not _DAY.fullmatch(t.text) and "_" in t.text]


def _put(question: Question, found: re.Match[str], new: str) -> Change:
    return Change(question.text[: found.start()] + new + question.text[found.end() :], f"{found[0]} → {new}")
