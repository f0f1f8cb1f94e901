"""The embedded engine on a loopback port, in a process of its own, for as long as a measurement needs it.

It shares nothing with whoever asks it: no event loop, no lock of Python, no memory; as a model server would.
"""

import os
import select
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import infra
from infra.engine.protocol import MODEL_ID
from infra.errors import BackendUnavailable

START_SECONDS = 60.0
STOP_SECONDS = 10.0
_USER, _SYSTEM = 11, 12
"""Places of processor time in /proc/PID/stat, counted after the name (proc(5))."""


@dataclass(frozen=True, slots=True)
class Served:
    """A served engine: its process and where its OpenAI API answers."""

    pid: int
    base_url: str
    model: str = MODEL_ID

    @property
    def root_url(self) -> str:
        """The address without ``/v1``."""
        return self.base_url.removesuffix("/v1")

    def cpu_seconds(self) -> float:
        """Return the processor time of its process so far; needs /proc."""
        words = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(words[_USER]) + int(words[_SYSTEM])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(prefill: float, decode: float, *, one_card: bool = False) -> Generator[Served]:
    """Serve the engine with these speeds (tokens/s) and a prefix cache on a free loopback port, until the block ends.

    Args:
        prefill: of all prompts together on one card, else of each.
        decode: of each reply.
        one_card: whether prompts share the prefill.

    Raises:
        BackendUnavailable: it does not start.
    """
    speeds = ["--prefill", str(prefill), "--decode", str(decode), "--prefix-cache"]
    speeds += ["--shared-prefill"] if one_card else []
    root = Path(infra.__file__).parents[1]
    given = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
    with subprocess.Popen(
        [sys.executable, "-m", "infra.engine.serve", "--port", "0", *speeds],
        env={**os.environ, "PYTHONPATH": given},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield Served(process.pid, _address(process))
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _address(process: "subprocess.Popen[str]") -> str:
    """Return the address that the process says it listens on."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    said = process.stdout.readline() if ready else ""
    found = [word for word in said.split() if word.startswith("http://127.0.0.1:")]
    if not found:
        raise BackendUnavailable("The embedded engine did not start; `docmind engine --port 0` shows why.")
    return found[0]
