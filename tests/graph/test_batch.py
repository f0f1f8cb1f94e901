"""Many questions: lines in, lines out, whatever happens to one of them."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from graph.batch import Batch, Line, read_questions, run_batch
from graph.session import Ask
from infra.errors import BackendUnavailable, ConfigurationError, QuestionError, StoreError

LINES = [Line("a", "Who?"), Line("b", ""), Line("c", "When?")]


class SmallSession:
    """Answers at once; an empty question is refused, "down" finds no server."""

    def __init__(self) -> None:
        self.console = Console(file=StringIO())
        self.asked: list[Ask] = []

    async def ask(self, ask: Ask) -> dict[str, Any]:
        self.asked.append(ask)
        if not ask.text:
            raise QuestionError("The question is empty")
        if ask.text == "down":
            raise BackendUnavailable("nobody answers")
        if ask.text == "defect":
            raise KeyError("a defect of ours")
        return {"question": ask.text, "answer": f"{ask.text}!"}


def written(path: Path) -> list[dict[str, Any]]:
    return sorted((json.loads(line) for line in path.read_text().splitlines()), key=lambda line: line["id"])


async def test_every_question_gets_a_line_and_failed_ones_say_why(tmp_path: Path) -> None:
    session, out = SmallSession(), tmp_path / "out.jsonl"
    failed = await run_batch(session, Batch(LINES, ["/docs"], out, concurrency=2))
    assert failed == 1
    assert written(out) == [
        {"id": "a", "question": "Who?", "answer": "Who?!"},
        {"id": "b", "question": "", "error": "The question is empty"},
        {"id": "c", "question": "When?", "answer": "When?!"},
    ]
    assert {ask.roots[0] for ask in session.asked if ask.roots} == {"/docs"}


async def test_a_defect_that_one_question_meets_costs_the_others_nothing(tmp_path: Path) -> None:
    lines, out = [Line("a", "defect"), Line("b", "When?")], tmp_path / "out.jsonl"
    assert await run_batch(SmallSession(), Batch(lines, None, out)) == 1
    assert written(out) == [
        {"id": "a", "question": "defect", "error": "internal error: KeyError"},
        {"id": "b", "question": "When?", "answer": "When?!"},
    ]


async def test_a_file_that_is_no_text_is_not_resumed(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_bytes(b"\xff\xfe{}")
    with pytest.raises(ConfigurationError, match="does not hold answers to resume"):
        await run_batch(SmallSession(), Batch(LINES, None, out, resume=True))
    assert out.read_bytes() == b"\xff\xfe{}"


async def test_resuming_keeps_what_was_answered_and_asks_the_rest_again(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text(
        '{"id": "a", "answer": "kept"}\n{"id": "c", "error": "was down"}\n{"id": "b", "ans', encoding="utf-8"
    )
    session = SmallSession()
    assert await run_batch(session, Batch(LINES, None, out, resume=True)) == 1
    assert [ask.text for ask in session.asked] == ["", "When?"]
    assert written(out)[0] == {"id": "a", "answer": "kept"}
    assert len(written(out)) == 3


async def test_a_place_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"--out .*missing"):
        await run_batch(SmallSession(), Batch(LINES, None, tmp_path / "missing" / "x"))


def test_questions_are_read_by_line_and_blank_lines_skipped(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"id": 1, "question": "Who?"}\n\n{"id": "2", "question": "When?"}\n', encoding="utf-8-sig")
    assert read_questions(file) == [Line(1, "Who?"), Line("2", "When?")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": 1, "question": "Who?"}\nnonsense\n', r'line 2: not a \{"id", "question"\} object'),
        ('["id"]\n', "line 1: not a"),
        ('{"id": 1}\n', "line 1: not a"),
        ('{"id": 1, "question": 5}\n', "line 1: not a"),
        ('{"id": 1, "question": "a"}\n{"id": 1, "question": "b"}\n', "two lines have the same id"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        read_questions(file)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"q\.jsonl"):
        read_questions(tmp_path / "q.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ConfigurationError, match=r"latin\.jsonl"):
        read_questions(tmp_path / "latin.jsonl")


async def test_an_answer_with_a_line_separator_in_it_stays_one_line_when_resumed(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text('{"id": "a", "answer": "one\u2028two"}\n5\n', encoding="utf-8")
    session = SmallSession()
    await run_batch(session, Batch([Line("a", "Who?"), Line("c", "When?")], None, out, resume=True))
    assert [ask.text for ask in session.asked] == ["When?"]
    assert '"one\u2028two"' in out.read_text(encoding="utf-8")
