"""What the engine does with tools it may call: which one next, with what, and what it says when it is done.

Stated rules, the same for every caller:

* The first tool not called since the last user message is called. One of which it was said since then that it is not
  needed is passed over: a line of its own, ``no planner needed`` or ``lookup: no planner needed`` (a hand-off tool's
  name may be given without ``transfer_to_``). Documents do not say it: neither sources nor words with marks count, nor
  what a tool gave that is not named like a published task.
* Arguments: a tool that is named like a published task gets what that task's rule gives; ``draft`` takes over words
  with marks where nothing but these was said. Else text arguments are the last user text, or the ``<question>`` in it,
  and all others the smallest valid values. A parameter ``query`` takes the steps of a plan that was said since then
  (lines ``q1: ...``), one after the other, or all of them at once where parallel calls are asked for.
* Done, it looks back: sources that a tool gave are answered from; words with marks (``... [E1]``) are said again; so is
  what another speaker said, or what its own tools gave, unless that is long: then sentences are picked from it.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from infra.engine.protocol import CalledTool, Message, Tool
from infra.engine.schema import Schema
from infra.engine.tasks import TASKS, TaskInput
from infra.engine.template import dumps
from infra.text.blocks import block, find_blocks, stretches

LONG_CHARS = 400
QUOTED_CHARS = 2_000
DRAFT_TOKENS = 1_000
NOTHING_FITS = "No sentence of the given text answers the question."
HANDOFF = "transfer_to_"
PLANNED = "query"
"""The parameter that takes the steps of a plan."""

_NEEDLESS = re.compile(r"^(?:\w{1,64}: )?no ([\w-]{1,64}) needed\.?$", re.MULTILINE)
_STEP = re.compile(r"^q\d: (\S.*)$", re.MULTILINE)
_MARK = re.compile(r"\[(E\d{1,4}(?:, ?E\d{1,4}){0,9})\]")


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call: the tool's name and its arguments as JSON text."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class _Result:
    """What a tool gave, by the name it was called by ('' where no call is known), or what an assistant said."""

    tool: str | None
    text: str


def next_calls(tools: Sequence[Tool], messages: Sequence[Message], *, parallel: bool) -> list[Call]:
    """Return the calls to make now, none when all is done; several only of one tool, and where ``parallel``."""
    since = messages[last_user(messages) + 1 :]
    needless = _needless(since)
    for tool in tools:
        if {tool.function.name, tool.function.name.removeprefix(HANDOFF)} & needless:
            continue
        if calls := _left(tool, messages):
            return calls if parallel else calls[:1]
    return []


def uncalled(tools: Sequence[Tool], messages: Sequence[Message]) -> list[Tool]:
    """Return the tools not called since the last user message."""
    called = {call.function.name for call in _calls(messages[last_user(messages) + 1 :])}
    return [tool for tool in tools if tool.function.name not in called]


def call_of(tool: Tool, messages: Sequence[Message], text: str | None = None) -> Call:
    """Return a call of ``tool``; its text arguments are ``text``, what the last user message asks where None."""
    parameters = tool.function.parameters or {"type": "object", "properties": {}}
    schema = Schema(parameters)
    if task := TASKS.get(tool.function.name):
        given = _task_input(messages, parameters)
        claims = _said_claims(messages) if tool.function.name == "draft" and not given.blocks("source") else []
        return Call(tool.function.name, dumps(schema.fit({"claims": claims} if claims else task(given))))
    node, _ = schema.resolve(parameters)
    properties: dict[str, Any] = node.get("properties", {})
    wanted: list[str] = node.get("required") or list(properties)[:1]
    text = _asked(messages) if text is None else text
    spoken = {name: text for name in wanted if _takes_text(schema, properties.get(name, True), text)}
    return Call(tool.function.name, dumps(schema.fit(spoken)))


def closing_words(tools: Sequence[Tool], messages: Sequence[Message]) -> str:
    """Return what is said when every tool has been called."""
    since = messages[last_user(messages) + 1 :]
    offered = {tool.function.name for tool in tools}
    for result in reversed(list(_said(since))):
        if find_blocks(result.text, "source"):
            return drafted(_asked(messages), _sources(since), _parts(since)) or result.text[:QUOTED_CHARS]
        if any(_marked(result.text)) or (result.tool is None and result.text.strip()):
            return result.text[:QUOTED_CHARS]
        if result.tool in offered:
            return _from_results([r.text for r in _said(since) if r.tool in offered], _asked(messages))
    return NOTHING_FITS


def drafted(question: str, sources: Sequence[str], parts: Sequence[str] = ()) -> str:
    """Return the claims that the task ``draft`` makes of ``sources`` (and ``parts``), as text with their marks."""
    prompt = "\n".join([*sources, block("question", question), *parts])
    claims = TASKS["draft"](TaskInput([("user", prompt)], DRAFT_TOKENS, {}))["claims"]
    return " ".join(f"{claim['text']} [{', '.join(claim['marks'])}]" for claim in claims)


def last_user(messages: Sequence[Message]) -> int:
    """Return the place of the last user message, -1 where there is none."""
    return max((n for n, message in enumerate(messages) if message.role == "user"), default=-1)


def last_user_text(messages: Sequence[Message]) -> str:
    """Return the last user message's text, '' where there is none."""
    at = last_user(messages)
    return messages[at].text if at >= 0 else ""


