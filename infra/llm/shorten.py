"""Shortening a conversation that is too long without its evidence: a history, or one long text, to head and tail.

Gives `shortened`. Instructions (system messages), what is asked (the last user message), the message with the evidence
and tool results that the conversation ends with keep their places. The rest is the history: it is cut to whole messages
of its head and tail, a plain message at either end to whole sentences. A tool call stays or goes together with its
results, and where users and assistants took turns they still do (`infra.llm.turns`). Only when that is not enough, the
longest stretches of what is left (the inside of one block, the words between two, a tool's result) are cut to their own
head and tail; the task after them stays. Like `infra.llm.window.fit` it asks for counts and makes no call.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from infra.llm.cut import MARKER_TOKENS, marker, places, share_of
from infra.llm.turns import Place, in_turn, newest_results, took_turns, without_questions_in_a_row
from infra.text.blocks import find_blocks, stretches

Messages = tuple[BaseMessage, ...]
Asking = Generator[Sequence[BaseMessage] | str, int, "Shortened"]
Stretch = tuple[int, tuple[int, int]]
_ROUNDS = 3
_MAX_STRETCHES = 4
_TIGHTER = 0.95


class Shortened(NamedTuple):
    """A conversation and its tokens, both without its evidence."""

    messages: Messages
    tokens: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a conversation must fit: its window and the tokens it may take, and how to see it without evidence."""

    window: int
    room: int
    bare: Callable[[Messages], Messages]


def shortened(messages: Messages, tokens: int, pinned: int | None, bounds: Bounds) -> Asking:
    """Shorten ``messages``, which take ``tokens`` without their evidence, to ``bounds.room``.

    Args:
        messages: the conversation.
        tokens: its tokens, without evidence.
        pinned: place of the message with the evidence; None: there is none.
        bounds: what it must fit.

    Yields:
        Messages, or a bare text, to count.

    Returns:
        What is left and its tokens without evidence: at most the room, or as near as cutting comes.
    """
    newest = newest_results(messages)
    if newest and (yield _around(messages, newest)) < bounds.room:
        result = yield from _shortened(messages, tokens, _units(messages, pinned, newest), bounds)
        if result.tokens <= bounds.room:
            return result
    return (yield from _shortened(messages, tokens, _units(messages, pinned, range(0)), bounds))


def _shortened(messages: Messages, tokens: int, units: list[range], bounds: Bounds) -> Asking:
    """Cut the history, which ``units`` are; then, while there is not room enough, the longest stretches."""
    result = Shortened(messages, tokens)
    if units:
        history = _History(messages, units, took_turns(messages), tokens)
        fixed = yield bounds.bare(history.without())
        history = replace(history, tokens=max(1, tokens - fixed))
        result = yield from _shorter_history(history, bounds.room - fixed, bounds)
    for _ in range(_MAX_STRETCHES):
        found = _stretches(result.messages)
        if result.tokens <= bounds.room or not found:
            break
        result = yield from _shorter_text(result, found, bounds)
    return result


def _around(messages: Messages, newest: range) -> Messages:
    """Return the instructions and the newest calls with nothing in their results, after a question of one mark."""
    instructions = [message for message in messages if isinstance(message, SystemMessage)]
    calls = [_with(m, "") if isinstance(m, ToolMessage) else m for m in messages[newest.start : newest.stop]]
    return (*instructions, HumanMessage("?"), *calls)


@dataclass(frozen=True, slots=True)
class _History:
    """What of a conversation may go: the places of its units, whether turns are taken, the tokens of all units."""

    messages: Messages
    units: list[range]
    turns: bool
    tokens: int

    @property
    def texts(self) -> list[str]:
        return ["\n".join(self.messages[n].text for n in unit) + "\n" for unit in self.units]

    def without(self) -> Messages:
        """Return the conversation without any of it."""
        gone = {n for unit in self.units for n in unit}
        kept = tuple(message for n, message in enumerate(self.messages) if n not in gone)
        return without_questions_in_a_row(kept, marker(self.tokens)) if self.turns else kept

    def outside(self, ends: Sequence[int], cut: tuple[int, int]) -> Messages:
        """Return the conversation outside the gap ``cut`` (offsets in the joined texts, whose ends are ``ends``)."""
        begins = [0, *ends[:-1]]
        inside = [n for n in range(len(self.units)) if ends[n] > cut[0] and begins[n] < cut[1]]
        if not inside:
            return self.messages
        gone = [place for n in inside for place in self.units[n]]
        said = marker(int((cut[1] - cut[0]) / max(1, ends[-1]) * self.tokens))
        head = _piece(self.messages[gone[0]], slice(0, max(0, cut[0] - begins[inside[0]])))
        tail = _piece(self.messages[self.units[inside[-1]][0]], slice(cut[1] - begins[inside[-1]], None))
        if head and tail and len(inside) == 1:  # one message holds both ends
            head, tail = [_with(head[0], f"{head[0].text}\n{said}\n{tail[0].text}")], []
        elif head:
            head = [_with(head[0], f"{head[0].text}\n{said}")]
        elif tail:
            tail = [_with(tail[0], f"{said}\n{tail[0].text}")]
        lost, may_go = set(gone), {n for unit in self.units for n in unit}

        def left(first: int, last: int) -> list[Place]:
            return [Place(self.messages[n], n in may_go) for n in range(first, last) if n not in lost]

        before = [*left(0, gone[0]), *(Place(m, may_go=True) for m in head)]
        after = [*left(gone[0], gone[-1]), *(Place(m, may_go=True) for m in tail), *left(gone[-1], len(self.messages))]
        return in_turn(before, after, said) if self.turns else tuple(place.message for place in (*before, *after))


