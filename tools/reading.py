"""Reading with bounds: what may hang, or eat memory, is read in a process of its own that can be killed.

``Reading.read`` gives the extracted text of any file, or a ``DocumentError`` that says why not: too large, too slow,
too hungry, broken, binary. Text files are read at once, in this process. The helper process is started for the first
file that needs it and ended by ``close``; it speaks one JSON line a file. Not thread-safe: one ``Reading`` a thread.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Timer
from typing import IO, Any, Self

from infra.errors import DocumentError
from infra.settings import IngestSettings
from tools.extracted import Extracted, from_json
from tools.readers import RICH, read_text

HELPER = "tools.reading_helper"
HELPER_MEMORY_BYTES = 4 << 30


class Reading:
    """Reads files within the settings' bounds."""

    def __init__(self, settings: IngestSettings) -> None:
        """Take the bounds from ``settings``; nothing is started yet."""
        self._max_bytes = int(settings.max_file_mb * 1_000_000)
        self._seconds = settings.file_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, path: Path, size: int) -> Extracted:
        """Read a file of ``size`` bytes.

        Raises:
            DocumentError: it cannot be read; the message says why and what helps.
            OSError: it cannot be opened.
        """
        if size > self._max_bytes:
            raise DocumentError(
                f"it has {size / 1e6:,.1f} MB, at most {self._max_bytes / 1e6:,.1f} MB are read; "
                "DOCMIND_INGEST__MAX_FILE_MB decides"
            )
        kind = RICH.get(path.suffix.casefold())
        if kind is None:
            return read_text(path)
        # opened here first, so that what is missing or forbidden is told apart from what is broken
        path.open("rb").close()
        return self._ask({"kind": kind, "path": str(path), "max_bytes": self._max_bytes})

    def close(self) -> None:
        """End the helper process, if there is one; safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _ask(self, request: dict[str, Any]) -> Extracted:
        process = self._started()
        late: list[bool] = []

        def stop() -> None:
            late.append(True)
            process.kill()

        timer = Timer(self._seconds, stop)
        timer.start()
        try:
            line = _exchange(process, request)
        finally:
            timer.cancel()
        if not line:
            self.close()
            raise DocumentError(_silence(late, self._seconds))
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise DocumentError(reply["error"])
        return from_json(reply)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            here = str(Path(__file__).resolve().parent.parent)
            paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
            self._process = subprocess.Popen(
                [sys.executable, "-m", HELPER, str(HELPER_MEMORY_BYTES)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                # Ctrl-C is for the one who started the ingestion; the helper is ended by close()
                start_new_session=True,
            )
        return self._process


def _exchange(process: subprocess.Popen[bytes], request: dict[str, Any]) -> bytes:
    asked, answered = _pipes(process)
    try:
        asked.write(json.dumps(request).encode() + b"\n")
        asked.flush()
        return answered.readline()
    except BrokenPipeError:
        return b""


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise ValueError("the helper was started without pipes")
    return process.stdin, process.stdout


def _silence(late: list[bool], seconds: float) -> str:
    if late:
        return f"reading it took more than {seconds:g} s; DOCMIND_INGEST__FILE_SECONDS decides"
    return "reading it crashed the reader, or took too much memory"
