"""Choosing: which sentences of a text serve a question, and which facts of it a note about that question must hold.

A sentence is worth the share of the question's idf weight that it covers itself and with its neighbours (an answer
often stands beside the words of the question), and less the later it stands: what a stage found comes best first. Idf
counts sentences of the text itself. ``python -m graph.bench compress`` measures what is kept. In a trial nothing was
gained by embeddings of the sentences, by their holding a fact, or by the kind of answer the question asks for.

What a note must hold: the facts that the question names and the text holds; the facts of the `MAX_BEARING` sentences
that bear on the question most; and of those that bear on it the `MAX_DECISIONS` best that say what was decided. Pure
functions; no tokens are counted here.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from infra.text.sentences import Span, split_sentences
from infra.text.terms import terms
from tools.compress_facts import Fact, Words, facts, names_inside

NEIGHBOURS_WEIGHT = 0.5
LATER_WORTH = 0.5
MAX_BEARING = 3
LEAST_BEARING = 0.5
"""Of the best sentence's share of the question's weight: a sentence that covers less does not bear on the question."""
MAX_DECISIONS = 2
MAX_DECISION_CHARS = 300
MAX_NAMED = 64
"""Facts of a question that are looked for, at most."""
MAX_HEAD_CHARS = 200
MAX_QUOTED_CHARS = 80

_QUOTED = re.compile(rf"[\"“]([^\"“”\n]{{2,{MAX_QUOTED_CHARS}}})[\"”]")
_DECISION = re.compile(
    r"\b(?:deci(?:de|sion|ded)|agree[ds]?|agreement|approv|reject|chose|chosen|select|adopt|conclu[ds]|resolv|refus"
    r"|must|shall|will use|instead of|switch(?:ed)? to|replaced? by|cancel|deprecat)",
    re.IGNORECASE,
)


def split_lines(text: str) -> list[Span]:
    """Return the spans of the lines of ``text`` that are not blank: a conversation's turns, a line each."""
    return [match.span() for match in re.finditer(r"\S(?:[^\n]*\S)?", text)]


@dataclass(frozen=True, slots=True)
class Form:
    """What a kind of text is like.

    Attributes:
        split: cuts it into what is kept or left out whole.
        newest_last: whether what stands later is worth more; else less.
        headed: whether its first sentence, if short, says what it is and stays.
    """

    split: Callable[[str], list[Span]] = split_sentences
    newest_last: bool = False
    headed: bool = True


STAGE = Form()
"""What an agent said: the gist first, then the best of what it found."""
CONVERSATION = Form(split_lines, newest_last=True, headed=False)
"""Turns, a line each."""