def _shorter_history(history: _History, room: int, bounds: Bounds) -> Asking:
    """Cut the history to its head and tail; tighter as long as it comes out too long, at last to nothing."""
    texts = history.texts
    joined, ends = "".join(texts), list(accumulate(map(len, texts)))
    for _ in range(_ROUNDS):
        if room <= MARKER_TOKENS:
            break
        cut = yield from places(joined, history.tokens, share_of(room, bounds.window), ends)
        kept = history.outside(ends, cut)
        tokens = yield bounds.bare(kept)
        if tokens <= bounds.room:
            return Shortened(kept, tokens)
        room = int((room - (tokens - bounds.room)) * _TIGHTER)
    without = history.without()
    return Shortened(without, (yield bounds.bare(without)))


def _piece(message: BaseMessage, part: slice) -> list[BaseMessage]:
    """Return a part of a plain message; nothing where it is empty, a call or its result, or holds a block."""
    text = message.text[part].strip("\n")
    may_be_cut = text.strip() and _is_plain(message) and not find_blocks(message.text)
    return [_with(message, text)] if may_be_cut else []


def _shorter_text(now: Shortened, found: list[Stretch], bounds: Bounds) -> Asking:
    """Cut the longest of the stretches, tighter as long as it comes out too long, at last to the marker.

    Where others are too long as well, it keeps as much as each of them can, and they are cut after it.
    """
    place, (first, last) = found[0]
    text = now.messages[place].text
    before, stretch, after = text[:first], text[first:last], text[last:]
    fixed = yield bounds.bare(_with_text(now.messages, place, before + after))
    tokens = max(1, now.tokens - fixed)
    fair = _fair_share([b - a for _, (a, b) in found], int(bounds.room / tokens * len(stretch)))
    goal = max(bounds.room, fixed + int(fair / len(stretch) * tokens))
    room = goal - fixed
    for _ in range(_ROUNDS):
        if room <= MARKER_TOKENS:
            break
        end, start = yield from places(stretch, tokens, share_of(room, bounds.window))
        said = marker(int((start - end) / len(stretch) * tokens))
        parts = [part for part in (stretch[:end].rstrip(), said, stretch[start:].lstrip()) if part]
        cut = _with_text(now.messages, place, before + "\n".join(parts) + after)
        counted = yield bounds.bare(cut)
        if counted <= bounds.room or bounds.room < goal > counted - goal // 8:
            return Shortened(cut, counted)
        room = int((room - (counted - goal)) * _TIGHTER)
    nothing = _with_text(now.messages, place, before + marker(tokens) + after)
    return Shortened(nothing, (yield bounds.bare(nothing)))


def _fair_share(lengths: Sequence[int], room: int) -> int:
    """Return how much of the longest of ``lengths`` (longest first) may stay if all are cut to as much.

    Four fifths of the room are shared: the rest is for what is not cut, and for markers.
    """
    left = room * 4 // 5
    for n, length in enumerate(reversed(lengths)):
        share = max(0, left) // (len(lengths) - n)
        if length > share:
            return share
        left -= length
    return lengths[0]


def _stretches(messages: Messages) -> list[Stretch]:
    """Return the stretches of users' words and tools' results that are no evidence, longest first.

    A stretch not much longer than the marker is none.
    """
    found = [
        (n, span)
        for n, message in enumerate(messages)
        if isinstance(message, HumanMessage | ToolMessage) and isinstance(message.content, str)
        for span in stretches(message.content, but="source" if isinstance(message, HumanMessage) else "")
        if span[1] - span[0] > 2 * MARKER_TOKENS
    ]
    return sorted(found, key=lambda item: item[1][0] - item[1][1])


def _units(messages: Messages, pinned: int | None, newest: range) -> list[range]:
    """Return the history: what may go, a tool call together with its results, in order."""
    asked = max((n for n, m in enumerate(messages) if isinstance(m, HumanMessage)), default=-1)
    units: list[range] = []
    n = 0
    while n < len(messages):
        end = n + 1
        if isinstance(messages[n], AIMessage | ToolMessage):
            while end < len(messages) and isinstance(messages[end], ToolMessage):
                end += 1
        if not isinstance(messages[n], SystemMessage) and n not in (asked, pinned) and n not in newest:
            units.append(range(n, end))
        n = end
    return units


def _is_plain(message: BaseMessage) -> bool:
    called = isinstance(message, AIMessage) and bool(message.tool_calls or message.invalid_tool_calls)
    return isinstance(message.content, str) and isinstance(message, HumanMessage | AIMessage) and not called


def _with(message: BaseMessage, text: str) -> BaseMessage:
    return message.model_copy(update={"content": text})


def _with_text(messages: Messages, place: int, text: str) -> Messages:
    return (*messages[:place], _with(messages[place], text), *messages[place + 1 :])
