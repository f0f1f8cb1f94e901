"""GPTCache decides over our source, and nothing of what it does by itself can happen."""

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from infra.cache.gpt import GptCache, Vector, refuse_install
from infra.errors import ConfigurationError, StoreError

ROOT = Path(__file__).resolve().parents[3]
VECTOR = np.ones(2, np.float32)


class Hostile:
    """Unpickled, it leaves a file."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, ("unpickled", "w"))


class Rows:
    """A source in memory whose judge knows what to accept."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.accepted: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.broken = False

    def search(self, vector: Vector, ask: str) -> Sequence[tuple[float, str]]:
        return [(1.0, key) for key in self.rows]

    def load(self, key: str, ask: str) -> tuple[str, str] | None:
        return (key, self.rows[key]) if self.rows[key] else None

    def judge(self, key: str, ask: str) -> bool:
        self.asked.append((key, ask))
        return key in self.accepted

    def save(self, question: str, answer: str, vector: Vector, ask: str) -> None:
        if self.broken:
            raise StoreError("the disk is full")
        self.rows[question] = answer


def run(code: str, folder: Path) -> str:
    """What ``code`` prints, run in ``folder`` with the package found there or not at all."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_get_serves_the_first_that_the_judge_accepts() -> None:
    rows = Rows()
    cache = GptCache(rows, lambda _: VECTOR)
    for question in ("one", "two", "three"):
        cache.put(question, f"answer {question}", "put")
    assert cache.get("another", "get") is None
    rows.accepted = {"two", "three"}
    assert cache.get("another", "get") == "answer two"
    assert rows.asked[:3] == [("one", "get"), ("two", "get"), ("three", "get")]


def test_a_candidate_that_is_gone_is_passed_over() -> None:
    rows = Rows()
    rows.rows = {"gone": "", "there": "answer"}
    rows.accepted = {"gone", "there"}
    assert GptCache(rows, lambda _: VECTOR).get("another", "get") == "answer"


def test_what_goes_wrong_in_a_put_comes_out() -> None:
    rows = Rows()
    rows.broken = True
    with pytest.raises(StoreError, match="the disk is full"):
        GptCache(rows, lambda _: VECTOR).put("question", "answer", "put")


def test_a_data_map_in_the_working_directory_is_not_unpickled(tmp_path: Path) -> None:
    (tmp_path / "data_map.txt").write_bytes(pickle.dumps(Hostile()))
    run("import infra.cache.gpt", tmp_path)
    assert not (tmp_path / "unpickled").exists()
    # the danger is real: without the protection the file runs
    run("import gptcache", tmp_path)
    assert (tmp_path / "unpickled").exists()


def test_pip_cannot_be_run(tmp_path: Path) -> None:
    code = """
import infra.cache.gpt, gptcache.utils, gptcache.utils.dependency_control as control
print(gptcache.utils.prompt_install is control.prompt_install is infra.cache.gpt.refuse_install)
try:
    gptcache.utils.import_paddle()
except RuntimeError as error:
    print(error)
"""
    assert run(code, tmp_path).splitlines() == [
        "True",
        "GPTCache wants to install protobuf==3.20.0; DocMind installs nothing by itself",
    ]
    with pytest.raises(ConfigurationError, match="wants to install torch"):
        refuse_install("torch", warn=True)


def test_no_global_cache_no_default_manager_no_handler_at_exit_and_no_log(tmp_path: Path) -> None:
    code = """
import atexit, logging
registered = []
register = atexit.register
atexit.register = lambda what, *a, **k: (registered.append(what.__module__), register(what, *a, **k))[1]
from infra.cache.gpt import GptCache
import gptcache, numpy
class Rows:
    def search(self, vector, ask): return [(1.0, "key")]
    def load(self, key, ask): return "question", "answer"
    def judge(self, key, ask): return True
    def save(self, question, answer, vector, ask): raise OSError("full")
cache = GptCache(Rows(), lambda _: numpy.ones(2))
try:
    cache.put("question", "answer", None)
except OSError:
    pass
print(cache.get("question", None))
ours = [name for name in registered if name.startswith("gptcache")]
print(ours, gptcache.cache.has_init, gptcache.cache.data_manager)
print(gptcache.core.Cache.init.__defaults__[4], logging.getLogger().handlers)
"""
    assert run(code, tmp_path).splitlines() == ["answer", "[] False None", "None []"]
    assert list(tmp_path.iterdir()) == []


def test_importing_and_using_it_opens_no_way_out_and_starts_nothing(tmp_path: Path) -> None:
    """It imports requests, of which urllib3 tries once whether it may bind to ::1; nothing else touches a socket."""
    code = """
import sys, threading
seen = []
WAYS = ("socket.connect", "socket.getaddrinfo", "socket.gethostby", "socket.send", "socket.bind", "urllib.", "http.",
        "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn")
def watch(event, values):
    if event.startswith(WAYS) and not (event == "socket.bind" and values[1][:2] == ("::1", 0)):
        seen.append(event)
sys.addaudithook(watch)
from infra.cache.gpt import GptCache
import numpy
class Rows:
    def search(self, vector, ask): return [(1.0, "key")]
    def load(self, key, ask): return "question", "answer"
    def judge(self, key, ask): return True
    def save(self, question, answer, vector, ask): pass
cache = GptCache(Rows(), lambda _: numpy.ones(2))
cache.put("question", "answer", None)
print(cache.get("question", None), seen, threading.active_count())
"""
    assert run(code, tmp_path) == "answer [] 1"


def test_a_package_that_was_imported_before_is_refused(tmp_path: Path) -> None:
    code = """
import gptcache
try:
    import infra.cache.gpt
except RuntimeError as error:
    print(error)
"""
    assert run(code, tmp_path) == "gptcache was imported before infra.cache.gpt, which makes it safe"
