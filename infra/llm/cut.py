"""Cutting one long text to its head and tail.

Gives `places`, which finds where the head ends and the tail begins from counts of pieces alone, and `marker`, the line
that stands in the gap. Each of the two ends is moved towards the gap, by at most the overlap, to the next end of a
message or sentence; where there is none, to white space. Only the text around the two places is looked at, so a text of
any length is cut with a handful of counts. Which text is cut, and how much of it may stay, is `infra.llm.shorten`'s.
"""

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from infra.text.sentences import split_sentences

HEAD_SHARE = 20_000 / 131_072
TAIL_SHARE = 100_000 / 131_072
OVERLAP_SHARE = 2_048 / 131_072
"""Of the window: first 20K and last 100K tokens at 128K, with 2,048 of overlap (the specification's figures)."""
MARKER_TOKENS = 32
"""Room for the marker, at most 40 bytes or so."""
MAX_COUNTS = 4
"""Counts to find one place; what is best by then is taken."""

_WORD_CHARS = 40  # a longer word is cut inside
_JOINER = "\u200d"
_TONES = "🏻🏼🏽🏾🏿"

Counting = Generator[str, int, int]


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a text stays, in tokens: its head, its tail, and by how much each may be longer to end well."""

    head: int
    tail: int
    overlap: int


def share_of(room: int, window: int) -> Share:
    """Return the shares of a text that may take ``room`` tokens of a window: a fifth of the tail for the head."""
    overlap = int(window * OVERLAP_SHARE)
    left = max(0, room - MARKER_TOKENS - 2 * overlap)
    if not left:  # so little that there is no place for endings
        overlap, left = 0, max(0, room - MARKER_TOKENS)
    head = min(int(window * HEAD_SHARE), left // 6)
    return Share(head, min(int(window * TAIL_SHARE), left - left // 6), overlap)


def marker(tokens: int) -> str:
    """Return the line that stands where about ``tokens`` tokens were left out."""
    return f"[about {max(1, tokens):,} tokens are left out here]"


def places(text: str, tokens: int, share: Share, ends: Sequence[int] = ()) -> Generator[str, int, tuple[int, int]]:
    """Find what stays of ``text``.

    Args:
        text: the text.
        tokens: about how many tokens it has.
        share: how much of it stays.
        ends: offsets where a message ends, ascending.

    Yields:
        Pieces of the text to count.

    Returns:
        Where the head ends and the tail begins; the whole text stays when they meet.
    """
    density = len(text) / max(1, tokens)  # characters a token
    slack = int(share.overlap / 2 * density)
    head = yield from _reach(lambda size: text[:size], share.head, share.overlap, density, len(text))
    tail = yield from _reach(lambda size: text[len(text) - size :], share.tail, share.overlap, density, len(text))
    end = _forward(text, head, slack, ends) if head else 0
    start = _backward(text, len(text) - tail, slack, ends) if tail else len(text)
    return (end, start) if end < start else (len(text), len(text))


def _reach(piece: Callable[[int], str], wanted: int, overlap: int, density: float, longest: int) -> Counting:
    """Find how many characters hold ``wanted`` tokens or up to half the overlap more; without one, nearly as many."""
    if wanted <= 0:
        return 0
    enough = wanted if overlap else wanted - wanted // 8
    aim = wanted + overlap / 4 if overlap else wanted - wanted / 16
    low, best = 0, 0
    high = longest
    size = min(longest, max(1, int(aim * density)))
    for _ in range(MAX_COUNTS):
        counted = yield piece(size)
        if counted <= wanted + overlap // 2:
            low = best = max(best, size)
            if counted >= enough or size >= longest:
                break
        else:
            high = min(high, size)
        guess = int(size * aim / max(1, counted))
        size = guess if low < guess < high else (low + high) // 2
        if size <= low:
            break
    return best


def _forward(text: str, at: int, slack: int, ends: Sequence[int]) -> int:
    """Return the next message or sentence end at or after ``at``, within ``slack`` characters; else white space."""
    n = bisect_left(ends, at)
    if n < len(ends) and ends[n] <= at + slack:
        return ends[n]
    region = text[at : at + slack]
    # the last sentence ends where the region does: nobody knows whether it is over there
    if whole := [end for _, end in split_sentences(region)[:-1]]:
        return at + whole[0]
    back = text[max(0, at - max(slack, _WORD_CHARS)) : at]
    space = max(back.rfind(" "), back.rfind("\n"))
    if space > 0:
        return at - len(back) + space
    return _beside(text, at, -1)


def _backward(text: str, at: int, slack: int, ends: Sequence[int]) -> int:
    """Return the start of a message or sentence at or before ``at``, within ``slack`` characters; else white space."""
    n = bisect_right(ends, at) - 1
    if n >= 0 and ends[n] >= at - slack:
        return ends[n]
    first = max(0, at - slack)
    region = text[first:at]
    # the first sentence begins where the region does: it may have begun before
    if starts := [start for start, _ in split_sentences(region)[1:]]:
        return first + starts[-1]
    ahead = text[at : at + max(slack, _WORD_CHARS)]
    spaces = [place for place in (ahead.find(" "), ahead.find("\n")) if place >= 0]
    if spaces:
        return at + min(spaces) + 1
    return _beside(text, at, 1)


def _beside(text: str, at: int, step: int) -> int:
    """Return the next place that is inside no drawn character, ``at`` itself where none is near."""
    for place in range(at, at + step * _WORD_CHARS, step):
        if not 0 < place < len(text) or not _is_joined(text, place):
            return place
    return at


def _is_joined(text: str, at: int) -> bool:
    """Whether the characters around ``at`` are drawn as one: an accent, a variant, a joiner, a skin's tone."""
    return unicodedata.category(text[at])[0] == "M" or _JOINER in text[at - 1 : at + 1] or text[at] in _TONES
