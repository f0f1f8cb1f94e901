"""The work of an ingestion: files read, split, embedded and stored, in groups of whole documents.

A group is stored when its windows are enough for batches of equal length, so that little is done again after a kill and
memory stays bounded. A file that cannot be read is noted and the rest goes on.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from infra.errors import DocumentError
from infra.settings import IngestSettings
from infra.store.embeddings import Embedder
from infra.store.index import Index
from infra.store.library import Unreadable
from infra.store.memory import EmbeddingMemory
from infra.store.records import Entry
from infra.store.roots import scope_id
from tools.extracted import Extracted
from tools.ingest_pipeline import Node, Pipeline
from tools.ingest_plan import Done, Job
from tools.ingest_scan import Failure
from tools.reading import Reading

GROUP_WINDOWS = 256
CACHE_FILE = "ingestion.sqlite3"


class Work:
    """Reads files into an index; ends its helpers when the block it is used in is left."""

    def __init__(self, index: Index, embedder: Embedder, settings: IngestSettings, version: str) -> None:
        """Work on ``index``; ``version`` is that of readers, splitter and terms."""
        self._index = index
        self._reading = Reading(settings)
        memory = EmbeddingMemory(index.library, embedder)
        self._pipeline = Pipeline(index.folder / CACHE_FILE, memory, version)
        self._entries: list[Entry] = []
        self._nodes: list[Node] = []
        self._dropped: list[str] = []
        self._done = Done()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as last:
            last.callback(self._pipeline.close)
            last.callback(self._reading.close)

    def run(self, jobs: Sequence[Job], progress: Callable[[str, int, int], None]) -> Done:
        """Do ``jobs``; call once."""
        for number, job in enumerate(jobs):
            progress(job.stamp.path, number, len(jobs))
            extracted = self._read(job)
            if extracted:
                self._done.changed += job.known
                self._done.added += not job.known
                entry, nodes = self._pipeline.split(job.stamp, extracted)
                self._entries.append(entry)
                self._nodes += nodes
            if len(self._nodes) >= GROUP_WINDOWS:
                self._store()
        self._store()
        progress("", len(jobs), len(jobs))
        return self._done

    def _read(self, job: Job) -> Extracted | None:
        stamp = job.stamp
        try:
            return self._reading.read(Path(stamp.path), stamp.size)
        except DocumentError as error:
            reason = str(error)
            self._done.unreadable.append(Unreadable(stamp.path, stamp.size, stamp.mtime_ns, stamp.version, reason))
        except OSError as error:
            reason = error.strerror or str(error)
        self._done.failed.append(Failure(stamp.path, reason))
        if job.known:
            self._done.dropped += 1
            self._dropped.append(scope_id(stamp.path))
        return None

    def _store(self) -> None:
        self._pipeline.embed(self._nodes)
        self._index.change(self._entries, self._dropped)
        self._entries, self._nodes, self._dropped = [], [], []
