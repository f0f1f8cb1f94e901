"""How a Ray cluster is reached, started and left, and what is said where that fails. A stand-in plays Ray's part."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.loopback import reserved_port
from tests.tools import fake_ray
from tests.tools.fake_ray import FakeRay
from tests.tools.words import WordEmbedder
from tools import ingest as door
from tools import ingest_ray_cluster, ingest_ray_worker


@pytest.fixture(autouse=True)
def _words_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (door, ingest_ray_worker):
        monkeypatch.setattr(module, "open_embedder", lambda *_, **__: WordEmbedder())


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    return fake_ray.installed(monkeypatch)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("One text.")
    return folder


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(door.app, [str(argument) for argument in arguments])


def test_a_local_cluster_is_closed_to_others_says_nothing_and_leaves_nothing(
    ray: FakeRay, docs: Path, monkeypatch: pytest.MonkeyPatch
):
    before = dict(os.environ)
    assert call(docs, "--ray", "local", "--ray-workers", "3").exit_code == 0
    options, ended = ray.calls
    assert ended == "shutdown"
    assert (options["address"], options["num_cpus"], options["num_gpus"]) == ("local", 3, 0)
    assert (options["include_dashboard"], options["log_to_driver"]) == (False, False)
    home = Path(ray.variables["HOME"])
    assert options["_temp_dir"] == f"{home}/r"
    assert not home.exists()
    assert {name: value for name, value in ray.variables.items() if name.startswith("RAY_")} == {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": ray.variables["RAY_AUTH_TOKEN"],
    }
    assert len(ray.variables["RAY_AUTH_TOKEN"]) == 64
    assert dict(os.environ) == before
    assert (ray.context.enable_progress_bars, ray.context.print_on_execution_start) == (False, False)


@pytest.fixture
def cluster() -> Iterator[str]:
    """An address at which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def healthy(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have ``code`` run in the place of Ray's own command that looks whether a cluster is well."""
    monkeypatch.setattr(ingest_ray_cluster, "HEALTH", ("-c", code))


def test_an_interruption_waits_until_ray_has_started(docs: Path, monkeypatch: pytest.MonkeyPatch):
    ray = fake_ray.installed(monkeypatch)
    started: list[bool] = []

    def start(**_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        started.append(True)

    monkeypatch.setattr(ray, "init", start)
    usual = signal.getsignal(signal.SIGINT)
    assert call(docs, "--ray", "local").exit_code == door.INTERRUPTED
    assert (started, ray.calls, ray.blocks) == ([True], ["shutdown"], 0)
    assert signal.getsignal(signal.SIGINT) is usual


def test_ray_is_shut_down_once_its_threads_are_gone(docs: Path, monkeypatch: pytest.MonkeyPatch):
    ray = fake_ray.installed(monkeypatch)
    go_on = threading.Event()

    class Executor(threading.Thread):
        def run(self) -> None:
            go_on.wait()
            ray.calls.append("thread")

    Executor.__module__ = "ray.data"
    executor = Executor()

    def interrupt(_: int) -> None:
        executor.start()
        threading.Timer(0.05, go_on.set).start()
        raise KeyboardInterrupt

    ray.before_block = interrupt
    assert call(docs, "--ray", "local").exit_code == door.INTERRUPTED
    assert ray.calls[1:] == ["thread", "shutdown"]


def test_a_running_cluster_is_taken_as_it_is(ray: FakeRay, docs: Path, cluster: str, monkeypatch: pytest.MonkeyPatch):
    healthy(monkeypatch, f"import sys; sys.exit(sys.argv[1] != '{cluster}')")
    address = cluster
    assert call(docs, "--ray", address).exit_code == 0
    options = ray.calls[0]
    assert (options["address"], options.keys() & {"num_cpus", "_temp_dir"}) == (address, set())
    assert "RAY_AUTH_TOKEN" not in ray.variables
    assert ray.variables["RAY_USAGE_STATS_ENABLED"] == "0"
    assert ray.options["compute"] == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            ModuleNotFoundError("ray::\n  at\nNo module named 'tools'"),
            "a module is missing on a worker; install the same",
        ),
        (Exception("The current node timed out during startup."), "the cluster did not start in time; the machine is"),
        (OSError("AF_UNIX path length cannot exceed 107 bytes"), "the path of the folder for temporary files is too"),
        (RuntimeError("first line\nlast line \x1b[31m"), "last line [31m; what was stored is kept, run"),
    ],
)
def test_errors_of_ray_are_one_line_that_helps(ray: FakeRay, docs: Path, error: Exception, line: str):
    def fail(_: int) -> None:
        raise error

    ray.before_block = fail
    result = call(docs, "--ray", "local")
    assert result.exit_code == 1
    (told,) = result.stderr.splitlines()
    assert told.startswith(f"docmind: Ray failed: {line}")


