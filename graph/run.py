"""The door for questions: ``python -m graph.run "question"``, the same as ``docmind ask``.

Answer and sources go to stdout, progress and ledger to stderr. On a terminal, the answer's sentences are printed as
soon as they are sure (`graph.early`); elsewhere it comes whole, in the same words. Exit codes: 0 answered or abstained,
2 wrong use, 1 failed, with one line that says what to do; 130 after Ctrl-C.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from langchain_core.messages import HumanMessage
from rich.console import Console

from graph.answer import source_of
from graph.batch import Batch, read_questions, run_batch
from graph.session import Ask, Session, prepare
from graph.stages import asked
from infra.errors import ConfigurationError, DocMindError, QuestionError
from infra.resources import Resources
from infra.settings import Settings, load_settings
from infra.telemetry import set_up_logging
from infra.text.plain import lines, one_line
from tools.arguments import DocsCommand

CONCURRENCY = 4

app = typer.Typer(add_completion=False)


@app.command(cls=DocsCommand)
def ask(  # noqa: PLR0913 - a command's options
    question: Annotated[str | None, typer.Argument(help="The question. Use --questions for many.")] = None,
    docs: Annotated[
        list[Path] | None, typer.Option(help="Bring these files or folders up to date first and answer from them only.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    thread: Annotated[str | None, typer.Option(help="Continue the conversation of this name.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose documents; tenants never mix.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Pass by the answer cache, and keep nothing.")] = False,
    backend: Annotated[
        str | None, typer.Option(help="auto, vllm, llamacpp, ollama, openai or engine; see docs/backends.md.")
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help='A file with a {"id", "question"} object a line; needs --out.')
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where the answers to --questions go, one JSON object a line.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=64, help="Questions of a file worked on at once (4).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Keep what --out holds and answer the rest.")] = False,
) -> None:
    """Ask your documents; every sentence of the answer is cited and checked.

    Examples:
      python -m graph.run --docs docs "What does the guard count?"
      python -m graph.run --thread lisbon "And in 2023?"
      python -m graph.run --docs notes --questions q.jsonl --out a.jsonl --concurrency 8
    """
    try:
        settings = load_settings(tenant=tenant, backend=backend)
        set_up_logging(settings)
        console = Console(stderr=True)
        _check_together(files=bool(questions or out), thread=thread, alone=resume or concurrency is not None)
        if questions or out:
            files = _both(question, questions, out)
            many = Batch([], None, files[1], concurrency or CONCURRENCY, resume, not no_cache)
            code = _many(settings, docs, files[0], many, console)
        else:
            one = Ask(_text(question, settings), None, thread, None, not no_cache)
            code = _one(settings, docs, one, console, as_json=as_json)
    except DocMindError as error:
        typer.echo(f"docmind: {lines(str(error))}", err=True)
        raise typer.Exit(2 if isinstance(error, ConfigurationError | QuestionError) else 1) from error
    except KeyboardInterrupt:
        typer.echo("docmind: interrupted; what was stored stays usable.", err=True)
        raise typer.Exit(130) from None
    raise typer.Exit(code)


def _check_together(*, files: bool, thread: str | None, alone: bool) -> None:
    """Refuse options that do not go together; ``alone``: options of a file of questions were given."""
    if files and thread is not None:
        raise ConfigurationError("--thread is for one question; the questions of a file stand alone.")
    if alone and not files:
        raise ConfigurationError("--resume and --concurrency go with --questions FILE and --out FILE.")
    if thread is not None and (not thread.strip() or any("\ud800" <= character <= "\udfff" for character in thread)):
        raise ConfigurationError("--thread needs a name, in UTF-8.")


def _text(question: str | None, settings: Settings) -> str:
    """Return the question, refused before anything is opened when it cannot be worked on."""
    if question is None:
        raise ConfigurationError('No question given: python -m graph.run "your question"')
    return asked([HumanMessage(question)], settings.max_question_chars)


def _both(question: str | None, questions: Path | None, out: Path | None) -> tuple[Path, Path]:
    if question is not None or questions is None or out is None:
        raise ConfigurationError("--questions FILE and --out FILE go together, without a question of their own.")
    if out.resolve() == questions.resolve():
        raise ConfigurationError(
            "--out must not be the file of --questions: the answers would overwrite the questions."
        )
    if out.is_dir() or not out.parent.is_dir():
        raise ConfigurationError(f"--out {out}: give a file in a folder that exists.")
    return questions, out


def _one(settings: Settings, docs: list[Path] | None, ask: Ask, console: Console, *, as_json: bool) -> int:
    with closing(Resources(settings)) as resources:
        roots = prepare(resources, docs, console)
        screen = Screen(live=not as_json and sys.stdout.isatty())
        try:
            answer, notes = asyncio.run(_answer(resources, replace(ask, roots=roots), console, screen))
        except BaseException:
            screen.withdraw("the question was not answered")
            raise
    screen.end(json.dumps(answer, ensure_ascii=False) if as_json else render(answer))
    _ledger(console, answer, notes)
    return 0


async def _answer(
    resources: Resources, ask: Ask, console: Console, screen: "Screen"
) -> tuple[dict[str, Any], list[str]]:
    async with Session(resources, console, keep_threads=ask.thread is not None) as session:
        return await session.ask(ask, show=True, tell=screen.tell if screen.live else None), session.notes


def _many(settings: Settings, docs: list[Path] | None, file: Path, batch: Batch, console: Console) -> int:
    questions = read_questions(file)
    with closing(Resources(settings)) as resources:
        roots = prepare(resources, docs, console)
        failed = asyncio.run(_answers(resources, replace(batch, questions=questions, roots=roots), console))
    done = one_line(f"{len(questions) - failed} answered, {failed} failed; written to {batch.out}")
    console.print(done, markup=False)
    return 1 if failed else 0


async def _answers(resources: Resources, batch: Batch, console: Console) -> int:
    async with Session(resources, console, keep_threads=False) as session:
        return await run_batch(session, batch)


class Screen:
    """Stdout: on a terminal the answer's first sentences as soon as they are sure, then the rest; else all at the end.

    Args:
        live: whether sentences are shown as they come.
    """

    def __init__(self, *, live: bool) -> None:
        self.live = live
        self._shown = ""

    def tell(self, event: Mapping[str, Any]) -> None:
        """Show what an event of `graph.early` says."""
        if event["event"] == "withdrawn":
            self.withdraw(event["reason"])
        else:
            self._shown += event["text"]
            typer.echo(event["text"], nl=False)

    def withdraw(self, reason: str) -> None:
        """Say of what was shown that it does not hold; nothing where nothing was."""
        if self._shown:
            typer.echo(f"\n\n(Withdrawn, all of the above: {reason}.)\n")
        self._shown = ""

    def end(self, text: str) -> None:
        """Print ``text``, which begins with what was shown, from there on."""
        typer.echo(text.removeprefix(self._shown))


def render(answer: dict[str, Any]) -> str:
    """Return an answer as a person reads it: text, then each source with the words it rests on."""
    shown = [answer["answer"]]
    if answer["citations"]:
        shown.append("\nSources")
        shown += [_source(citation) for citation in answer["citations"]]
    shown += [f"\n{note}" for note in answer["notes"]]
    again = " Given again from the answer cache." if answer["cache"]["answer"] == "hit" else ""
    shown.append(f"\nAnswered by {one_line(answer['backend']['engine'])}.{again}")
    return "\n".join(shown)


def _source(citation: dict[str, Any]) -> str:
    """Return one source on one line; the exact words, line breaks included, are what ``--json`` is for."""
    place = source_of(citation["doc"], citation["section"], citation["start"], citation["end"])
    return f'  [{citation["label"]}] {place}: "{one_line(citation["quote"])}"'


def _ledger(console: Console, answer: dict[str, Any], notes: list[str]) -> None:
    usage, seconds = answer["usage"], answer["seconds"]
    for note in notes:
        console.print(one_line(note), style="dim", highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"answer cache: {answer['cache']['answer']}, {one_line(answer['cache']['reason'])}",
        style="dim",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    console.print(
        f"{usage['llm_calls']} model calls, {usage['prompt_tokens']:,} prompt tokens "
        f"({usage['cached_tokens']:,} cached), "
        f"{usage['completion_tokens']:,} completion tokens; {seconds['total']:.2f} s "
        f"(model {seconds['llm']:.2f}, retrieval {seconds['retrieval']:.2f})",
        style="dim",
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(app())
