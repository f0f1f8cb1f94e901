"""Files read and embedded by a Ray cluster, with Ray Data: the extra ``[ray]``, and the only module that knows Ray.

The driver is this process: it owns the plan, the library and every write. ``on_ray`` gives what ``tools.ingest_work``
takes as ``Elsewhere``: jobs go out in small blocks to a fixed number of workers (``tools.ingest_ray_worker``), and what
became of them streams back, bounded by Ray Data's back-pressure. Kills, progress and reports are therefore those of an
ingestion in one process.

``local`` starts a cluster on this machine for the run: on loopback, in a folder that only its user can enter, with a
token of its own, without dashboard, and ended with the block. Ray's usage statistics are off. They are not all that Ray
2.60 sends: with them off, its head still asks the addresses where clouds describe a machine, unless
``~/ray_bootstrap_config.yaml`` is there (``usage_lib.get_cluster_config_to_report``), so a local cluster gets a home
with that file in it. A running cluster is what its owner made it.
"""

import importlib
import importlib.util
import logging
import os
import secrets
import socket
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from pydantic import SecretStr

from infra.errors import ConfigurationError, DocMindError
from infra.settings import Settings
from infra.store.library import Library
from infra.text.plain import short_line
from tools.ingest_plan import VERSION, Job

if TYPE_CHECKING:
    from tools.ingest_ray_worker import Task
    from tools.ingest_work import Outcome

LOCAL = "local"
EXTRA = "docmind[ray]"
CLIENT = "ray"
"""Scheme of an address that is reached through Ray's client server."""
CONNECT_SECONDS = 5.0
FREE_SECONDS = 60.0
"""How long a processor of the cluster is waited for."""
POLL_SECONDS = 0.5
BLOCK_FILES = 16
"""Files of one block, at most: what a worker that dies has to do again."""
BLOCKS_A_WORKER = 4
"""Blocks for each worker, at least, while there are as many files: so that all end at about the same time."""
BLOCK_BYTES = 16 * 2**20
"""What a worker sends at once, unless one file has more."""
STORE_BYTES = 512 * 2**20
"""Ray's shared memory of a local cluster."""
RETRIES = 2
"""How often a block is done again after its worker died: not without end, should a file be the cause."""

_ALWAYS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}
_LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}  # the first keeps Ray to loopback


def check_address(address: str) -> str:
    """Return ``address`` if it may be one: ``local``, ``host:port`` or ``ray://host:port``.

    Raises:
        ConfigurationError: it is not, or the extra is not installed.
    """
    if address != LOCAL:
        _host_and_port(address)
    for package in ("ray", "pyarrow", "pandas"):
        if importlib.util.find_spec(package) is None:
            raise ConfigurationError(f'--ray needs an extra ({package} is not installed); run: pip install "{EXTRA}"')
    return address


@dataclass(frozen=True, slots=True)
class OnRay:
    """An ``Elsewhere`` of ``tools.ingest_work``: a cluster, connected for one run.

    Attributes:
        settings: of the driver; what workers need of them goes out with the jobs.
        library: where embeddings are kept that need not be computed again.
        model_id: the model that the index is made with.
        address: see ``check_address``.
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
            ConfigurationError: the cluster cannot be reached or used, or its workers have another version or model.
            DocMindError: a worker failed.
        """
        # LlamaIndex takes 2 s to import: who has nothing to do must not pay that
        from tools.ingest_ray_worker import Worker  # noqa: PLC0415

        with _connected(self.address, self.workers) as ray:
            processors = _free_processors(ray, self.address)
            workers = min(self.workers or processors, len(jobs))
            yield _answers(_dataset(ray, jobs, workers, Worker, self._task()))

    def _task(self) -> "Task":
        from tools.ingest_ray_worker import Task  # noqa: PLC0415 - as above

        embedding = self.settings.embedding
        ours = embedding.kind == "minilm"
        return Task(
            ingest=self.settings.ingest,
            embedding=embedding.model_copy(update={"api_key": SecretStr("")}) if ours else embedding,
            models={} if ours else kept_models(self.settings.data_dir),
            model_id=self.model_id,
            version=VERSION,
            known=np.array(self.library.embedded_keys(self.model_id), dtype="S32"),
        )


