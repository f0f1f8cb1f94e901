"""Many questions in one process: read from lines, answered side by side, written as they are done."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

from loguru import logger
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import Progress, TaskID

from graph.session import Ask
from infra.errors import ConfigurationError, DocMindError, StoreError


class Asking(Protocol):
    """What a batch needs of a session."""

    @property
    def console(self) -> Console:
        """Where progress is shown."""
        ...

    async def ask(self, ask: Ask) -> dict[str, Any]:
        """Answer one question."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """One question of a file."""

    id: str | int
    question: str


_LINE = TypeAdapter(Line)


def read_questions(path: Path) -> list[Line]:
    """Read ``{"id", "question"}`` lines; blank lines are skipped.

    Raises:
        ConfigurationError: the file cannot be read, or a line is not such an object; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--questions {path}: {error}") from error
    found = [_line(path, number, text) for number, text in enumerate(lines, start=1) if text.strip()]
    if len({line.id for line in found}) != len(found):
        raise ConfigurationError(f"--questions {path}: two lines have the same id")
    return found


def _line(path: Path, number: int, text: str) -> Line:
    try:
        return _LINE.validate_json(text)
    except ValidationError as error:
        raise ConfigurationError(f'--questions {path}, line {number}: not a {{"id", "question"}} object') from error


@dataclass(frozen=True, slots=True)
class Batch:
    """Many questions.

    Attributes:
        questions: what is asked.
        roots: what to answer from; None: all.
        out: where the answers go.
        concurrency: questions worked on at once.
        resume: keep the answers that ``out`` already holds and do not ask them again; failed ones are asked again.
        cache: whether the answer cache may answer.
    """

    questions: Sequence[Line]
    roots: Sequence[str] | None
    out: Path
    concurrency: int = 4
    resume: bool = False
    cache: bool = True


async def run_batch(session: Asking, batch: Batch) -> int:
    """Answer the questions of ``batch``; returns how many failed (their lines carry ``error``)."""
    kept = _answered(batch.out) if batch.resume else {}
    left = [line for line in batch.questions if line.id not in kept]
    try:
        if kept:
            fresh = batch.out.resolve().with_name(f"{batch.out.name}.part")
            fresh.write_text("".join(f"{text}\n" for text in kept.values()), encoding="utf-8")
            fresh.replace(batch.out.resolve())  # a kill here leaves what was there before, or all of what is kept
        with batch.out.open("a" if kept else "w", encoding="utf-8") as file:
            return await _run(session, batch, left, file)
    except OSError as error:
        raise StoreError(f"--out {batch.out}: {error.strerror or error}") from error


async def _run(session: Asking, batch: Batch, left: Sequence[Line], file: TextIO) -> int:
    slots = asyncio.Semaphore(batch.concurrency)
    failed = 0
    with Progress(console=session.console, transient=True) as progress:
        bar = progress.add_task("Answering", total=len(left))

        async def work(line: Line) -> None:
            nonlocal failed
            async with slots:
                result = await _answer(session, line, batch)
            failed += "error" in result
            _write(file, result, progress, bar)

        async with asyncio.TaskGroup() as group:
            for line in left:
                group.create_task(work(line))
    return failed


async def _answer(session: Asking, line: Line, batch: Batch) -> dict[str, Any]:
    try:
        return {"id": line.id, **await session.ask(Ask(line.question, batch.roots, cache=batch.cache))}
    except DocMindError as error:
        said = str(error)
    except Exception as error:  # noqa: BLE001 - a defect met by one question must not cost the others their answers
        logger.opt(exception=error).error("a question failed: {}", type(error).__name__)
        said = f"internal error: {type(error).__name__}"
    return {"id": line.id, "question": line.question, "error": said}


def _write(file: TextIO, result: dict[str, Any], progress: Progress, bar: TaskID) -> None:
    file.write(json.dumps(result, ensure_ascii=False) + "\n")
    file.flush()
    progress.advance(bar)


def _answered(out: Path) -> dict[str | int, str]:
    """Return the whole lines of an earlier run that carry an answer; a last line cut by a kill is dropped."""
    if not out.exists():
        return {}
    kept: dict[str | int, str] = {}
    try:
        texts = out.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"--out {out} does not hold answers to resume: {error}") from error
    for text in texts:
        try:
            data = json.loads(text)
            if "error" not in data:
                kept[data["id"]] = text
        except (ValueError, TypeError, KeyError):
            continue
    return kept
