"""The work of an ingestion: files read, split, embedded and stored, in groups of whole documents.

``prepare`` reads and splits files and touches nothing; it runs ahead in a thread while the model is at work, or
elsewhere, with a model of its own. ``Work`` embeds what is not embedded yet, in a second thread, and stores it. A group
is stored when its windows are enough for batches of equal length, so that little is done again after a kill and memory
stays bounded: at most one group is stored, one waits, one is embedded and one read. A file that cannot be read is noted
and the rest goes on.
"""

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infra.errors import DocumentError
from infra.settings import IngestSettings
from infra.store.embeddings import Embedder
from infra.store.index import Index
from infra.store.library import Stamp, Unreadable
from infra.store.memory import EmbeddingMemory
from infra.store.records import Entry
from infra.store.roots import scope_id
from tools.ingest_ahead import ahead
from tools.ingest_pipeline import Node, Pipeline, Splitter
from tools.ingest_plan import Done, Job, Maker
from tools.ingest_report import Progress, Tell
from tools.ingest_scan import Failure
from tools.readers.source import content_digest
from tools.reading import Reading

GROUP_WINDOWS = 512
"""Windows stored at once: ten seconds of work for two cores."""
EMBED_WINDOWS = 1_024
"""Windows embedded between two words of progress: a single file may have 100,000."""
LEAVE_SECONDS = 0.5
"""How long embedding is waited for when the work is broken off; what it still keeps then is of use to the next run."""
TURN_SECONDS = 0.0005
"""A thread that wants Python's lock gets it after this long; by default ten times that, in which a batch could end and
another one begin. Cold ingestion takes about 4 % less time."""
CACHE_FILE = "ingestion.sqlite3"
CHANGED = "changed while it was read"
"""In the place of a digest: equal to none."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file.

    Attributes:
        job: the file.
        entry: what is to be stored; None when it could not be read.
        nodes: its windows, to be embedded.
        error: why it could not be read.
        lasting: whether trying again is of no use while the file stays the same.
        vectors: embeddings of its windows that were computed elsewhere, by key.
        unseen: whether it was not this file that failed, but where it was to be read: what is stored of it stays.
    """

    job: Job
    entry: Entry | None = None
    nodes: tuple[Node, ...] = ()
    error: str = ""
    lasting: bool = False
    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict[str, NDArray[np.float32]])
    unseen: bool = False


Elsewhere = Callable[[Sequence[Job]], AbstractContextManager[Iterator[Outcome]]]
"""Reads and embeds files in other processes; gives what became of them, in any order, within the block."""


def prepare(jobs: Iterable[Job], reading: Reading, splitter: Splitter) -> Generator[Outcome]:
    """Read and split files, one after the other; nothing is stored and nothing embedded."""
    for job in jobs:
        try:
            extracted = reading.read(Path(job.stamp.path), job.stamp.size)
        except DocumentError as error:
            yield Outcome(job, error=str(error), lasting=True)
        except OSError as error:
            yield Outcome(job, error=error.strerror or str(error))
        else:
            entry, nodes = splitter.split(_as_read(job.stamp, reading.max_bytes), extracted)
            yield Outcome(job, entry, tuple(nodes))


def _as_read(stamp: Stamp, max_bytes: int) -> Stamp:
    """The stamp, without its digest if the file is another one by now: then the next ingestion reads it again."""
    try:
        same = content_digest(Path(stamp.path), max_bytes) == stamp.digest
    except (DocumentError, OSError):
        same = False
    return stamp if same else replace(stamp, digest=CHANGED)


