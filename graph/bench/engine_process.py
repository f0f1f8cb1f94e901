"""The embedded engine as a process of its own, on a free loopback port, while a measurement runs.

It shares nothing with whoever asks it: no event loop, no lock of Python, no memory; as a model server would.
"""

import os
import re
import select
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

from infra.errors import BackendUnavailable

START_SECONDS = 60.0
STOP_SECONDS = 10.0
_ADDRESS = re.compile(r"http://127\.0\.0\.1:[0-9]+/v1")


@contextmanager
def serving(prefill: float, decode: float) -> Generator[str]:
    """Serve until the end of the block, with these speeds (tokens/s) and a prefix cache; gives the base URL.

    Raises:
        BackendUnavailable: it does not come up.
    """
    speeds = ["--prefill", str(prefill), "--decode", str(decode), "--prefix-cache"]
    with subprocess.Popen(
        [sys.executable, "-m", "infra.engine.serve", "--port", "0", *speeds],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield _address(process)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _address(process: subprocess.Popen[str]) -> str:
    """Return the address that it greets with."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    found = _ADDRESS.search(process.stdout.readline() if ready else "")
    if found is None:
        raise BackendUnavailable("the embedded engine does not start; run `docmind engine` to see why")
    return found.group()
