"""The chat template: what messages and tools are in the prompt (ChatML, tools as Qwen's template shows them).

A prompt is a list of pieces: texts, and special tokens as numbers. Texts on both sides of a border are never tokenized
together, so a prompt's count is the sum of its messages' counts, and no text can forge a special token.
"""

import json
from collections.abc import Sequence
from typing import Any

from infra.engine.protocol import CalledTool, Message, Tool
from infra.engine.tokenizer import IM_END, IM_START, SPECIAL

Piece = str | int

CALL_OPEN = "<tool_call>\n"
CALL_CLOSE = "\n</tool_call>"

_TOOLS = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{signatures}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


def render(messages: Sequence[Message], tools: Sequence[Tool] | None, *, add_generation_prompt: bool) -> list[Piece]:
    """Return the prompt of a chat; tools stand at the end of the system message, which is added if there is none."""
    pieces: list[Piece] = []
    rest = list(messages)
    system = rest.pop(0).text if rest and rest[0].role == "system" else ""
    if tools:
        signatures = "\n".join(dumps(_signature(tool)) for tool in tools)
        system = "\n\n".join(text for text in (system, _TOOLS.format(signatures=signatures)) if text)
    if system or len(rest) < len(messages):
        pieces += _turn("system", system)
    for message in rest:
        pieces += _message(message)
    return [*pieces, IM_START, "assistant\n"] if add_generation_prompt else pieces


def prompt_chars(pieces: Sequence[Piece]) -> int:
    """Return the characters of the rendered prompt."""
    return sum(len(SPECIAL[piece] if isinstance(piece, int) else piece) for piece in pieces)


def call_text(name: str, arguments: str) -> tuple[str, str, str]:
    """Return a tool call as a model writes it, in three parts: up to the arguments, the arguments, the rest."""
    return f'{CALL_OPEN}{{"name": {dumps(name)}, "arguments": ', arguments, f"}}{CALL_CLOSE}"


def dumps(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return ``value`` as JSON text in the spelling prompts and replies use: characters as themselves."""
    return json.dumps(value, ensure_ascii=False)


def _signature(tool: Tool) -> dict[str, Any]:
    """The tool as it was offered, what was left out left out."""
    function = {name: value for name, value in tool.function if value is not None}
    return {"type": tool.type, "function": function}


def _message(message: Message) -> list[Piece]:
    if message.role == "tool":
        return _turn("user", f"<tool_response>\n{message.text}\n</tool_response>")
    calls = ["".join(call_text(call.function.name, _arguments(call))) for call in message.tool_calls or ()]
    return _turn(message.role, "\n".join(text for text in (message.text, *calls) if text))


def _arguments(call: CalledTool) -> str:
    """Arguments as the template shows them; as in vLLM, what is not a JSON object becomes an empty one."""
    given = call.function.arguments
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            given = None
    return dumps(given if isinstance(given, dict) else {})


def _turn(role: str, text: str) -> list[Piece]:
    return [IM_START, f"{role}\n", text, IM_END, "\n"]
