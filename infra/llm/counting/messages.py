"""Messages and tools as a chat template gets them: prepared from a request body as vLLM prepares them.

Gives `template_messages` and `template_tools`, after vLLM 0.32 (``vllm/renderers/chat_utils.py``, the types in
``entrypoints``), or `Unrenderable`: what no agent sends and a server may treat in its own way (images, developer
messages, unknown fields) is left to the server's own count.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

_FIELDS: dict[object, frozenset[str]] = {
    "system": frozenset({"role", "content", "name"}),
    "user": frozenset({"role", "content", "name"}),
    "assistant": frozenset({"role", "content", "name", "tool_calls"}),
    "tool": frozenset({"role", "content", "name", "tool_call_id"}),
}
_STRIPPED_BY_VLLM = "x-anthropic-billing-header"  # a line that vLLM takes out of system messages

ContentFormat = Literal["string", "openai"]
"""What a message's content is to a template: a string, or a list of parts as in the OpenAI protocol."""

Wire = Mapping[str, Any]


class Unrenderable(ValueError):  # noqa: N818 - a fact about a prompt, not a failure
    """This prompt cannot be rendered here as the server would; the server has to count it."""


def template_messages(messages: Sequence[Wire], form: ContentFormat) -> list[dict[str, Any]]:
    """Return the messages of a request body as a template gets them.

    Raises:
        Unrenderable: one of them is of a form that only the server knows.
    """
    return [_message(message, form) for message in messages]


def template_tools(tools: Sequence[Wire]) -> list[dict[str, Any]]:
    """Return the tools of a request body as a template gets them.

    Raises:
        Unrenderable: one of them is of a form that only the server knows.
    """
    return [_tool(tool) for tool in tools]


def _message(message: Wire, form: ContentFormat) -> dict[str, Any]:
    """Return a message as vLLM hands it to a template (``_parse_chat_message_content``)."""
    role = message.get("role")
    fields = _FIELDS.get(role, frozenset())
    others = message.keys() - fields
    if not fields or any(message[name] is not None for name in others):
        raise Unrenderable(f"a {role!r} message with {', '.join(sorted(message))}")
    content = message.get("content")
    texts = [content] if isinstance(content, str) else _texts(role, content)
    if role == "system" and any(text.startswith(_STRIPPED_BY_VLLM) for text in texts):
        raise Unrenderable("a line that vLLM takes out")
    prepared: dict[str, Any] = {"role": role, "content": [{"type": "text", "text": text} for text in texts]}
    if form == "string":
        prepared["content"] = "\n".join(filter(None, texts))  # vLLM drops empty parts here, and only here
    elif role == "tool":
        prepared["content"] = "\n".join(texts)
    if message.get("tool_calls"):
        prepared["tool_calls"] = [_call(call) for call in message["tool_calls"]]
    if role == "tool" and message.get("tool_call_id") is not None:
        prepared["tool_call_id"] = message["tool_call_id"]
    if isinstance(message.get("name"), str):
        prepared["name"] = message["name"]
    return prepared


def _texts(role: object, content: object) -> list[str]:
    if content is None and role == "assistant":
        return []
    if not isinstance(content, list):
        raise Unrenderable("content that is not text")
    return [_text(part) for part in cast("list[object]", content)]


def _text(part: object) -> str:
    fields = cast("dict[str, object]", part) if isinstance(part, dict) else {}
    text = fields.get("text")
    if fields.get("type") != "text" or not isinstance(text, str) or fields.keys() - {"type", "text"}:
        raise Unrenderable("content that is not text")
    return text


def _call(call: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    """Return a tool call in the order of vLLM's types, its arguments as an object (``_postprocess_messages``)."""
    match call:
        case {"id": str(id_), "type": "function", "function": {"name": str(name), "arguments": str(text), **more}}:
            if more or len(cast("dict[str, Any]", call)) > 3:  # noqa: PLR2004 - the three above
                raise Unrenderable("a tool call with other fields")
            return {"id": id_, "function": {"arguments": _arguments(text), "name": name}, "type": "function"}
        case _:
            raise Unrenderable("a tool call of another form")


def _arguments(text: str) -> dict[str, Any]:
    """Return a call's arguments; what is not a JSON object becomes an empty one, as in vLLM."""
    try:
        value: Any = json.loads(text) if text else {}
    except json.JSONDecodeError:
        return {}
    except (ValueError, RecursionError) as error:  # the server fails at these, each in its own way
        raise Unrenderable("arguments that Python does not read") from error
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _tool(tool: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    """Return a tool as vLLM dumps it: what is left out is null, but ``strict`` stays away (``FunctionDefinition``)."""
    match tool:
        case {"type": "function", "function": {"name": str(name), **rest}} if len(cast("Wire", tool)) == 2:  # noqa: PLR2004 - these two
            known = {"description": rest.pop("description", None), "parameters": rest.pop("parameters", None)}
            strict = rest.pop("strict", None)
            if rest or not _is_known(known, strict):
                raise Unrenderable("a tool with other fields")
            last = {} if strict is None else {"strict": strict}
            return {"type": "function", "function": {"name": name, **known, **last}}
        case _:
            raise Unrenderable("a tool of another form")


def _is_known(fields: Mapping[str, object], strict: object) -> bool:
    texts, objects = fields["description"], fields["parameters"]
    return isinstance(texts, str | None) and isinstance(objects, dict | None) and isinstance(strict, bool | None)
