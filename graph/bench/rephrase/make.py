"""Pairs of questions: the kinds, and how they are drawn from sets of real questions.

The same questions, seed and number give the same pairs. Each kind draws by itself: every question gives at most one
pair of a kind, until all have been asked, then a second one, and so on; changes of a question's own words come before
those of a constraint that was put to it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from graph.bench.rephrase import amounts, forms, fronting, grammar, lexical, scope, things, typos, wrappings
from graph.bench.rephrase.rules import Change, Rule, Source
from graph.bench.rephrase.text import Question, read
from graph.bench.rephrase.words import load_words

REPHRASINGS: Mapping[str, Rule] = {
    "case": wrappings.case,
    "punctuation": wrappings.punctuation,
    "contraction": wrappings.contraction,
    "politeness": wrappings.politeness,
    "filler": wrappings.filler,
    "typo": typos.typo,
    "fronting": fronting.fronting,
    "question form": forms.question_form,
    "synonym": lexical.synonym,
}
"""Kinds that keep the meaning."""

NEGATIVES: Mapping[str, Rule] = {
    "number": amounts.number,
    "date": amounts.date,
    "unit": amounts.unit,
    "identifier": amounts.identifier,
    "name": things.name,
    "roles": things.roles,
    "person": things.person,
    "polarity": lexical.polarity,
    "negation": grammar.negation,
    "question word": grammar.question_word,
    "modal": grammar.modal,
    "direction": grammar.direction,
    "tense": grammar.tense,
    "added constraint": scope.added,
    "dropped constraint": scope.dropped,
    "quantifier": scope.quantifier,
}
"""Kinds that change it."""

ROUNDS = 3
"""How often a question is asked for one more change of its own words, before a constraint is put to it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions, and whether one answer serves both.

    Attributes:
        a: the question that was asked before.
        b: the one that is asked now.
        same: whether they mean the same.
        kind: what was done to ``a``.
        what: what was changed, for people.
        set: the set of the question.
    """

    a: str
    b: str
    same: bool
    kind: str
    what: str
    set: str


def make(
    sets: Mapping[str, Sequence[str]],
    *,
    seed: int,
    per_kind: int,
    done: Callable[[str, int], None] | None = None,
) -> Iterator[Pair]:
    """Pairs of every kind, at most ``per_kind`` of each.

    Args:
        sets: questions by name of their set.
        seed: of the random numbers.
        per_kind: pairs of a kind, where the questions give so many.
        done: told of each kind when it is done.
    """
    asked = [(name, question, source) for name, texts in sets.items() for question, source in _read(texts)]
    for kind, rule in {**REPHRASINGS, **NEGATIVES}.items():
        order = Random(f"{seed} {kind}").sample(asked, len(asked))
        count = 0
        for name, a, change in _drawn(order, rule, f"{seed} {kind}", per_kind):
            count += 1
            yield Pair(a, change.text, kind in REPHRASINGS, kind, change.what, name)
        if done:
            done(kind, count)


def _read(texts: Sequence[str]) -> list[tuple[Question, Source]]:
    words = load_words()
    questions = [read(text, words) for text in dict.fromkeys(texts)]
    names = sorted({question.name(span) for question in questions for span in question.names})
    ids = sorted({found for question in questions for found in amounts.ids_in(question)})
    source = Source(words, tuple(names), tuple(ids))
    return [(question, source) for question in questions]


def _drawn(
    order: Sequence[tuple[str, Question, Source]], rule: Rule, seed: str, most: int
) -> Iterator[tuple[str, str, Change]]:
    """The set, the first question and the change, round by round."""
    given: set[tuple[str, str]] = set()
    for turn in range(ROUNDS + 1):
        for name, question, source in order:
            if len(given) == most:
                return
            for change in rule(question, source, Random(f"{seed} {turn} {question.text}")):
                a = change.base or question.text
                if change.text != a and (a, change.text) not in given and bool(change.base) == (turn == ROUNDS):
                    given.add((a, change.text))
                    yield name, a, change
                    break
