"""`docmind serve`: what is started, what is said, how it ends, with a stand-in for vLLM."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from infra.errors import ConfigurationError
from infra.settings import load_settings
from infra.vllm import __main__ as kit
from infra.vllm import serve as door
from infra.vllm.child import session_members
from infra.vllm.choice import Vllm
from infra.vllm.compose import Composed
from infra.vllm.facts import Wanted
from infra.vllm.failures import Diagnosis
from infra.vllm.gpus import gpu
from infra.vllm.launch import Ended
from infra.vllm.serve import check_address, command_of, environment, usable, why
from infra.vllm.words import Given
from tests.loopback import reserved_port

REPOSITORY = Path(__file__).parents[3]
STAND_IN = Path(__file__).with_name("vllm_stand_in.py")
SECONDS = 60
KEY = "a-secret-key"


@pytest.fixture(autouse=True)
def _own_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with reserved_port() as port:
        monkeypatch.setenv("DOCMIND_VLLM__BASE_URL", f"http://127.0.0.1:{port}/v1")
        yield


@dataclass
class Door:
    """The door as a process, with its output in files, so that nothing blocks on a pipe."""

    process: "subprocess.Popen[bytes]"
    out: Path
    err: Path
    home: Path

    def says(self, words: str) -> bool:
        deadline = time.monotonic() + SECONDS
        while words not in self.out.read_text() + self.err.read_text() and time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            os.sched_yield()
        return words in self.out.read_text() + self.err.read_text()

    def ends(self) -> int:
        return self.process.wait(timeout=SECONDS)

    @property
    def log(self) -> str:
        return (self.home / "vllm" / "vllm.log").read_text()


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str) -> Path:
    """Set a vLLM up, a build for CPUs, that behaves as the name of the model says; returns the data folder."""
    bin_, home = folder / "bin", folder / "home"
    bin_.mkdir()
    python = bin_ / "python"
    python.write_text("""#!/bin/sh\necho '{"version": "0.32.0", "cpu": true}'\n""")
    vllm = bin_ / "vllm"
    vllm.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STAND_IN}" "$@"\n')
    for path in (python, vllm):
        path.chmod(0o755)
    ours = {
        "DATA_DIR": str(home),
        "SERVE__PYTHON": str(python),
        "VLLM__MODEL": behaviour,
        "VLLM__API_KEY": KEY,
        "VLLM__CONTEXT_WINDOW": "4096",
    }
    for name, value in ours.items():
        monkeypatch.setenv(f"DOCMIND_{name}", value)
    return home


def opened(folder: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str) -> Door:
    """Start the door as a process."""
    home = installed(folder, monkeypatch, behaviour)
    out, err = folder / "out", folder / "err"
    with out.open("wb") as to_out, err.open("wb") as to_err:
        command = [sys.executable, "-m", "infra.vllm", "serve", "--cpu"]
        process = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=to_out, stderr=to_err)
    return Door(process, out, err, home)


def called(*options: str) -> Result:
    """Call the door in this process, as the kit's own command does."""
    return CliRunner().invoke(kit.main, ["serve", *options])


def session_of(one: Door) -> int:
    """The session of the server that the door started."""
    children = Path(f"/proc/{one.process.pid}/task/{one.process.pid}/children").read_text().split()
    return next(int(pid) for pid in children if os.getsid(int(pid)) == int(pid))


def test_a_server_comes_up_and_ends_with_all_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one = opened(tmp_path, monkeypatch, "up_on_a_cpu+deaf")
    assert one.says("answering: vLLM 0.32.0, KV cache 131,072 tokens = 32.00 x 4,096 at http://127.0.0.1:")
    session = session_of(one)
    assert len(session_members(session)) == 2
    one.process.send_signal(signal.SIGINT)
    assert one.ends() == 0
    assert session_members(session) == []
    told = one.out.read_text()
    assert told.count("loading the weights") == 1
    assert "--kv-cache-memory-bytes" in told
    assert KEY not in told + one.err.read_text() + one.log


def test_sigterm_while_it_starts_ends_it_with_another_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one = opened(tmp_path, monkeypatch, "up_on_gpus+stuck+worker")
    assert one.says("reserving the KV cache")
    session = session_of(one)
    one.process.send_signal(signal.SIGTERM)
    assert one.ends() == 130
    assert session_members(session) == []


def test_a_known_failure_is_one_line_of_cause_and_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    home = installed(tmp_path, monkeypatch, "wrong_quantization")
    result = called("--cpu")
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith(
        "docmind: the checkpoint is quantized with awq, --quantization asks for fp8; leave --quantization out of "
    )
    assert last.endswith(f"(log: {home / 'vllm' / 'vllm.log'})")
    assert "Quantization method specified" in (home / "vllm" / "vllm.log").read_text()


def test_a_server_that_crashes_later_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    installed(tmp_path, monkeypatch, "up_on_a_cpu+crash")
    monkeypatch.setattr(door, "HEALTH_SECONDS", 30.0)  # it is asked once only
    result = called("--cpu")
    assert result.exit_code == 1
    assert "answering" in result.stdout
    assert "docmind: vLLM ended: LookupError: the moon; read the log" in result.stderr


def test_one_that_does_not_come_up_in_time_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    installed(tmp_path, monkeypatch, "up_on_gpus+stuck")
    result = called("--cpu", "--start-seconds", "1")
    assert result.exit_code == 1
    assert "docmind: vLLM did not answer within 1 s; give it --start-seconds" in result.stderr


def test_without_a_gpu_nothing_is_started_and_the_choice_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    home = installed(tmp_path, monkeypatch, "up_on_a_cpu")
    monkeypatch.setattr(door.gpus, "installed", lambda: ())
    result = called()
    assert result.exit_code == 2
    assert "nothing was started. The choice is yours:" in result.stderr
    assert "docmind serve --cpu" in result.stderr
    assert not home.exists()


