"""Files into the index, or up to date: ``python -m tools.ingest PATH ... [--json] [--prune] [--watch] [--ray A]``.

A PATH is a folder (its files, at any depth) or a single file. Files that were added or changed are read, files that
are gone are removed, unchanged ones cost a stat. Each document belongs to the outermost PATH ever given that contains
it (its root), once, so overlapping PATHs make no duplicates and a PATH inside a known root just brings that part up to
date. A single file is a root of its own when no root contains it; giving it never touches its neighbours. A PATH that
is not there is an error and removes nothing; ``--prune`` drops everything that lies under no given PATH.

A file that cannot be read is reported with its reason, its earlier content (if any) is removed, and the rest goes on.
Whatever is stored is stored whole: after an interruption the index is usable, and the next run goes on from there.
``--ray ADDRESS`` has the files read and embedded by a Ray cluster (``tools.ingest_ray``); all else stays as it is.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cache.calls_follow import follow_documents, forget_gone
from infra.errors import ConfigurationError, DocMindError, DocumentError
from infra.settings import IngestSettings, load_settings
from infra.store.embeddings import Embedder
from infra.store.embeddings_open import open_embedder
from infra.store.index import Index
from infra.store.roots import root_of, scope_id
from infra.telemetry import set_up_logging
from infra.text.plain import lines, one_line
from tools.ingest_plan import VERSION, Done, Job, Known, Maker, Plan, make_plan
from tools.ingest_ray import OnRay
from tools.ingest_ray_cluster import check_address
from tools.ingest_report import IngestReport, Tell, progress_bar, tell_nobody, told
from tools.ingest_scan import Failure, Found, given_paths, scan
from tools.readers.source import content_digest

if TYPE_CHECKING:
    from tools.ingest_work import Elsewhere

Do = Callable[[Sequence[Job], Tell], Done]
"""Does the jobs of a plan."""

INTERRUPTED = 130

app = typer.Typer(add_completion=False)


def ingest(
    index: Index,
    embedder: Embedder,
    paths: Sequence[Path],
    *,
    settings: IngestSettings,
    prune: bool = False,
    progress: Tell = tell_nobody,
) -> IngestReport:
    """Bring the index up to date with the files under ``paths``; blocking.

    Args:
        index: where they go.
        embedder: the model the index was opened with.
        paths: files and folders; must be there.
        settings: which files are too large or too slow.
        prune: whether to remove what lies under none of ``paths``.
        progress: told what is at work; from two threads, one call at a time from each.

    Raises:
        ConfigurationError: a path is not there.
        StoreLocked: another ingestion into this index is at work.
        StoreError: the index cannot be written.
    """
    do = partial(_do, index, embedder, settings)
    return bring_up_to_date(index, do, paths, settings=settings, prune=prune, progress=progress)


def bring_up_to_date(
    index: Index,
    do: Do,
    paths: Sequence[Path],
    *,
    settings: IngestSettings,
    prune: bool = False,
    progress: Tell = tell_nobody,
) -> IngestReport:
    """As ``ingest``, with the jobs done by ``do``."""
    started = time.perf_counter()
    with index.ingesting():
        there = scan(paths)
        known = Known(tuple(index.library.roots()), index.library.stamps(), index.library.unreadable())
        digest = partial(_digest, max_bytes=int(settings.max_file_mb * 1e6))
        plan = make_plan(there, known, _maker(settings), prune=prune, digest=digest)
        if plan.roots != known.roots:
            index.library.set_roots(plan.roots)
        index.library.touch(plan.touched)
        index.remove([scope_id(path) for path in plan.removed])
        done = do(plan.jobs, progress) if plan.jobs else Done()
        index.library.set_unreadable(done.unreadable, _readable_again(plan, known, there.given))
        if index.library.unswept():  # also where the run before was killed before it swept
            index.library.drop_unused_embeddings()
            forget_gone(index)
    return IngestReport(
        added=done.added,
        changed=done.changed,
        moved=done.moved,
        removed=len(plan.removed) + done.dropped,
        unchanged=plan.unchanged,
        chunks=index.counts(there.given).chunks,
        embedded=done.embedded,
        seconds=round(time.perf_counter() - started, 3),
        failed=tuple(sorted([*plan.failed, *done.failed], key=lambda failure: failure.path)),
    )


def _do(
    index: Index,
    embedder: Embedder,
    settings: IngestSettings,
    jobs: Sequence[Job],
    progress: Tell,
    elsewhere: "Elsewhere | None" = None,
) -> Done:
    # LlamaIndex takes 2 s to import: a folder in which nothing changed must not pay that
    from tools.ingest_work import Work  # noqa: PLC0415

    return Work(index, embedder, settings, _maker(settings)).run(jobs, progress, elsewhere)


def _maker(settings: IngestSettings) -> Maker:
    return Maker(VERSION, f"{VERSION} {settings.model_dump_json()}")


def _readable_again(plan: Plan, known: Known, given: Sequence[str]) -> list[str]:
    """Files noted as unreadable that are gone, were read, fail otherwise now, or lie under no root any more."""
    still = set(plan.failed)
    gone = (note for path, note in known.unreadable.items() if root_of(path, given) or not root_of(path, plan.roots))
    return [note.path for note in gone if Failure(note.path, note.error) not in still]


def _digest(found: Found, max_bytes: int) -> str | Failure:
    if found.size > max_bytes:
        return ""  # it will not be read
    try:
        return content_digest(Path(found.path), max_bytes)
    except DocumentError as error:
        return Failure(found.path, str(error))
    except OSError as error:
        return Failure(found.path, error.strerror or str(error))


@app.command()
def main(  # noqa: PLR0913 - a command's options
    paths: Annotated[list[Path], typer.Argument(help="Folders and files to read.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print each report as one JSON object.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Drop what lies under none of the paths.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on and keep the index in step, until Ctrl-C.")] = False,
    tenant: Annotated[str | None, typer.Option(help="Whose documents.", show_default=False)] = None,
    ray: Annotated[
        str | None,
        typer.Option(help="Read and embed on a Ray cluster: local, or host:port.", show_default=False),
    ] = None,
    ray_workers: Annotated[
        int | None, typer.Option(min=1, help="Workers there; not given: one a processor.", show_default=False)
    ] = None,
) -> None:
    """Bring files and folders into the index, or up to date."""
    try:
        settings = load_settings(tenant=tenant)
        set_up_logging(settings)
        given = given_paths(paths)
        address = check_address(ray) if ray is not None else None
        embedder = open_embedder(settings)
        with Index.open(settings, embedder) as index:
            follow_documents(index)
            elsewhere = OnRay(settings, index.library, embedder.model_id, address, ray_workers) if address else None
            do = partial(_do, index, embedder, settings.ingest, elsewhere=elsewhere)
            update = partial(bring_up_to_date, index, do, settings=settings.ingest)
            with progress_bar() as tell:
                report = update(paths, prune=prune, progress=tell)
            documents = index.counts(given).documents
            _tell(report, as_json=as_json)
            if watch:
                _watch(given, update, report, as_json=as_json)
                return
    except DocMindError as error:
        typer.echo(f"docmind: {lines(str(error))}", err=True)
        raise typer.Exit(2 if isinstance(error, ConfigurationError) else 1) from error
    except KeyboardInterrupt as error:
        typer.echo("docmind: interrupted; what was read so far is kept, run the same again to go on", err=True)
        raise typer.Exit(INTERRUPTED) from error
    if not documents and not report.removed:
        typer.echo(f"docmind: no readable documents under {one_line(', '.join(given))}", err=True)
        raise typer.Exit(1)


def _tell(report: IngestReport, *, as_json: bool) -> None:
    for failure in report.failed:
        typer.echo(told(failure), err=True)
    typer.echo(json.dumps(asdict(report), ensure_ascii=False) if as_json else str(report))


def _watch(
    given: Sequence[str], update: Callable[[Sequence[Path]], IngestReport], first: IngestReport, *, as_json: bool
) -> None:
    # what watches takes a moment to import
    from tools.ingest_watch import Pending, Watcher, keep_in_step  # noqa: PLC0415

    def say(line: str) -> None:
        typer.echo(f"docmind: {one_line(line)}", err=True)

    say(f"watching {', '.join(given)}; Ctrl-C ends it")
    pending = Pending(given)
    with suppress(KeyboardInterrupt), Watcher(given, pending, say):
        keep_in_step(pending, update, lambda report: _tell(report, as_json=as_json), say, told=first.failed)
    say("no longer watching; what was read so far is kept")


if __name__ == "__main__":
    sys.exit(app())
