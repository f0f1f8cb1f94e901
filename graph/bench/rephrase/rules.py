"""What a rule is: from a question, the ways it can be changed by one kind of change."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from graph.bench.rephrase.text import Question
from graph.bench.rephrase.words import Words


@dataclass(frozen=True, slots=True)
class Change:
    """One changed question.

    Attributes:
        text: the question after the change.
        what: what was changed, for people.
        base: the question it was made from, where that is not the original: a constraint is put to both, and differs.
    """

    text: str
    what: str
    base: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """What a rule may draw from.

    Attributes:
        words: the lists.
        names: names that occur in the questions of the same set.
        ids: code-like ids that occur there.
    """

    words: Words
    names: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


Rule = Callable[[Question, Source, Random], Iterable[Change]]
"""Pure: what it gives depends on its arguments and on the state of the random numbers only."""
