"""Making a call fit its window before it leaves.

Gives `Window` (the limits of one back end) and `fit`, which decides from counts alone what is sent and how long the
reply may be: ``reply = min(reserve, what the caller asks for, window - prompt - margin)``. A prompt that is too long
first loses whole ``<source>`` blocks of the last user message that has any, last (lowest rank) first. Where not even
that is enough, a history or one long text is cut to its head and tail (`infra.llm.shorten`), to half the room if there
is evidence, which gets the rest. Instructions and tools stay whole. `fit` is a generator that yields what to count and
is sent the tokens back, so that one rule serves blocking and awaiting callers; it makes no call itself.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from langchain_core.messages import BaseMessage, HumanMessage

from infra.errors import BudgetExceeded
from infra.llm.shorten import Bounds, shortened
from infra.text.blocks import Placed, place_blocks

_REPLY_SHARE = 4
"""Evidence gives way until a quarter of the window is free for the reply, or all that is wanted if less."""

Fitting = Generator[Sequence[BaseMessage] | str, int, "Fitted"]


@dataclass(frozen=True, slots=True)
class Window:
    """The limits of one back end, in tokens.

    Attributes:
        tokens: prompt and reply together.
        reserve_tokens: longest reply.
        margin_tokens: never used, against miscounting.
        setting: name of the setting that bounds `tokens`.
    """

    tokens: int
    reserve_tokens: int
    margin_tokens: int
    setting: str


@dataclass(frozen=True, slots=True)
class Fitted:
    """What is sent, in tokens.

    Attributes:
        messages: the conversation.
        prompt_tokens: its tokens, template and tools included.
        reply_tokens: the longest reply.
        dropped: ids of the evidence blocks left out, best rank first.
        cut_tokens: about how many tokens of a history or a long text were left out.
    """

    messages: tuple[BaseMessage, ...]
    prompt_tokens: int
    reply_tokens: int
    dropped: tuple[str, ...] = ()
    cut_tokens: int = 0


def fit(messages: Sequence[BaseMessage], window: Window, max_tokens: int | None = None) -> Fitting:
    """Decide what of ``messages`` is sent.

    Args:
        messages: the conversation as the caller wants it.
        window: the limits.
        max_tokens: longest reply the caller asks for; None leaves it to the reserve.

    Yields:
        Messages to count (the caller sends back the tokens of the whole prompt made of them, template and tools
        included), or bare text to count. At most log2(blocks) + 2 counts where leaving out evidence is enough. Where
        texts are cut, 5 to 12 for a conversation with one long text or a long history (measured at 131,072), and never
        more than some hundreds, whatever the counts say: each text is counted a fixed number of times.

    Returns:
        The longest prefix of the evidence that leaves room for the reply, beside texts as long as they may be.

    Raises:
        BudgetExceeded: whatever is cut, there is no room for one token of reply.
    """
    wanted = window.reserve_tokens if max_tokens is None else min(window.reserve_tokens, max_tokens)
    if wanted < 1:
        raise BudgetExceeded(
            "a model call without room for a reply", needed=1, available=wanted, setting="max_tokens of the call"
        )
    room = window.tokens - window.margin_tokens - min(wanted, window.tokens // _REPLY_SHARE)
    whole = tuple(messages)
    tokens = yield whole
    if tokens <= room:
        return _fitted(whole, tokens, wanted, window)
    evidence = _find_evidence(whole)
    bare = (yield evidence.with_first(0)) if evidence else tokens
    cut_tokens = 0
    if bare > room:
        bounds = Bounds(window.tokens, room // 2 if evidence else room, _without_evidence)
        short = yield from shortened(whole, bare, evidence.position if evidence else None, bounds)
        cut_tokens, bare = max(0, bare - short.tokens), short.tokens
        whole, evidence = short.messages, _find_evidence(short.messages)
    if evidence is None:
        return _fitted(whole, bare, wanted, window, cut_tokens=cut_tokens)
    kept, tokens = yield from _most_that_fits(evidence, bare, room)
    left_out = tuple(evidence.ids[kept:])
    return _fitted(evidence.with_first(kept), tokens, wanted, window, dropped=left_out, cut_tokens=cut_tokens)


def _without_evidence(messages: tuple[BaseMessage, ...]) -> tuple[BaseMessage, ...]:
    evidence = _find_evidence(messages)
    return evidence.with_first(0) if evidence else messages


@dataclass(frozen=True, slots=True)
class _Evidence:
    messages: tuple[BaseMessage, ...]
    position: int
    text: str
    spans: list[tuple[int, int]]
    ids: list[str]

    def with_first(self, kept: int) -> tuple[BaseMessage, ...]:
        pieces: list[str] = []
        at = 0
        for start, end in self.spans[kept:]:
            pieces.append(self.text[at:start])
            at = end
        pieces.append(self.text[at:])
        message = self.messages[self.position].model_copy(update={"content": "".join(pieces)})
        return (*self.messages[: self.position], message, *self.messages[self.position + 1 :])


def _find_evidence(messages: Sequence[BaseMessage]) -> _Evidence | None:
    """Find the last user message with source blocks; None when there is none to drop."""
    for position in range(len(messages) - 1, -1, -1):
        content = messages[position].content
        if not isinstance(messages[position], HumanMessage) or not isinstance(content, str):
            continue
        found = [placed for placed in place_blocks(content) if placed.block.tag == "source"]
        if found:
            ids = [placed.block.attrs.get("id", f"#{n}") for n, placed in enumerate(found, start=1)]
            return _Evidence(tuple(messages), position, content, [_with_gap(content, p) for p in found], ids)
    return None


def _with_gap(text: str, placed: Placed) -> tuple[int, int]:
    """Return a block's span with the line ends after it, which go with it."""
    start, end = placed.span
    while text.startswith("\n", end):
        end += 1
    return start, end


def _most_that_fits(
    evidence: _Evidence, bare: int, room: int
) -> Generator[Sequence[BaseMessage], int, tuple[int, int]]:
    """Search how many blocks may stay beside what takes ``bare`` tokens; returns it and the prompt's tokens."""
    best = 0, bare
    low, high = 1, len(evidence.spans)
    while low <= high and best[1] <= room:
        middle = (low + high) // 2
        tokens = yield evidence.with_first(middle)
        if tokens <= room:
            best, low = (middle, tokens), middle + 1
        else:
            high = middle - 1
    return best


def _fitted(
    messages: tuple[BaseMessage, ...],
    prompt_tokens: int,
    wanted: int,
    window: Window,
    *,
    dropped: tuple[str, ...] = (),
    cut_tokens: int = 0,
) -> Fitted:
    reply = min(wanted, window.tokens - window.margin_tokens - prompt_tokens)
    if reply < 1:
        raise BudgetExceeded(
            "this model call does not fit the window, margin and one token of reply included",
            needed=prompt_tokens + window.margin_tokens + 1,
            available=window.tokens,
            setting=window.setting,
        )
    return Fitted(messages, prompt_tokens, reply, dropped, cut_tokens)
