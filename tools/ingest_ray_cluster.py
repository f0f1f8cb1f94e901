"""A connection to a Ray cluster: checked, bounded in time, silent, with Ray's errors as one line of ours.

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
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Generator, Mapping, Set
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from infra.errors import ConfigurationError, DocMindError
from infra.text.plain import short_line

LOCAL = "local"
EXTRA = "docmind[ray]"
CONNECT_SECONDS = 5.0
HEALTH = ("-m", "ray.scripts.scripts", "health-check", "--address")
HEALTH_SECONDS = 30.0
"""For Python to import Ray, and for an answer; Ray's own patience is minutes, in which it writes on the terminal."""
FREE_SECONDS = 60.0
"""How long a processor of the cluster is waited for."""
POLL_SECONDS = 0.5
LEAVE_SECONDS = 30.0
"""How long Ray's threads are waited for; mostly they need a second."""
STORE_BYTES = 512 * 2**20
"""Ray's shared memory of a local cluster."""
BLOCK_BYTES = 16 * 2**20
"""What a worker sends at once, unless one file has more."""

_DIED = "a worker died, such as for want of memory"
_FEWER = "try fewer workers: --ray-workers; what was stored is kept, run the same again to go on"
_ANY = "what was stored is kept, run the same again to go on; Ray's own logs say more"
_CAUSES = (
    ("No module named", "a module is missing on a worker", "install the same docmind on every machine of the cluster"),
    ("timed out during startup", "the cluster did not start in time", "the machine is busy: run the same again"),
    ("OutOfMemoryError", _DIED, _FEWER),
    ("ActorDiedError", _DIED, _FEWER),
    ("ActorUnavailableError", _DIED, _FEWER),
    ("WorkerCrashedError", _DIED, _FEWER),
    ("NodeDiedError", _DIED, _FEWER),
    ("No node info found", "this machine is no node of the cluster", "run docmind on one that is, or use --ray local"),
    ("Version mismatch", "the cluster has another version of Ray or Python", "use the same on every machine"),
    ("AuthenticationError", "the cluster wants another token", "set RAY_AUTH_TOKEN to the cluster's"),
    ("AF_UNIX path", "the path of the folder for temporary files is too long", "set TMPDIR to a shorter one"),
)
"""What stands in an error's name or text, what happened, and what helps."""

_ALWAYS = {"RAY_USAGE_STATS_ENABLED": "0"}
_LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}  # the first keeps Ray to loopback


class WorkerDied(DocMindError):  # noqa: N818 - what happened
    """A worker ended, or its machine; what it had not sent is lost."""


def check_address(address: str) -> str:
    """Return ``address`` if it may be one: ``local``, or ``host:port`` of a cluster that this machine belongs to.

    Ray Data cannot work through Ray's client server (``ray://``): https://github.com/ray-project/ray/issues/48682.

    Raises:
        ConfigurationError: it is not, or the extra is not installed.
    """
    if address != LOCAL:
        _host_and_port(address)
    for package in ("ray", "pyarrow", "pandas"):
        if importlib.util.find_spec(package) is None:
            raise ConfigurationError(f'--ray needs an extra ({package} is not installed); run: pip install "{EXTRA}"')
    return address


@contextmanager
def connected(address: str, workers: int | None) -> Generator[Any]:
    """Ray, connected to a cluster on which a processor is free; a local one is started and ended.

    Args:
        address: as ``check_address`` returned it.
        workers: how many a local cluster is for; None: one a processor.

    Raises:
        ConfigurationError: nothing answers at the address.
        DocMindError: the cluster cannot be started or used.
    """
    with ExitStack() as stack:
        if address == LOCAL:
            home = stack.enter_context(TemporaryDirectory(prefix="docmind-", ignore_cleanup_errors=True))
            variables, options = _local(Path(home), workers)
        else:
            variables, options = _ALWAYS, {}
        stack.enter_context(_environment(variables))
        if address != LOCAL:
            _check_reachable(address)
        with _held_back(), ray_errors(address):
            ray: Any = importlib.import_module("ray")
            data: Any = importlib.import_module("ray.data")
            _quiet(data)
            stack.callback(_shut_down, ray)
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **options)
            stack.callback(_await_threads, frozenset(threading.enumerate()))
        with ray_errors(address):
            _await_processor(ray, address)
        yield ray


