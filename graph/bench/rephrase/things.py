"""Hard negatives in who and what: another name, names exchanged, another possessor."""

import difflib
import re
from collections.abc import Iterator
from random import Random

from graph.bench.rephrase.rules import Change, Source
from graph.bench.rephrase.scope import eventful, plain
from graph.bench.rephrase.text import POSSESSIVES, PREPOSITIONS, SMALL, Question, like

_ALIKE = 0.6
"""Likeness of two names (difflib's ratio) from which on they may be spellings of one."""

SYMMETRIC = re.compile(
    r"\b(?:and|or|with|between|both|together|versus|vs|same|similar|equal|alike|meet|meets|met|meeting|differ\w*|compar\w*"
    r"|relationship|relate\w*|relation|related|marr\w+|discuss\w*|talk\w*|chat\w*|conversation|agree\w*|friends?|against"
    r"|near|border\w*|each other|combin\w*|join\w*|connect\w*|link\w*|share\w*|acqua\w+|exchange\w*|play(?:s|ed)?)\b",
    re.IGNORECASE,
)
"""Words beside which two names may change places without a change of meaning."""


def name(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Another name: of the same class where WordNet knows it, else one that the same set asks about."""
    for span in rng.sample(question.names, len(question.names)):
        old = question.name(span)
        new = _other_name(old, question.text, source, rng)
        if (
            new
            and names_a_thing(old, source)
            and question.low(span[0] - 1) != "according"
            and not _part_of_longer(question, span)
        ):
            yield Change(question.replaced(span[0], new, until=span[1]), f"{old} → {new}")


def names_a_thing(name: str, source: Source) -> bool:
    """Neither an adjective (Roman) nor a word that also is an ordinary one (River)."""
    return not _ADJECTIVE.search(name) and name.lower() not in source.words.vocabulary


_ADJECTIVE = re.compile(r"(?:an|ans|ish|ese|ern|ic|ch|-like)$")


def _part_of_longer(question: Question, span: tuple[int, int]) -> bool:
    """A name with "of", a number or a title's other words about it is not the whole name."""
    after, before = question.low(span[1]), question.low(span[0] - 1)
    joined = question.low(span[0] - 2)[:1].isupper() or before in {"-", "&"}
    return joined or after in {"-", "&"}


def _other_name(old: str, text: str, source: Source, rng: Random) -> str:
    known = source.words.names.get(old)
    if known:
        pool = [
            other
            for other, entry in source.words.names.items()
            if entry.kind == known.kind and entry.synset != known.synset and entry.tags
        ]
    else:
        like_old = [n for n in source.names if n.isupper() == old.isupper() and (" " in n) == (" " in old)]
        pool = [n for n in like_old if names_a_thing(n, source)]
    fit = [other for other in pool if other not in text and not alike(other, old)]
    return rng.choice(fit) if fit else ""


def alike(one: str, other: str) -> bool:
    """Whether two names may be one written in two ways: one in the other, a common word, or nearly the same letters."""
    first, second = (re.sub(r"\W", "", name).lower() for name in (one, other))
    if first in second or second in first or set(one.lower().split()) & set(other.lower().split()):
        return True
    return difflib.SequenceMatcher(None, first, second).ratio() >= _ALIKE


def roles(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Two names exchanged, or the two ends of from ... to; not where both orders mean the same."""
    if not SYMMETRIC.search(question.text):
        names = [span for span in question.names if _holds_a_role(question, span)]
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
        for first, second in rng.sample(pairs, len(pairs)):
            one, two = question.name(first), question.name(second)
            between = question.text[question.tokens[first[1] - 1].end : question.tokens[second[0]].start].strip()
            if not alike(one, two) and between not in {",", "&", "/", "(", "-"} and not _both_places(one, two, source):
                yield Change(_exchanged(question, first, second), f"{one} ↔ {two}")
    yield from _ends(question)
    if plain(question) and eventful(question):
        cities = sorted(n for n, entry in source.words.names.items() if entry.kind == "city" and entry.tags > 1)
        one, two = rng.sample(cities, 2)
        form = rng.choice(("on the way from {} to {}", "on the flight from {} to {}", "after the move from {} to {}"))
        base, changed = (f"{question.body} {form.format(*pair)}?" for pair in ((one, two), (two, one)))
        yield Change(changed, f"{one} ↔ {two}", base)


def _holds_a_role(question: Question, span: tuple[int, int]) -> bool:
    """A person, a place, a thing: no adjective (Chinese), no abbreviation, no name as long as a title."""
    name = question.name(span)
    short = any(word.isupper() for word in name.split())
    adjective = _ADJECTIVE.search(name)
    return (
        not short
        and not adjective
        and len(name.split()) < _TITLE
        and not ({question.low(span[1]), question.low(span[0] - 1)} & {"of", "game", "day", "many", "which", "what"})
    )


_TITLE = 4


def _both_places(one: str, two: str, source: Source) -> bool:
    """Paris in France: two places exchanged say nothing."""
    known = [source.words.names.get(name) for name in (one, two)]
    return all(entry is not None and entry.kind != "person" for entry in known)


def _exchanged(question: Question, first: tuple[int, int], second: tuple[int, int]) -> str:
    tokens, text = question.tokens, question.text
    a, b = (tokens[first[0]].start, tokens[first[1] - 1].end), (tokens[second[0]].start, tokens[second[1] - 1].end)
    return text[: a[0]] + text[b[0] : b[1]] + text[a[1] : b[0]] + text[a[0] : a[1]] + text[b[1] :]


def _ends(question: Question) -> Iterator[Change]:
    found = re.search(r"\bfrom ((?:the )?[\w-]+) to ((?:the )?[\w-]+)(?= |\?|,|$)", question.text)
    if found and found[1] != found[2] and not found[1][0].isdigit() and found[2].lower() not in SMALL:
        text = f"{question.text[: found.start()]}from {found[2]} to {found[1]}{question.text[found.end() :]}"
        yield Change(text, f"from {found[1]} ↔ to {found[2]}")


_OWNERS = {"his": ("my", "your"), "her": ("my", "your"), "their": ("my", "your"), "its": ("my", "your")} | {
    "my": ("your", "his", "their"),
    "your": ("my", "his", "their"),
    "our": ("your", "their"),
}
_NOT_OWNED = re.compile(
    r"^(?:first|second|third|last|next|same|only|other|most|best|worst|main|end|beginning|start|time|past|year|years|world|\w+est"
    r"|following|latter|former|absence|lack|use|case|event|fact|late|early|mid|number|process|name|original|\d.*|context|role"
    r"|purpose|form|morning|evening|afternoon|day|week|month|result|beginning|rest|middle|top|bottom|majority|new|amount|two|three)$"
)


_PEOPLE = (("my", "your"), ("my", "their"), ("your", "their"), ("our", "your"), ("our", "their"), ("my", "his"))
"""Possessors that differ in person; her and their, my and our may be the same."""


def person(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Mine, yours, theirs: another possessor; or one put to both questions, and different."""
    del source
    for place, token in enumerate(question.tokens):
        after = question.low(place + 1)
        owns = (
            token.low != "her" or question.low(place - 1) in PREPOSITIONS
        )  # else it may be the object: making her feel
        if token.low in _OWNERS and owns and after.isalpha() and after not in SMALL:
            new = rng.choice(_OWNERS[token.low])
            yield Change(question.replaced(place, like(token.text, new)), f"{token.text} → {new}")
    if any(token.low in POSSESSIVES for token in question.tokens):
        return
    places = [
        place
        for place, token in enumerate(question.tokens)
        if token.text == "the"
        and question.low(place - 1) in {"in", "for", "with", "at", "on", "to", "from", "about", "by"}
        and question.tokens[place + 1 : place + 2]
        and question.tokens[place + 1].text.islower()
        and not _NOT_OWNED.match(question.low(place + 1))
        and not {"of", "that", "which"} & {question.low(place + 2), question.low(place + 3), question.low(place + 4)}
    ]
    for place in places:
        one, two = rng.sample(rng.choice(_PEOPLE), 2)
        yield Change(question.replaced(place, two), f"{one} → {two}", question.replaced(place, one))
