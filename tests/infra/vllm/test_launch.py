"""A server followed from its start to its end, with a stand-in that writes real logs."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from infra.vllm import launch
from infra.vllm.child import Child, LogFile
from infra.vllm.launch import Ear, Ended, follow
from infra.vllm.startup import Phase
from tests.loopback import reserved_port

STAND_IN = Path(__file__).with_name("vllm_stand_in.py")


@contextmanager
def started(model: str, folder: Path, port: int) -> Generator[tuple[Child, Ear]]:
    ear = Ear()
    command = [sys.executable, str(STAND_IN), "serve", model, "--port", str(port)]
    child = Child(command, os.environ, LogFile(folder / "vllm.log"), ear)
    try:
        yield child, ear
    finally:
        child.end(asked=5, group=0.2)


def followed(model: str, folder: Path, *, limit: float = 60.0) -> tuple[Ended, Ear, list[Phase]]:
    told: list[Phase] = []

    def healthy() -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/health", timeout=30, trust_env=False).is_success
        except httpx2.TransportError:
            return False

    with reserved_port() as port, started(model, folder, port) as (child, ear):
        ended = follow(child, ear, healthy, lambda phase, _: told.append(phase), limit)
    assert child.members() == []
    return ended, ear, told


def test_each_phase_is_told_once_and_an_answering_server_is_up(tmp_path: Path):
    ended, ear, told = followed("up_on_a_cpu+crash", tmp_path)
    assert told == ["model", "weights", "kv_cache", "server", "up"]
    assert (ended.how, ended.code, ended.was_up) == ("ended", 5, True)
    assert ear.diagnosis("LOG").cause == "vLLM ended: LookupError: the moon"
    assert "CPU KV cache size: 131,072 tokens" in (tmp_path / "vllm.log").read_text()


def test_a_server_that_logs_nothing_is_found_by_asking_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(launch, "UNTOLD_SECONDS", 0.1)
    ended, _, told = followed("up_on_a_cpu+silent+crash", tmp_path)
    assert (ended.how, ended.was_up, told) == ("ended", True, ["up"])


def test_a_server_that_ends_while_it_starts_is_diagnosed(tmp_path: Path):
    ended, ear, told = followed("wrong_quantization", tmp_path)
    assert (ended.how, ended.code, ended.was_up, ended.phase) == ("ended", 1, False, "model")
    assert told == ["model"]
    assert ear.diagnosis("LOG").name == "wrong_quantization"


def test_a_failed_engine_that_does_not_end_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(launch, "STUCK_SECONDS", 0.1)
    ended, ear, _ = followed("context_beyond_kv_memory+stuck+worker", tmp_path)
    assert (ended.how, ended.code) == ("stuck", None)
    assert ear.diagnosis("LOG").name == "context_too_long_for_memory"


def test_a_server_that_does_not_come_up_in_time_is_given_up(tmp_path: Path):
    ended, _, _ = followed("up_on_gpus+stuck", tmp_path, limit=0.5)
    assert (ended.how, ended.code, ended.was_up) == ("late", None, False)
    assert ended.seconds >= 0.5


def test_a_progress_line_says_when_what_and_the_figures():
    ear = Ear()
    ear("(EngineCore pid=1) INFO 11-21 20:15:24 [kv_cache_utils.py:2327] GPU KV cache size: 131,072 tokens, x")
    assert ear.begun(0) == "kv_cache"
    assert launch.progress("kv_cache", 12.345, ear.figures) == (
        "   12.3 s  reserving the KV cache: KV cache 131,072 tokens"
    )
    assert launch.progress("weights", 0.0, ear.figures) == "    0.0 s  loading the weights"


def test_what_looked_like_a_failure_is_forgotten_once_the_server_is_up():
    ear = Ear()
    ear("ERROR 10-25 13:12:42 [core.py:708] EngineCore failed to start.")
    ear("OSError: [Errno 98] Address already in use")
    assert ear.failed_at is not None
    ear("INFO:     Application startup complete.")
    assert ear.failed_at is None
    assert ear.diagnosis("LOG").name == "unknown"
