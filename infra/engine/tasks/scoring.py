"""How well a unit of a source answers a question.

The score is a sum of plain parts. With share(X) = the share (0..1) of the question's weight that the terms X hold, each
term weighed by its rarity among the units given:

* own: share of what the unit says;
* asked: what its own open questions add (in full where the question is about asking or about who did something);
* reply: what the questions of the unit before add, when somebody else asked them (an answer follows its question); the
  larger of asked and reply counts;
* near: what the units beside it add beyond that, and its heading;
* context: what the source's context line, name and date add beyond that;
* fit: whether it holds the kind of thing asked for (``answer_type``);
* person: whether it is said by the person the question is about;
* prior: the source's place in the caller's order, best first;
* empty: taken off where it only asks.

Weights were chosen on one half of a public set of questions about chat records and confirmed on the other half; none is
sharp: halving or doubling one changes the share of right first documents by at most .03.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from infra.engine.tasks.answer_type import AnswerType, answer_type, holds_answer
from infra.engine.tasks.units import Source, Unit
from infra.text.terms import terms

W = dict(ASKED=0.3, REPLY=0.6, NEAR=0.3, CONTEXT=0.3, FIT=0.1, PRIOR=0.3, PERSON=0.1, EMPTY=0.2, HEAD=0.5, DOC=0.0, NEW=0.0)

_ABOUT_ASKING = re.compile(
    r"\b(?:ask|asks|asked|asking|wonder\w*|inquir\w*|curious|want\w* to know|invit\w*|propos\w*|suggest\w*|request\w*|check\w* in)\b",
    re.IGNORECASE,
)
_HOLDER = re.compile(
    r"\baccording to ([\w'’ -]+)|\bin (?:the opinion of )?([\w'’ -]+?)(?:['’]s? (?:opinion|view|eyes))", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Asked:
    text: str
    kind: AnswerType
    about_asking: bool
    weights: dict[str, float]
    person: frozenset[str]

    def share(self, found: frozenset[str]) -> float:
        total = sum(self.weights.values())
        return sum(w for term, w in self.weights.items() if term in found) / total if total else 0.0


@dataclass(frozen=True, slots=True)
class Scored:
    unit: Unit
    score: float
    coverage: float


def ask(question: str, sources: Sequence[Source]) -> Asked:
    units = [unit for source in sources for unit in source.units]
    frequency = Counter(term for unit in units for term in unit.terms)
    weights = {term: math.log(1 + (len(units) + 1) / (frequency[term] + 0.5)) for term in dict.fromkeys(terms(question))}
    kind = answer_type(question)
    return Asked(question, kind, kind == "who" or bool(_ABOUT_ASKING.search(question)), weights, _person(question, units))


def _person(question: str, units: Sequence[Unit]) -> frozenset[str]:
    holder = _HOLDER.search(question)
    named = [*(terms(holder[1] or holder[2]) if holder else ()), *terms(question)]
    speakers = {unit.spoken for unit in units if unit.spoken}
    for term in named:
        found = [s for s in speakers if term in s]
        if found:
            return frozenset[str]().union(*found)
    return frozenset()


def score(asked: Asked, sources: Sequence[Source]) -> list[Scored]:
    scored = [item for source in sources for item in _score_source(asked, source)]
    return sorted(scored, key=lambda item: (-item.score, item.unit.index))

NONE = frozenset()
def _score_source(asked: Asked, source: Source) -> list[Scored]:
    found: list[Scored] = []
    doc = asked.share(source.context.union(*(u.terms for u in source.units)))
    for place, unit in enumerate(source.units):
        prev = source.units[place-1] if place else None
        near = unit.terms.union(*(other.terms for other in source.units[max(0, place - 1) : place + 2]))
        s1 = asked.share(unit.said)
        s2 = asked.share(unit.terms)
        pa = prev.asked if prev and prev.speaker != unit.speaker else NONE
        s3 = asked.share(unit.said | pa) 
        plus = max((1 if asked.about_asking else W['ASKED'])*(s2-s1), W['REPLY']*(s3-s1))
        s4 = asked.share(near)
        s5 = asked.share(near | unit.headed)
        s6 = asked.share(near | unit.headed | source.context)
        total = s1 + plus + W['NEAR'] * (s4 - max(s2,s3)) + W['HEAD'] * (s5 - s4) + W['CONTEXT'] * (s6 - s5) + W['PRIOR'] / (1 + source.rank)
        total += W['FIT'] * holds_answer(asked.kind, unit.text, unit.speaker)
        total += W['PERSON'] * bool(unit.spoken and unit.spoken <= asked.person)
        total -= W['EMPTY'] * (not unit.stated_chars and not asked.about_asking)
        total += W['DOC'] * (doc-s6) + W['NEW']*min(1,len(unit.said-asked.weights.keys()-unit.spoken)/6)
        found.append(Scored(unit, total, s6))
    return found
