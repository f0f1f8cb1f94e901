"""What is taken and what is refused: vLLM's status codes and bodies, to the letter.

Three of vLLM's refusals cannot happen: the engine has no queue to fill (503), no key (401) and always takes tools.
"""

from typing import Any

import pytest

from infra.engine.exchange import MAX_BODY_BYTES
from infra.engine.protocol import MODEL_ID
from tests.infra.engine.desk import CHAT, HELLO, ask, chat, make_engine, tool

WINDOW = 512
USER = {"role": "user", "content": "hello"}


def error(message: str, param: str | None, kind: str = "BadRequestError", code: int = 400) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def words(tokens: int) -> list[dict[str, Any]]:
    """A prompt of that many tokens: 9 for the template, 1 a word."""
    return [{"role": "user", "content": "a" + " a" * (tokens - 10)}]


def test_a_prompt_over_the_window_is_refused_with_its_size():
    reply = chat(make_engine(context_window=WINDOW), words(WINDOW + 1))
    message = (
        "This model's maximum context length is 512 tokens. However, your prompt contains at least 513 input tokens, "
        "which exceeds this limit even without any output tokens. Please reduce the length of the input prompt. "
        "(parameter=input_tokens, value=513)"
    )
    assert (reply.status, reply.json) == (400, error(message, "input_tokens"))


def test_a_prompt_far_over_the_window_is_refused_by_its_characters():
    reply = chat(make_engine(context_window=WINDOW), [{"role": "user", "content": "a" * 5_000}])
    message = (
        "This model's maximum context length is 512 tokens. However, your prompt contains 5050 characters (more than "
        "3072 characters, which is the upper bound for 512 input tokens). Please reduce the length of the input "
        "prompt. (parameter=input_text, value=5050)"
    )
    assert (reply.status, reply.json) == (400, error(message, "input_text"))


def test_a_prompt_that_fills_the_window_leaves_no_room_for_a_reply():
    reply = chat(make_engine(context_window=WINDOW), words(WINDOW))
    message = "max_tokens must be at least 1, got 0. (parameter=max_tokens, value=0)"
    assert (reply.status, reply.json) == (400, error(message, "max_tokens"))


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_output_over_the_window_is_refused(name: str):
    reply = chat(make_engine(context_window=WINDOW), **{name: 5_000})
    message = (
        f"{name}=5000 cannot be greater than max_model_len=512. Please request fewer output tokens. "
        f"(parameter={name}, value=5000)"
    )
    assert (reply.status, reply.json) == (400, error(message, name))


def test_prompt_and_output_over_the_window_are_shortened_silently():
    reply = chat(make_engine(context_window=WINDOW), words(WINDOW - 3), max_tokens=WINDOW)
    assert (reply.status, reply.json["choices"][0]["finish_reason"]) == (200, "length")
    assert reply.usage["total_tokens"] == WINDOW


@pytest.mark.parametrize("path", [CHAT, "/tokenize", "/detokenize"])
def test_an_unknown_model_is_not_found(path: str):
    reply = ask(make_engine(), path, {"messages": HELLO, "tokens": [1], "model": "nope"})
    message = f"The model `nope` does not exist. Valid aliases: {MODEL_ID}."
    assert (reply.status, reply.json) == (404, error(message, "model", "NotFoundError", 404))


def test_the_answer_names_the_engine():
    assert chat(make_engine(), model=MODEL_ID).json["model"] == MODEL_ID


def test_unknown_fields_are_accepted_and_do_nothing():
    reply = chat(make_engine(), guided_choice=["yes"], guided_json={"type": "object"}, seed=1)
    assert (reply.status, reply.message["content"]) == (200, chat(make_engine()).message["content"])


REFUSED: list[tuple[dict[str, Any], str, str | None]] = [
    (
        {"stream_options": {"include_usage": True}},
        "Stream options can only be defined when `stream=True`.",
        "stream_options",
    ),
    (
        {"response_format": {"type": "json_schema"}},
        "When response_format type is 'json_schema', the 'json_schema' field must be provided.",
        "response_format",
    ),
    (
        {"tools": []},
        "`tools` must not be an empty array. Either provide at least one tool or omit the field entirely.",
        "tools",
    ),
    ({"tool_choice": "auto"}, "When using `tool_choice`, `tools` must be set.", "tool_choice"),
    (
        {"tool_choice": "often", "tools": [tool("look")]},
        'Invalid value for `tool_choice`: often! Only named tools, "none", "auto" or "required" are supported.',
        "tool_choice",
    ),
    (
        {"tool_choice": {"type": "function", "function": {"name": "nope"}}, "tools": [tool("look")]},
        "The tool specified in `tool_choice` does not match any of the specified `tools`.",
        "tool_choice",
    ),
]


