"""The door for searching: ``python -m tools.retrieve "query"``, the same as ``docmind retrieve``.

Hits go to stdout, progress to stderr. Exit codes: 0 searched (also when nothing fits), 2 wrong use, 1 failed, with one
line that says what to do. The search itself is ``tools.search``; ``Retriever`` is offered here too.
"""

import json
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.progress import track

from infra.errors import ConfigurationError, DocMindError, QuestionError, StoreError
from infra.settings import Settings, load_settings
from infra.store.embeddings_open import open_embedder
from infra.store.index import Index
from infra.telemetry import set_up_logging
from infra.text.plain import lines, one_line
from tools.arguments import DocsCommand
from tools.evidence import Passage
from tools.ingest import ingest
from tools.ingest_report import told
from tools.search import Retriever, open_retriever

__all__ = ["Retriever", "app"]

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True)
class Line:
    """One query of a file."""

    id: str
    query: str


@app.command(cls=DocsCommand)
def retrieve(  # noqa: PLR0913 - a command's options
    query: Annotated[str | None, typer.Argument(help="What to look for. Use --queries for many.")] = None,
    docs: Annotated[
        list[Path] | None, typer.Option(help="Bring these files or folders up to date first and search them only.")
    ] = None,
    k: Annotated[int | None, typer.Option("--k", min=1, max=50, help="Passages wanted.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array instead of text.")] = False,
    queries: Annotated[
        Path | None, typer.Option(help='A file with a {"id", "query"} object a line; needs --out.')
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where the hits of --queries go, one JSON object a line.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose documents; tenants never mix.")] = None,
) -> None:
    """Search your documents without answering.

    Examples:
      python -m tools.retrieve "When was the boiler serviced?"
      python -m tools.retrieve --docs notes --k 3 --json "boiler service"
      python -m tools.retrieve --queries queries.jsonl --out hits.jsonl
    """
    try:
        settings = load_settings(tenant=tenant)
        set_up_logging(settings)
        if queries or out:
            _many(settings, docs, _both(query, queries, out), k)
        else:
            _one(settings, docs, query, k, as_json=as_json)
    except DocMindError as error:
        typer.echo(f"docmind: {lines(str(error))}", err=True)
        raise typer.Exit(2 if isinstance(error, ConfigurationError | QuestionError) else 1) from error


def _one(settings: Settings, docs: list[Path] | None, query: str | None, k: int | None, *, as_json: bool) -> None:
    if query is None:
        raise ConfigurationError('No query given: python -m tools.retrieve "what to look for"')
    _check(query, settings)
    with _opened(settings, docs) as (retriever, roots):
        finding = retriever.search(query, k=k, roots=roots)
    if as_json:
        typer.echo(json.dumps([_hit(passage) for passage in finding.passages], ensure_ascii=False))
        return
    for passage in finding.passages:
        place = f"{one_line(passage.doc)} ({passage.start}-{passage.end})"
        typer.echo(f"{passage.score:6.2f}  {place}\n{_shown(passage.text)}\n")
    if not finding.signal.likely:
        typer.echo("These documents do not seem to hold an answer.", err=True)


def _many(settings: Settings, docs: list[Path] | None, files: tuple[Path, Path], k: int | None) -> None:
    asked = read_queries(files[0])
    for number, line in enumerate(asked, start=1):
        _check(line.query, settings, f"--queries {files[0]}, query {number} (id {line.id}): ")
    with _opened(settings, docs) as (retriever, roots), _writing(files[1]) as file:
        for line in track(asked, "Searching", console=Console(stderr=True), transient=True):
            hits = [_hit(passage) for passage in retriever.search(line.query, k=k, roots=roots).passages]
            file.write(json.dumps({"id": line.id, "hits": hits}, ensure_ascii=False) + "\n")


def read_queries(path: Path) -> list[Line]:
    """Read ``{"id", "query"}`` lines; blank lines are skipped.

    Raises:
        ConfigurationError: the file cannot be read, or a line is not such an object; the message names the line.
    """
    try:
        written = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--queries {path}: {error}") from error
    return [_line(path, number, text) for number, text in enumerate(written, start=1) if text.strip()]


def _line(path: Path, number: int, text: str) -> Line:
    try:
        data: Any = json.loads(text)
        identity, query = str(data["id"]), data["query"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigurationError(f'--queries {path}, line {number}: not a {{"id", "query"}} object') from error
    if not isinstance(query, str):
        raise ConfigurationError(f"--queries {path}, line {number}: the query is not a text")
    return Line(identity, query)


def _both(query: str | None, queries: Path | None, out: Path | None) -> tuple[Path, Path]:
    if query is not None or queries is None or out is None:
        raise ConfigurationError("--queries FILE and --out FILE go together, without a query of their own.")
    return queries, out


def _check(query: str, settings: Settings, where: str = "") -> None:
    """Raise QuestionError for a query that cannot be searched, before anything is opened."""
    if not query.strip():
        raise QuestionError(f"{where}The query is empty: say what to look for.")
    if len(query) > settings.max_question_chars:
        raise QuestionError(
            f"{where}The query has {len(query):,} characters, {settings.max_question_chars:,} are allowed; "
            "DOCMIND_MAX_QUESTION_CHARS decides."
        )


@contextmanager
def _opened(settings: Settings, docs: Sequence[Path] | None) -> Generator[tuple[Retriever, list[str] | None]]:
    """Open the index, bring ``docs`` up to date, and give the search with the roots it is limited to."""
    embedder = open_embedder(settings)
    with Index.open(settings, embedder) as index:
        roots = [str(path.resolve()) for path in docs] if docs else None
        if docs:
            report = ingest(index, embedder, docs, settings=settings.ingest)
            for failure in report.failed:
                typer.echo(told(failure), err=True)
        if index.counts(roots).documents == 0:
            given = f"No readable documents under {', '.join(map(str, docs))}." if docs else ""
            raise ConfigurationError(given or "No documents yet: give --docs PATH, or run `docmind ingest PATH` first.")
        yield open_retriever(index, embedder, settings), roots


@contextmanager
def _writing(path: Path) -> Generator[TextIO]:
    try:
        with path.open("w", encoding="utf-8") as file:
            yield file
    except OSError as error:
        raise StoreError(f"--out {path}: {error}") from error


def _shown(text: str) -> str:
    """A passage as a terminal may show it: its lines stay indented, and nothing in them acts."""
    split = ((line, line.lstrip(" \t")) for line in text.split("\n"))
    return "\n".join(line[: len(line) - len(words)] + one_line(words) for line, words in split)


def _hit(passage: Passage) -> dict[str, str | int | float]:
    return {
        "doc": passage.doc,
        "start": passage.start,
        "end": passage.end,
        "text": passage.text,
        "score": round(passage.score, 6),
    }


if __name__ == "__main__":
    sys.exit(app())
