"""Tools: which one is called, with what, and that a stock agent comes to an end on it."""

import json
from typing import Any

import pytest
from langchain import agents
from langchain_core.tools import tool as as_tool

from infra.engine.reply import NOTHING_FITS, WHO_I_AM
from infra.text.blocks import block
from tests.infra.engine.desk import Reply, chat, chunks_of, events, make_engine, model, stream, tool

TOOLS = [tool("look"), tool("weigh"), tool("count")]
ASKED = [{"role": "user", "content": "How heavy is the moon?"}]
HEAVY = "The moon weighs 7.3e22 kilograms."


def called(reply: Reply) -> list[tuple[str, Any]]:
    calls = reply.message.get("tool_calls", [])
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]


def after(*names: str, result: str = HEAVY) -> list[dict[str, Any]]:
    """The conversation in which these tools were called and answered."""
    history: list[dict[str, Any]] = [*ASKED]
    for name in names:
        call = {"id": f"id-{name}", "type": "function", "function": {"name": name, "arguments": "{}"}}
        history.append({"role": "assistant", "content": None, "tool_calls": [call]})
        history.append({"role": "tool", "tool_call_id": f"id-{name}", "content": result})
    return history


QUESTION = {"query": "How heavy is the moon?"}


def test_the_first_tool_not_called_yet_is_called_with_the_user_s_words():
    engine = make_engine()
    assert called(chat(engine, ASKED, tools=TOOLS)) == [("look", QUESTION)]
    assert called(chat(engine, after("look"), tools=TOOLS, tool_choice="auto")) == [("weigh", QUESTION)]
    assert called(chat(engine, after("look", "count"), tools=TOOLS)) == [("weigh", QUESTION)]


def test_when_all_were_called_the_answer_is_made_of_their_results():
    reply = chat(make_engine(), after("look", "weigh", "count"), tools=TOOLS)
    assert called(reply) == []
    assert HEAVY in reply.message["content"]
    assert reply.json["choices"][0]["finish_reason"] == "stop"


def test_results_that_do_not_fit_are_given_as_they_are_and_none_at_all_is_said():
    engine = make_engine()
    assert chat(engine, after("look", result="zebra"), tools=TOOLS[:1]).message["content"] == "zebra"
    assert chat(engine, after("look", result=" "), tools=TOOLS[:1]).message["content"] == NOTHING_FITS


def test_a_new_question_makes_all_tools_uncalled_again():
    history = [*after("look", "weigh", "count"), {"role": "user", "content": "And the sun?"}]
    assert called(chat(make_engine(), history, tools=TOOLS)) == [("look", {"query": "And the sun?"})]


def test_none_calls_no_tool():
    reply = chat(make_engine(), ASKED, tools=TOOLS, tool_choice="none")
    assert (called(reply), reply.message["content"]) == ([], WHO_I_AM)


def test_required_calls_one_tool_even_when_all_were_called():
    engine = make_engine()
    first = chat(engine, ASKED, tools=TOOLS, tool_choice="required")
    assert (called(first), first.json["choices"][0]["finish_reason"]) == ([("look", QUESTION)], "tool_calls")
    again = chat(engine, after("look", "weigh", "count"), tools=TOOLS, tool_choice="required")
    assert called(again) == [("look", QUESTION)]


def test_a_named_tool_is_called_and_ends_with_stop():
    choice = {"type": "function", "function": {"name": "count"}}
    reply = chat(make_engine(), ASKED, tools=TOOLS, tool_choice=choice)
    assert (called(reply), reply.json["choices"][0]["finish_reason"]) == ([("count", QUESTION)], "stop")


@pytest.mark.parametrize(
    ("parallel", "names"),
    [(True, ["weigh", "count"]), (False, ["weigh"]), (None, ["weigh"])],
    ids=["true", "false", "unsaid"],
)
def test_several_are_called_only_where_parallel_calls_are_asked_for(parallel: bool | None, names: list[str]):
    more = {} if parallel is None else {"parallel_tool_calls": parallel}
    reply = chat(make_engine(), after("look"), tools=TOOLS, tool_choice="required", **more)
    assert [name for name, _ in called(reply)] == names


