"""Whether the documents hold an answer: a probability from two figures of a search.

The first is coverage: the share of the question's weight that stands close together in one of the best passages. The
second is standing: the score of the best passage, in which the standard scores of ``tools.fusion`` say how far it
stands out among all that were weighed. Among few windows nothing can stand out, so there coverage decides alone.

The probability is a logistic regression (Platt 1999) over 667 questions of three public sets as they are (chat logs, a
product manual, essays), 30 of the chat logs' that have no answer, and all 667 again with the passages that answer them
taken away; each group weighs the same, so it is the probability at even odds. Fitted on every second question, it is
right on the others within .07 in each fifth (said .13 .29 .51 .69 .90; true .10 .32 .51 .71 .87). Whoever changes the
scores of ``tools.fusion`` or ``tools.ranking`` fits it anew. Pure.
"""

import math
import re
from collections.abc import Sequence

from tools.evidence import Signal
from tools.ranking import Ranked

JUDGED_PASSAGES = 5
"""Best passages whose coverage counts."""

WINDOWS_THAT_TELL = 200
"""Windows among which standing out is worth its full weight."""

INTERCEPT, COVERAGE_WEIGHT, STANDING_WEIGHT = -4.78, 3.32, 0.411
INTERCEPT_ALONE, COVERAGE_WEIGHT_ALONE = -3.03, 5.29
"""The same without standing."""

LIKELY = 0.23
"""Under this probability an answer is unlikely. Answerable questions under it: chat logs 2 % of 291, manual 6 % of 100,
essays 7 % of 276; of the chat logs' 30 questions without an answer 50 %."""

_MEASURE = re.compile(
    r"\bhow\s+(?:large|big|small|long|short|old|far|high|tall|deep|wide|heavy|fast|quick|often|soon|expensive)\b",
    re.IGNORECASE,
)


def without_measures(question: str) -> str:
    """Leave out words that ask for a figure ("how large") and so stand in no answer."""
    return _MEASURE.sub("", question)


def judged(ranked: Sequence[Ranked], windows: int) -> Signal:
    """Return the signal of a search.

    Args:
        ranked: its passages, best first.
        windows: how many windows were weighed for them; 0 where their scores are not about the question alone.
    """
    coverage = max((item.coverage for item in ranked[:JUDGED_PASSAGES]), default=0.0)
    if not coverage:
        return Signal(0.0, likely=False, probability=0.0)
    telling = min(1.0, windows / WINDOWS_THAT_TELL)
    alone = INTERCEPT_ALONE + COVERAGE_WEIGHT_ALONE * coverage
    together = INTERCEPT + COVERAGE_WEIGHT * coverage + STANDING_WEIGHT * ranked[0].score
    probability = 1 / (1 + math.exp(-((1 - telling) * alone + telling * together)))
    return Signal(coverage, likely=probability >= LIKELY, probability=round(probability, 4))
