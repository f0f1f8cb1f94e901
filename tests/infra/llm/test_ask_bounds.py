"""A hostile reply costs a bounded number of validations and of worded faults."""

from typing import Annotated, Any, cast

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from pydantic import BaseModel, BeforeValidator, ValidationError

from infra.llm import ask
from infra.llm.ask import MAX_CALLS, MAX_WORDED_FAULTS
from infra.llm.parse import MAX_CHARS, MAX_VALUES

looked_at: list[object] = []


def looked(value: object) -> object:
    looked_at.append(value)
    return value


class Draft(BaseModel):
    """What was asked for."""

    sentences: list[Annotated[str, BeforeValidator(looked)]]


@pytest.fixture(autouse=True)
def worded(monkeypatch: pytest.MonkeyPatch) -> list[ValidationError]:
    """Begin to count anew; give the errors that were put in words."""
    looked_at.clear()
    errors: list[ValidationError] = []

    def problem(error: ValidationError, word: Any = ask._problem) -> str:
        errors.append(error)
        return word(error)

    monkeypatch.setattr(ask, "_problem", problem)
    return errors


def read(reply: BaseMessage) -> str:
    problem = ask._read(cast("AIMessage", reply), Draft)
    assert isinstance(problem, str)
    return problem


OBJECT = '{"sentences":['


@pytest.mark.parametrize("count", [500, 9_000, 19_000, 95_000])
@pytest.mark.parametrize("end", ["", "1]}", "1]}```"])
@pytest.mark.parametrize(("mark", "times"), [("", 1), ("", 20), ("```", 1), ("```", 20), ("<tool_call>", 20)])
def test_a_reply_of_very_many_faults_is_refused_after_bounded_work(
    worded: list[ValidationError], mark: str, times: int, end: str, count: int
) -> None:
    assert len(read(AIMessage(f"{mark}{OBJECT}{'1,' * (count // times)}{end}" * times))) <= ask.MAX_PROBLEM_CHARS
    assert len(looked_at) <= MAX_VALUES
    assert len(worded) <= 1


def test_many_faults_are_counted_and_some_are_quoted() -> None:
    assert (
        read(AIMessage(f"{OBJECT}{'1,' * MAX_WORDED_FAULTS}1]}}")) == "1,001 parts of the reply do not fit the schema"
    )
    quoted = "; ".join(f"sentences.{n}: Input should be a valid string" for n in range(ask.MAX_FAULTS))
    assert read(AIMessage(f"{OBJECT}{'1,' * (MAX_WORDED_FAULTS - 1)}1]}}")) == quoted


def test_the_faults_of_the_last_reading_only_are_worded(worded: list[ValidationError]) -> None:
    assert read(AIMessage('{"sentences": 1} {"sentences": [2]}')) == "sentences.0: Input should be a valid string"
    assert len(worded) == 1


def test_a_few_of_very_many_calls_are_read(worded: list[ValidationError]) -> None:
    calls = [{"name": "f", "args": {"sentences": [1]}, "id": "1"}] * 1_000
    unread = [{"type": "invalid_tool_call", "name": "f", "args": OBJECT + "1]}", "id": "1", "error": "?"}] * 1_000
    assert read(AIMessage("", tool_calls=calls)) == "sentences.0: Input should be a valid string"
    assert len(looked_at) == MAX_CALLS
    looked_at.clear()
    read(AIMessage("", invalid_tool_calls=cast("Any", unread)))
    assert len(looked_at) <= 2 * MAX_CALLS
    assert len(worded) == 2


def test_a_reply_that_is_too_long_is_not_read() -> None:
    assert "longer than" in read(AIMessage(OBJECT + '"a",' * (MAX_CHARS // 4)))
    assert looked_at == []
