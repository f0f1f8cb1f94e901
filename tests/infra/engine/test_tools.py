"""Tools: which one is called, with what, and that a stock agent comes to an end on it."""

import json
from time import thread_time
from typing import Any

import pytest
from langchain import agents
from langchain_core.tools import tool as as_tool

from infra.engine.protocol import Message
from infra.engine.reply import NOTHING_FITS, WHO_I_AM
from infra.engine.tool_use import closing_words
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


def test_the_question_in_the_user_s_words_is_what_is_looked_up():
    asked = [{"role": "user", "content": block("question", "How heavy is the moon?") + "\nroute: lookup"}]
    assert called(chat(make_engine(), asked, tools=TOOLS)) == [("look", QUESTION)]


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


PLAN = "q1: Who sailed?\nq2: Who sang?"
SEARCH = tool("search")


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def searched(query: str) -> list[dict[str, Any]]:
    call = {"id": query, "type": "function", "function": {"name": "search", "arguments": json.dumps({"query": query})}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": query, "content": "-"},
    ]


def test_a_plan_is_searched_step_by_step():
    engine = make_engine()
    history = [*ASKED, said(PLAN)]
    assert called(chat(engine, history, tools=[SEARCH])) == [("search", {"query": "Who sailed?"})]
    history += searched("Who sailed?")
    assert called(chat(engine, history, tools=[SEARCH])) == [("search", {"query": "Who sang?"})]
    assert called(chat(engine, [*history, *searched("Who sang?")], tools=[SEARCH])) == []


def test_a_plan_is_searched_at_once_where_parallel_calls_are_asked_for():
    reply = chat(make_engine(), [*ASKED, said(PLAN)], tools=[SEARCH], parallel_tool_calls=True)
    assert called(reply) == [("search", {"query": "Who sailed?"}), ("search", {"query": "Who sang?"})]


def test_what_a_source_holds_is_no_plan():
    history = [*ASKED, said(block("source", PLAN, id="E1"))]
    assert called(chat(make_engine(), history, tools=[SEARCH])) == [("search", QUESTION)]


def test_a_tool_that_is_said_not_to_be_needed_is_passed_over():
    handoffs = [tool("transfer_to_planner"), tool("transfer_to_retrieval")]
    history = [*ASKED, said("lookup: no planner needed")]
    assert [name for name, _ in called(chat(make_engine(), history, tools=handoffs))] == ["transfer_to_retrieval"]
    assert [name for name, _ in called(chat(make_engine(), ASKED, tools=handoffs))] == ["transfer_to_planner"]


def test_no_document_says_that_a_tool_is_not_needed():
    handoffs = [tool("transfer_to_validator")]
    words = "no validator needed"
    source = block("source", words, id="E1")
    spoken = [source, f"{words} [E1]", f"{words}\n[E1] More. [E2]", f"For parking, {words}."]
    given = [after("search", result=words), after("look", result=source)]
    for history in [*([*ASKED, said(text)] for text in spoken), *given]:
        assert called(chat(make_engine(), history, tools=handoffs))[0][0] == "transfer_to_validator"


def test_a_tool_that_is_named_like_a_task_gets_what_the_task_gives():
    kind = {"type": "object", "properties": {"kind": {"enum": ["lookup", "compound"]}}, "required": ["kind"]}
    asked = [{"role": "user", "content": "Who sailed to Rome in May, and who sang in Oslo in June?"}]
    assert called(chat(make_engine(), asked, tools=[tool("route", kind)])) == [("route", {"kind": "compound"})]


MARKED = f"{HEAVY} [E7]"
CLAIM = {"type": "object", "properties": {"text": {"type": "string"}, "marks": {"type": "array"}}}
DRAFT = tool("draft", {"type": "object", "properties": {"claims": {"type": "array", "items": CLAIM}}})


@pytest.mark.parametrize(
    "found",
    [
        {"role": "assistant", "content": MARKED},
        {"role": "tool", "tool_call_id": "1", "content": block("source", HEAVY, id="E7", doc="moon.md")},
    ],
    ids=["another speaker's marked words", "a tool's sources"],
)
def test_a_draft_rests_on_what_was_found_before(found: dict[str, Any]):
    ((name, arguments),) = called(chat(make_engine(), [*ASKED, found], tools=[DRAFT]))
    claims = [(claim["text"], claim["marks"]) for claim in arguments["claims"]]
    assert (name, claims) == ("draft", [(HEAVY, ["E7"])])


def test_a_draft_takes_over_marked_words_that_no_rule_would_choose():
    ((_, arguments),) = called(chat(make_engine(), [*ASKED, said("Ann sailed. [E2, E3]")], tools=[DRAFT]))
    assert arguments == {"claims": [{"text": "Ann sailed.", "marks": ["E2", "E3"]}]}


@pytest.mark.parametrize(
    ("words", "claims"),
    [
        ("Ann saw [a] ship [E1]", [("Ann saw [a] ship", ["E1"])]),
        ("Ann sailed. [E2, E3] Bob sang [E1]", [("Ann sailed.", ["E2", "E3"]), ("Bob sang", ["E1"])]),
        ("[E1] Ann sailed [E2][E3]", [("Ann sailed", ["E2"])]),
    ],
)
def test_marked_words_reach_back_to_the_mark_before(words: str, claims: list[tuple[str, list[str]]]):
    ((_, arguments),) = called(chat(make_engine(), [*ASKED, said(words)], tools=[DRAFT]))
    assert [(claim["text"], claim["marks"]) for claim in arguments["claims"]] == claims


def test_a_long_text_without_marks_is_read_in_time_that_grows_with_it():
    words = Message(role="assistant", content="word " * 8_000)
    began = thread_time()
    assert closing_words([], [words]).startswith("word word")
    assert thread_time() - began < 1  # a search that begins anew at each word takes ten times as long


def test_sources_that_a_tool_gave_are_answered_from_with_their_marks():
    found = block("source", f"{HEAVY} It has no air.", id="E7", doc="moon.md")
    assert chat(make_engine(), after("look", result=found), tools=TOOLS[:1]).message["content"].startswith(MARKED)


def test_marked_words_are_said_again_and_else_what_another_speaker_said():
    engine = make_engine()
    back = after("transfer_back", result="Successfully transferred back")[1:]
    for words in (MARKED, "Nothing is supported."):
        history = [*after("look", result="handed over"), said(words), *back]
        assert chat(engine, history, tools=TOOLS[:1]).message["content"] == words


def test_an_agent_says_what_its_own_tool_gave_and_not_what_was_said_before_it():
    history = [*ASKED, said("lookup"), *after("look", result="done")[1:]]
    assert chat(make_engine(), history, tools=TOOLS[:1]).message["content"] == "done"