@pytest.mark.parametrize(("more", "message", "param"), REFUSED, ids=[str(param) for _, _, param in REFUSED])
def test_fields_that_contradict_each_other_are_refused(more: dict[str, Any], message: str, param: str):
    reply = chat(make_engine(), **more)
    assert (reply.status, reply.json) == (400, error(f"{message} (parameter={param})", param))


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("temperature", -1.0, "non-negative"),
        ("temperature", 2.5, "in [0, 2]"),
        ("temperature", float("inf"), "a finite number"),
        ("top_p", 0.0, "in (0, 1]"),
        ("n", 0, "at least 1"),
        ("n", 2, "1 when using greedy sampling"),
    ],
)
def test_sampling_that_could_not_be_done_is_refused(name: str, value: float, rule: str):
    reply = chat(make_engine(), **{name: value})
    message = f"{name} must be {rule}, got {value}. (parameter={name}, value={value})"
    assert (reply.status, reply.json) == (400, error(message, name))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"stop": ["x", ""]}, "stop cannot contain an empty string."),
        ({"messages": []}, "Cannot apply chat template to an empty conversation. Provide at least one message."),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            f"{MODEL_ID} is not a multimodal model",
        ),
        (
            {"messages": [{"role": "user", "content": "\ud800"}]},
            "The text holds a lone surrogate, which is no character.",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "You must use one kind of structured outputs constraint but none are specified.",
        ),
        (
            {"structured_outputs": {"regex": "a+"}},
            "The embedded engine takes the structured outputs 'json' and 'choice' (not empty) only.",
        ),
        (
            {"structured_outputs": {"json": {"type": "integer", "minimum": 2, "maximum": 1}}},
            "Grammar error: found no value that satisfies the schema",
        ),
        (
            {"structured_outputs": {"json": {"type": "nope"}}},
            "Grammar error: 'nope' is not valid under any of the given schemas",
        ),
    ],
)
def test_what_cannot_be_worked_on_is_refused(more: dict[str, Any], message: str):
    reply = ask(make_engine(), CHAT, {"messages": HELLO, **more})
    assert (reply.status, reply.json) == (400, error(message, None))


@pytest.mark.parametrize(
    ("body", "first", "param"),
    [
        (b"", "{'type': 'missing', 'loc': 'body', 'msg': 'Field required', 'input': 'None'}", "body"),
        (
            b"{}",
            "{'type': 'missing', 'loc': 'body.messages', 'msg': 'Field required', 'input': '<dict of 0 items>'}",
            "body.messages",
        ),
        (
            b'{"messages": "x"}',
            "{'type': 'list_type', 'loc': 'body.messages', 'msg': 'Input should be a valid list', 'input': 'x'}",
            "body.messages",
        ),
        (
            b'{"messages": [], "n": "' + b"x" * 300 + b'"}',
            "{'type': 'int_parsing', 'loc': 'body.n', 'msg': 'Input should be a valid integer, unable to parse "
            f"string as an integer', 'input': '{'x' * 200}...[truncated]'}}",
            "body.n",
        ),
        (
            b"{",
            "{'type': 'json_invalid', 'loc': 'body.1', 'msg': 'JSON decode error', 'input': '<dict of 0 items>', "
            "'ctx': {'error': 'Expecting property name enclosed in double quotes'}}",
            "body.1",
        ),
    ],
)
def test_a_body_without_the_shape_is_refused_with_the_place(body: bytes, first: str, param: str):
    reply = ask(make_engine(), CHAT, body)
    assert (reply.status, reply.json) == (400, error(f"1 validation error:\n  {first}", param, "Bad Request"))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"role": "user", "content": None}, "the content of a 'user' message must be text, got null"),
        ({"role": "user", "content": [{"type": "odd"}]}, "a part of type 'odd' must carry text"),
    ],
)
def test_a_message_without_words_is_refused(message: dict[str, Any], said: str):
    reply = chat(make_engine(), [message])
    assert (reply.status, said in reply.json["error"]["message"]) == (400, True)


