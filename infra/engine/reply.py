"""What the engine says: the reply to a chat request, by stated rules.

In this order:
1. ``tool_choice`` names a tool, or requires one: that tool is called; of several, the first not called yet, or all not
   called yet where ``parallel_tool_calls`` is true as well.
2. A JSON schema whose title (or name) is a published task: that task's rule, fitted to the schema.
3. Any other schema: its smallest valid value. A choice: the first. ``json_object``: ``{}``.
4. Tools: the first one not called since the last user message; after that, text made of what was found and said
   (``tool_use``).
5. Plain chat: sentences of the sources or of the long text given, verbatim; else who is speaking.

So one tool is called at a time, unless several are asked for in so many words: a tool may need another's result.
"""

from typing import Any

from infra.engine.protocol import ChatRequest, Message, NamedTool, StructuredOutputs, Tool
from infra.engine.refusal import RefusedError, refused_value
from infra.engine.schema import Schema
from infra.engine.tasks import TASKS, TaskInput
from infra.engine.template import dumps
from infra.engine.tool_use import (
    LONG_CHARS,
    NOTHING_FITS,
    Call,
    call_of,
    closing_words,
    drafted,
    last_user_text,
    next_calls,
    uncalled,
)
from infra.text.blocks import block

READ_ROLES = ("user", "system", "developer")
WHO_I_AM = (
    "I am DocMind's embedded engine. I have no language model: by fixed rules I pick sentences, word for word, "
    "from the text I am given. Give me documents and a question about them."
)


def decide(request: ChatRequest, max_tokens: int) -> str | list[Call]:
    """Return the reply to ``request``: text, or at least one call.

    Args:
        request: a checked request.
        max_tokens: tokens the reply may take; a task may shorten itself to them, nothing is cut here.

    Raises:
        RefusedError: a constraint the engine does not understand or cannot satisfy.
    """
    tools = request.tools or []
    if isinstance(request.tool_choice, NamedTool) or request.tool_choice == "required":
        return [call_of(tool, request.messages) for tool in _forced_tools(request, tools)]
    constrained = _constrained(request, max_tokens)
    if constrained is not None:
        return constrained
    if tools and request.tool_choice != "none":
        calls = next_calls(tools, request.messages, parallel=bool(request.parallel_tool_calls))
        return calls or closing_words(tools, request.messages)
    return _from_text(request.messages)


def _forced_tools(request: ChatRequest, tools: list[Tool]) -> list[Tool]:
    if isinstance(request.tool_choice, NamedTool):
        name = request.tool_choice.function.name
        named = [tool for tool in tools if tool.function.name == name][:1]
        if not named:
            message = "The tool specified in `tool_choice` does not match any of the specified `tools`."
            raise refused_value(message, "tool_choice")
        return named
    left = uncalled(tools, request.messages) or tools[:1]
    return left if request.parallel_tool_calls else left[:1]


def _constrained(request: ChatRequest, max_tokens: int) -> str | None:
    """The text for a request whose reply has a prescribed form, None for a free one."""
    form, outputs = request.response_format, request.structured_outputs
    if outputs is not None:
        return _structured(outputs, request.messages, max_tokens)
    if form is None or form.type == "text":
        return None
    if form.type == "json_object" or form.json_schema is None:
        return "{}"
    if form.json_schema.body is None:
        raise RefusedError("You must use one kind of structured outputs constraint but none are specified.")
    return _valid(form.json_schema.body, form.json_schema.name, request.messages, max_tokens)


def _structured(outputs: StructuredOutputs, messages: list[Message], max_tokens: int) -> str:
    if outputs.body is not None:
        return _valid(outputs.body, "", messages, max_tokens)
    if outputs.choice:
        return outputs.choice[0]
    raise RefusedError("The embedded engine takes the structured outputs 'json' and 'choice' (not empty) only.")


def _valid(body: dict[str, Any], name: str, messages: list[Message], max_tokens: int) -> str:
    schema = Schema(body)
    task = TASKS.get(str(body.get("title", ""))) or TASKS.get(name)
    if task is None:
        return dumps(schema.smallest())
    return dumps(schema.fit(task(TaskInput(_texts(messages), max_tokens, body))))


def _from_text(messages: list[Message]) -> str:
    """Text made of the source blocks in the messages, or of long messages; else who is speaking."""
    sources = TaskInput(_texts(messages), 0, {}).blocks("source")
    if sources:
        given = [block("source", source.body, **source.attrs) for source in sources]
        return drafted(TaskInput(_texts(messages), 0, {}).question, given) or NOTHING_FITS
    words = [m.text for m in messages if m.role in READ_ROLES]
    long = [text for text in words if len(text) > LONG_CHARS]
    if not long:
        return WHO_I_AM
    question = next((line for line in reversed(last_user_text(messages).splitlines()) if line.strip()), "")
    given = [block("source", text, id=f"E{n}", doc=f"text {n}") for n, text in enumerate(long, start=1)]
    return drafted(question, given) or NOTHING_FITS


def _texts(messages: list[Message]) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in messages]
