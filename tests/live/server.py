"""Starting a real vLLM server with a tiny random model, on a free port of this machine."""

import os
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

START_SECONDS = 180
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Served:
    """A server of ours: its base URL, ending in ``/v1``, and its process."""

    url: str
    process: "subprocess.Popen[bytes]"

    def kill(self) -> None:
        """Kill it and the processes it started, without a goodbye."""
        os.killpg(self.process.pid, 9)
        self.process.wait(timeout=30)


@contextmanager
def served(log: Path, *arguments: str) -> Generator[Served]:
    """Serve the tiny model of ``VLLM_DIR`` until the block ends."""
    folder = os.environ.get("VLLM_DIR")
    if not folder:
        pytest.fail("no server: run `make live VLLM_DIR=/path/to/folder`, or set DOCMIND_LIVE_URL")
    port = _free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [HERE / "serve.sh", folder, *arguments],
            env=os.environ | {"PORT": str(port)},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        _await_health(f"http://127.0.0.1:{port}/health", process, log)
        yield Served(f"http://127.0.0.1:{port}/v1", process)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_health(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            if httpx2.get(url, timeout=1).is_success:
                return
        except httpx2.TransportError:
            time.sleep(1)
    pytest.fail(f"the server did not come up:\n{log.read_text(errors='replace')[-2000:]}")