def test_of_many_errors_ten_are_shown():
    reply = chat(make_engine(), [1] * 13)
    lines = reply.json["error"]["message"].splitlines()
    assert (lines[0], len(lines), lines[-1]) == ("13 validation errors:", 12, "  ...and 3 more errors")


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000], ids=["bytes", "nesting"])
def test_what_is_no_text_or_nested_without_end_gets_the_framework_s_body(body: bytes):
    reply = ask(make_engine(), CHAT, body)
    assert (reply.status, reply.json) == (400, {"detail": "There was an error parsing the body"})


def test_tools_nested_however_deep_are_taken_or_refused():
    engine, said = make_engine(), set[str]()
    for depth in range(500, 1_000):
        nested = b'{"a":' * depth + b"1" + b"}" * depth
        offered = b'{"type":"function","function":{"name":"a","parameters":' + nested + b"}}"
        reply = ask(engine, CHAT, b'{"messages":[{"role":"user","content":"hello"}],"tools":[' + offered + b"]}")
        said.add(reply.json.get("detail") or reply.json.get("error", {}).get("message") or "taken")
    assert said <= {"taken", "The request is nested too deeply.", "There was an error parsing the body"}
    assert "taken" in said


def test_a_body_of_another_type_is_refused():
    reply = ask(make_engine(), CHAT, {"messages": HELLO}, kind="text/plain")
    message = "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed"
    assert (reply.status, reply.json) == (400, error(message, None, "Bad Request"))


def test_a_body_over_the_bound_is_refused():
    reply = ask(make_engine(), CHAT, b" " * (MAX_BODY_BYTES + 1))
    message = "The request body is larger than 33554432 bytes."
    assert (reply.status, reply.json) == (413, error(message, None, "Request Entity Too Large", 413))


def test_an_unknown_path_is_not_found():
    reply = ask(make_engine(), "/v1/completions", {})
    assert (reply.status, reply.json) == (404, {"detail": "Not Found"})


def test_a_wrong_method_is_told_the_right_one():
    reply = ask(make_engine(), CHAT, method="GET")
    assert (reply.status, reply.json, reply.headers["allow"]) == (405, {"detail": "Method Not Allowed"}, "POST")


def test_the_model_list_says_the_window():
    reply = ask(make_engine(context_window=WINDOW), "/v1/models", method="GET")
    card = {
        "id": MODEL_ID,
        "object": "model",
        "created": 0,
        "owned_by": MODEL_ID,
        "root": MODEL_ID,
        "parent": None,
        "max_model_len": WINDOW,
    }
    assert (reply.status, reply.json) == (200, {"object": "list", "data": [card]})


def test_health_is_empty_and_the_version_names_the_engine():
    health = ask(make_engine(), "/health", method="GET")
    assert (health.status, health.content, health.headers) == (200, b"", {"content-length": "0"})
    assert ask(make_engine(), "/version", method="GET").json == {"version": f"{MODEL_ID}-1.0"}


def test_a_reply_is_cut_at_its_limit_and_at_a_stop_string():
    cut = chat(make_engine(), max_tokens=2).json["choices"][0]
    assert (cut["message"]["content"], cut["finish_reason"]) == ("I am", "length")
    stopped = chat(make_engine(), stop=[" have", " embedded"]).json["choices"][0]
    assert stopped["message"]["content"] == "I am DocMind's"
    assert (stopped["finish_reason"], stopped["stop_reason"]) == ("stop", " embedded")
    assert chat(make_engine(), stop=" embedded").json["choices"][0]["stop_reason"] == " embedded"


def test_parts_of_a_message_are_read_as_one_text():
    parts = [{"type": "text", "text": "hello"}, {"type": "text", "text": "you"}]
    split, whole = (
        chat(make_engine(), [{**USER, "content": parts}]),
        chat(make_engine(), [{**USER, "content": "hello\nyou"}]),
    )
    assert split.usage == whole.usage
