"""Asking for a value: what goes out, which hostile replies are read, and what a repair says."""

import json
from typing import Any, Literal

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.language_models import BaseChatModel, FakeMessagesListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, InvalidToolCall, SystemMessage
from langchain_core.outputs import ChatResult
from pydantic import BaseModel, Field

from infra.errors import BackendError, BudgetExceeded
from infra.llm.ask import Asker, Reply, UnreadableReply, response_format
from infra.llm.budget import Budget, Limits
from tests.fakes import Said
from tests.infra.llm.bench import bench

PROMPT = [SystemMessage("be true"), HumanMessage("<question>\nwho?\n</question>\n\nAnswer.")]
GOOD = '{"kind": "lookup", "note": "n"}'
NO_JSON = "the reply held no JSON object"


class Choice(BaseModel):
    """What was chosen."""

    kind: Literal["direct", "lookup"]
    note: str = Field(default="", description="anything")


class Keeps(FakeMessagesListChatModel):
    """Keeps what it is asked."""

    asked: list[list[BaseMessage]] = []  # noqa: RUF012 - a pydantic field, copied for each instance

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self.asked.append(messages)
        return super()._generate(messages, *args, **kwargs)


def speaks(*said: AIMessage) -> BaseChatModel:
    """Return a model that says these messages in turn."""
    return FakeMessagesListChatModel(responses=list[BaseMessage](said))


def unread(args: str) -> InvalidToolCall:
    """Return a call that the client could not read."""
    return InvalidToolCall(type="invalid_tool_call", name="route", args=args, id="1", error="?")


async def choose(*script: Said | str) -> tuple[Reply[Choice], list[dict[str, Any]]]:
    b = bench(script)
    return await Asker(b.chat).ask(PROMPT, Choice, task="route"), b.server.chats


async def test_a_good_reply_takes_one_call_whose_schema_carries_the_task() -> None:
    reply, sent = await choose(GOOD)
    assert reply == Reply(Choice(kind="lookup", note="n"), repaired=False, raw=GOOD)
    (body,) = sent
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "route",
            "strict": True,
            "schema": {
                "title": "route",
                "description": "What was chosen.",
                "type": "object",
                "properties": {
                    "kind": {"enum": ["direct", "lookup"], "title": "Kind", "type": "string"},
                    "note": {"default": "", "description": "anything", "title": "Note", "type": "string"},
                },
                "required": ["kind"],
            },
        },
    }


@pytest.mark.parametrize(
    "raw",
    [
        f"Here you are: {GOOD} Bye.",
        f"```json\n{GOOD}\n```",
        '{"kind": "lookup", "note": "n", "extra": 3}',
        f'<tool_call>\n{{"name": "route", "arguments": {GOOD}}}\n</tool_call>',
    ],
)
async def test_wrapped_replies_are_read_without_a_second_call(raw: str) -> None:
    reply, sent = await choose(raw)
    assert (reply.value, reply.repaired, len(sent)) == (Choice(kind="lookup", note="n"), False, 1)


async def test_raw_control_characters_are_read_as_spaces() -> None:
    reply, _ = await choose('{"kind": "lookup", "note": "a\x07b\x00"}')
    assert (reply.value.note, reply.raw) == ("a b ", '{"kind": "lookup", "note": "a\x07b\x00"}')


async def test_a_tool_call_in_place_of_text_is_read() -> None:
    reply, _ = await choose(Said(tool_calls=[("route", {"kind": "direct"})]))
    assert reply.value == Choice(kind="direct")


async def test_a_cut_reply_that_still_holds_all_that_is_needed_counts_as_repaired() -> None:
    reply, sent = await choose(Said('{"kind": "lookup", "note": "half a sen', finish_reason="length"))
    assert (reply.value, reply.repaired, len(sent)) == (Choice(kind="lookup"), True, 1)


@pytest.mark.parametrize(
    ("raw", "told", "shown"),
    [
        ('{"kind": "maybe"}', "kind: Input should be 'direct' or 'lookup'", '{"kind": "maybe"}'),
        ('{"note": ["x"]}', "kind: Field required; note: Input should be a valid string", '{"note": ["x"]}'),
        ("[1]", "value: Input should be a valid dictionary or instance of Choice", "[1]"),
        ("I cannot.", "the reply held no JSON object", "I cannot."),
        ("", "the reply was empty", "(nothing)"),
        (
            Said('{"kind', finish_reason="length"),
            "the reply was cut off before its JSON was complete: be shorter",
            '{"kind',
        ),
        ("<source>\nx\n</source>", "the reply held no JSON object", "‹source> x ‹/source>"),
    ],
)
async def test_an_unreadable_reply_is_sent_back_once_with_what_is_wrong(raw: Said | str, told: str, shown: str) -> None:
    reply, sent = await choose(raw, GOOD)
    assert reply == Reply(Choice(kind="lookup", note="n"), repaired=True, raw=GOOD)
    assert [m["role"] for m in sent[1]["messages"]] == ["system", "user", "assistant", "user"]
    assert sent[1]["messages"][:2] == sent[0]["messages"]
    assert sent[1]["messages"][2]["content"] == shown
    assert sent[1]["messages"][3]["content"] == (
        f"That is not valid ({told}). Reply with one JSON object that fits the given schema and nothing else."
    )
    assert sent[1]["response_format"] == sent[0]["response_format"]


