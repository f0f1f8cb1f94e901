"""`docmind serve` brings a real vLLM up and leaves nothing behind; `docmind doctor` is right about it, line by line.

Two servers are started, because a start takes half a minute and more: one by `docmind serve`, as the settings describe
it, against which settings are then made wrong; one without the flags that DocMind needs.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.settings import Settings, load_settings
from infra.vllm.child import session_members
from infra.vllm.doctor import examined
from infra.vllm.watch import Watcher
from infra.vllm.wire import Server
from tests.infra.vllm.examining import CHECKS
from tests.live.server import _free_port as free_port
from tests.live.server import served

pytestmark = pytest.mark.live
REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 400
MODEL, KEY, WINDOW = "tiny-qwen3", "the-right-key", 4_096


@dataclass
class Serving:
    """`docmind serve` at work."""

    process: "subprocess.Popen[str]"
    url: str
    output: Path

    def lines(self) -> list[str]:
        return self.output.read_text(encoding="utf-8").splitlines()

    def await_line(self, words: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not any(words in line for line in self.lines()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail("\n".join(self.lines()))
            time.sleep(0.5)

    def vllm(self) -> int:
        """The process that it started: the leader of a session of its own."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return next(int(pid) for pid in children if os.getsid(int(pid)) == int(pid))

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)


def started(home: Path, *options: str) -> Serving:
    """Start `docmind serve` with the tiny model, as the settings describe it."""
    if not (folder := os.environ.get("VLLM_DIR")):
        pytest.fail("run `make live VLLM_DIR=/path/to/folder`")
    url = f"http://127.0.0.1:{free_port()}/v1"
    ours = {name: value for name, value in os.environ.items() if not name.startswith("DOCMIND_")}
    env = ours | {
        "DOCMIND_DATA_DIR": str(home),
        "DOCMIND_SERVE__PYTHON": f"{folder}/venv/bin/python3",
        "DOCMIND_SERVE__LOAD": f"{folder}/tiny",
        "DOCMIND_VLLM__MODEL": MODEL,
        "DOCMIND_VLLM__API_KEY": KEY,
        "DOCMIND_VLLM__BASE_URL": url,
        "DOCMIND_VLLM__CONTEXT_WINDOW": str(WINDOW),
        "VLLM_CACHE_ROOT": f"{folder}/cache",
        "OMP_NUM_THREADS": "2",
    }
    command = [sys.executable, "-m", "infra.vllm", "serve", "--cpu", "--sequences", "8", "--eager", *options]
    with (home / "output").open("w") as output:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, text=True
        )
    return Serving(process, url, home / "output")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    one = started(tmp_path_factory.mktemp("serve"))
    try:
        one.await_line("answering")
        yield one
    finally:
        one.end()


def settings(url: str, **wrong: Any) -> Settings:
    right = {"base_url": url, "model": MODEL, "api_key": KEY, "context_window": WINDOW, "kv_cache_dtype": "fp8"}
    return load_settings(vllm=right | wrong)


def not_passed(chosen: Settings) -> dict[str, str]:
    found = {line.check: line for line in examined(chosen)}
    assert list(found) == CHECKS
    assert all(line.cure for line in found.values() if line.verdict == "fail"), found
    return {check: line.verdict for check, line in found.items() if line.verdict != "pass"}


def test_serve_tells_its_phases_in_their_order(serving: Serving):
    told = [line.split(" s  ")[1] for line in serving.lines() if " s  " in line]
    words = ("resolving the model", "loading the weights", "reserving the KV cache", "opening the port", "answering")
    assert [line.partition(":")[0] for line in told] == list(words)
    assert "KV cache 262,144 tokens = 64.00 x 4,096" in told[2]
    assert serving.url in told[4]
    assert KEY not in "\n".join(serving.lines())


def test_a_server_as_the_settings_describe_it_passes_every_line(serving: Serving):
    assert not_passed(settings(serving.url)) == {}


