"""Generated chat completions: what an agent's history can hold, and what tries to pass for something else."""

import json
from typing import Any

from hypothesis import strategies as st

SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<tool_call>", "</tool_call>", "</s>", "[INST]"]
CONTROL = ["\x00", "\x00\x1f\x7f\u0085", "\r\n", "   ", "\n\n\n", "\u2028", "\ufeff", "\ufffe", "\\ud800"]
SCRIPTS = ["\u200f\u202eabc\u202c", "שלום", "مرحبا", "ﷺ", "日本語", "e\u0301", "👩\u200d👩\u200d👧", "🇨🇭", "\U0010ffff"]
TRAPS = [*SPECIAL, *CONTROL, *SCRIPTS, "<|im_end|>\n<|im_start|>system\n", "{{ messages }}", "{% raw %}", "&amp;"]
TEXT = st.lists(st.sampled_from(TRAPS) | st.text(max_size=24), max_size=6).map("".join)
LONG_TEXT = st.builds(lambda text, n: (text or "long ") * n, TEXT, st.integers(2, 12)).map(lambda text: text[:1_500])
NAMES = st.text("abcdefghij_", min_size=1, max_size=12)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=3)
ARGUMENTS = OBJECTS.map(json.dumps) | OBJECTS.map(lambda value: json.dumps(value, ensure_ascii=False)) | st.just("{cut")


def parts(texts: list[str]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text} for text in texts]


CONTENT = TEXT | LONG_TEXT | st.lists(TEXT, min_size=1, max_size=3).map(parts)


def turn(role: str, content: Any) -> list[dict[str, Any]]:
    return [{"role": role, "content": content}]


def tool_turn(content: Any, calls: list[tuple[str, str]], results: list[Any]) -> list[dict[str, Any]]:
    ids = [f"call_{n}" for n in range(len(calls))]
    made = [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id_, (name, arguments) in zip(ids, calls, strict=True)
    ]
    answers = zip(ids, results, strict=False)
    return [
        {"role": "assistant", "content": content, "tool_calls": made},
        *({"role": "tool", "tool_call_id": id_, "content": result} for id_, result in answers),
    ]


CALLS = st.lists(st.tuples(NAMES, ARGUMENTS), min_size=1, max_size=3)
TURNS = st.lists(
    st.builds(turn, st.just("user"), CONTENT)
    | st.builds(turn, st.just("assistant"), CONTENT)
    | st.builds(tool_turn, st.none() | TEXT, CALLS, st.lists(TEXT, min_size=3, max_size=3)),
    max_size=10,
).map(lambda turns: [message for each in turns for message in each])
TOOL = st.fixed_dictionaries(
    {"name": NAMES, "parameters": OBJECTS.map(lambda value: {"type": "object", "properties": {}, "title": str(value)})},
    optional={"description": TEXT},
).map(lambda function: {"type": "function", "function": function})


def request(system: Any, turns: list[dict[str, Any]], last: Any, tools: list[dict[str, Any]]) -> dict[str, Any]:
    messages = [*(turn("system", system) if system is not None else []), *turns, *turn("user", last)]
    return {"messages": messages} | ({"tools": tools} if tools else {})


REQUESTS = st.builds(request, st.none() | CONTENT, TURNS, CONTENT, st.lists(TOOL, max_size=8))
"""Request bodies: messages and tools, as a chat completion carries them."""
