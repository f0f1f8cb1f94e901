"""Reading with bounds: what may hang, or eat memory, is read in a process of its own that can be killed.

``Reading.read`` gives the extracted text of any file, or a ``DocumentError`` that says why not: too large, too slow,
too hungry, broken, binary. Small text files are read at once, in this process. The helper process is started for the
first file that needs it and ended by ``close``; it speaks one JSON line a file. The bounds of time and memory are its
own, kept by the system, so they hold also when this process is gone. Not thread-safe: one ``Reading`` a thread.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, Self

from infra.errors import ConfigurationError, DocumentError
from infra.settings import IngestSettings
from tools.extracted import Extracted, from_json
from tools.readers.kinds import LIGHT, SNIFFED_BYTES, kind_of, read
from tools.readers.source import Source, check_size, open_file

HELPER = "tools.reading_helper"
LIGHT_BYTES = 1_000_000
"""Text up to this size is read here: it takes milliseconds, and most folders need no helper then."""

_MEMORY_DECIDES = "DOCMIND_INGEST__READER_MEMORY_MB decides"


class Reading:
    """Reads files within the settings' bounds.

    Attributes:
        max_bytes: the most bytes a file may have.
    """

    def __init__(self, settings: IngestSettings) -> None:
        """Take the bounds from ``settings``; nothing is started yet."""
        self.max_bytes = int(settings.max_file_mb * 1_000_000)
        self._seconds = settings.file_seconds
        self._memory_mb = settings.reader_memory_mb
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, path: Path, size: int) -> Extracted:
        """Read a file of ``size`` bytes.

        Raises:
            DocumentError: it cannot be read; the message says why and what helps.
            OSError: it cannot be opened, or the disk fails.
            ConfigurationError: the helper cannot be started.
        """
        check_size(size, self.max_bytes)
        # opened here first, so that what is missing or forbidden is told apart from what is broken
        with open_file(path) as file:
            kind = kind_of(path, file.read(SNIFFED_BYTES))
        if kind in LIGHT and size <= LIGHT_BYTES:
            return read(kind, Source(path, self.max_bytes))
        return self._ask({"kind": kind, "path": str(path), "max_bytes": self.max_bytes})

    def close(self) -> None:
        """End the helper process, if there is one; safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _ask(self, request: dict[str, Any]) -> Extracted:
        used = self._process is not None
        reply = self._reply(request)
        if used and reply.get("hungry"):
            # libraries and what earlier files left behind took a part of the memory: tried once more with all of it
            reply = self._reply(request)
        if "errno" in reply:
            raise OSError(reply["errno"], reply["error"])
        if "error" in reply:
            raise DocumentError(reply["error"])
        return from_json(reply)

    def _reply(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the helper says; it is ended when memory did not suffice, as nothing in it is to be trusted then."""
        process = self._started()
        line = _exchange(process, request)
        reply: dict[str, Any] = json.loads(line) if line else {}
        if not line:
            self.close()
            ended = -process.returncode
            reply = {"error": self._silence(late=ended == signal.SIGALRM)}
            if ended not in (signal.SIGALRM, signal.SIGKILL):
                reply["hungry"] = True
        elif "hungry" in reply:
            self.close()
            reply["error"] = f"reading it takes more than {self._memory_mb} MB of memory; {_MEMORY_DECIDES}"
        return reply

    def _silence(self, *, late: bool) -> str:
        if late:
            return f"reading it took more than {self._seconds:g} s; DOCMIND_INGEST__FILE_SECONDS decides"
        return f"reading it crashed the reader, or took more than {self._memory_mb} MB of memory; {_MEMORY_DECIDES}"

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.close()  # it died between files, and the next one is not to blame
        if self._process is None:
            self._process = _start(self._memory_mb * 1_000_000, self._seconds)
        return self._process


def _start(memory_bytes: int, seconds: float) -> subprocess.Popen[bytes]:
    """Start the helper, and hear from it, so that what keeps it from starting is never put down to a file.

    Raises:
        ConfigurationError: it does not start.
    """
    here = str(Path(__file__).resolve().parent.parent)
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    # -P: the folder this was started in may be one of documents, and no code of theirs is to run
    command = [sys.executable, "-P", "-m", HELPER, str(memory_bytes), str(seconds)]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            # Ctrl-C is for the one who started the ingestion; the helper is ended by close()
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigurationError(f"the process that reads documents cannot be started: {error}") from error
    if not _pipes(process)[1].readline():
        process.communicate()
        raise ConfigurationError(
            f"the process that reads documents does not start; this says why: {shlex.join(command)}"
        )
    return process


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