@contextmanager
def _connected(address: str, workers: int | None) -> Generator[Any]:
    """Ray, connected; a local cluster is started and ended."""
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    with ExitStack() as stack:
        variables = dict(_ALWAYS)
        if address == LOCAL:
            home = stack.enter_context(TemporaryDirectory(prefix="docmind-", ignore_cleanup_errors=True))
            (Path(home) / "ray_bootstrap_config.yaml").write_text("{}\n", encoding="utf-8")
            variables |= _LOCAL | {"HOME": home, "RAY_AUTH_TOKEN": secrets.token_hex(32)}
            options |= {
                "num_cpus": workers or os.cpu_count(),
                "num_gpus": 0,
                "include_dashboard": False,
                "object_store_memory": STORE_BYTES,
                "_temp_dir": f"{home}/r",  # Ray opens its folder to everybody, so it stands in one of ours
            }
        else:
            _check_reachable(address)
        stack.enter_context(_environment(variables))
        with _ray_errors(address):
            ray: Any = importlib.import_module("ray")
            data: Any = importlib.import_module("ray.data")
        stack.callback(ray.shutdown)
        with _ray_errors(address):
            ray.init(address=address, **options)
        _quiet(data)
        yield ray


def _quiet(data: Any) -> None:  # noqa: ANN401 - an optional vendor's
    """Have Ray Data say nothing by itself, and send what is ready in small blocks."""
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = BLOCK_BYTES
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)


def _dataset(ray: Any, jobs: Sequence[Job], workers: int, worker: type, task: "Task") -> Any:  # noqa: ANN401 - likewise
    """The stream of answers, not started yet."""
    files = max(1, min(BLOCK_FILES, len(jobs) // (workers * BLOCKS_A_WORKER)))
    items = ray.data.from_items([{"job": job} for job in jobs], override_num_blocks=-(-len(jobs) // files))
    return items.map_batches(
        worker,
        fn_constructor_args=(task,),
        batch_size=None,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
        max_restarts=-1,  # what bounds is how often one block is tried
        max_task_retries=RETRIES,
    )


def _answers(dataset: Any) -> Generator["Outcome"]:  # noqa: ANN401 - likewise
    rows = iter(dataset.iter_rows())
    while True:
        with _ray_errors():
            row = next(rows, None)
        if row is None:
            return
        answer: Outcome | DocMindError = row["answer"]
        if isinstance(answer, DocMindError):
            raise answer
        yield answer


def _free_processors(ray: Any, address: str) -> int:  # noqa: ANN401 - likewise
    """How many processors the cluster has, once one of them is free."""
    deadline = time.monotonic() + FREE_SECONDS
    while ray.available_resources().get("CPU", 0) < 1:
        if time.monotonic() > deadline:
            raise DocMindError(
                f"no processor of the Ray cluster {address} was free for {FREE_SECONDS:g} s; "
                "wait for other work on it to end, add machines, or run without --ray"
            )
        time.sleep(POLL_SECONDS)
    return int(ray.cluster_resources()["CPU"])


def kept_models(data_dir: Path) -> dict[str, bytes]:
    """What the data directory knows of embedding models that are not ours, by file name."""
    return {file.name: file.read_bytes() for file in sorted((data_dir / "models").glob("embedding-*.json"))}


def _check_reachable(address: str) -> None:
    """Ray itself would try for a minute and longer."""
    try:
        socket.create_connection(_host_and_port(address), CONNECT_SECONDS).close()
    except OSError as error:
        raise ConfigurationError(
            f"no Ray cluster answers at {address}: {error.strerror or error}; "
            "check --ray ADDRESS and that the cluster runs (ray status), or use --ray local"
        ) from error


def _host_and_port(address: str) -> tuple[str, int]:
    with suppress(ValueError):
        parts = urlsplit(address if "://" in address else f"//{address}")
        if parts.hostname and parts.port and parts.scheme in ("", CLIENT):
            return parts.hostname, parts.port
    raise ConfigurationError(f"--ray {short_line(address)}: give local, host:port, or ray://host:port")


@contextmanager
def _environment(variables: Mapping[str, str]) -> Generator[None]:
    """Variables for Ray, in this process and those it starts, within the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _ray_errors(address: str = "") -> Generator[None]:
    """Ray's errors as one line of ours."""
    try:
        yield
    except Exception as error:  # Ray raises plain Exception, too
        raise DocMindError(_explained(error, address)) from error


def _explained(error: BaseException, address: str) -> str:
    return f"Ray failed{address and f' at {address}'}: {type(error).__name__}: {short_line(str(error))}"
