"""The door for looking after the answer cache: ``docmind cache why | stats | clear | export | audit``.

All but ``audit`` read and write files only: they open no model and no vectors, answer within a second or so, and may be
used while other processes are at work on the same documents. Results go to stdout, what is said of them to stderr.
Exit codes: 0 done, 2 wrong use (no documents, too), 1 failed, with one line that says what to do; ``audit`` ends with 1
when an answer was found wrong. The work is ``infra.cache.upkeep``'s and ``graph.audit``'s; the latter is loaded only
when it is wanted, since LangGraph alone takes a second to import.
"""

import json
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from infra.cache.calls_file import CallFigures
from infra.cache.metrics import Figures, exposition, registry_of
from infra.cache.records import Decision, Stats
from infra.cache.upkeep import Exported, Upkeep, upkeep
from infra.errors import ConfigurationError, DocMindError, QuestionError, StoreError
from infra.settings import load_settings
from infra.telemetry import set_up_logging
from infra.text.plain import lines, one_line

INTERRUPTED = 130
KINDS = {"call": "model calls", "search": "searches"}

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Look after the answers that may be given again.")

Tenant = Annotated[str | None, typer.Option(help="Whose documents; tenants never mix.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Paths = Annotated[list[Path] | None, typer.Argument(help="Only what rests on documents at or under these paths.")]


@app.command()
def why(
    question: Annotated[str | None, typer.Argument(help="A question that was asked; none: the newest of all.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Decisions at most.")] = 20,
    as_json: Json = False,
    tenant: Tenant = None,
) -> None:
    """Show what was decided about a question, and why, newest first.

    Example: docmind cache why "When was the boiler serviced?"
    """
    with _opened(tenant) as held:
        decisions = held.why(question, limit)
    if as_json:
        typer.echo(json.dumps([_decided(one) for one in decisions], ensure_ascii=False))
        return
    for one in decisions:
        typer.echo("\n".join(_told(one)))
    if not decisions:
        typer.echo("Nothing was decided about this question yet." if question else "Nothing was decided yet.", err=True)


@app.command()
def stats(
    as_json: Json = False,
    prometheus: Annotated[bool, typer.Option("--prometheus", help="Print Prometheus' text format.")] = False,
    tenant: Tenant = None,
) -> None:
    """Show what is kept, how often it was given again, and what that saved."""
    if as_json and prometheus:
        with _errors():
            raise ConfigurationError("--json and --prometheus do not go together.")
    with _opened(tenant) as held:
        figures = Figures(held.stats(), held.calls())
    if prometheus:
        typer.echo(exposition(registry_of(lambda: figures)), nl=False)
    elif as_json:
        typer.echo(json.dumps(as_object(figures)))
    else:
        typer.echo("\n".join(as_text(figures)))


@app.command()
def clear(
    paths: Paths = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before everything is removed.")] = False,
    as_json: Json = False,
    tenant: Tenant = None,
) -> None:
    """Remove kept answers, with the decisions about their questions: all, or those that rest on some documents.

    Kept model replies and searches may quote any document, so all of them go in either case.
    """
    with _opened(tenant) as held:
        if not paths and not yes and at_a_terminal():
            typer.confirm("Remove all kept answers, model replies and searches?", abort=True, err=True)
        cleared = held.clear(_absolute(paths))
    if as_json:
        typer.echo(json.dumps(asdict(cleared)))
        return
    if cleared.documents == 0:
        typer.echo("No documents at or under these paths are in the index.", err=True)
    typer.echo(
        f"Answers removed: {cleared.answers:,}. Model replies and searches removed: {cleared.calls:,}, "
        "all that were kept; they may quote any document."
    )


@app.command()
def export(
    paths: Paths = None,
    out: Annotated[Path | None, typer.Option(help="A file in place of stdout.")] = None,
    tenant: Tenant = None,
) -> None:
    """Write the kept answers as JSON, one a line, with the documents they rest on."""
    with _opened(tenant) as held:
        exported = held.export(_absolute(paths))
        if out is None:
            _write(exported, sys.stdout)
            return
        try:
            with out.open("w", encoding="utf-8") as file:
                number = _write(exported, file)
        except OSError as error:
            raise StoreError(f"--out {out}: {error.strerror or error}") from error
        typer.echo(one_line(f"{number:,} answers written to {out}"), err=True)


@app.command()
def audit(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Questions at most.")] = 20,
    as_json: Json = False,
    tenant: Tenant = None,
) -> None:
    """Answer the questions served last anew and compare; what was wrong is removed.

    Asks the model as often as for new questions. Ctrl-C ends it and keeps what was done. Exit code 1: one was wrong.
    """
    with _errors():
        settings = load_settings(tenant=tenant)
        set_up_logging(settings)
        code: int = import_module("graph.audit").run(settings, limit, as_json=as_json)
    raise typer.Exit(code)


def at_a_terminal() -> bool:
    """Tell whether there is somebody to be asked."""
    return sys.stdin.isatty()


def as_object(figures: Figures) -> dict[str, Any]:
    """Return the figures as ``--json`` shows them; a share of nothing is null."""
    of = figures.answers
    shares = {"hit_rate": _share(of.hits, of.hits + of.misses), "wrong_share": _share(of.wrong, of.audited)}
    calls = {
        kind: {**asdict(one), "hit_rate": _share(one.hits, one.hits + one.misses)}
        for kind, one in figures.calls.items()
    }
    return {"answers": {**asdict(of), **shares}, "calls": calls}


def as_text(figures: Figures) -> list[str]:
    """Return the figures as lines for a person."""
    told = [*_answer_lines(figures.answers)]
    told += [(KINDS.get(kind, kind), _call_line(of)) for kind, of in figures.calls.items()]
    return [f"{name:12} {words}" for name, words in told]


def _answer_lines(of: Stats) -> list[tuple[str, str]]:
    return [
        ("kept", f"{of.answers:,} answers, {of.megabytes:.1f} MB; {of.stored:,} stored, {of.refused:,} not let in"),
        ("served", f"{_of(of.hits, of.hits + of.misses)}; {of.nears:,} were near, {of.offs:,} found the cache off"),
        ("saved", f"{of.saved_tokens:,} tokens, {of.saved_seconds:,.1f} s"),
        (
            "removed",
            f"{of.gone:,} with what they rested on, {of.outdated:,} outdated, {of.expired:,} too old, "
            f"{of.evicted:,} for room, {of.cleared:,} by hand",
        ),
        ("wrong", f"{_of(of.wrong, of.audited)} that were audited"),
    ]


def _call_line(of: CallFigures) -> str:
    tokens = of.saved_prompt_tokens + of.saved_completion_tokens
    return (
        f"{_of(of.hits, of.hits + of.misses)} given again; {of.entries:,} kept, {of.bytes / 1e6:.1f} MB; "
        f"saved {tokens:,} tokens, {of.saved_seconds:,.1f} s"
    )


def _of(part: int, whole: int) -> str:
    share = _share(part, whole)
    return f"{part:,} of {whole:,}" + ("" if share is None else f" ({100 * share:.1f} %)")


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _decided(one: Decision) -> dict[str, Any]:
    return {
        "at": _time(one.at),
        "outcome": one.outcome,
        "reason": one.reason,
        "question": one.question,
        "candidate": one.candidate or None,
    }


def _told(one: Decision) -> list[str]:
    """A decision as a person reads it: when, what, about which question; why; which kept question was considered."""
    told = [f"{_time(one.at)}  {one.outcome:4}  {one_line(one.question)}", f"    {one_line(one.reason)}"]
    return told + ([f"    considered: {one_line(one.candidate)}"] if one.candidate else [])


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _write(exported: Iterable[Exported], file: TextIO) -> int:
    """Write answers as they come; returns how many."""
    number = 0
    for number, one in enumerate(exported, start=1):  # noqa: B007 - counted
        file.write(json.dumps(_line(one), ensure_ascii=False) + "\n")
    return number


def _line(one: Exported) -> dict[str, Any]:
    kept = one.kept
    return {
        "question": kept.question,
        "answer": json.loads(kept.answer),
        "documents": list(one.documents),
        "created": _time(kept.created),
        "cost": asdict(kept.cost),
    }


def _absolute(paths: Sequence[Path] | None) -> list[str] | None:
    return [str(path.resolve()) for path in paths] if paths else None


@contextmanager
def _opened(tenant: str | None) -> Generator[Upkeep]:
    """Open the tenant's cache; what goes wrong ends the command."""
    with _errors():
        settings = load_settings(tenant=tenant)
        set_up_logging(settings)
        with upkeep(settings) as held:
            yield held


@contextmanager
def _errors() -> Generator[None]:
    """End the command with one line on stderr, as all doors do."""
    try:
        yield
    except DocMindError as error:
        typer.echo(f"docmind: {lines(str(error))}", err=True)
        raise typer.Exit(2 if isinstance(error, ConfigurationError | QuestionError) else 1) from error
    except KeyboardInterrupt:
        typer.echo("docmind: interrupted; what was done stays done.", err=True)
        raise typer.Exit(INTERRUPTED) from None


if __name__ == "__main__":
    sys.exit(app())
