"""How well a unit of a source answers a question.

The score is a sum of plain parts. share(X) is the share (0..1) of the question's weight that the terms X hold. Each
term weighs by its rarity among the units given (one that no unit holds weighs most); words about the text rather than
its matter (``according to``, ``mention``) weigh a third.

* said: the share of what the unit says;
* asked or reply, whichever is more: what its own open questions add, and what the questions of the unit before add
  when somebody else asked them (an answer stands after its question). Where the question is about who did something,
  or about asking, inviting, suggesting, the unit's own questions count in full;
* near: what the units beside it add beyond that; then headed: what its heading adds; then context: what the source's
  context line, name and date add;
* fit: it holds the kind of thing asked for (``answer_type``);
* person: the person the question is about says it. That is who stands after ``according to`` or before ``opinion``,
  else whom the question names first;
* prior: 1 for the first source, 1/2 for the second, 1/3 for the third ...: the caller's order, best first;
* empty, taken off: it says nothing, it only asks; fragment, taken off: it is many words without an end of sentence.

Coverage is the share of said, near, headed and context together: how much of the question is dealt with in this place.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from infra.engine.tasks.answer_type import AnswerType, answer_type, holds_answer
from infra.engine.tasks.units import Source, Unit
from infra.engine.tasks.words import REPORTING_WORDS
from infra.text.terms import terms

ASKED, REPLY, NEAR, HEADED, CONTEXT = 0.3, 0.6, 0.3, 0.5, 0.3
FIT, PERSON, PRIOR, EMPTY, FRAGMENT, REPORTED = 0.2, 0.2, 0.3, 0.2, 0.15, 0.3
"""Weights of the parts, chosen on one half of 255 public questions about chat records and confirmed on the other half.
None is sharp: halving or doubling one moves the share of right first documents by at most .03, which is noise there."""

_ABOUT_ASKING = re.compile(
    r"\b(?:ask(?:s|ed|ing)?|wonder\w*|inquir\w*|curious|want\w* to know|invit\w*|propos\w*|suggest\w*|request\w*)\b",
    re.IGNORECASE,
)
_HOLDER = re.compile(r"\baccording to ([\w'’ -]{2,60})|\bin ([\w'’ -]{2,40}?)['’]s? (?:opinion|view)\b", re.IGNORECASE)
_NOTHING = frozenset[str]()
_REPORTING = frozenset(term for word in REPORTING_WORDS for term in terms(word))


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as the scores see it.

    Attributes:
        text: the question.
        kind: the kind of answer asked for.
        own_questions: weight (0..1) of what a unit's own questions add.
        weights: each term of the question with its rarity among the units given.
        total: the sum of the weights.
        person: the terms of the speakers that the question is about.
        turns: how many lists the caller's order is interleaved of; the prior counts places within one list.
    """

    text: str
    kind: AnswerType
    own_questions: float
    weights: dict[str, float]
    total: float
    person: frozenset[str]
    turns: int

    def share(self, found: frozenset[str]) -> float:
        """Return the share (0..1) of the question's weight that ``found`` holds; 0 for a question of stop words."""
        return sum(w for term, w in self.weights.items() if term in found) / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Scored:
    """A unit with its score for one question (higher is better) and its coverage (0..1)."""

    unit: Unit
    score: float
    coverage: float


def weigh(question: str, sources: Sequence[Source], *, turns: int = 1) -> Asked:
    """Prepare ``question`` for scoring against ``sources``, whose order is made of ``turns`` interleaved lists."""
    units = [unit for source in sources for unit in source.units]
    frequency = Counter(term for unit in units for term in unit.terms)
    rarity = {
        t: math.log(1 + (len(units) + 1) / (frequency[t] + 0.5)) * (REPORTED if t in _REPORTING else 1.0)
        for t in dict.fromkeys(terms(question))
    }
    kind = answer_type(question)
    own_questions = 1.0 if kind == "who" or _ABOUT_ASKING.search(question) else ASKED
    return Asked(question, kind, own_questions, rarity, sum(rarity.values()), _person(question, units), turns)


def score(asked: Asked, sources: Sequence[Source]) -> list[Scored]:
    """Score every unit of ``sources``, best first; equal scores keep the order given."""
    scored = [_score(asked, source, place) for source in sources for place in range(len(source.units))]
    return sorted(scored, key=lambda item: (-item.score, item.unit.index))


def _score(asked: Asked, source: Source, place: int) -> Scored:
    unit = source.units[place]
    before = source.units[place - 1] if place else None
    question_before = before.asked if before and before.speaker != unit.speaker else _NOTHING
    around = unit.terms.union(*(other.terms for other in source.units[max(0, place - 1) : place + 2]))
    said = asked.share(unit.said)
    own = asked.share(unit.terms)
    reply = asked.share(unit.said | question_before)
    near = asked.share(around)
    headed = asked.share(around | unit.headed)
    coverage = asked.share(around | unit.headed | source.context)
    total = said + max(asked.own_questions * (own - said), REPLY * (reply - said))
    total += NEAR * (near - max(own, reply)) + HEADED * (headed - near) + CONTEXT * (coverage - headed)
    total += FIT * holds_answer(asked.kind, unit.text, unit.speaker) + PRIOR / (1 + source.rank // asked.turns)
    total += PERSON * bool(unit.spoken and unit.spoken <= asked.person)
    total -= EMPTY * (unit.stated_chars == 0 and asked.own_questions < 1)
    total -= FRAGMENT * unit.is_fragment
    return Scored(unit, total, coverage)


def _person(question: str, units: Sequence[Unit]) -> frozenset[str]:
    """Return the terms of the speakers whom the question is about; none where it names nobody who speaks."""
    speakers = {unit.spoken for unit in units if unit.spoken}
    holder = _HOLDER.search(question)
    for term in [*(terms(holder[1] or holder[2]) if holder else ()), *terms(question)]:
        if named := [speaker for speaker in speakers if term in speaker]:
            return _NOTHING.union(*named)
    return _NOTHING