@dataclass(frozen=True)
class Choice:
    """A text read for one question.

    Args:
        text: what to choose from.
        question: what it is to serve.
        form: what kind of text it is.
    """

    text: str
    question: str
    form: Form = STAGE

    @cached_property
    def spans(self) -> list[Span]:
        """The sentences' half-open places, in order."""
        return self.form.split(self.text)

    @cached_property
    def must(self) -> list[int]:
        """The sentences that stay: those that bear on the question, those that hold its facts, the head."""
        kept = list(self._bearing)
        held = {fact for number in kept for fact in self._named if self.held(fact, self._words[number])}
        for fact in self._named:
            if fact not in held:
                kept += islice((n for n in self.order if self.held(fact, self._words[n])), 1)
        headed = self.form.headed and self.spans and self.spans[0][1] - self.spans[0][0] <= MAX_HEAD_CHARS
        return list(dict.fromkeys([*kept, 0] if headed else kept))

    @cached_property
    def needed(self) -> list[Fact]:
        """The facts that a note must hold, the question's own first."""
        bearing = [fact for number in self._bearing for fact in facts(self._sentence(number), self._names)]
        decided = [Fact("decision", self._sentence(number)) for number in self._decided]
        return list(dict.fromkeys([*self._named, *bearing, *decided]))

    def held(self, fact: Fact, words: Words) -> bool:
        """Tell whether ``words`` hold ``fact`` as this text does: one of the question's that stands alone, alone."""
        return words.holds_alone(fact) if fact in self._alone else words.holds(fact)

    @cached_property
    def order(self) -> list[int]:
        """The sentences, best first."""
        return sorted(range(len(self.spans)), key=lambda number: -self._worth[number])

    def pack(self, room: int, full: int | None = None) -> str:
        """Return the sentences that serve best, in their order, in at most ``room`` characters; never a part of one.

        What does not fit is skipped, a shorter one after it may still. Beyond ``full`` characters only sentences are
        taken that stand where the question is spoken of.
        """
        kept: list[Span] = []
        left, beyond = room, room - (room if full is None else full)
        for number in dict.fromkeys([*self.must, *self.order]):
            start, end = self.spans[number]
            if end - start + 1 <= left and (left - beyond > end - start or self._near[number] > 0):
                kept.append((start, end))
                left -= end - start + 1
        return "\n".join(self.text[start:end] for start, end in sorted(kept))

    def sentences(self, numbers: Sequence[int]) -> str:
        """Return these sentences in the order of the text."""
        return "\n".join(self._sentence(number) for number in sorted(numbers))

    def _sentence(self, number: int) -> str:
        return self.text[slice(*self.spans[number])]

    @cached_property
    def _words(self) -> list[Words]:
        return [Words(self.text[start:end]) for start, end in self.spans]

    @cached_property
    def _whole(self) -> Words:
        return Words(self.text)

    @cached_property
    def _names(self) -> frozenset[str]:
        return names_inside(self.text)

    @cached_property
    def _named(self) -> list[Fact]:
        """The facts that the question names, in words of the text, where it holds them."""
        quoted = [Fact("name", match[1].strip()) for match in _QUOTED.finditer(self.question)]
        named = [*facts(self.question, self._names), *quoted][:MAX_NAMED]
        return [fact for fact in named if fact.text and self._whole.holds(fact)]

    @cached_property
    def _alone(self) -> frozenset[Fact]:
        return frozenset(fact for fact in self._named if self._whole.holds_alone(fact))

    @cached_property
    def _idf(self) -> dict[str, float]:
        """The weights of the question's terms, by how few sentences hold them; together 1, or nothing."""
        held = Counter(term for words in self._words for term in words.terms)
        count = len(self.spans)
        weights = {
            term: math.log(1 + (count - held[term] + 0.5) / (held[term] + 0.5))
            for term in dict.fromkeys(terms(self.question))
        }
        total = sum(weights.values())
        return {term: weight / total for term, weight in weights.items()} if total else {}

    @cached_property
    def _held(self) -> list[Set[str]]:
        return [self._idf.keys() & words.terms for words in self._words]

    def _covered(self, reach: int) -> list[float]:
        """Return for each sentence the weight that it and its neighbours, up to ``reach`` on each side, cover."""
        windows = (self._held[max(0, n - reach) : n + reach + 1] for n in range(len(self._held)))
        return [sum(self._idf[term] for term in set[str]().union(*window)) for window in windows]

    @cached_property
    def _own(self) -> list[float]:
        return self._covered(0)

    @cached_property
    def _near(self) -> list[float]:
        return self._covered(2)

    @cached_property
    def _worth(self) -> list[float]:
        close = self._covered(1)
        size = len(self.text) or 1
        sign = 1 if self.form.newest_last else -1
        return [
            own + NEIGHBOURS_WEIGHT * (beside + near) + sign * LATER_WORTH * start / size
            for own, beside, near, (start, _) in zip(self._own, close, self._near, self.spans, strict=True)
        ]

    @cached_property
    def _touching(self) -> list[int]:
        """The sentences that bear on the question, best first."""
        least = LEAST_BEARING * max(self._own, default=0.0)
        return [number for number in self.order if self._own[number] >= least > 0]

    @cached_property
    def _bearing(self) -> list[int]:
        return list(dict.fromkeys([*self._touching[:MAX_BEARING], *self._decided]))

    @cached_property
    def _decided(self) -> list[int]:
        short = (n for n in self._touching if len(self._sentence(n)) <= MAX_DECISION_CHARS)
        return [number for number in short if _DECISION.search(self._sentence(number))][:MAX_DECISIONS]
