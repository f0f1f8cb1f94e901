"""What a worker of a cluster does: reads files, splits them, and embeds the windows whose embedding is not known yet.

It knows nothing of Ray. Everything it works with is in its ``Task``: it reads no setting of its own machine and keeps
nothing on its disk. A file is read only where its bytes are those that were planned; otherwise the outcome says so, and
what is stored of it stays. What makes a whole run pointless (another version, another model) comes back as an error.
"""

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError, DocMindError, DocumentError
from infra.settings import EmbeddingSettings, IngestSettings, Settings
from infra.store.embeddings import Embedder
from infra.store.embeddings_kept import PROBE
from infra.store.embeddings_open import open_embedder
from infra.store.memory import PIECE_TEXTS
from tools.ingest_pipeline import Splitter, texts_of
from tools.ingest_plan import VERSION, Job
from tools.ingest_work import GROUP_WINDOWS, Outcome, prepare
from tools.readers.source import content_digest
from tools.reading import Reading

JOB, ANSWER = "job", "answer"
"""The only column of what comes in, and of what goes out."""
MODELS = "models"
THREADS = 1
"""A worker has one processor; the cluster's other ones belong to other workers."""

Answer = Outcome | DocMindError


@dataclass(frozen=True, slots=True)
class Task:
    """What every worker is given.

    Attributes:
        ingest: the bounds of a file.
        embedding: the model's settings; a key only where its server wants one.
        models: what is known of models that are not ours (``infra.store.embeddings_kept``), by file name.
        model_id: the model that the index is made with.
        version: of reader, splitter and terms.
        known: keys of the embeddings that are there already, sorted, of type ``S32``.
    """

    ingest: IngestSettings
    embedding: EmbeddingSettings
    models: Mapping[str, bytes]
    model_id: str
    version: str
    known: NDArray[np.bytes_]


class Worker:
    """Reads and embeds batches of files, one batch at a time; opens its model for the first."""

    def __init__(self, task: Task) -> None:
        """Work with what ``task`` holds; nothing is opened yet."""
        self._task = task
        self._reading = Reading(task.ingest)
        self._splitter = Splitter(task.version, None)
        self._embedder: Embedder | None = None
        finalize(self, self._reading.close)

    def __call__(self, batch: Mapping[str, Sequence[Job]]) -> Iterator[dict[str, NDArray[Any]]]:
        """Give an ``Answer`` for each job of the batch, in groups; an error is the last one."""
        try:
            for group in _groups(self._outcomes(batch[JOB])):
                yield _column(self._embedded(group))
        except DocMindError as error:
            kind = ConfigurationError if isinstance(error, ConfigurationError) else DocMindError
            yield _column([kind(f"the worker on {platform.node()}: {error}")])

    def _outcomes(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        if self._task.version != VERSION:
            raise ConfigurationError(
                f"it has another version of DocMind ({VERSION}, needed: {self._task.version}); "
                "install the same docmind on every machine of the cluster"
            )
        for job in jobs:
            unlike = _unlike(job, self._reading.max_bytes)
            if unlike:
                yield Outcome(job, error=f"the worker on {platform.node()}: {unlike}", unseen=True)
                continue
            for outcome in prepare([job], self._reading, self._splitter):
                yield replace(outcome, unseen=not outcome.entry and not outcome.lasting)

    def _embedded(self, group: Sequence[Outcome]) -> list[Outcome]:
        """The group with its new embeddings, each at the first outcome that needs it."""
        texts: dict[str, str] = {}
        owners: dict[str, int] = {}
        for place, outcome in enumerate(group):
            for key, text in texts_of(outcome.nodes).items():
                if key not in texts and not self._is_known(key):
                    texts[key], owners[key] = text, place
        found: list[dict[str, NDArray[np.float32]]] = [{} for _ in group]
        keys = sorted(texts, key=lambda key: -len(texts[key]))
        for first in range(0, len(keys), PIECE_TEXTS):
            piece = keys[first : first + PIECE_TEXTS]
            for key, vector in zip(piece, self._model().embed([texts[key] for key in piece]), strict=True):
                found[owners[key]][key] = vector
        return [replace(outcome, nodes=(), vectors=own) for outcome, own in zip(group, found, strict=True)]

    def _is_known(self, key: str) -> bool:
        known, wanted = self._task.known, key.encode()
        place = int(np.searchsorted(known, wanted))
        return place < len(known) and known[place] == wanted

    def _model(self) -> Embedder:
        if self._embedder is None:
            self._embedder = _opened(self._task)
        return self._embedder


def _opened(task: Task) -> Embedder:
    """The model, opened in a folder that is gone afterwards and holds what the driver knows of its models."""
    with TemporaryDirectory(prefix="docmind-") as folder:
        for name, content in task.models.items():
            file = Path(folder) / MODELS / name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
        # built as it is, so that no variable of this machine plays a part
        settings = Settings.model_construct(data_dir=Path(folder), embedding=task.embedding)
        embedder = open_embedder(settings, threads=THREADS)
        embedder.embed([PROBE])  # what is loaded when it is first needed is loaded now
    if embedder.model_id != task.model_id:
        raise ConfigurationError(
            f"its embedding model is {embedder.model_id}, the index is made with {task.model_id}; DOCMIND_EMBEDDING__* "
            "must lead to the same model from every machine of the cluster"
        )
    return embedder


def _unlike(job: Job, max_bytes: int) -> str:
    """Why what stands at the job's path here is not the file that was planned, or nothing."""
    try:
        if content_digest(Path(job.stamp.path), max_bytes) == job.stamp.digest:
            return ""
    except OSError as error:
        return f"{error.strerror or error}; every machine of the cluster must see the files under the same path"
    except DocumentError:
        pass  # it is no file
    return "another file stands there, or it was changed meanwhile; run the same again"


def _groups(outcomes: Iterator[Outcome]) -> Iterator[list[Outcome]]:
    """Outcomes side by side until their windows make full batches."""
    group: list[Outcome] = []
    windows = 0
    for outcome in outcomes:
        group.append(outcome)
        windows += len(outcome.nodes)
        if windows >= GROUP_WINDOWS:
            yield group
            group, windows = [], 0
    if group:
        yield group


def _column(answers: Sequence[Answer]) -> dict[str, NDArray[Any]]:
    column = np.empty(len(answers), dtype=object)
    column[:] = answers
    return {ANSWER: column}
