"""Hard negatives in small words: negation, question word, modal, direction, tense."""

import re
from collections.abc import Iterator
from random import Random

from graph.bench.rephrase.rules import Change, Source
from graph.bench.rephrase.scope import eventful, plain
from graph.bench.rephrase.text import AUXILIARIES, BE, DO, MODALS, PRONOUNS, WH, Question, like

_NEGATED = {"can": "can't", "will": "won't", "shall": "shall not", "may": "may not", "might": "might not"}


def negation(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Not put in or taken out; not in yes-or-no questions, where "didn't" asks the same."""
    del source
    text = question.text
    for old, new in (
        (r"(\w+)n['’]t\b", r"\1"),
        (r" not(?= )", ""),
        (r"\bwithout (?!\w+ing)", "with "),
        (r"\bnever ", ""),
    ):
        changed = re.sub(old, new, text, count=1)
        if changed != text and question.low(0) in WH and " or not" not in text and " if not" not in text:
            yield Change(changed, "negation taken out")
            return
    place = wh_auxiliary(question)
    if place < 0:
        return
    auxiliary = question.tokens[place].text
    joined = _NEGATED.get(auxiliary, f"{auxiliary}n't")
    if " " not in joined:
        yield Change(question.replaced(place, joined), f"{auxiliary} → {joined}")
    end = next((end for start, end in question.names if start == place + 1), 0)
    subject = end or (place + 2 if question.low(place + 1) in PRONOUNS else 0)
    if subject and question.low(subject).isalpha() and question.low(subject) not in {"and", "or", "s", "of"}:
        at = question.tokens[subject].start
        yield Change(f"{text[:at]}not {text[at:]}", "not put in")
    del rng


def wh_auxiliary(question: Question) -> int:
    """The place of the auxiliary after a question phrase at the front; -1 where there is none, and after how."""
    start = next((n for n, token in enumerate(question.tokens) if token.low in WH), -1)
    place = next(
        (n for n in range(start + 1, min(start + 6, len(question.tokens))) if question.low(n) in AUXILIARIES), -1
    )
    first = question.low(start)
    if (
        start < 0
        or place < 0
        or (start > 0 and question.low(start - 1) not in {",", "in", "to", "by", "for", "of", "at"})
    ):
        return -1
    if first == "how" and place == start + 1:
        return -1
    inner = {question.low(n) for n in range(start + 1, place)}
    return -1 if inner & {"that", "to", ",", "who", "which"} else place


_ASKED: dict[str, tuple[str, ...]] = {
    "when": ("where", "why", "how"),
    "where": ("when", "why"),
    "why": ("when", "where", "how"),
    "how": ("why", "when", "where"),
    "who": ("why", "when"),
    "what": ("why", "when", "where"),
}


def question_word(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Where for when, why for how, which for how many."""
    del source
    for old, new in ((r"^How many\b", "Which"), (r"^How long\b", "How often"), (r"^How often\b", "How long")):
        if re.match(old, question.text):
            yield Change(re.sub(old, new, question.text), f"{old[1:-2]} → {new}")
            return
    first, after, subject = question.low(0), question.low(1), question.low(2)
    others = _ASKED.get(first, ())
    if first in {"who", "what"}:
        whole = after in DO or (after in BE and first == "who" and subject not in {"the", "a", "an"})
        others = others if whole else ()
    elif after not in AUXILIARIES:
        return
    if first == "how" and after in {"do", "can", "should"}:
        others = ("why", "when", "where")
    for new in rng.sample(others, len(others)):
        yield Change(question.replaced(0, like(question.tokens[0].text, new)), f"{first} → {new}")


_MODAL = {
    "can": ("must",),
    "could": ("should", "must"),
    "will": ("should", "can", "must"),
    "would": ("must", "should"),
    "should": ("can",),
    "may": ("must",),
    "might": ("must",),
    "must": ("can", "may"),
    "did": ("should", "must", "can"),
    "does": ("should", "must"),
}


def modal(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Can, must, should exchanged, or put for do, does and did."""
    del source
    place = next((n for n, token in enumerate(question.tokens[:8]) if token.low in _MODAL), -1)
    if place < 0 or (question.low(0) == "how" and question.low(place + 1) in PRONOUNS):
        return
    old = question.low(place)
    if (place == 0 and old in DO) or (old in {"may", "will", "might"} and question.tokens[place].text.istitle()):
        return
    if old in DO and question.low(place + 1) in {"not", "n", "'"}:
        return
    if old in MODALS | DO and question.low(place - 1) in {"to", "that"}:
        return
    for new in rng.sample(_MODAL[old], len(_MODAL[old])):
        yield Change(question.replaced(place, like(question.tokens[place].text, new)), f"{old} → {new}")


_DIRECTION = {
    "before": "after",
    "after": "before",
    "above": "below",
    "below": "above",
    "into": "out of",
} | {
    "inside": "outside",
    "outside": "inside",
    "since": "until",
    "until": "since",
    "from": "to",
    "upstream": "downstream",
    "onto": "off",
    "to": "from",
}
_FROM_STAYS = re.compile(
    r"\b(?:different|differ\w*|apart|aside|other|disqualif\w*|prevent\w*|suffer\w*|far|derive\w*"
    r"|vary|varies|date[sd]?|range[sd]?) $"
)
_TO_STAYS = re.compile(
    r"\b(?:accord\w*|due|prior|relat\w*|compar\w*|similar|respon\w+|need\w*|want\w*|able|lead|led|leads|refer\w*|close|next|equal\w*"
    r"|identical|oppos\w+|regard|respect|addition|attribut\w+|belong\w*|limited|contrary|parallel|connect\w*|link\w*|reaction"
    r"|marr\w+|happen\w*|access|subject|contribut\w*|dedicated|devot\w*|common|adjacent|known|appl\w+|important|essential|key|up|back"
    r"|correspond\w*|speak\w*|talk\w*|listen\w*|access\w*|cost|it|up|expos\w+|unique|say|relevance|as) $"
)


def direction(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Before for after, to for from, above for below."""
    places = [n for n, token in enumerate(question.tokens) if n and token.text in _DIRECTION]
    for place in rng.sample(places, len(places)):
        token = question.tokens[place]
        before, after = question.text[: token.start], question.tokens[place + 1 : place + 2]
        if not after or not after[0].text[0].isalnum() or f" {question.low(place - 1)} " in " how right shortly than ":
            continue
        if token.text in {"from", "to"} and not _moves(question, place, before, source):
            continue
        if token.text in {"above", "below"} and (after[0].text[0].isdigit() or after[0].low in {"the", "time"}):
            continue
        if token.text in {"since", "until"} and not (after[0].text[0].isdigit() or after[0].text[0].isupper()):
            continue
        new = _DIRECTION[token.text]
        yield Change(question.replaced(place, new), f"{token.text} → {new}")
    if not places:
        yield from _composed_direction(question, source, rng)


def _composed_direction(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Before or after a time, put to both questions."""
    if plain(question) and eventful(question):
        month, day, year = rng.choice(source.words.months), rng.choice(source.words.weekdays), rng.randrange(1900, 2030)
        thing = rng.choice((month, day, str(year)))
        one, two = rng.sample(("before", "after"), 2)
        yield Change(f"{question.body} {two} {thing}?", f"{one} → {two}", f"{question.body} {one} {thing}?")


def _moves(question: Question, place: int, before: str, source: Source) -> bool:
    """Whether from or to says where something goes, and is not half of from ... to."""
    if {"from", "to"} <= {token.text for token in question.tokens if token.text in {"from", "to"}} and (
        re.search(r"\bfrom\b.*\bto\b", question.text)
    ):
        return False
    if question.tokens[place].text == "from":
        return not _FROM_STAYS.search(before)
    named = any(start == place + 1 for start, _ in question.names)
    del source
    return named and not _TO_STAYS.search(before)


def tense(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """What was, what will be: the past asked as the future."""
    del source, rng
    for place, token in enumerate(question.tokens[:8]):
        if token.low == "did" and (place == 0 or question.low(place - 1) not in {"that", "who", "to"}):
            yield Change(question.replaced(place, like(token.text, "will")), "did → will")
            return
    passive = re.match(
        r"^((?:When|Where|Why|How|By whom|In what \w+|What year) )(?:was|were) (.+) (\w+ed)\?$", question.text
    )
    if passive:
        yield Change(f"{passive[1]}will {passive[2]} be {passive[3]}?", "was → will be")
    copula = re.match(r"^(What|Who|Where) (was|were) (the|a|one) ", question.text)
    if copula:
        yield Change(question.replaced(1, "will be"), f"{copula[2]} → will be")
    subject = re.match(r"^((?:Which|What|How many) (?:\w+ ){1,2})(?:was|were) (\w+ed|\w+en) ", question.text)
    if subject:
        yield Change(f"{subject[1]}will be {question.text[subject.start(2) :]}", "was → will be")
