"""The guard when a server refuses a form: what is asked in words instead, and what is learned of its abilities."""

import json
from typing import Any

import pytest

from infra.errors import BackendError
from infra.llm.ask import response_format
from infra.llm.endpoint import Abilities
from infra.llm.failures import Failure
from infra.llm.stepdown import Form, refused_form
from tests.fakes import Said
from tests.infra.llm.bench import CITY, LOOK, SCHEMA, Bench, City, bench, look

REFUSED = Said("'response_format.type' must be 'text'", status=400)
FORM = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
COMPACT = json.dumps(SCHEMA, separators=(",", ":"))
WORDS = f"Reply with one JSON object that fits this JSON schema, and with nothing else:\n{COMPACT}"


@pytest.mark.parametrize("way", ["ainvoke", "invoke"])
async def test_a_refused_json_schema_is_asked_for_in_words(way: str) -> None:
    b = bench([REFUSED, CITY])
    asked: Any = b.chat.bind(response_format=FORM)
    messages = [("system", "Be true."), ("user", "q")]
    reply = await asked.ainvoke(messages) if way == "ainvoke" else asked.invoke(messages)
    assert reply.text == CITY
    first, second = b.server.chats
    assert first["response_format"] == FORM
    assert "response_format" not in second
    assert second["messages"] == [
        {"role": "system", "content": f"Be true.\n\n{WORDS}"},
        {"role": "user", "content": "q"},
    ]
    assert [(c.outcome, c.tries) for c in b.calls] == [("failed", 1), ("ok", 1)]
    assert b.calls[1].counted_tokens == b.calls[1].prompt_tokens > b.calls[0].counted_tokens
    (remark,) = b.ledger.remarks("q1")
    assert remark.kind == "step_down"
    assert remark.detail.startswith("vllm refuses json_schema and is asked in words: vllm at ")


async def test_what_was_refused_once_is_not_sent_again() -> None:
    b = bench([REFUSED, CITY, CITY])
    assert b.chat.abilities.json_schema is None
    for _ in range(2):
        assert await b.vendor.with_structured_output(City).ainvoke("q") == City(name="Paris")
    assert b.chat.abilities.json_schema is False
    assert ["response_format" in body for body in b.server.chats] == [True, False, False]
    assert b.server.chats[1]["messages"][0]["role"] == "system"
    assert len(b.ledger.remarks("q1")) == 1


async def test_a_prompt_that_is_too_long_is_not_taken_for_a_refused_form() -> None:
    said = "This model's maximum context length is 4096 tokens. However, your json_schema and tools contain 5000"
    b = bench([Said(said, status=400)])
    with pytest.raises(BackendError, match="maximum context length"):
        await b.chat.bind(response_format=FORM).ainvoke("q")
    assert b.chat.abilities == Abilities()


async def test_refused_tools_are_the_callers_to_decide_about() -> None:
    b = bench([Said("gemma:2b does not support tools", status=400)])
    with pytest.raises(BackendError, match="does not support tools"):
        await b.vendor.bind_tools([look]).ainvoke("q")
    assert b.chat.abilities.tools is False
    assert b.call.tries == 1


REFUSALS: list[tuple[str, int, list[Form], Form | None]] = [
    ('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set', 400, ["tools"], "tools"),
    ("registry.ollama.ai/library/gemma:2b does not support tools", 400, ["tools"], "tools"),
    ("tools param requires --jinja flag", 501, ["tools"], "tools"),
    ("Failed to parse grammar", 400, ["json_schema"], "json_schema"),
    ("The provided JSON schema contains features not supported by xgrammar.", 400, ["json_schema"], "json_schema"),
    ("Unsupported: response_format", 422, ["json_schema", "tools"], "json_schema"),
    ("Unsupported: response_format", 500, ["json_schema"], None),
    ("Unsupported: response_format", 400, [], None),
    ("max_tokens must be at least 1, got 0.", 400, ["json_schema", "tools"], None),
    ("Your prompt with tools exceeds the context size", 400, ["json_schema", "tools"], None),
    ("the request has 3 tools", 400, ["tools"], None),
]


@pytest.mark.parametrize(("message", "status", "carried", "form"), REFUSALS)
def test_servers_words_tell_which_form_they_refuse(
    message: str, status: int, carried: list[Form], form: Form | None
) -> None:
    assert refused_form(Failure("status", message, status), carried) == form


def test_only_a_refusal_refuses() -> None:
    assert refused_form(None, ["tools"]) is None
    assert refused_form(Failure("broken", "tools not supported"), ["tools"]) is None


async def use(b: Bench, *, form: Any = None, tools: bool = False) -> None:
    asked = b.vendor.bind_tools([look]) if tools else b.chat.bind(response_format=form) if form else b.chat
    await asked.ainvoke("q")


async def test_replies_show_what_a_server_can_do() -> None:
    two = Said(tool_calls=[("look", {"query": "x"}), ("look", {"query": "y"})])
    b = bench([Said("a", usage=False), "a", CITY, LOOK, two])
    seen: list[Abilities] = []
    for form, tools in (
        (None, False),
        (None, False),
        (response_format(City, "city"), False),
        (None, True),
        (None, True),
    ):
        await use(b, form=form, tools=tools)
        seen.append(b.chat.abilities)
    assert seen == [
        Abilities(),
        Abilities(cached_tokens=True),
        Abilities(cached_tokens=True, json_schema=True),
        Abilities(cached_tokens=True, json_schema=True, tools=True),
        Abilities(cached_tokens=True, json_schema=True, tools=True, parallel_calls=True),
    ]


@pytest.mark.parametrize("reply", ['{"name": 3}', "Paris", '{"name": "Par', ""])
async def test_a_reply_that_does_not_fit_shows_nothing(reply: str) -> None:
    b = bench([Said(reply, usage=False)])
    await use(b, form=FORM)
    assert b.chat.abilities == Abilities()


async def test_a_schema_that_is_none_shows_nothing_and_harms_nothing() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 3, "$ref": "#/nowhere"}}}
    b = bench([Said("{}", usage=False)])
    await use(b, form=form)
    assert b.chat.abilities == Abilities()
