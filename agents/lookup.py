"""Questions that plainly are one look-up, known by rules at no model call. English only.

Plain is one short clause that asks one thing: it opens as a question does, has one question word, no comma, line or
dash, at most one "of" or possessive, one verb as far as its form tells, no word that joins, compares, orders, counts
together, conditions or relates (``_NOT_PLAIN``), and the grammar of the embedded engine finds one part in it. Taking
such a question apart finds nothing that one search does not. In doubt a question is not plain, and is the model's.

Measured over public questions: plain are 158 of the 256 single-hop, 4 of the 35 multi-hop and 2 of the 30 unanswerable
ones of LiHua-World, 16 of 100 about a product manual and 95 of 276 about essays. The 4 ask one thing that several
records say ("Who wished Li Hua ...?"), so they have no parts either; the engine routes every one as a look-up.
"""

import re
from itertools import pairwise

from infra.engine.tasks.plan import is_compound
from infra.engine.tasks.words import (
    AUXILIARIES,
    DETERMINERS,
    IRREGULAR_PASTS,
    PARTICIPLES,
    PREPOSITIONS,
    QUESTION_WORDS,
)

MAX_CHARS = 200
WORDS = range(3, 31)

_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
_CONTRACTED = re.compile(r"(?<=[a-z])['’](?:s|re|d|ll|ve)$")
_BREAK = re.compile(r"[,;:\n&+/()|\u2014]|\s[-\u2013=*]+\s|[.?!]\s+\S")
_POSSESSIVE = ("'s", "’s", "s'", "s’")
_NOT_PLAIN = frozenset(
    """
    and or nor but plus then while if unless whether though although because since until till before after during
    than versus vs compare compared comparing comparison contrast differ differs different difference differences
    similar similarity similarities between both each either neither respectively same other another also besides
    order earlier later interval elapse elapsed that together along addition well first last most least more less
    fewer fewest better best worse worst relative opposed instead rather alike common against equal equals beat
    beats exceed exceeds exceeded surpass surpasses surpassed outperform outperforms outperformed outweigh
    outweighs precede precedes preceded followed ratio sum total combined overall average median gap margin else
    others next previous previously meanwhile once whenever wherever whoever whatever
    """.split()  # noqa: SIM905 - a list to be read by people
)
_DEGREE = re.compile(
    r"(?:long|short|tall|old|young|fast|slow|quick|cheap|dear|high|low|near|clos|far|furth|lat|soon|great|small|larg|bigg|"
    r"wid|narrow|deep|thick|thinn|hott|cold|cool|warm|hard|soft|strong|weak|light|dark|bright|new|rich|poor|saf|nic|loud|"
    r"fin|simpl|clean|clear|heavi|easi|busi|happi|healthi|costli|earli|noisi|lengthi|likeli|friendli)(?:er|est)"
)
"""Adjectives and adverbs in the form that compares."""
_FINITE = AUXILIARIES - {"be", "been", "have", "may"}
"""Auxiliaries that begin a clause; "may" is a month as well."""
_DOES = frozenset({"do", "does", "did", "don't", "doesn't", "didn't"})
_SAME_IN_PAST = frozenset("put set hit hurt let shut cut read lay cost".split())  # noqa: SIM905
_PASTS = (IRREGULAR_PASTS | PARTICIPLES) - _FINITE - _SAME_IN_PAST - {"been"}
_NAMES_WITH = re.compile(r"\b[A-Z]\w*\s+with\s+(?:the\s+)?[A-Z]")
_YEAR = re.compile(r"(?:19|20)\d\d")


def is_plain_lookup(question: str) -> bool:
    """Tell whether ``question`` plainly is one look-up; in doubt it is not."""
    if len(question) > MAX_CHARS or _BREAK.search(question.strip()):
        return False
    words = [_CONTRACTED.sub("", word.casefold()) for word in _WORD.findall(question)]
    if len(words) not in WORDS or not _NOT_PLAIN.isdisjoint(words) or {"from", "to"} <= set(words):
        return False
    return _asks_once(words) and _has_one_clause(words) and _names_one(question, words) and not is_compound(question)


def _asks_once(words: list[str]) -> bool:
    """Tell whether a clause opens as a question does, and asks nothing more further on."""
    opening = words[1:] if words[0] in PREPOSITIONS else words
    if opening[0] in QUESTION_WORDS:
        return QUESTION_WORDS.isdisjoint(opening[1:]) and opening[:2] != ["which", "of"]
    return opening is words and opening[0] in AUXILIARIES and QUESTION_WORDS.isdisjoint(opening)


def _has_one_clause(words: list[str]) -> bool:
    """Tell whether no second verb shows: a clause about a noun needs no word to begin it (the man Ann met)."""
    pairs = list(pairwise(["", *words]))
    finite = [n for n, (before, word) in enumerate(pairs) if word in _FINITE and before != "to"]
    pasts = [n for n, (before, word) in enumerate(pairs) if _is_past(word) and before not in DETERMINERS]
    if len(finite) > 1 or (finite and pasts and pasts[0] < finite[0]):
        return False
    return len(pasts) <= (0 if any(words[n] in _DOES for n in finite) else 1)


def _is_past(word: str) -> bool:
    return word in _PASTS or (word.endswith("ed") and not word.endswith("eed") and "-" not in word)


def _names_one(question: str, words: list[str]) -> bool:
    """Tell whether one thing is asked for, through one other at most, and no two are set side by side."""
    compared = any(_DEGREE.fullmatch(word) for word in words)
    years = sum(_YEAR.fullmatch(word) is not None for word in words)
    chained = words.count("of") + _possessives(question)
    return not compared and years <= 1 and chained <= 1 and not _NAMES_WITH.search(question)


def _possessives(question: str) -> int:
    owners = (word.rstrip('?.!"”)') for word in question.split())
    return sum(word.endswith(_POSSESSIVE) and word[:-2].casefold() not in QUESTION_WORDS for word in owners)