def _asked(messages: Sequence[Message]) -> str:
    text = last_user_text(messages)
    return next((found.body for found in find_blocks(text, "question")), text)


def _left(tool: Tool, messages: Sequence[Message]) -> list[Call]:
    """The calls of ``tool`` that are still to be made: one, or one for each step of a plan."""
    since = messages[last_user(messages) + 1 :]
    made = [call for call in _calls(since) if call.function.name == tool.function.name]
    steps = _plan(since) if _properties(tool).get(PLANNED) is not None else []
    if not steps:
        return [] if made else [call_of(tool, messages)]
    done = [_argument(call) for call in made]
    return [call_of(tool, messages, step) for step in steps if step not in done]


def _properties(tool: Tool) -> dict[str, Any]:
    return (tool.function.parameters or {}).get("properties") or {}


def _argument(call: CalledTool) -> object:
    """The value of a call's parameter ``query``."""
    given: object = call.function.arguments
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            return None
    return cast("dict[str, object]", given).get(PLANNED) if isinstance(given, dict) else None


def _plan(messages: Sequence[Message]) -> list[str]:
    """The steps that were said last; what sources hold is no plan."""
    for result in reversed(list(_said(messages))):
        if steps := _STEP.findall(_outside_sources(result.text)):
            return [step.strip() for step in steps]
    return []


def _needless(messages: Sequence[Message]) -> set[str]:
    """The names of the tools of which it was said that they are not needed."""
    names: set[str] = set()
    for result in _said(messages):
        if not result.tool or result.tool in TASKS:
            unmarked = _MARK.split(_outside_sources(result.text))[-1]
            names.update(_NEEDLESS.findall(unmarked))
    return names


def _outside_sources(text: str) -> str:
    return "\n".join(text[start:end] for start, end in stretches(text, but="source"))


def _takes_text(schema: Schema, node: Any, text: str) -> bool:  # noqa: ANN401 - a schema's node
    """Whether a parameter is free text: any words are valid, a number is not."""
    return bool(text) and schema.accepts("any other words", node) and not schema.accepts(0, node)


def _task_input(messages: Sequence[Message], schema: dict[str, Any]) -> TaskInput:
    """A task's input from a conversation with tools: the question, the plan's steps, and what was found."""
    since = messages[last_user(messages) + 1 :]
    given = [*_sources(since), block("question", _asked(messages)), *_parts(since)]
    return TaskInput([("user", "\n".join(given))], DRAFT_TOKENS, schema)


def _parts(messages: Sequence[Message]) -> list[str]:
    """The steps of a plan of several, as blocks."""
    steps = _plan(messages)
    return [block("part", step, id=f"q{n}") for n, step in enumerate(steps, start=1)] if len(steps) > 1 else []


def _sources(messages: Sequence[Message]) -> list[str]:
    """The source blocks that tools gave, each once."""
    given = {
        found.attrs.get("id", ""): block("source", found.body, **found.attrs)
        for result in _said(messages)
        for found in find_blocks(result.text, "source")
    }
    return list(given.values())


def _said_claims(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The words with marks that were said since the last user message, each once."""
    said = (m for result in _said(messages[last_user(messages) + 1 :]) for m in _marked(result.text))
    marks = {words: marks.replace(" ", "").split(",") for words, marks in said}
    return [{"text": words, "marks": own, "quotes": []} for words, own in marks.items()]


def _marked(text: str) -> Iterator[tuple[str, str]]:
    """Yield the words before each mark, back to the mark before, and what stands in the mark."""
    at = 0
    for mark in _MARK.finditer(text):
        if words := text[at : mark.start()].strip():
            yield words, mark[1]
        at = mark.end()


def _from_results(results: Sequence[str], question: str) -> str:
    """What tools gave, as it is; sentences picked from it where it is long."""
    results = [text for text in results if text.strip()]
    if sum(map(len, results)) <= LONG_CHARS:
        return "\n".join(results) or NOTHING_FITS
    sources = [block("source", text, id=f"E{n}", doc=f"result {n}") for n, text in enumerate(results, start=1)]
    return drafted(question, sources) or "\n".join(results)[:QUOTED_CHARS]


def _said(messages: Sequence[Message]) -> Iterator[_Result]:
    """What tools gave and assistants said, in order; what stands beside calls is no word of its own."""
    names: list[str] = []
    for message in messages:
        if message.role == "tool":
            yield _Result(names.pop(0) if names else "", message.text)
        elif message.tool_calls:
            names = [call.function.name for call in message.tool_calls]
        elif message.role == "assistant":
            yield _Result(None, message.text)


def _calls(messages: Sequence[Message]) -> Iterator[CalledTool]:
    return (call for message in messages for call in message.tool_calls or ())
