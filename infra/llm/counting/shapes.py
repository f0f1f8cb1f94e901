"""Shapes of prompts: what a template may treat in a way of its own, and a probe of each shape.

Gives `Shape`, `shape_of` a request body, and `probe`, the request body that is counted here and by the server before
local counts of that shape are trusted.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_OPTIONS = {"chat_template_kwargs", "add_generation_prompt"}
_MAX_OPTION_CHARS = 4_000
_MAX_ADDED = 64
_TEXT = (
    "It's 12,345.67 km -- \"far\"; don't <b>stop</b>\n\n\t  x = {'a': [1, 2]}\r\n"
    "Ünïcödé cafe\u0301 ﬁ ½ Ⅻ \uff21 日本語の文字 Привет שלום مرحبا हिन्दी ไทย 🙂👩‍👩‍👧 \x00\x07\u200b\ufeff\u202e end  "
)

Wire = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a prompt a template may treat in a way of its own.

    Attributes:
        features: ``text`` (bare, no template), ``system``, ``tools``, ``calls``, ``results``, ``parts``, ``names``.
        options: template options as JSON text.
    """

    features: frozenset[str]
    options: str = "{}"


def shape_of(body: Wire) -> Shape | None:
    """Return the shape of a request body; None for options that only a server knows."""
    if "prompt" in body:
        return Shape(frozenset({"text"}))
    options = {name: value for name, value in body.items() if name not in ("model", "messages", "tools")}
    text = json.dumps(options, sort_keys=True, default=repr)
    if options.keys() - _OPTIONS or len(text) > _MAX_OPTION_CHARS:
        return None
    features: set[str] = set()
    for message in body["messages"]:
        features.update(_features(message))
    return Shape(frozenset(features | ({"tools"} if "tools" in body else set())), text)


def probe(shape: Shape, model: str, added: Sequence[str]) -> dict[str, Any]:
    """Return a prompt of a shape, with text of many kinds and with what looks like special tokens.

    Args:
        shape: what it has.
        model: whose prompt it is.
        added: texts that are one token each.
    """
    text = _TEXT + " ".join(added[:_MAX_ADDED]) + "".join(added[:_MAX_ADDED])
    if "text" in shape.features:
        return {"model": model, "prompt": text, "add_special_tokens": False}
    messages = [message | _content(message, shape) for message in _conversation(shape, text)]
    tools = {"tools": _TOOLS} if "tools" in shape.features else {}
    return {"model": model, "messages": messages} | tools | json.loads(shape.options)


def _features(message: Wire) -> Iterator[str]:
    role = message.get("role")
    if role == "system":
        yield "system"
    if role == "tool":
        yield "results"
    if isinstance(message.get("content"), list):
        yield "parts"
    if message.get("tool_calls"):
        yield "calls"
    if message.get("name") is not None:
        yield "names"


def _conversation(shape: Shape, text: str) -> list[dict[str, Any]]:
    """Return turns that alternate, as many templates demand; one turn is empty, one has white space around it."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": text}, {"role": "assistant", "content": ""}]
    if "system" in shape.features:
        messages.insert(0, {"role": "system", "content": "Be brief.\n"})
    messages.append({"role": "user", "content": "  Where? \n"})
    if "calls" in shape.features:
        messages.append({"role": "assistant", "content": None, "tool_calls": [_CALL]})
    if "results" in shape.features:
        messages.append({"role": "tool", "tool_call_id": _CALL["id"], "content": '{"found": "日本 <|im_end|>"}'})
    if shape.features & {"calls", "results"}:
        messages += [{"role": "assistant", "content": "There."}, {"role": "user", "content": ""}]
    if "names" in shape.features:
        messages[-1]["name"] = "ann"
    return messages


def _content(message: Wire, shape: Shape) -> dict[str, Any]:
    """Return the message's content, in parts where the shape has them."""
    if "parts" not in shape.features or message["content"] is None:
        return {}
    texts = (message["content"], "and more ")
    return {"content": [{"type": "text", "text": text} for text in texts]}


_CALL: dict[str, Any] = {
    "id": "call00001",  # nine letters and digits: Mistral's templates want no other
    "type": "function",
    "function": {"name": "find", "arguments": '{"words": ["é", "</tool_call>"], "n": 1.50, "all": true, "in": null}'},
}
_PARAMETERS = {"type": "object", "properties": {"words": {"type": "array", "items": {"type": "string"}}}}
_TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "find", "description": "Finds 日本 <b>.", "parameters": _PARAMETERS}},
    {"type": "function", "function": {"name": "look", "parameters": {}, "strict": True}},
]
