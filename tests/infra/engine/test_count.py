"""Token counts are exact: what ``/tokenize`` counts is what a call uses, whatever stands in it."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from infra.engine.tokenizer import IM_END, IM_START, TOKEN_BYTES, decode, encode, token_text
from tests.infra.engine.desk import HELLO, ask, chat, make_engine, tool

ENGINE = make_engine(context_window=1_048_576)

_TEXTS = st.one_of(
    st.text(max_size=60),
    st.text(alphabet=st.characters(categories=["Cc", "Cf", "Zs"]), max_size=20),
    st.sampled_from(
        [
            "",
            " ",
            "\0",
            "👩‍👩‍👧‍👦🇫🇷",
            "שלום עולם",
            "مرحبا",
            "e\u0301",
            "<|im_end|>",
            "</tool_call>",
            "\u202etxt",
            "日本語" * 9,
        ]
    ),
).filter(lambda text: not any("\ud800" <= char <= "\udfff" for char in text))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXTS, lambda inner: st.lists(inner, max_size=2), max_leaves=4
)


def _call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}


def _part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def _called(content: str | None, calls: list[dict[str, Any]]) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": calls}


def _result(content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "c", "content": content}


def _offered(number: int, text: str) -> dict[str, Any]:
    return tool(f"t{number}", description=text)


_ARGUMENTS = st.one_of(st.dictionaries(_TEXTS, _VALUES, max_size=2).map(json.dumps), _TEXTS)
_CALLS = st.lists(st.builds(_call, _TEXTS, _ARGUMENTS), max_size=3)
_PARTS = st.lists(st.builds(_part, _TEXTS), max_size=3)
_MESSAGES = st.one_of(
    st.builds(_said, st.sampled_from(["user", "system", "odd"]), _TEXTS | _PARTS),
    st.builds(_called, st.none() | _TEXTS, _CALLS),
    st.builds(_result, _TEXTS),
)
_TOOLS = st.lists(st.builds(_offered, st.integers(0, 99), _TEXTS), max_size=8)


@settings(max_examples=50)
@given(st.lists(_MESSAGES, min_size=1, max_size=5), _TOOLS)
@example([{"role": "user", "content": ""}], [])
@example([{"role": "assistant", "tool_calls": None}], [tool("t", description=None)])
def test_what_is_counted_is_what_is_used(messages: list[dict[str, Any]], tools: list[dict[str, Any]]):
    offered = {"tools": tools} if tools else {}
    counted = ask(ENGINE, "/tokenize", {"messages": messages, **offered}).json
    used = chat(ENGINE, messages, max_tokens=1, **offered).usage
    assert counted["count"] == len(counted["tokens"]) == used["prompt_tokens"]
    assert used["completion_tokens"] == 1


@settings(max_examples=50)
@given(_TEXTS)
def test_tokens_put_together_are_the_text(text: str):
    ids = encode(text)
    assert decode(ids) == "".join(map(token_text, ids)) == text
    assert all(1 <= len(token_text(token).encode()) <= TOKEN_BYTES for token in ids)
    assert IM_START not in ids
    assert IM_END not in ids


@settings(max_examples=30)
@given(st.lists(_MESSAGES, min_size=1, max_size=3), _MESSAGES)
def test_a_message_more_never_changes_the_count_of_the_others(messages: list[dict[str, Any]], more: dict[str, Any]):
    def count(given: list[dict[str, Any]]) -> int:
        return ask(ENGINE, "/tokenize", {"messages": given, "add_generation_prompt": False}).json["count"]

    start = {"role": "system", "content": "x"}
    assert count([start, *messages, more]) == count([start, *messages]) + count([start, more]) - count([start])


def test_english_prose_takes_about_four_characters_a_token():
    text = "The server keeps the keys and values of every token it has seen, so that nothing is computed twice. " * 20
    assert 3.5 < len(text) / len(encode(text)) < 5.0


def test_a_text_cannot_forge_the_end_of_a_message():
    forged = ask(ENGINE, "/tokenize", {"prompt": "<|im_end|>"}).json["tokens"]
    assert IM_END not in forged
    assert decode(forged) == "<|im_end|>"


def test_counting_is_not_limited_by_the_window():
    small = make_engine(context_window=512)
    counted = ask(small, "/tokenize", {"prompt": "a" + " a" * 999}).json
    assert (counted["count"], counted["max_model_len"]) == (1_000, 512)


def test_token_strings_come_where_asked_for():
    counted = ask(ENGINE, "/tokenize", {"prompt": "so it is", "return_token_strs": True}).json
    assert counted["token_strs"] == ["so", " it", " is"]
    assert ask(ENGINE, "/tokenize", {"prompt": "so"}).json["token_strs"] is None


def test_tokens_turn_back_into_the_prompt():
    tokens = ask(ENGINE, "/tokenize", {"messages": HELLO}).json["tokens"]
    prompt = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    assert ask(ENGINE, "/detokenize", {"tokens": tokens}).json == {"prompt": prompt}


@pytest.mark.parametrize("token", [0, 3, 255, 2**56 + 5, 2**62])
def test_a_number_that_is_no_token_stands_for_nothing(token: int):
    assert token_text(token) == ""


def test_a_count_without_prompt_and_messages_is_refused():
    reply = ask(ENGINE, "/tokenize", {})
    assert (reply.status, reply.json["error"]["param"]) == (400, "body.prompt")


def test_a_call_in_the_history_counts_the_same_as_text_and_as_object():
    def counted(arguments: Any) -> int:
        call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": arguments}}
        return ask(ENGINE, "/tokenize", {"messages": [{"role": "assistant", "tool_calls": [call]}]}).json["count"]

    assert counted('{"q": 1}') == counted({"q": 1})
    assert counted("not JSON") == counted("[1]") == counted(None) == counted({})


def test_the_prompt_shows_tools_calls_and_results_as_a_model_is_shown_them():
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"q":"é"}'}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
    ]
    tokens = ask(ENGINE, "/tokenize", {"messages": messages, "tools": [tool("look", {"type": "object"})]}).json[
        "tokens"
    ]
    prompt = ask(ENGINE, "/detokenize", {"tokens": tokens}).json["prompt"]
    assert prompt.startswith("<|im_start|>system\nBe brief.\n\n# Tools\n")
    signature = '{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}'
    assert f"<tools>\n{signature}\n</tools>" in prompt
    assert prompt.endswith(
        '<|im_start|>assistant\n<tool_call>\n{"name": "look", "arguments": {"q": "é"}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\n42\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )
