"""One reply as tokens: where it ends, and what is written when.

A reply is a row of steps, one a token where it can be. As in vLLM the end of a reply is a token too; a reply that does
not fit its limit is cut with finish_reason ``length``, and calls of which one was cut are no calls any more: whole,
they arrive as raw text in ``content``; streamed, they break off.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from infra.engine.template import call_text
from infra.engine.tokenizer import decode, encode, token_text
from infra.engine.tool_use import Call

FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class Step:
    """What a stream writes when ``tokens`` tokens exist: the ``delta`` of a chunk."""

    tokens: int
    delta: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Generation:
    """A reply with its end.

    Attributes:
        message: the assistant's message, whole.
        steps: the same in pieces; the last one goes with the end. Never empty.
        ids: the generated tokens, without the end.
        tokens: how many were generated, the end included.
        finish: why it ended.
        stop: the stop string that ended it.
    """

    message: dict[str, Any]
    steps: list[Step]
    ids: list[int]
    tokens: int
    finish: FinishReason
    stop: str | None = None


def generate_text(text: str, limit: int, stops: Sequence[str]) -> Generation:
    """Return the generation of ``text`` in at most ``limit`` tokens, up to the first of ``stops``."""
    at, stop = min(((text.find(stop), stop) for stop in stops if stop in text), default=(len(text), None))
    ids = encode(text[:at])
    cut = len(ids) >= limit
    ids = ids[:limit]
    steps = [Step(n, {"content": token_text(token)}) for n, token in enumerate(ids, start=1)]
    if cut:
        return Generation(_message(decode(ids)), steps, ids, limit, "length")
    steps.append(Step(len(ids) + 1, {"content": ""}))
    return Generation(_message(text[:at]), steps, ids, len(ids) + 1, "stop", stop)


def generate_calls(calls: Sequence[Call], limit: int, *, named: bool) -> Generation:
    """Return the generation of tool calls, one after the other, in at most ``limit`` tokens.

    ``named`` says that the caller named the tool: such a call ends with ``stop``, any other with ``tool_calls``.
    """
    whole = [_called(call) for call in calls]
    ids: list[int] = []
    steps: list[Step] = []
    for index, call in enumerate(whole):
        head, arguments, tail = (encode(part) for part in call_text(**call["function"]))
        ids += [*(encode("\n") if index else ()), *head]
        steps += _call_steps(index, call, len(ids), arguments)
        ids += [*arguments, *tail]
    if len(ids) >= limit:
        ids = ids[:limit]
        written = [step for step in steps if step.tokens <= limit]
        return Generation(_message(decode(ids)), [*written, Step(limit, {})], ids, limit, "length")
    finish: FinishReason = "stop" if named else "tool_calls"
    return Generation(_message("", whole), [*steps, Step(len(ids) + 1, {})], ids, len(ids) + 1, finish)


def _called(call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"chatcmpl-tool-{secrets.token_hex(8)}", "type": "function", "function": function}


def _call_steps(index: int, call: dict[str, Any], tokens: int, arguments: Sequence[int]) -> Iterator[Step]:
    """The steps of one call, whose name is known after ``tokens`` tokens."""
    opening = {**call, "index": index, "function": {"name": call["function"]["name"]}}
    yield Step(tokens, {"content": None, "tool_calls": [opening]})
    for n, token in enumerate(arguments, start=tokens + 1):
        piece = {"index": index, "function": {"arguments": token_text(token)}}
        yield Step(n, {"content": None, "tool_calls": [piece]})


def _message(content: str, calls: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
    return message | {"tool_calls": calls} if calls else message
