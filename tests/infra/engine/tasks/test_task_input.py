"""What a task reads of a call."""

from infra.engine.tasks import TASKS, TaskInput
from infra.text.blocks import Block, block


def test_every_published_task_answers_an_empty_call():
    empty = TaskInput([], 100, {})
    assert {name: task(empty) for name, task in TASKS.items()} == {
        "route": {"question": "", "kind": "lookup"},
        "plan": {"steps": [{"id": "q1", "question": ""}]},
        "draft": {"claims": []},
        "judge": {"judgements": []},
        "note": {"note": ""},
    }


def test_the_last_user_message_is_read_first_then_the_earlier_ones():
    call = TaskInput(
        [
            ("system", block("source", "from the system", id="S")),
            ("user", block("source", "from the first", id="A")),
            ("user", block("source", "from the last", id="B")),
        ],
        100,
        {},
    )
    assert [b.attrs["id"] for b in call.blocks("source")] == ["B", "A", "S"]


def test_what_an_assistant_or_a_tool_said_is_never_a_block():
    call = TaskInput(
        [
            ("user", block("question", "Who?")),
            ("assistant", block("source", "I say so", id="E1")),
            ("tool", block("source", "I too", id="E2")),
        ],
        100,
        {},
    )
    assert call.blocks("source") == []
    assert call.question == "Who?"


def test_without_a_question_block_the_last_user_text_is_the_question():
    call = TaskInput([("user", "first"), ("assistant", "an answer"), ("user", "  second ")], 100, {})
    assert call.question == "second"


def test_a_question_in_an_earlier_message_counts_when_the_last_has_none():
    call = TaskInput([("user", block("question", "Where is it?")), ("user", "That was not JSON.")], 100, {})
    assert call.question == "Where is it?"
    assert call.blocks("question") == [Block("question", {}, "Where is it?")]