def test_a_cluster_without_a_free_processor_is_not_waited_for_without_end(
    ray: FakeRay, docs: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ingest_ray_cluster, "FREE_SECONDS", -1.0)
    ray.free = 0
    result = call(docs, "--ray", "local")
    assert result.exit_code == 1
    assert result.stderr.startswith("docmind: no processor of the Ray cluster local was free for ")


@pytest.mark.parametrize(
    "address", ["", "cluster", "host:", "host:x", "host:99999", "http://host:1", "ray://", ":6379"]
)
def test_an_address_that_is_none_is_refused(ray: FakeRay, docs: Path, address: str):
    result = call(docs, "--ray", address)
    assert (result.exit_code, ray.calls) == (2, [])
    assert result.stderr == (
        f"docmind: --ray {address}: give local, or host:port of a cluster that this machine belongs to\n"
    )


HELPS = "check --ray ADDRESS and that the cluster runs (ray status), or use --ray local"


def test_a_cluster_that_does_not_answer_is_named(ray: FakeRay, docs: Path):
    with reserved_port() as port:
        result = call(docs, "--ray", f"127.0.0.1:{port}")
    assert (result.exit_code, ray.calls) == (2, [])
    assert result.stderr == f"docmind: no Ray cluster answers at 127.0.0.1:{port}: Connection refused; {HELPS}\n"


def test_what_listens_and_is_no_cluster_is_not_waited_for_without_end(
    ray: FakeRay, docs: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
):
    healthy(monkeypatch, "import time; time.sleep(99)")
    monkeypatch.setattr(ingest_ray_cluster, "HEALTH_SECONDS", 0.2)
    result = call(docs, "--ray", cluster)
    assert (result.exit_code, ray.calls) == (2, [])
    assert result.stderr == f"docmind: no Ray cluster answers at {cluster}: nothing said within 0.2 s; {HELPS}\n"


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ("ray.exceptions.AuthenticationError: token", "the cluster wants another token; set RAY_AUTH_TOKEN to the"),
        ("Traceback\nray.exceptions.RpcError: Timed out", "ray.exceptions.RpcError: Timed out; what was stored is"),
        ("", "no reason given; what was stored is kept"),
    ],
)
def test_a_cluster_that_is_not_well_says_why(
    docs: Path, cluster: str, monkeypatch: pytest.MonkeyPatch, told: str, line: str
):
    ray = fake_ray.installed(monkeypatch)
    healthy(monkeypatch, f"import sys; sys.stderr.write({told!r}); sys.exit(1)")
    result = call(docs, "--ray", cluster)
    assert (result.exit_code, ray.calls) == (1, [])
    assert result.stderr.startswith(f"docmind: Ray failed at {cluster}: {line}")


@pytest.mark.parametrize("package", ["ray", "pyarrow", "pandas"])
def test_without_the_extra_one_line_says_what_to_install(
    ray: FakeRay, docs: Path, monkeypatch: pytest.MonkeyPatch, package: str
):
    found = ingest_ray_cluster.importlib.util.find_spec
    monkeypatch.setattr(
        ingest_ray_cluster.importlib.util, "find_spec", lambda name: None if name == package else found(name)
    )
    result = call(docs, "--ray", "local")
    assert (result.exit_code, ray.calls) == (2, [])
    assert result.stderr == (
        f'docmind: --ray needs an extra ({package} is not installed); run: pip install "docmind[ray]"\n'
    )
