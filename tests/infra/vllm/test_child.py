"""A server as a child process: its lines, its log, its end with everything it started."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import ConfigurationError, StoreError
from infra.vllm.child import Child, Lines, LogFile, session_members
from infra.vllm.startup import MAX_LINE_CHARS

FAMILY = """
import os, signal, subprocess, sys, time
stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('stubborn', flush=True); time.sleep(300)"
signal.signal(signal.SIGINT, lambda *_: sys.exit(3))
subprocess.Popen([sys.executable, "-c", stubborn])
print("started", flush=True)
time.sleep(300)
"""


def until(true: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        os.sched_yield()
    return true()


def child_of(code: str, log: Path, heard: list[str]) -> Child:
    return Child([sys.executable, "-c", code], os.environ, LogFile(log), heard.append)


def test_its_lines_are_heard_and_kept_and_its_code_is_told(tmp_path: Path):
    heard: list[str] = []
    code = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(7)"
    child = child_of(code, tmp_path / "logs" / "vllm.log", heard)
    assert child.wait(60) == 7
    assert sorted(heard) == ["one", "two"]
    child.end()
    assert sorted((tmp_path / "logs" / "vllm.log").read_text().split()) == ["one", "two"]


def test_ending_it_ends_what_it_started_and_nothing_else(tmp_path: Path):
    heard: list[str] = []
    child = child_of(FAMILY, tmp_path / "log", heard)
    other = child_of("import time; print('other', flush=True); time.sleep(300)", tmp_path / "other", heard)
    assert until(lambda: {"started", "stubborn", "other"} <= set(heard))
    assert len(child.members()) == 2
    assert child.end(asked=60, group=0.2) == 3, "asked first, with SIGINT"
    assert child.members() == []
    assert other.code() is None
    other.end(asked=60)
    assert other.members() == []


def test_one_that_does_not_listen_is_killed(tmp_path: Path):
    heard: list[str] = []
    deaf = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (2, 15)]; print('deaf', flush=True)"
    child = child_of(f"{deaf}; time.sleep(300)", tmp_path / "log", heard)
    assert until(lambda: heard == ["deaf"])
    assert child.end(asked=0.2, group=0.2) == -9
    assert child.members() == []


def test_children_of_one_that_was_killed_do_not_stay(tmp_path: Path):
    heard: list[str] = []
    child = child_of(FAMILY, tmp_path / "log", heard)
    assert until(lambda: {"started", "stubborn"} <= set(heard))
    os.kill(child.pid, 9)
    assert until(lambda: child.pid not in session_members(child.pid))
    assert len(child.members()) == 1, "as vLLM's engine goes on when its server is killed"
    assert child.end(group=0.2) == -9
    assert child.members() == []


def test_a_command_that_is_not_there_is_the_users_mistake(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="/nowhere/vllm cannot be started: No such file"):
        Child(["/nowhere/vllm"], {}, LogFile(tmp_path / "log"), lambda _: None)


def test_a_log_is_rotated_and_bounded(tmp_path: Path):
    log = LogFile(tmp_path / "vllm.log", most=100)
    for number in range(50):
        log.write(f"{number:03} {'x' * 26}\n".encode())
    log.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["vllm.log", "vllm.log.1", "vllm.log.2"]
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())
    assert "049" in (tmp_path / "vllm.log").read_text()


def test_a_new_start_keeps_the_log_of_the_one_before(tmp_path: Path):
    for number in range(4):
        log = LogFile(tmp_path / "vllm.log")
        log.write(b"%d\n" % number)
        log.close()
    assert [(tmp_path / name).read_text() for name in ("vllm.log", "vllm.log.1", "vllm.log.2")] == ["3\n", "2\n", "1\n"]


def test_a_log_that_cannot_be_written_says_which_setting_helps(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="DOCMIND_DATA_DIR"):
        LogFile(tmp_path / "file" / "vllm.log")


def test_a_closed_log_takes_lines_without_failing(tmp_path: Path):
    log = LogFile(tmp_path / "vllm.log")
    log.close()
    log.write(b"late\n")
    assert (tmp_path / "vllm.log").read_bytes() == b""


def test_a_progress_bar_is_lines_too():
    assert Lines().feed(b"Capturing:  1%\rCapturing: 50%\rdone\nrest") == ["Capturing:  1%", "Capturing: 50%", "done"]


def test_a_line_without_an_end_takes_no_memory():
    lines = Lines()
    for _ in range(100):
        assert lines.feed(b"x" * 65_536) == []
        assert len(lines._rest) <= MAX_LINE_CHARS
    [line] = lines.feed(b"\n")
    assert len(line) == MAX_LINE_CHARS


@given(st.lists(st.text(alphabet="abc é\n\r", max_size=12), max_size=12))
def test_lines_are_the_same_however_the_bytes_are_cut(pieces: list[str]):
    lines = Lines()
    whole = "".join(pieces).encode()
    said = [line for n in range(len(whole)) for line in lines.feed(whole[n : n + 1])] + lines.feed(b"\n")
    assert said == [line for line in whole.decode().replace("\r", "\n").split("\n") if line.strip()]
