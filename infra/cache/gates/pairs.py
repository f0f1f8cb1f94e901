"""Two readings side by side: which words only one of them has, which are misspelt, and how the rest lines up.

Made once for a pair of questions; the vetoes and the alignment read it. Articles and the forms of be, do, have and the
modals change their places in an indirect question, so that they take no part in the order.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infra.cache.gates.reading import Reading, Word
from infra.cache.gates.slips import one_slip
from infra.cache.gates.words import WORD

_AUXILIARY = frozenset({"be", "have", "modal"})
_NO_PLACE = _AUXILIARY | {"bare"}
_DO = frozenset({"do", "does", "did"})
_LEADS = frozenset({"direction", "linker"})
"""What a phrase begins with that may stand before the question or behind it."""
_SHORTEST_MISSPELT = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """The asked question beside the kept one."""

    asked: Reading
    kept: Reading
    only_asked: tuple[Word, ...]
    """Open words of the asked question that the kept one has not; misspelt ones are left out."""
    only_kept: tuple[Word, ...]
    misspelt: tuple[tuple[Word, Word], ...]
    """Words of both that are one slip apart, one of them no word."""
    lined_up: tuple[tuple[Word, Word], ...] | None
    """All words but those without a place, one beside the other; None where that cannot be done."""
    same_order: bool
    """Whether the words that both have stand in the same order, a phrase moved to the other end apart."""


def paired(asked: Reading, kept: Reading) -> Pair:
    """Put two readings side by side."""
    ours, theirs = _placed(asked), _placed(kept)
    only_asked, only_kept = _only(ours, theirs), _only(theirs, ours)
    misspelt = tuple(_misspelt(only_asked, only_kept))
    loose = {id(word) for word in (*only_asked, *only_kept)}
    left = {id(word) for pair in misspelt for word in pair}
    lined_up = _lined_up(ours, theirs, loose)
    common = lined_up or _lined_up(_without(ours, loose), _without(theirs, loose), set())
    same_order = common is not None and _same_auxiliaries(asked, kept, moved=_is_moved(common, ours))
    return Pair(
        asked,
        kept,
        tuple(word for word in only_asked if id(word) not in left),
        tuple(word for word in only_kept if id(word) not in left),
        misspelt,
        lined_up,
        same_order,
    )


def _placed(read: Reading) -> list[Word]:
    return [word for word in read.words if word.kind not in _NO_PLACE]


def _without(words: list[Word], loose: set[int]) -> list[Word]:
    return [word for word in words if id(word) not in loose]


def _only(ours: Sequence[Word], theirs: Sequence[Word]) -> list[Word]:
    """Open words of ``ours`` that are more often there than in ``theirs``."""
    left = Counter(word.same for word in theirs if word.kind == WORD)
    found: list[Word] = []
    for word in ours:
        if word.kind != WORD:
            continue
        if left[word.same] > 0:
            left[word.same] -= 1
        else:
            found.append(word)
    return found


def _misspelt(only_asked: Sequence[Word], only_kept: Sequence[Word]) -> Iterator[tuple[Word, Word]]:
    free = list(only_kept)
    for ours in only_asked:
        for theirs in free:
            if _is_slip(ours, theirs):
                free.remove(theirs)
                yield ours, theirs
                break


def _is_slip(one: Word, other: Word) -> bool:
    """One slip apart, neither a name as it is written, and exactly one of them a word."""
    if one.proper or other.proper or one.named == other.named:
        return False
    if max(len(one.form), len(other.form)) < _SHORTEST_MISSPELT:
        return False
    return one_slip(one.form, other.form)


def _lined_up(ours: list[Word], theirs: list[Word], loose: set[int]) -> tuple[tuple[Word, Word], ...] | None:
    """Both in order, word beside word, if need be with a phrase moved from one end of the question to the other."""
    if len(ours) != len(theirs):
        return None
    for turned in _turns(ours):
        if all(_fits(one, other, loose) for one, other in zip(turned, theirs, strict=True)):
            return tuple(zip(turned, theirs, strict=True))
    return None


def _fits(one: Word, other: Word, loose: set[int]) -> bool:
    return (one.kind == other.kind and one.same == other.same) or (id(one) in loose and id(other) in loose)


def _is_moved(common: tuple[tuple[Word, Word], ...], ours: list[Word]) -> bool:
    """Whether a phrase was moved from one end to the other to line the words up."""
    places = {id(word): place for place, word in enumerate(ours)}
    order = [places[id(one)] for one, _ in common]
    return order != sorted(order)


def _same_auxiliaries(asked: Reading, kept: Reading, *, moved: bool) -> bool:
    """Whether modals and forms of be, have and do follow each other alike; an indirect question drops its do."""
    for kinds in (_AUXILIARY, frozenset({"bare"})):
        ours, theirs = ([word.form for word in read.words if _is_auxiliary(word, kinds)] for read in (asked, kept))
        if sorted(ours) != sorted(theirs):
            continue
        turns = [ours[at:] + ours[:at] for at in range(len(ours))] if moved else []
        if theirs != ours and theirs not in turns:
            return False
    return True


def _is_auxiliary(word: Word, kinds: frozenset[str]) -> bool:
    return word.kind in kinds and (word.kind != "bare" or word.form in _DO)


def _turns(words: list[Word]) -> Iterator[list[Word]]:
    """The words as they stand; then with each phrase that may move moved: from the end, or from the beginning."""
    yield words
    for at in range(1, len(words)):
        if _leads(words[at]) or _leads(words[0]):
            yield words[at:] + words[:at]


def _leads(word: Word) -> bool:
    return word.kind in _LEADS or word.form == "when"
