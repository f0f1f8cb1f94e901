"""One owner at a time, named to the others; what a dead owner leaves is taken over."""

import os
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from infra.errors import StoreError, StoreLocked
from infra.settings import load_settings
from infra.store.index import Index
from infra.store.owner import Ownership
from tests.infra.store.samples import CATS, DOGS, CountingEmbedder

HOLD = """
import sys
from pathlib import Path
from infra.store.owner import Ownership
held = Ownership(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_it_and_takes_over_when_that_is_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StoreLocked) as refusal:
            Ownership(tmp_path, wait_seconds=0)
        message = str(refusal.value)
        assert f"the index in {tmp_path} is in use by process {other.pid} (python" in message
        assert message.endswith("; stop it, or set DOCMIND_DATA_DIR to work on another one")
        other.kill()
    Ownership(tmp_path, wait_seconds=0).release()


def test_it_can_be_given_back_from_another_thread_and_twice(tmp_path: Path) -> None:
    first = Ownership(tmp_path / "new" / "folder", wait_seconds=0)
    thread = Thread(target=first.release)
    thread.start()
    thread.join()
    first.release()
    second = Ownership(tmp_path / "new" / "folder", wait_seconds=0)
    with pytest.raises(StoreLocked, match=f"process {os.getpid()} "):
        Ownership(tmp_path / "new" / "folder", wait_seconds=0)
    second.release()


def test_an_owner_that_left_no_card_is_another_process(tmp_path: Path) -> None:
    owner = Ownership(tmp_path, wait_seconds=0)
    (tmp_path / "owner.json").write_text("{")
    with pytest.raises(StoreLocked, match="in use by another process; stop it"):
        Ownership(tmp_path, wait_seconds=0)
    owner.release()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*file/x: Not a directory; set DOCMIND_DATA_DIR"):
        Ownership(tmp_path / "file" / "x")


def test_one_ingestion_at_a_time(data_dir: Path) -> None:
    settings = load_settings(data_dir=data_dir)
    with Index.open(settings, CountingEmbedder()) as first, Index.open(settings, CountingEmbedder()) as second:
        with first.ingesting():
            second.change([CATS])
            with (
                pytest.raises(StoreLocked, match=r"process \d+ .* is ingesting into"),
                second.ingesting(wait_seconds=0),
            ):
                pass
        with second.ingesting(wait_seconds=0):
            second.change([DOGS])
        assert second.library.outbox() == {}