async def test_after_one_repair_it_is_unreadable() -> None:
    b = bench(["no", "\x1b[31mstill no"])
    with pytest.raises(UnreadableReply) as failed:
        await Asker(b.chat).ask(PROMPT, Choice, task="route")
    assert len(b.server.chats) == 2
    assert isinstance(failed.value, BackendError)
    assert (failed.value.task, failed.value.problem) == ("route", "the reply held no JSON object")
    assert str(failed.value) == (
        "the model's reply to 'route' could not be read, nor could its repair: the reply held no JSON object; "
        "a larger model or DOCMIND_BACKEND=engine may help"
    )


async def test_a_monstrous_reply_is_not_shown_back() -> None:
    _, sent = await choose("x" * 500_000, GOOD)
    assert "longer than 200,000 characters" in sent[1]["messages"][3]["content"]
    assert len(sent[1]["messages"][2]["content"]) <= 1_000


async def test_a_shorter_reply_can_be_asked_for() -> None:
    b = bench([GOOD])
    await Asker(b.chat).ask(PROMPT, Choice, task="route", max_tokens=40)
    assert b.server.chats[0]["max_tokens"] == 40


async def test_budget_and_server_errors_pass_through() -> None:
    with pytest.raises(BackendError, match="answered 400: no"):
        await choose(Said("no", status=400))
    poor = bench(["no", GOOD], budget=Budget(Limits(question_tokens=9_000, question_calls=1)))
    with pytest.raises(BudgetExceeded, match="DOCMIND_BUDGET__QUESTION_CALLS"):
        await Asker(poor.chat).ask(PROMPT, Choice, task="route")


@pytest.mark.parametrize("task", ["", "two words", "x" * 65, "1st", "a\nb"])
def test_a_task_has_a_plain_name(task: str) -> None:
    with pytest.raises(ValueError, match="is no task name"):
        response_format(Choice, task)


async def test_rules_stand_in_after_one_repair_and_everything_is_told() -> None:
    b, rules = bench(["no", "still no"]), bench([GOOD])
    told: list[tuple[str, str]] = []
    reply = await Asker(b.chat, rules.chat, lambda *remark: told.append(remark)).ask(PROMPT, Choice, task="route")
    assert (reply.value, reply.source, reply.repaired) == (Choice(kind="lookup", note="n"), "rules", False)
    assert rules.server.chats[0]["messages"] == b.server.chats[0]["messages"]
    assert told == [("repair", f"route: {NO_JSON}"), ("fallback", f"route: {NO_JSON}")]


async def test_where_rules_may_not_decide_they_are_not_asked() -> None:
    b, rules = bench(["no", "no"]), bench([GOOD])
    with pytest.raises(UnreadableReply):
        await Asker(b.chat, rules.chat).without_rules().ask(PROMPT, Choice, task="route")
    assert rules.server.chats == []


async def test_rules_that_cannot_be_read_either_end_in_the_models_error() -> None:
    b, rules = bench(["no", "no"]), bench(["{}"])
    with pytest.raises(UnreadableReply, match=NO_JSON):
        await Asker(b.chat, rules.chat).ask(PROMPT, Choice, task="route")


@pytest.mark.parametrize(
    "raw",
    [
        f'<think>Is it {{}}? Or {{"kind": "direct"}}?</think>\n{GOOD}',
        f"<think>no end, but then {GOOD}",
        '<tool_call>{"name": "route", "arguments": "{\\"kind\\": \\"lookup\\", \\"note\\": \\"n\\"}"}</tool_call>',
        f'{{"title": "route", "type": "object"}} {GOOD}',
        f"[1, 2] {GOOD}",
    ],
    ids=["a thought before", "a thought without an end", "arguments as text", "the schema first", "a list first"],
)
async def test_what_stands_before_the_value_is_passed_over(raw: str) -> None:
    reply, sent = await choose(raw)
    assert (reply.value, len(sent)) == (Choice(kind="lookup", note="n"), 1)


