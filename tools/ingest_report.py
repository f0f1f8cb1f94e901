"""What an ingestion says: how far it is while it works, and what it did at the end."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from infra.text.plain import one_line
from tools.ingest_scan import Failure


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an ingestion stands.

    Attributes:
        path: the file that is read now, or "".
        done: files read so far.
        total: files to read.
        embedded: of the windows to be stored next, how many have their embedding.
        windows: windows to be stored next.
    """

    path: str
    done: int
    total: int
    embedded: int = 0
    windows: int = 0

    def __str__(self) -> str:
        """In a few words, for people."""
        if self.windows:
            return f"embedding {self.embedded:,} of {self.windows:,} windows"
        return one_line(Path(self.path).name)


Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingestion did, in documents.

    Attributes:
        added: files read for the first time.
        changed: files read again.
        moved: files with the content of one that is gone; each is neither added nor removed.
        removed: documents that are no longer there, or can no longer be read.
        unchanged: documents that are as they were.
        chunks: passages the index now holds under the given paths.
        embedded: windows whose embedding was computed; those that are known are not computed again.
        seconds: how long it took.
        failed: files that could not be read, with the reason.
    """

    added: int
    changed: int
    moved: int
    removed: int
    unchanged: int
    chunks: int
    embedded: int
    seconds: float
    failed: tuple[Failure, ...]

    def __str__(self) -> str:
        """In one line, for people."""
        return (
            f"{self.added} added, {self.changed} changed, {self.moved} moved, {self.removed} removed, "
            f"{self.unchanged} unchanged, {len(self.failed)} not read; "
            f"{self.chunks} passages, {self.embedded} windows embedded; {self.seconds:.1f} s"
        )


def tell_nobody(_: Progress) -> None:
    """Show nothing."""


def told(failure: Failure) -> str:
    """Which file was not read and why, on one line in which no name acts on a terminal."""
    return one_line(f"not read: {failure.path}: {failure.error}")


@contextmanager
def progress_bar() -> Generator[Tell]:
    """A bar on stderr, shown to people (a terminal) once there is something to read."""
    console = Console(stderr=True)
    columns = (
        TextColumn("Reading"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[at]}", markup=False),
    )
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, at="", visible=False)

        def tell(progress: Progress) -> None:
            bar.update(task, completed=progress.done, total=progress.total, at=str(progress), visible=True)

        yield tell