class Work:
    """Does the jobs of a plan."""

    def __init__(self, index: Index, embedder: Embedder, settings: IngestSettings, maker: Maker) -> None:
        """Work on ``index``, within the bounds of ``settings``."""
        self._index = index
        self._model_id = embedder.model_id
        self._reading = Reading(settings)
        self._pipeline = Pipeline(EmbeddingMemory(index.library, embedder), maker.version, index.folder / CACHE_FILE)
        self._attempt = maker.attempt
        self._read = 0
        self._done = Done()

    def run(self, jobs: Sequence[Job], tell: Tell, elsewhere: Elsewhere | None = None) -> Done:
        """Do ``jobs``; call once. Files are read in a thread of this process, or ``elsewhere``."""
        with self._elsewhere(jobs, tell, elsewhere) if elsewhere else self._here(jobs, tell) as groups:
            for group in groups:
                self._store(group)
        tell(Progress("", len(jobs), len(jobs)))
        return self._done

    @contextmanager
    def _here(self, jobs: Sequence[Job], tell: Tell) -> Generator[Iterator[list[Outcome]]]:
        with ahead(self._prepared(jobs, tell), _weight, GROUP_WINDOWS, self._reading.close) as outcomes:
            embedded = self._embedded(outcomes, len(jobs), tell)
            with _short_turns(), ahead(embedded, len, 1, self._reading.close, LEAVE_SECONDS) as groups:
                yield groups

    @contextmanager
    def _elsewhere(self, jobs: Sequence[Job], tell: Tell, elsewhere: Elsewhere) -> Generator[Iterator[list[Outcome]]]:
        """All in this thread: reading and embedding need it not, and an interruption reaches whom it is for."""

        def told(outcomes: Iterator[Outcome]) -> Generator[Outcome]:
            for number, outcome in enumerate(outcomes, start=1):
                self._read = number
                tell(Progress(outcome.job.stamp.path, number, len(jobs)))
                yield outcome

        try:
            with elsewhere(jobs) as outcomes:
                yield self._embedded(told(outcomes), len(jobs), tell)
        finally:
            self._pipeline.close()

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

    def _embedded(self, outcomes: Iterator[Outcome], total: int, tell: Tell) -> Generator[list[Outcome]]:
        """Groups of outcomes whose embeddings are kept; made in a thread of its own, while the last group is stored."""
        for group in _grouped(outcomes):
            self._done.embedded += self._keep(group)
            nodes = [node for outcome in group for node in outcome.nodes]
            for first in range(0, len(nodes), EMBED_WINDOWS):
                tell(Progress("", self._read, total, first, len(nodes)))
                self._done.embedded += self._pipeline.embed(nodes[first : first + EMBED_WINDOWS])
            yield group

    def _store(self, group: Sequence[Outcome]) -> None:
        """Store the group; a file's old document goes in the step in which its new one comes."""
        entries = [outcome.entry for outcome in group if outcome.entry]
        olds = [path for outcome in group if (path := _old_path(outcome))]
        if entries or olds:
            self._index.change(entries, [scope_id(path) for path in olds])
        for outcome in group:
            self._count(outcome)

    def _keep(self, group: Sequence[Outcome]) -> int:
        """Keep the embeddings that came with outcomes; return how many were not known."""
        library = self._index.library
        vectors = {key: vector for outcome in group for key, vector in outcome.vectors.items()}
        known = library.embedded(self._model_id, list(vectors))
        fresh = {key: vector for key, vector in vectors.items() if key not in known}
        if fresh:
            library.keep_embeddings(self._model_id, fresh)
        return len(fresh)

    def _count(self, outcome: Outcome) -> None:
        job, stamp, done = outcome.job, outcome.job.stamp, self._done
        if outcome.entry:
            done.moved += bool(job.moved_from)
            done.changed += job.known
            done.added += not job.known and not job.moved_from
            return
        done.dropped += not outcome.unseen and (job.known or bool(job.moved_from))
        done.failed.append(Failure(stamp.path, outcome.error))
        if outcome.lasting:
            done.unreadable.append(Unreadable(stamp.path, stamp.size, stamp.mtime_ns, self._attempt, outcome.error))


def _grouped(outcomes: Iterator[Outcome]) -> Generator[list[Outcome]]:
    group: list[Outcome] = []
    weight = 0
    for outcome in outcomes:
        group.append(outcome)
        weight += _weight(outcome)
        if weight >= GROUP_WINDOWS:
            yield group
            group, weight = [], 0
    if group:
        yield group


@contextmanager
def _short_turns() -> Generator[None]:
    """Let threads of Python take turns ten times as often, so that the model's do not wait for those that read."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(TURN_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def _weight(outcome: Outcome) -> int:
    return max(1, len(outcome.entry.spans) if outcome.entry else 0)


def _old_path(outcome: Outcome) -> str:
    """The document that goes with this outcome: where the file stood before, or its own that can be read no more."""
    if outcome.unseen:
        return ""
    dropped = outcome.entry is None and outcome.job.known
    return outcome.job.stamp.path if dropped else outcome.job.moved_from