@pytest.mark.parametrize("options", [["--kv-cache-dtype", "q8_0"], ["--", "--swap-space", "4"]])
def test_what_vllm_does_not_take_is_refused_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
):
    home = installed(tmp_path, monkeypatch, "up_on_a_cpu")
    result = called("--cpu", *options)
    assert result.exit_code == 2
    assert any(word in result.stderr for word in ("q8_0", "--swap-space is no option of vLLM 0.32.0"))
    assert not home.exists()


def listening(port: int) -> Composed:
    given = (Given("--host", "--host", ("127.0.0.1",)), Given("--port", "--port", (str(port),)))
    return Composed("0.33.0", "m", given, {})


def test_a_taken_port_is_told_at_once():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} on 127.0.0.1 .* DOCMIND_VLLM__BASE_URL"):
            check_address(listening(port), f"http://127.0.0.1:{port}/v1")
    with reserved_port() as port:
        check_address(listening(port), f"http://127.0.0.1:{port}/v1")


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8001/v1", "http://127.0.0.1/v1", "https://127.0.0.1/v1"])
def test_a_server_that_docmind_would_not_find_is_not_started(base_url: str):
    with pytest.raises(ConfigurationError, match=r"listen on port 8000, DocMind asks at .* DOCMIND_VLLM__BASE_URL"):
        check_address(listening(8_000), base_url)


def test_a_server_on_this_machine_alone_is_not_started_for_an_address_elsewhere():
    with pytest.raises(ConfigurationError, match=r"listen on 127.0.0.1 alone, DocMind asks at .* DOCMIND_SERVE__HOST"):
        check_address(listening(8_000), "http://192.0.2.7:8000/v1")


def test_without_vllm_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(door, "find_vllm", lambda _: None)
    monkeypatch.setattr(door.gpus, "installed", lambda: (gpu("RTX 4090"),))
    with pytest.raises(
        ConfigurationError, match=r"no vLLM is installed here: pip install vllm .*DOCMIND_SERVE__PYTHON"
    ):
        usable(load_settings(), Wanted("m"), cpu=False)


@pytest.mark.parametrize(
    ("cards", "cpu_build", "cpu", "found"),
    [(True, False, False, True), (False, True, True, True), (True, True, True, True), (False, False, True, False)],
)
def test_a_gpu_or_a_build_for_cpus_that_was_asked_for_is_usable(
    monkeypatch: pytest.MonkeyPatch, *, cards: bool, cpu_build: bool, cpu: bool, found: bool
):
    one = Vllm(Path("python"), "0.33.0", cpu_build)
    monkeypatch.setattr(door, "find_vllm", lambda _: one)
    monkeypatch.setattr(door.gpus, "installed", lambda: (gpu("RTX 4090"),) if cards else ())
    if found:
        assert usable(load_settings(), Wanted("m"), cpu=cpu) == one
    else:
        with pytest.raises(ConfigurationError, match="The choice is yours"):
            usable(load_settings(), Wanted("m"), cpu=cpu)


def test_a_card_that_is_too_old_for_vllm_is_none(monkeypatch: pytest.MonkeyPatch):
    old = replace(gpu("RTX 4090"), name="GTX 1080", capability=(6, 1))
    monkeypatch.setattr(door, "find_vllm", lambda _: Vllm(Path("python"), "0.33.0", cpu=False))
    monkeypatch.setattr(door.gpus, "installed", lambda: (old,))
    with pytest.raises(ConfigurationError, match="No GPU that vLLM can use"):
        usable(load_settings(), Wanted("m"), cpu=False)


def test_a_build_for_gpus_does_not_take_cpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(door, "find_vllm", lambda _: Vllm(Path("python"), "0.33.0", cpu=False))
    monkeypatch.setattr(door.gpus, "installed", lambda: (gpu("RTX 4090"),))
    with pytest.raises(ConfigurationError, match="leave --cpu out"):
        usable(load_settings(), Wanted("m"), cpu=True)


def test_the_servers_environment_has_none_of_our_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DOCMIND_OPENAI__API_KEY", KEY)
    monkeypatch.setenv("PYTHONPATH", "/ours")
    env = environment(tmp_path / "python", {"VLLM_API_KEY": "k"})
    assert not [name for name in env if name.startswith("DOCMIND_")]
    assert "PYTHONPATH" not in env
    assert env["VLLM_API_KEY"] == "k"
    assert env["PATH"].startswith(f"{tmp_path}{os.pathsep}")


def test_where_there_is_no_command_the_module_is_started(tmp_path: Path):
    assert command_of(tmp_path / "python") == [str(tmp_path / "python"), "-m", "vllm.entrypoints.cli.main"]
    (tmp_path / "vllm").write_text("")
    assert command_of(tmp_path / "python") == [str(tmp_path / "vllm")]


def test_a_server_that_was_killed_is_told_by_its_signal():
    ended = Ended("ended", -9, was_up=True, phase="up", seconds=99.0)
    found = Diagnosis("unknown", "vLLM ended and said no reason", "read the log: L", "", "")
    assert (
        why(ended, found, "L")
        == "vLLM was killed by signal 9; 9 is mostly the system out of main memory: see dmesg (log: L)"
    )


def test_a_public_thread_is_named_beside_the_log():
    found = Diagnosis("x", "cause", "cure", "https://github.com/vllm-project/vllm/issues/1", "line")
    ended = Ended("ended", 1, was_up=False, phase="weights", seconds=9.0)
    assert why(ended, found, "L") == "cause; cure (log: L; like https://github.com/vllm-project/vllm/issues/1)"
