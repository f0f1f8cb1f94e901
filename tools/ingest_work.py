"""The work of an ingestion: files read, split, embedded and stored, in groups of whole documents.

``prepare`` reads and splits files and touches nothing; it runs ahead in a thread while the model is at work, and may
run anywhere else. ``Work`` embeds and stores what it gives. A group is stored when its windows are enough for batches
of equal length, so that little is done again after a kill and memory stays bounded. A file that cannot be read is noted
and the rest goes on.
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.errors import DocumentError
from infra.settings import IngestSettings
from infra.store.embeddings import Embedder
from infra.store.index import Index
from infra.store.library import Unreadable
from infra.store.memory import EmbeddingMemory
from infra.store.records import Entry
from infra.store.roots import scope_id
from tools.ingest_ahead import ahead
from tools.ingest_pipeline import Node, Pipeline
from tools.ingest_plan import Done, Job, Maker
from tools.ingest_report import Progress, Tell
from tools.ingest_scan import Failure
from tools.reading import Reading

GROUP_WINDOWS = 512
"""Windows stored at once: ten seconds of work for two cores."""
EMBED_WINDOWS = 512
"""Windows embedded between two words of progress: a single file may have 100,000."""
CACHE_FILE = "ingestion.sqlite3"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file.

    Attributes:
        job: the file.
        entry: what is to be stored; None when it could not be read.
        nodes: its windows, to be embedded.
        error: why it could not be read.
        lasting: whether trying again is of no use while the file stays the same.
    """

    job: Job
    entry: Entry | None = None
    nodes: tuple[Node, ...] = ()
    error: str = ""
    lasting: bool = False


def prepare(jobs: Iterable[Job], reading: Reading, pipeline: Pipeline) -> Generator[Outcome]:
    """Read and split files, one after the other; nothing is stored and nothing embedded."""
    for job in jobs:
        try:
            extracted = reading.read(Path(job.stamp.path), job.stamp.size)
        except DocumentError as error:
            yield Outcome(job, error=str(error), lasting=True)
        except OSError as error:
            yield Outcome(job, error=error.strerror or str(error))
        else:
            entry, nodes = pipeline.split(job.stamp, extracted)
            yield Outcome(job, entry, tuple(nodes))


class Work:
    """Does the jobs of a plan."""

    def __init__(self, index: Index, embedder: Embedder, settings: IngestSettings, maker: Maker) -> None:
        """Work on ``index``, within the bounds of ``settings``."""
        self._index = index
        self._reading = Reading(settings)
        self._pipeline = Pipeline(EmbeddingMemory(index.library, embedder), maker.version, index.folder / CACHE_FILE)
        self._attempt = maker.attempt
        self._read = 0
        self._group: list[Outcome] = []
        self._done = Done()

    def run(self, jobs: Sequence[Job], tell: Tell) -> Done:
        """Do ``jobs``; call once."""
        outcomes = self._prepared(jobs, tell)
        with ahead(outcomes, _weight, GROUP_WINDOWS, self._reading.close) as prepared:
            for outcome in prepared:
                self._group.append(outcome)
                if sum(map(_weight, self._group)) >= GROUP_WINDOWS:
                    self._store(len(jobs), tell)
            self._store(len(jobs), tell)
        tell(Progress("", len(jobs), len(jobs)))
        return self._done

    def _prepared(self, jobs: Sequence[Job], tell: Tell) -> Generator[Outcome]:
        """``prepare`` in the thread that reads ahead; what it needs is ended with it."""

        def told() -> Generator[Job]:
            for number, job in enumerate(jobs):
                tell(Progress(job.stamp.path, number, len(jobs)))
                yield job
                self._read = number + 1

        try:
            yield from prepare(told(), self._reading, self._pipeline)
        finally:
            self._reading.close()
            self._pipeline.close()

    def _store(self, total: int, tell: Tell) -> None:
        """Embed and store the group; a file's old document goes in the step in which its new one comes."""
        group, self._group = self._group, []
        nodes = [node for outcome in group for node in outcome.nodes]
        for first in range(0, len(nodes), EMBED_WINDOWS):
            tell(Progress("", self._read, total, first, len(nodes)))
            self._done.embedded += self._pipeline.embed(nodes[first : first + EMBED_WINDOWS])
        entries = [outcome.entry for outcome in group if outcome.entry]
        olds = [path for outcome in group if (path := _old_path(outcome))]
        if entries or olds:
            self._index.change(entries, [scope_id(path) for path in olds])
        for outcome in group:
            self._count(outcome)

    def _count(self, outcome: Outcome) -> None:
        job, stamp, done = outcome.job, outcome.job.stamp, self._done
        if outcome.entry:
            done.moved += bool(job.moved_from)
            done.changed += job.known
            done.added += not job.known and not job.moved_from
            return
        done.dropped += job.known or bool(job.moved_from)
        done.failed.append(Failure(stamp.path, outcome.error))
        if outcome.lasting:
            done.unreadable.append(Unreadable(stamp.path, stamp.size, stamp.mtime_ns, self._attempt, outcome.error))


def _weight(outcome: Outcome) -> int:
    return max(1, len(outcome.nodes))


def _old_path(outcome: Outcome) -> str:
    """The document that goes with this outcome: where the file stood before, or its own that can be read no more."""
    dropped = outcome.entry is None and outcome.job.known
    return outcome.job.stamp.path if dropped else outcome.job.moved_from
