"""A real Ray cluster of two workers on this machine, with the real embedding model: ``make prove`` installs Ray for it.

Its processes are found by ``TMPDIR``, which each of them inherits.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest

from infra.settings import load_settings
from infra.store.embeddings import open_minilm
from infra.store.index import Index
from tests.tools.files import encrypted_pdf, pdf_bytes, write, write_docx
from tests.tools.library_state import state_of

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 150
SAME = 1e-4
"""Vectors of one text differ by some 1e-7 with the texts beside it in a batch, for its padding; so do scores."""
SCORED = ("dense", "scoped", "sparse")

pytestmark = pytest.mark.prove


@pytest.fixture
def room() -> Iterator[Path]:
    """A folder with a short path (Ray's sockets stand in it)."""
    folder = Path(mkdtemp(prefix="ray-"))
    yield folder
    for process in cluster(folder):
        os.kill(process, signal.SIGKILL)
    shutil.rmtree(folder)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    for number in range(40):
        words = " ".join(f"Sentence {n} of file {number} speaks of a cache, a saw and a hammer." for n in range(12))
        write(folder / f"{number:02}.txt", words)
        write(
            folder / "notes" / f"{number % 4}" / f"{number:02}.md", f"# Part {number}\n\nRow of plain words.\n\n{words}"
        )
    shutil.copy(folder / "07.txt", folder / "copy of 07.txt")
    shutil.copy(folder / "08.txt", folder / "notes" / "08 again.txt")
    (folder / "good.pdf").write_bytes(pdf_bytes(["A plain sentence of a cache.", "Another row of words."]))
    (folder / "broken.pdf").write_bytes(b"%PDF-")
    (folder / "locked.pdf").write_bytes(encrypted_pdf(["Nobody reads this."], "secret"))
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 20)
    write_docx(folder / "prices.docx")
    return folder


def start(docs: Path, data_dir: Path, room: Path, *options: str) -> "subprocess.Popen[bytes]":
    variables = {
        "CLOSED_LOG": str(room / "closed.log"),
        "PYTHONPATH": str(ROOT / "tests" / "closed"),
        "DOCMIND_DATA_DIR": str(data_dir),
        "NO_COLOR": "1",
        "TMPDIR": str(room),
    }
    command = [sys.executable, "-m", "tools.ingest", str(docs), "--json", *options]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, stdout=pipe, stderr=pipe)


def run(docs: Path, data_dir: Path, room: Path, *options: str) -> tuple[dict[str, Any], list[str]]:
    with start(docs, data_dir, room, *options) as process:
        out, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, errors
    return json.loads(out), errors.decode().splitlines()


def cluster(room: Path) -> list[int]:
    """The processes that were started below ``room``."""
    mark = f"TMPDIR={room}\0".encode()
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes() + b"\0":
                found.append(int(folder.name))
        except OSError:  # it ended meanwhile, or is another user's
            continue
    return found


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def state(data_dir: Path) -> dict[str, Any]:
    embedder = open_minilm(data_dir)
    with Index.open(load_settings(data_dir=data_dir), embedder) as index:
        return state_of(index, embedder)


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Everything is equal, and what is computed of vectors as nearly as vectors of one text are."""
    for name in one.keys() - {"embeddings", *SCORED}:
        assert one[name] == other[name], name
    ours, theirs = dict(one["embeddings"]), dict(other["embeddings"])
    assert ours.keys() == theirs.keys()
    for key, vector in ours.items():
        assert np.allclose(np.frombuffer(vector, "<f4"), np.frombuffer(theirs[key], "<f4"), atol=SAME)
    for name in SCORED:
        assert_same_scores(one[name], other[name])


def assert_same_scores(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = [one[key] for key in sorted(one)], [other[key] for key in sorted(one)]
    if one and isinstance(one[0], list):
        for ours, theirs in zip(one, other, strict=True):
            assert_same_scores(ours, theirs)
        return
    assert [hit[:3] for hit in one] == [hit[:3] for hit in other]
    assert np.allclose([hit[3] for hit in one], [hit[3] for hit in other], atol=2 * SAME)


def test_two_workers_give_the_index_of_one_process_and_nothing_leaves_the_machine(
    docs: Path, tmp_path: Path, room: Path
):
    report, errors = run(docs, tmp_path / "ray", room, "--ray", "local", "--ray-workers", "2")
    alone, told = run(docs, tmp_path / "alone", room)
    assert report | {"seconds": 0} == alone | {"seconds": 0}
    assert (report["added"], len(report["failed"]), errors) == (84, 3, told)
    assert_same(state(tmp_path / "ray"), state(tmp_path / "alone"))

    again, _ = run(docs, tmp_path / "ray", room, "--ray", "local")
    assert (again["unchanged"], again["embedded"]) == (84, 0)
    assert set((room / "closed.log").read_text().splitlines()) == {"closed"}
    assert cluster(room) == []
    assert list(room.glob("docmind-*/r")) == []


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_no_process_and_the_next_completes_it(
    docs: Path, tmp_path: Path, room: Path, end: signal.Signals
):
    data_dir = tmp_path / "ray"
    with start(docs, data_dir, room, "--ray", "local", "--ray-workers", "2") as process:
        wait_for(lambda: len(cluster(room)) > 8)  # the cluster's own processes, and the first workers
        process.send_signal(end)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    if end == signal.SIGINT:
        assert process.returncode == 130
        assert errors.decode() == "docmind: interrupted; what was read so far is kept, run the same again to go on\n"
    run(docs, data_dir, room)
    run(docs, tmp_path / "alone", room)
    assert_same(state(data_dir), state(tmp_path / "alone"))
    wait_for(lambda: cluster(room) == [])  # after a kill, Ray's agents take a minute to notice


def test_a_worker_that_is_killed_costs_nothing_but_time(docs: Path, tmp_path: Path, room: Path):
    data_dir = tmp_path / "ray"

    def workers() -> list[int]:
        return [process for process in cluster(room) if b"MapWorker" in Path(f"/proc/{process}/cmdline").read_bytes()]

    with start(docs, data_dir, room, "--ray", "local", "--ray-workers", "2") as process:
        wait_for(lambda: len(workers()) == 2)
        os.kill(workers()[0], signal.SIGKILL)
        out, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, errors
    assert json.loads(out)["added"] == 84
    assert [line for line in errors.decode().splitlines() if not line.startswith("not read: ")] == []
