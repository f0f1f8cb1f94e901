"""The vetoes: differences that forbid an answer whatever the similarity, each named, in order, with its reason.

A veto takes a pair of readings and gives the reason in plain words, or None. Each refuses (a, b) exactly where it
refuses (b, a).
"""

from collections import Counter
from collections.abc import Callable, Sequence

from infra.cache.gates.lexicon import lexicon
from infra.cache.gates.pairs import Pair
from infra.cache.gates.reading import Reading, Word

Veto = Callable[[Pair], str | None]
_SHOWN = 4
"""Words named in a reason at most."""
_SHORTEST_BASE = 3
_SAME_ROOT = 4


def refused(pair: Pair) -> tuple[str, str] | None:
    """Return the first veto's name and reason; None where none objects."""
    for name, veto in VETOES:
        if reason := veto(pair):
            return name, reason
    return None


def _class(kind: str, what: str) -> Veto:
    """The words of ``kind`` must be the same, and as many."""

    def veto(pair: Pair) -> str | None:
        ours, theirs = _of(pair.asked, kind), _of(pair.kept, kind)
        if ours == theirs:
            return None
        return _reason(what, list((ours - theirs).elements()), list((theirs - ours).elements()))

    return veto


def _of(read: Reading, kind: str) -> Counter[str]:
    return Counter(word.same for word in read.words if word.kind == kind)


def _reason(what: str, ours: Sequence[str], theirs: Sequence[str]) -> str:
    return f"{what} differ: the question has {_named(ours)}, the kept one {_named(theirs)}"


def _named(words: Sequence[str]) -> str:
    return ", ".join(f"'{word}'" for word in words[:_SHOWN]) if words else "none"


def _names(pair: Pair) -> str | None:
    ours = [word.form for word in pair.only_asked if word.named]
    theirs = [word.form for word in pair.only_kept if word.named]
    return _reason("names or unknown words", ours, theirs) if ours or theirs else None


def _polarity(pair: Pair) -> str | None:
    for ours in pair.only_asked:
        for theirs in pair.only_kept:
            if _opposed(ours, theirs):
                return _reason("opposites", [ours.form], [theirs.form])
    return None


def _opposed(one: Word, other: Word) -> bool:
    """Antonyms, a word and its negation by a prefix, or harmful beside harmless."""
    words = lexicon()
    if words.are_antonyms(one.form, other.form):
        return True
    for this, that in ((one.form, other.form), (one.same, other.same)):
        short, long = sorted((this, that), key=len)
        if len(short) >= _SHORTEST_BASE and long.endswith(short) and long.removesuffix(short) in words.prefixes:
            return True
    bare = [word.form.removesuffix("less") for word in (one, other)]
    return (
        any(form.endswith("less") for form in (one.form, other.form)) and bare[0][:_SAME_ROOT] == bare[1][:_SAME_ROOT]
    )


def _past(pair: Pair) -> str | None:
    """*Did* counts like the ending that it takes from its verb; misspelt words count nothing."""
    ours = _pasts(pair.asked) - sum(word.past for word, _ in pair.misspelt)
    theirs = _pasts(pair.kept) - sum(word.past for _, word in pair.misspelt)
    return None if ours == theirs else "times differ: one of the questions asks about the past where the other does not"


def _pasts(read: Reading) -> int:
    return sum(word.past for word in read.words)


def _order(pair: Pair) -> str | None:
    return None if pair.same_order else "the same words stand in another order"


VETOES: tuple[tuple[str, Veto], ...] = (
    ("residue", _class("residue", "signs or other scripts")),
    ("numbers", _class("number", "numbers")),
    ("dates", _class("date", "dates")),
    ("units", _class("unit", "units")),
    ("identifiers", _class("identifier", "codes")),
    ("negation", _class("negation", "negations")),
    ("question word", _class("question", "question words")),
    ("modal", _class("modal", "modal verbs")),
    ("tense", _class("be", "forms of be")),
    ("tense", _class("have", "forms of have")),
    ("person", _class("person", "persons")),
    ("direction", _class("direction", "prepositions")),
    ("particle", _class("particle", "particles")),
    ("quantifier", _class("quantifier", "quantities or degrees")),
    ("linker", _class("linker", "linking words")),
    ("names", _names),
    ("polarity", _polarity),
    ("tense", _past),
    ("order", _order),
)
"""In the order in which they are asked."""
