"""Questions that plainly are one look-up, known by rules at no model call. English only.

Plain is one short clause that asks one thing: it opens as a question does, has one question word, no comma, at most
one possessive, no word that joins, compares, orders, conditions or relates (``_NOT_PLAIN``), and the grammar of the
embedded engine finds one part in it. Taking such a question apart finds nothing that one search does not. In doubt a
question is not plain, and is the model's to route.

Measured over public questions: plain are 188 of the 256 single-hop, 4 of the 35 multi-hop and 5 of the 30 unanswerable
ones of LiHua-World, 21 of 100 about a product manual and 146 of 276 about essays. The 4 ask one thing that several
records say ("Who wished Li Hua ...?"), so they have no parts either; the engine routes every one as a look-up.
"""

import re

from infra.engine.tasks.plan import is_compound
from infra.engine.tasks.words import AUXILIARIES, PREPOSITIONS, QUESTION_WORDS

MAX_CHARS = 200
WORDS = range(3, 31)

_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
_CONTRACTED = re.compile(r"(?<=[a-z])['’](?:s|re|d|ll|ve)$")
_BREAK = re.compile(r"[,;:\n&+/()]|[.?!]\s+\S")
_POSSESSIVE = ("'s", "’s", "s'", "s’")
_NOT_PLAIN = frozenset(
    """
    and or nor but plus then while if unless whether though although because since until till before after during
    than versus vs compare compared comparing comparison contrast differ differs different difference differences
    similar similarity similarities between both each either neither respectively same other another also besides
    order earlier later interval elapse elapsed that together along addition well first last most least more less fewer
    fewest better best worse worst relative opposed instead rather alike common
    """.split()  # noqa: SIM905 - a list to be read by people
)


def is_plain_lookup(question: str) -> bool:
    """Tell whether ``question`` plainly is one look-up; in doubt it is not."""
    if len(question) > MAX_CHARS or _BREAK.search(question.strip()):
        return False
    words = [_CONTRACTED.sub("", word.casefold()) for word in _WORD.findall(question)]
    if len(words) not in WORDS or not _NOT_PLAIN.isdisjoint(words) or {"from", "to"} <= set(words):
        return False
    return _asks_once(words) and _possessives(question) <= 1 and not is_compound(question)


def _asks_once(words: list[str]) -> bool:
    """Tell whether a clause opens as a question does, and asks nothing more further on."""
    opening = words[1:] if words[0] in PREPOSITIONS else words
    if opening[0] in QUESTION_WORDS:
        return QUESTION_WORDS.isdisjoint(opening[1:]) and opening[:2] != ["which", "of"]
    return opening is words and opening[0] in AUXILIARIES and QUESTION_WORDS.isdisjoint(opening)


def _possessives(question: str) -> int:
    return sum(word.rstrip('?.!"”)').endswith(_POSSESSIVE) for word in question.split())
