"""Files read and embedded by the workers of a Ray cluster, with Ray Data: the extra ``[ray]``.

The driver is this process: it owns the plan, the library and every write. ``OnRay`` is what ``tools.ingest_work`` takes
as ``Elsewhere``: jobs go out in small blocks to a fixed number of workers (``tools.ingest_ray_worker``), and what
became of them streams back, bounded by Ray Data's back-pressure. Kills, progress and reports are therefore those of an
ingestion in one process. When a worker dies, what is left is sent out anew, as long as that gets something done.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import SecretStr

from infra.errors import DocMindError
from infra.settings import Settings
from infra.store.library import Library
from tools.ingest_plan import VERSION, Job
from tools.ingest_ray_cluster import WorkerDied, connected, ray_errors

if TYPE_CHECKING:
    from tools.ingest_ray_worker import Task
    from tools.ingest_work import Outcome

BLOCK_FILES = 16
"""Files of one block, at most: what a worker that dies has to do again."""
BLOCKS_A_WORKER = 4
"""Blocks for each worker, at least, while there are as many files: so that all end at about the same time."""
TRIES = 3
"""How often what is left is sent out, after workers died, without one file more being done."""


@dataclass(frozen=True, slots=True)
class OnRay:
    """An ``Elsewhere`` of ``tools.ingest_work``: a cluster, connected for one run.

    Attributes:
        settings: of the driver; what workers need of them goes out with the jobs.
        library: where embeddings are kept that need not be computed again.
        model_id: the model that the index is made with.
        address: as ``check_address`` returned it.
        workers: how many; None: one for each processor of the cluster.
    """

    settings: Settings
    library: Library
    model_id: str
    address: str
    workers: int | None = None

    @contextmanager
    def __call__(self, jobs: Sequence[Job]) -> Generator[Iterator["Outcome"]]:
        """Give what became of ``jobs``, in any order.

        Raises:
            ConfigurationError: the cluster cannot be reached, or its workers have another version or model.
            DocMindError: the cluster or a worker failed.
        """
        task = self._task()
        with connected(self.address, self.workers) as ray:
            workers = self.workers or int(ray.cluster_resources()["CPU"])
            yield _retried(jobs, lambda left: _answers(ray, left, min(workers, len(left)), task))

    def _task(self) -> "Task":
        # LlamaIndex takes 2 s to import: who has nothing to do must not pay that
        from tools.ingest_ray_worker import Task  # noqa: PLC0415

        embedding = self.settings.embedding
        ours = embedding.kind == "minilm"
        return Task(
            ingest=self.settings.ingest,
            embedding=embedding.model_copy(update={"api_key": SecretStr("")}) if ours else embedding,
            models={} if ours else _kept_models(self.settings.data_dir),
            model_id=self.model_id,
            version=VERSION,
            known=np.array(self.library.embedded_keys(self.model_id), dtype="S32"),
        )


def _retried(jobs: Sequence[Job], answers: Callable[[Sequence[Job]], Iterator["Outcome"]]) -> Generator["Outcome"]:
    """Outcomes of all jobs; what is left when workers died is sent out again."""
    left = {job.stamp.path: job for job in jobs}
    tries = 0
    while left:
        try:
            for outcome in answers(list(left.values())):
                del left[outcome.job.stamp.path]
                tries = 0
                yield outcome
        except WorkerDied:
            tries += 1
            if tries == TRIES:
                raise
        else:
            break


def _answers(ray: Any, jobs: Sequence[Job], workers: int, task: "Task") -> Generator["Outcome"]:  # noqa: ANN401 - an optional vendor's
    from tools.ingest_ray_worker import ANSWER, JOB, Answer, Worker  # noqa: PLC0415 - as above

    files = max(1, min(BLOCK_FILES, len(jobs) // (workers * BLOCKS_A_WORKER)))
    with ray_errors():
        items = ray.data.from_items([{JOB: job} for job in jobs], override_num_blocks=-(-len(jobs) // files))
        answers = items.map_batches(
            Worker,
            fn_constructor_args=(task,),
            batch_size=None,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
            max_restarts=0,  # Ray's own tries have no end; ours are in ``_retried``
        )
        rows = iter(answers.iter_rows())
    while True:
        with ray_errors():
            row = next(rows, None)
        if row is None:
            return
        answer: Answer = row[ANSWER]
        if isinstance(answer, DocMindError):
            raise answer
        yield answer


def _kept_models(data_dir: Path) -> dict[str, bytes]:
    """What the data directory knows of embedding models that are not ours, by file name."""
    return {file.name: file.read_bytes() for file in sorted((data_dir / "models").glob("embedding-*.json"))}