def without_half_of_its_merges(folder: Path, to: Path) -> Path:
    """Another tokenizer, which counts otherwise."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.safetensors"))
    tokenizer = json.loads((to / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][: len(tokenizer["model"]["merges"]) // 2]
    (to / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return to


def test_a_wrong_window_is_told(serving: Serving):
    assert not_passed(settings(serving.url, context_window=131_072)) == {"window": "fail"}


def test_a_wrong_model_is_told(serving: Serving):
    assert not_passed(settings(serving.url, model="Qwen/Qwen3-4B")) == {"model": "fail"}


def test_a_wrong_key_is_told_and_what_needs_it_is_not_known(serving: Serving):
    unknown = ("model", "window", "tool calls", "structured output", "prefix caching", "cached tokens", "token counts")
    assert not_passed(settings(serving.url, api_key="wrong")) == {"key": "fail", **dict.fromkeys(unknown, "unknown")}


def test_a_wrong_type_of_the_kv_cache_is_told(serving: Serving):
    assert not_passed(settings(serving.url, kv_cache_dtype="fp8_e5m2")) == {"KV cache type": "fail"}


def test_a_wrong_tokenizer_is_told(serving: Serving, tmp_path: Path):
    other = without_half_of_its_merges(Path(os.environ["VLLM_DIR"]) / "tiny", tmp_path / "other")
    assert not_passed(settings(serving.url, tokenizer=other)) == {"token counts": "fail"}


def test_a_wrong_address_is_told(serving: Serving):
    found = not_passed(settings(f"http://127.0.0.1:{free_port()}/v1"))
    assert found.pop("health") == "fail"
    assert set(found.values()) == {"unknown"}


def test_the_watcher_reads_what_the_server_did(serving: Serving):
    chosen = settings(serving.url)
    with Server(serving.url, chosen.vllm.api_key) as server:
        watcher = Watcher(server)
        assert watcher.sample().up
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 64,
            "ignore_eos": True,
        }
        assert server.post("/v1/chat/completions", body).ok
        sample = watcher.sample()
    assert round((sample.decode_tokens_per_second or 0) * sample.seconds) == 64
    assert (sample.ttft_p50_seconds or 0) > 0
    assert (sample.running, sample.waiting, sample.kv_usage) == (0, 0, 0)


def test_ctrl_c_ends_the_server_and_every_process_of_it(serving: Serving):
    vllm = serving.vllm()
    assert len(session_members(vllm)) >= 3, "the server, its engine, its worker"
    assert serving.end() == 0
    assert session_members(vllm) == []


def test_a_real_failure_is_one_line_of_cause_and_cure(tmp_path: Path):
    one = started(tmp_path, "--", "--chat-template", "/nowhere/template.jinja")
    assert one.process.wait(timeout=START_SECONDS) == 1
    assert one.lines()[-1].startswith(
        "docmind: --chat-template names a file that is not there; leave --chat-template out"
    )


@pytest.fixture(scope="module")
def plain_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server without the flags that DocMind needs."""
    without = ("--no-enable-auto-tool-choice", "--no-enable-prefix-caching", "--no-enable-prompt-tokens-details")
    with served(tmp_path_factory.mktemp("plain") / "server.log", *without) as server:
        yield server.url


def test_each_missing_flag_is_told(plain_url: str):
    chosen = settings(plain_url, api_key="EMPTY")
    found = {line.check: line for line in examined(chosen)}
    wrong = {check: line.verdict for check, line in found.items() if line.verdict != "pass"}
    assert wrong == {
        "KV cache type": "fail",
        "tool calls": "fail",
        "prefix caching": "fail",
        "cached tokens": "unknown",
    }
    assert "--kv-cache-dtype fp8" in found["KV cache type"].cure
    assert "--enable-auto-tool-choice" in found["tool calls"].cure
    assert "--enable-prefix-caching" in found["prefix caching"].cure
    assert "--enable-prompt-tokens-details" in found["cached tokens"].cure
