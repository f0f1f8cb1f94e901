"""Forms that a server refuses or proves to understand, and the plainer way to ask.

Gives `Learned` (what traffic showed of a server's abilities), `refused_form` (whether a refusal speaks of the form of
the request and not of its content) and `plainer` (the same question with its JSON schema as text in the system message,
for a server that takes no ``response_format``). The words looked for are those of vLLM 0.32, llama.cpp's server,
Ollama, LM Studio and OpenAI, from their sources and manuals.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from referencing.exceptions import Unresolvable

from infra.llm.endpoint import Abilities
from infra.llm.failures import Failure

Form = Literal["json_schema", "tools"]

_REFUSALS = (400, 422, 501)
_SCHEMA_WORDS = re.compile(
    r"response[_ ]format|json[_ ]?schema|structured[_ ]output|grammar|guided|xgrammar|outlines", re.I
)
_TOOL_WORDS = re.compile(r"\btools?\b|\btool[_ -](choice|call)|function[_ ]call", re.I)
_CANNOT_WORDS = re.compile(r"support|requires?\b|enable|not (available|allowed|implemented|possible)", re.I)
_LENGTH_WORDS = re.compile(r"context|max_tokens|max_completion_tokens|input_tokens|too (long|large|many)|exceed", re.I)
_PLAIN = "Reply with one JSON object that fits this JSON schema, and with nothing else:\n"


class Learned:
    """What the traffic with one server showed of its abilities; what was seen last holds."""

    def __init__(self) -> None:
        self._seen = Abilities()

    def over(self, said: Abilities) -> Abilities:
        """Return what the server ``said`` it can do, corrected by what was seen."""
        seen = {name: getattr(self._seen, name) for name in Abilities.__slots__}
        return replace(said, **{name: value for name, value in seen.items() if value is not None})

    def refused(self, form: Form) -> None:
        """Note that the server refused a form."""
        self._seen = replace(self._seen, **{form: False})

    def replied(self, message: BaseMessage, schema: Mapping[str, Any] | None) -> None:
        """Note what a whole reply shows; ``schema`` is the one that it was held to."""
        if not isinstance(message, AIMessage):
            return
        shown: dict[str, bool] = {}
        if message.tool_calls:
            shown["tools"] = True
        if len(message.tool_calls) > 1:
            shown["parallel_calls"] = True
        if "cache_read" in (message.usage_metadata or {}).get("input_token_details", {}):
            shown["cached_tokens"] = True
        if schema is not None and self._seen.json_schema is None and _fits(message.text, schema):
            shown["json_schema"] = True
        self._seen = replace(self._seen, **shown)


def schema_in(form: object) -> dict[str, Any] | None:
    """Return the JSON schema of a ``response_format`` as it goes out; None where it has none."""
    if not isinstance(form, dict):
        return None
    fields = cast("dict[str, Any]", form)
    described: object = fields.get("json_schema") if fields.get("type") == "json_schema" else None
    schema = cast("dict[str, Any]", described).get("schema") if isinstance(described, dict) else None
    return cast("dict[str, Any]", schema) if isinstance(schema, dict) else None


def refused_form(failure: Failure | None, carried: Sequence[Form]) -> Form | None:
    """Return which of the forms that a request ``carried`` its refusal speaks of; None where it speaks of other things.

    A prompt that is too long is refused with the same statuses, and never taken for a refused form.
    """
    if failure is None or failure.status not in _REFUSALS or _LENGTH_WORDS.search(failure.message):
        return None
    if "json_schema" in carried and _SCHEMA_WORDS.search(failure.message):
        return "json_schema"
    refuses_tools = _TOOL_WORDS.search(failure.message) and _CANNOT_WORDS.search(failure.message)
    return "tools" if "tools" in carried and refuses_tools else None


def plainer(messages: Sequence[BaseMessage], schema: Mapping[str, Any]) -> list[BaseMessage]:
    """Return the messages with ``schema`` as text in the system message, which is never cut."""
    asked = _PLAIN + json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    if messages and isinstance(messages[0], SystemMessage) and isinstance(messages[0].content, str):
        first = messages[0].model_copy(update={"content": f"{messages[0].content}\n\n{asked}"})
        return [first, *messages[1:]]
    return [SystemMessage(asked), *messages]


def _fits(text: str, schema: Mapping[str, Any]) -> bool:
    """Whether a reply, as it came, is JSON that fits ``schema``; a schema that cannot be used fits nothing."""
    try:
        value = json.loads(text, strict=False)
        Draft202012Validator.check_schema(schema)
        return Draft202012Validator(schema).is_valid(value)  # pyright: ignore[reportUnknownMemberType] - its stub
    except (ValueError, RecursionError, SchemaError, Unresolvable):
        return False
