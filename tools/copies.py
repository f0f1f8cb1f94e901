"""Passages that say the same: exact copies and near copies, of which the best one is shown.

Two texts are near copies when nine tenths of their runs of three terms are shared and they name the same numbers: two
invoices from one form are no copies. Pure.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol, TypeVar

from tools.coverage import grid_of

SHARED = 0.9
RUN = 3
SIMILAR_LENGTH = 0.8
"""Shares of characters under which texts are not compared."""

REMEMBERED_TEXTS = 2_048


class Worded(Protocol):
    """Anything with a text."""

    @property
    def text(self) -> str:
        """The words."""
        ...


T = TypeVar("T", bound=Worded)


def without_copies(passages: Sequence[T], *, wanted: int) -> list[T]:
    """Return the first ``wanted`` of ``passages`` that are no copy of one before them, in their order."""
    kept: list[T] = []
    texts: list[tuple[int, str]] = []
    for passage in passages:
        if len(kept) == wanted:
            break
        size = len(passage.text)
        # lengths first: of fifty passages there are a thousand pairs, and few are of one length
        near = (text for length, text in texts if SIMILAR_LENGTH * length <= size <= length / SIMILAR_LENGTH)
        if not any(same(passage.text, text) for text in near):
            kept.append(passage)
            texts.append((size, passage.text))
    return kept


def same(text: str, other: str) -> bool:
    """Tell whether two texts are copies or near copies of each other."""
    if text == other:
        return True
    (runs, numbers), (others, other_numbers) = _runs(text), _runs(other)
    return numbers == other_numbers and len(runs & others) >= SHARED * len(runs | others) > 0


@lru_cache(maxsize=REMEMBERED_TEXTS)
def _runs(text: str) -> tuple[frozenset[int], frozenset[str]]:
    """The runs of a text, as hashes, and its terms with a digit."""
    words = grid_of(text).terms  # cut once for all who look at a passage
    runs = frozenset(hash(words[n : n + RUN]) for n in range(max(1, len(words) - RUN + 1)))
    return runs, frozenset(word for word in words if any(map(str.isdigit, word)))
