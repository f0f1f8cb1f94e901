"""Shortening a conversation that is too long without its evidence: a history, or one long text, to head and tail.

Gives `shortened`. Instructions (system messages), what is asked (the last user message) and the message with the
evidence keep their places. The rest is the history: it is cut to whole messages of its head and tail, a plain message
at either end to whole sentences. A tool call stays or goes together with its results, and where users and assistants
took turns they still do. Only when that is not enough, the longest stretch of what is asked (the inside of one block,
or the words between two) is cut to its own head and tail; the task after it stays. Like `infra.llm.window.fit` it asks
for counts and makes no call.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from infra.llm.cut import MARKER_TOKENS, marker, places, share_of
from infra.text.blocks import find_blocks, stretches

Messages = tuple[BaseMessage, ...]
Asking = Generator[Sequence[BaseMessage] | str, int, "Shortened"]
_ROUNDS = 4
_MAX_STRETCHES = 3
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
    result = Shortened(messages, tokens)
    units = _units(messages, pinned)
    if units:
        without = _History(messages, units, pinned, 0).without()
        fixed = yield bounds.bare(without)
        history = _History(messages, units, pinned, max(1, tokens - fixed))
        result = yield from _shorter_history(history, bounds.room - fixed, bounds)
    for _ in range(_MAX_STRETCHES):
        if result.tokens <= bounds.room:
            break
        result = yield from _shorter_text(result, bounds)
    return result


@dataclass(frozen=True, slots=True)
class _History:
    """What of a conversation may go: the places of its units, and how many tokens all of them take."""

    messages: Messages
    units: list[range]
    pinned: int | None
    tokens: int

    @property
    def texts(self) -> list[str]:
        return ["\n".join(self.messages[n].text for n in unit) + "\n" for unit in self.units]

    def without(self) -> Messages:
        """Return the conversation without any of it."""
        gone = {n for unit in self.units for n in unit}
        return tuple(message for n, message in enumerate(self.messages) if n not in gone)

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
        lost = set(gone)
        between = [self.messages[n] for n in range(gone[0] + 1, gone[-1]) if n not in lost]
        before = [*self.messages[: gone[0]], *head]
        return self._in_turn(before, [*between, *tail, *self.messages[gone[-1] + 1 :]])

    def _in_turn(self, before: list[BaseMessage], after: list[BaseMessage]) -> Messages:
        """Join both sides of the gap so that users and assistants take turns: of two of one kind, one goes too."""
        first, last = _kind(before[-1] if before else None), _kind(after[0] if after else None)
        if first == last == "user" and (self.pinned is None or before[-1] is not self.messages[self.pinned]):
            return (*before[:-1], *after)
        if last == "assistant" and first != "user" and len(after) > 1:
            return (*before, *after[1:])
        return (*before, *after)


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


def _kind(message: BaseMessage | None) -> str:
    if message is None or not _is_plain(message):
        return "other"
    return "user" if isinstance(message, HumanMessage) else "assistant"


def _shorter_text(now: Shortened, bounds: Bounds) -> Asking:
    """Cut the longest stretch of what is asked, tighter as long as it comes out too long, at last to the marker."""
    found = _longest_stretch(now.messages)
    if found is None:
        return now
    place, (first, last) = found
    text = now.messages[place].text
    before, stretch, after = text[:first], text[first:last], text[last:]
    fixed = yield bounds.bare(_with_text(now.messages, place, before + after))
    tokens, room = max(1, now.tokens - fixed), bounds.room - fixed
    for _ in range(_ROUNDS):
        if room <= MARKER_TOKENS:
            break
        end, start = yield from places(stretch, tokens, share_of(room, bounds.window))
        said = marker(int((start - end) / len(stretch) * tokens))
        parts = [part for part in (stretch[:end].rstrip(), said, stretch[start:].lstrip()) if part]
        cut = _with_text(now.messages, place, before + "\n".join(parts) + after)
        counted = yield bounds.bare(cut)
        if counted <= bounds.room:
            return Shortened(cut, counted)
        room = int((room - (counted - bounds.room)) * _TIGHTER)
    nothing = _with_text(now.messages, place, before + marker(tokens) + after)
    return Shortened(nothing, (yield bounds.bare(nothing)))


def _longest_stretch(messages: Messages) -> tuple[int, tuple[int, int]] | None:
    """Find the longest stretch of a user's message that is no evidence; None where none is longer than the marker."""
    found = [
        (n, span)
        for n, message in enumerate(messages)
        if isinstance(message, HumanMessage) and isinstance(message.content, str)
        for span in stretches(message.content, but="source")
    ]
    longest = max(found, key=lambda item: item[1][1] - item[1][0], default=None)
    return longest if longest and longest[1][1] - longest[1][0] > 2 * MARKER_TOKENS else None


def _units(messages: Messages, pinned: int | None) -> list[range]:
    """Return the history: what may go, a tool call together with its results, in order."""
    asked = max((n for n, m in enumerate(messages) if isinstance(m, HumanMessage)), default=-1)
    units: list[range] = []
    n = 0
    while n < len(messages):
        end = n + 1
        if isinstance(messages[n], AIMessage | ToolMessage):
            while end < len(messages) and isinstance(messages[end], ToolMessage):
                end += 1
        if not isinstance(messages[n], SystemMessage) and n not in (asked, pinned):
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