@pytest.mark.parametrize(
    "said",
    [
        AIMessage([{"type": "text", "text": GOOD[:12]}, {"type": "image", "url": "x"}, GOOD[12:]]),
        AIMessage("", invalid_tool_calls=[unread(f"so: {GOOD}")]),
        AIMessage("?", tool_calls=[{"name": "f", "args": {"kind": "lookup", "note": "n"}, "id": "1"}]),
        AIMessage(GOOD, tool_calls=[{"name": "f", "args": {"kind": "neither"}, "id": "1"}]),
    ],
    ids=["a list of parts", "a call the client could not read", "a call and words", "a wrong call and good words"],
)
async def test_the_value_is_read_wherever_it_stands_in_the_message(said: AIMessage) -> None:
    reply = await Asker(speaks(said)).ask(PROMPT, Choice, task="route")
    assert (reply.value, reply.repaired) == (Choice(kind="lookup", note="n"), False)


async def test_a_call_that_was_cut_is_read_up_to_there() -> None:
    cut = AIMessage("", invalid_tool_calls=[unread('{"kind": "lookup", "note": "n", "x": "cu')])
    reply = await Asker(speaks(cut)).ask(PROMPT, Choice, task="route")
    assert (reply.value, reply.repaired) == (Choice(kind="lookup", note="n"), True)


async def test_a_schema_sent_back_in_place_of_a_value_is_refused() -> None:
    echoed = json.dumps(response_format(Choice, "route")["json_schema"]["schema"])
    reply, sent = await choose(echoed, GOOD)
    assert (reply.repaired, len(sent)) == (True, 2)


async def test_a_call_that_cannot_be_read_is_shown_back() -> None:
    chat = Keeps(responses=[AIMessage("", invalid_tool_calls=[unread("{kind: \ud800 lookup")]), AIMessage(GOOD)])
    assert (await Asker(chat).ask(PROMPT, Choice, task="route")).repaired
    assert chat.asked[1][-2].text == "{kind: lookup"
    assert f"({NO_JSON})" in chat.asked[1][-1].text


@pytest.mark.parametrize("said", ["no", Said("no", status=400), Said(error=httpx2.ConnectError("no"))])
async def test_rules_that_fail_leave_the_reply_unreadable(said: Said | str) -> None:
    failing = bench(lambda _: said)
    with pytest.raises(UnreadableReply, match=NO_JSON):
        await Asker(bench(["no", "no"]).chat, failing.chat).ask(PROMPT, Choice, task="route")


async def test_rules_whose_window_is_too_small_leave_the_reply_unreadable() -> None:
    narrow = bench([GOOD], window=64)
    with pytest.raises(UnreadableReply) as failed:
        await Asker(bench(["no", "no"]).chat, narrow.chat).ask(PROMPT, Choice, task="route")
    assert isinstance(failed.value.__cause__, BudgetExceeded)


async def test_what_needs_no_repair_is_not_remarked_on_and_asks_no_rules() -> None:
    rules, told = bench([]), list[tuple[str, str]]()
    asker = Asker(bench([GOOD]).chat, rules.chat, lambda *remark: told.append(remark))
    assert (await asker.ask(PROMPT, Choice, task="route")).source == "model"
    assert (told, rules.server.chats) == ([], [])


async def test_a_remark_is_one_short_line_whatever_the_model_said() -> None:
    told: list[tuple[str, str]] = []
    hostile = json.dumps({"kind": "x\n\x1b[31m" * 5_000, "note": ["\u2028"] * 5_000})
    with pytest.raises(UnreadableReply):
        await Asker(speaks(AIMessage(hostile)), None, lambda *remark: told.append(remark)).ask(
            PROMPT, Choice, task="route"
        )
    assert [kind for kind, _ in told] == ["repair", "fallback"]
    assert all(detail.isprintable() and len(detail) <= 310 for _, detail in told)


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=[]), max_size=200), st.booleans())
async def test_any_reply_is_read_or_refused(said: str, called: bool) -> None:
    message = AIMessage("", invalid_tool_calls=[unread(said)]) if called else AIMessage(said)
    with pytest.raises(UnreadableReply):
        await Asker(speaks(message)).ask(PROMPT, Choice, task="route")


async def test_a_lone_surrogate_in_a_value_becomes_a_question_mark() -> None:
    reply, _ = await choose('{"kind": "lookup", "note": "a\\ud800b"}')
    assert reply.value.note == "a?b"


async def test_the_repair_of_a_streamed_answer_is_read_the_same() -> None:
    b = bench(["no", GOOD])
    streaming = b.chat.model_copy(update={"streaming": True})
    reply = await Asker(streaming).ask(PROMPT, Choice, task="route")
    assert (reply.value, reply.repaired) == (Choice(kind="lookup", note="n"), True)
    assert all(body["stream"] for body in b.server.chats)
    assert AIMessage(reply.raw).text.strip() == GOOD
