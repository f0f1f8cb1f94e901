"""Rephrasings that leave the words alone: capitals, marks, contractions, politeness, fillers.

Sources of the phrases: ``data/SOURCES.md``.
"""

import re
from collections.abc import Iterator
from random import Random

from graph.bench.rephrase.rules import Change, Source
from graph.bench.rephrase.text import AUXILIARIES, PRONOUNS, WH, Question, large_start, like, small_start

POLITE = (
    "Please tell me: {q}",
    "Could you please tell me: {q}",
    "Would you kindly tell me: {q}",
    "Can you help me with this: {q}",
    "Hi, {small}",
    "Hello, {small}",
    "Hello! {q}",
    "Excuse me, {small}",
    "Sorry to bother you, {small}",
    "I would appreciate an answer: {q}",
    "{body}, please?",
    "{q} Please.",
    "{q} Thank you!",
    "{q} Thanks in advance.",
    "Thanks for your help. {q}",
)
FILLERS = ("um", "uh", "er", "like", "you know", "I mean", "okay", "so", "actually", "basically")
_FILLED = ("{Filler}, {small}", "Okay, so {small}", "So, um, {small}", "{body}, you know?", "{inner}", "{inner}")
_INNER = ("um", "uh", "er", "you know", "I mean", "like")


def case(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Small letters, capitals, title case; ids keep theirs, and no word becomes another one (US, us)."""
    lowers = {token.low for token in question.tokens if token.text.isupper() and len(token.text) > 1}
    confusing = {"us", "it", "who", "or", "am", "in", "is", "as"} | source.words.vocabulary
    ways = [("capitals", str.upper), ("title case", large_start)]
    if not lowers & confusing:
        ways += [("small letters", str.lower), ("small letters", str.lower)]
    if "us" in {token.text for token in question.tokens}:
        ways = ways[1:]
    rng.shuffle(ways)
    for name, way in ways:
        text = question.text
        for token in reversed(question.tokens):
            if not re.search(r"[\d_/()]|\w\.\w", token.text):
                text = text[: token.start] + way(token.text) + text[token.end :]
        yield Change(re.sub(r"(?<=\w['’])(S|T|Re|Ve|Ll|D|M)\b", lambda m: m[0].lower(), text), name)


def punctuation(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Marks left out, doubled or put otherwise; none inside a number or an id."""
    del source
    body, text = question.body, question.text
    ways = [
        (body, "no mark"),
        (body + ".", "full stop"),
        (body + "??", "two marks"),
        (body + " ?", "space before the mark"),
    ]
    ways += [(body + "...?", "dots"), (re.sub(r"(?<=[a-z]),(?= )", "", body), "no commas, no mark")]
    ways.append((re.sub(r"(?<=[a-z])-(?=[a-z])", " ", text), "no hyphen"))
    ways.append((re.sub('["“”]', "", re.sub(r"(?<=\w)'(?=\w)", "’", text)), "other quotation marks"))
    rng.shuffle(ways)
    for way, what in ways:
        yield Change(way, what)


def contraction(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """What is, what's; does not, doesn't; and back."""
    del rng
    rare: list[Change] = []
    for number in range(len(question.tokens) - 2):
        full = f"{question.low(number)} {question.low(number + 1)}"
        short = source.words.contractions.get(full)
        first, _, second = full.partition(" ")
        if not short or not question.low(number + 2).isalnum() or first not in WH | PRONOUNS | AUXILIARIES | {"there"}:
            continue
        if second in {"have", "has"} or short in _UNUSUAL:
            continue
        new = like(question.tokens[number].text, short)
        change = Change(question.replaced(number, new, until=number + 2), f"{full} → {short}")
        if second == "are" and first in WH:
            rare.append(change)
        else:
            yield change
    yield from _expanded(question, source)
    yield from rare


_RARE = "amn't ain't gon't daren't daresn't dasn't mayn't shalln't this's this'll why're"
_UNUSUAL = frozenset(_RARE.split())


def _expanded(question: Question, source: Source) -> Iterator[Change]:
    for full, short in source.words.contractions.items():
        found = re.search(rf"\b{short.replace(chr(39), '[’' + chr(39) + ']')}\b", question.text, re.IGNORECASE)
        quoted = found and re.search(r"['\"\u2018“]", question.text[: found.start()])
        # it's is as often a mistake for its, and it's been is it has been
        if found and not quoted and not short.endswith("n't") and short not in _UNUSUAL | {"it's"}:
            new = like(found[0], full) if full != "i am" else "I am"
            yield Change(question.text[: found.start()] + new + question.text[found.end() :], f"{short} → {full}")


def politeness(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """A greeting, an apology, a request or thanks around the question."""
    del source
    for form in rng.sample(POLITE, len(POLITE)):
        yield Change(form.format(q=question.text, small=small_start(question), body=question.body), form)


def filler(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Words that fill a pause, before, behind or inside the question."""
    del source
    for form in rng.sample(_FILLED, len(_FILLED)):
        word = rng.choice(FILLERS)
        inner = _inner(question, rng.choice(_INNER))
        if inner or "inner" not in form:
            text = form.format(Filler=large_start(word), small=small_start(question), body=question.body, inner=inner)
            yield Change(text, form.format(Filler=large_start(word), small="...", body="...", inner="inside"))


def _inner(question: Question, word: str) -> str:
    """The filler after "what is", "how does" and the like; empty where the question begins otherwise."""
    if question.low(0) not in WH or question.low(1) not in AUXILIARIES or question.low(2) in {"n", "not"}:
        return ""
    end = question.tokens[1].end
    return f"{question.text[:end]}, {word},{question.text[end:]}"