def test_arguments_fit_their_schema():
    parameters = {
        "type": "object",
        "properties": {
            "query": {"type": "string"},
            "count": {"type": "integer", "minimum": 2},
            "mode": {"enum": ["fast", "deep"]},
            "short": {"type": "string", "maxLength": 16},
            "spare": {"type": "string"},
        },
        "required": ["query", "count", "mode", "short"],
    }
    reply = chat(make_engine(), ASKED, tools=[tool("look", parameters)])
    wanted = {"query": "How heavy is the moon?", "count": 2, "mode": "fast", "short": "How heavy is the"}
    assert called(reply) == [("look", wanted)]


def test_without_required_parameters_the_first_takes_the_words():
    parameters = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    assert called(chat(make_engine(), ASKED, tools=[tool("look", parameters)])) == [
        ("look", {"a": "How heavy is the moon?"})
    ]


def test_a_tool_without_parameters_and_a_chat_without_user_get_empty_arguments():
    bare = {"type": "function", "function": {"name": "look"}}
    assert called(chat(make_engine(), ASKED, tools=[bare])) == [("look", {})]
    assert called(chat(make_engine(), [{"role": "system", "content": "Go."}], tools=TOOLS)) == [("look", {"query": ""})]


def test_a_call_that_is_cut_is_raw_text_and_no_call():
    reply = chat(make_engine(), ASKED, tools=TOOLS, tool_choice="required", parallel_tool_calls=True, max_tokens=20)
    choice = reply.json["choices"][0]
    assert (called(reply), choice["finish_reason"]) == ([], "length")
    assert choice["message"]["content"].startswith('<tool_call>\n{"name": "look", "arguments": {')


def test_a_streamed_call_that_is_cut_breaks_off():
    answer = stream(make_engine(), ASKED, tools=TOOLS, tool_choice="required", max_tokens=20)
    deltas = [event["choices"][0] for event in events(b"".join(chunk.data for chunk in chunks_of(answer)))]
    text = "".join(call["function"].get("arguments", "") for d in deltas for call in d["delta"].get("tool_calls", []))
    assert '{"query": "How heavy is the moon?"}'.startswith(text)
    assert (len(text) > 3, deltas[-1]["finish_reason"]) == (True, "length")


def test_a_schema_wins_over_tools_that_are_not_required():
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"const": 1}}}
    assert chat(make_engine(), ASKED, tools=TOOLS, response_format=form).message["content"] == "1"


def test_sources_and_long_texts_are_answered_from_word_for_word():
    engine = make_engine()
    source = block("source", f"{HEAVY} It has no air.", id="E7", doc="moon.md")
    source += "\n" + block("question", "How heavy is the moon?")
    assert chat(engine, [{"role": "user", "content": source}]).message["content"].startswith(f"{HEAVY} [E7]")
    long = f"{HEAVY} {'The tides follow it around the earth every day. ' * 12}\nHow heavy is the moon?"
    assert HEAVY in chat(engine, [{"role": "user", "content": long}]).message["content"]


def test_a_stock_agent_runs_to_its_end():
    asked: list[tuple[str, str]] = []

    @as_tool
    def look(query: str) -> str:
        """Look something up."""
        asked.append(("look", query))
        return HEAVY

    @as_tool
    def weigh(what: str, times: int) -> str:
        """Weigh something."""
        asked.append(("weigh", what))
        return f"{times} times"

    stock: Any = agents
    agent = stock.create_agent(model(make_engine()), [look, weigh])
    said = agent.invoke({"messages": ASKED}, {"recursion_limit": 10})["messages"]
    assert asked == [("look", "How heavy is the moon?"), ("weigh", "How heavy is the moon?")]
    assert HEAVY in said[-1].content