@contextmanager
def ray_errors(address: str = "") -> Generator[None]:
    """Whatever Ray raises within the block as one line of ours, and nothing said of what it will drop one day.

    Raises:
        WorkerDied: what was asked may be asked again.
        DocMindError: what went wrong, and what helps.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DocMindError:
        raise
    except Exception as error:  # Ray raises plain Exception, too
        raise _fault(f"{type(error).__name__}: {error}", address) from error


def _fault(told: str, address: str) -> DocMindError:
    """What Ray tells as an error of ours; it gives the whole traceback of a worker's error, and the cause last."""
    last = [line for line in told.splitlines() if line.strip()][-1:] or ["no reason given"]
    what, helps = next((found for mark, *found in _CAUSES if mark in told), (short_line(last[0]), _ANY))
    fault = WorkerDied if what is _DIED else DocMindError
    return fault(f"Ray failed{address and f' at {address}'}: {what}; {helps}")


def _local(home: Path, workers: int | None) -> tuple[dict[str, str], dict[str, Any]]:
    """Variables and options of a cluster of our own."""
    (home / "ray_bootstrap_config.yaml").write_text("{}\n", encoding="utf-8")
    options = {
        "num_cpus": workers or os.cpu_count(),
        "num_gpus": 0,
        "include_dashboard": False,
        "object_store_memory": STORE_BYTES,
        "_temp_dir": str(home / "r"),  # Ray opens its folder to everybody, so it stands in one of ours
    }
    return _ALWAYS | _LOCAL | {"HOME": str(home), "RAY_AUTH_TOKEN": secrets.token_hex(32)}, options


def _quiet(data: Any) -> None:  # noqa: ANN401 - an optional vendor's
    """Have Ray say nothing by itself, and send what is ready in small blocks."""
    # what happens to workers is printed on stdout, where the report goes, whatever ``log_to_driver`` says
    worker: Any = importlib.import_module("ray._private.worker")
    worker.print_to_stdstream = _say_nothing
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = BLOCK_BYTES
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)


def _say_nothing(*_: object, **__: object) -> None:
    pass


def _await_processor(ray: Any, address: str) -> None:  # noqa: ANN401 - an optional vendor's
    deadline = time.monotonic() + FREE_SECONDS
    while ray.available_resources().get("CPU", 0) < 1:
        if time.monotonic() > deadline:
            raise DocMindError(
                f"no processor of the Ray cluster {address} was free for {FREE_SECONDS:g} s; "
                "wait for other work on it to end, add machines, or run without --ray"
            )
        time.sleep(POLL_SECONDS)


def _await_threads(usual: Set[threading.Thread]) -> None:
    """Wait for Ray Data's threads, those not in ``usual``: one that still works then takes the process with it."""
    deadline = time.monotonic() + LEAVE_SECONDS
    with _held_back():
        for thread in threading.enumerate():
            if thread not in usual and type(thread).__module__.startswith("ray."):
                thread.join(max(0.0, deadline - time.monotonic()))


def _shut_down(ray: Any) -> None:  # noqa: ANN401 - an optional vendor's
    with _held_back():
        ray.shutdown()


@contextmanager
def _held_back() -> Generator[None]:
    """Let Ctrl-C wait for the end of the block: Ray is not to be broken off while it starts or ends."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: caught.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    for number in caught[:1]:
        signal.raise_signal(number)


def _check_reachable(address: str) -> None:
    """Ask in a process of its own: Ray itself would try for minutes, and may end its process when it gives up."""
    try:
        socket.create_connection(_host_and_port(address), CONNECT_SECONDS).close()
        command = [sys.executable, *HEALTH, address]
        asked = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=HEALTH_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or f"nothing said within {HEALTH_SECONDS:g} s"
        raise ConfigurationError(
            f"no Ray cluster answers at {address}: {reason}; "
            "check --ray ADDRESS and that the cluster runs (ray status), or use --ray local"
        ) from error
    if asked.returncode:
        raise _fault(asked.stderr.decode("utf-8", "replace"), address)


def _host_and_port(address: str) -> tuple[str, int]:
    with suppress(ValueError):
        parts = urlsplit(f"//{address}")
        if parts.hostname and parts.port and parts.netloc == address:
            return parts.hostname, parts.port
    raise ConfigurationError(
        f"--ray {short_line(address)}: give local, or host:port of a cluster that this machine belongs to"
    )


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
