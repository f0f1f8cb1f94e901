"""Turns: what a chat template wants of the order of messages, kept across a gap.

Gives `in_turn`, which joins both sides of a gap so that users and assistants still take turns, as templates of Llama,
Gemma and Mistral demand; `took_turns`, whether they did before; `newest_results`, the tool results a conversation ends
with. Instructions and tool calls with their results are not turns of their own (Mistral's rule). What is left out, and
how much, is `infra.llm.shorten`'s.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

Kind = Literal["user", "assistant", "other"]


class Place(NamedTuple):
    """A message beside a gap, and whether it may go as well."""

    message: BaseMessage
    may_go: bool


def took_turns(messages: Iterable[BaseMessage]) -> bool:
    """Whether users and assistants take turns, a user first."""
    wanted: Kind = "user"
    for kind in map(_kind, messages):
        if kind not in ("other", wanted):
            return False
        if kind != "other":
            wanted = "assistant" if kind == "user" else "user"
    return True


def newest_results(messages: Sequence[BaseMessage]) -> range:
    """Return the places of the tool results at the end and of their calls; none where the end is something else."""
    first = len(messages) - 1
    while first >= 0 and isinstance(messages[first], ToolMessage):
        first -= 1
    is_call = 0 <= first < len(messages) - 1 and isinstance(messages[first], AIMessage)
    return range(first, len(messages)) if is_call else range(0)


def in_turn(before: list[Place], after: list[Place], said: str) -> tuple[BaseMessage, ...]:
    """Join both sides of a gap.

    Of two questions the first goes, whose answer is gone; an answer whose question is gone goes too, with its tool
    calls. Where no question may go, an assistant's turn that holds ``said`` stands between.
    """
    questions = [n for n, place in enumerate(before) if _kind(place.message) == "user"]
    is_open = _plain(reversed(before)) == "user"
    if is_open and _plain(after) == "user" and before[questions[-1]].may_go:
        before = [place for n, place in enumerate(before) if n < questions[-1] or not place.may_go]
        is_open = False
    if not is_open:
        first = next((n for n, place in enumerate(after) if _kind(place.message) == "user"), len(after))
        after = [place for n, place in enumerate(after) if n >= first or not place.may_go]
    return without_questions_in_a_row([place.message for place in (*before, *after)], said)


def without_questions_in_a_row(messages: Sequence[BaseMessage], said: str) -> tuple[BaseMessage, ...]:
    """Return the messages with an assistant's turn that holds ``said`` between two questions."""
    result: list[BaseMessage] = []
    last: Kind = "other"
    for message in messages:
        kind = _kind(message)
        if kind == last == "user":
            result.append(AIMessage(said))
        last = last if kind == "other" else kind
        result.append(message)
    return tuple(result)


def _plain(places: Iterable[Place]) -> Kind:
    """Return the first turn's kind."""
    for place in places:
        kind = _kind(place.message)
        if kind != "other":
            return kind
    return "other"


def _kind(message: BaseMessage) -> Kind:
    if isinstance(message, SystemMessage | ToolMessage):
        return "other"
    if isinstance(message, HumanMessage):
        return "user"
    called = isinstance(message, AIMessage) and (message.tool_calls or message.invalid_tool_calls)
    return "other" if called else "assistant"
