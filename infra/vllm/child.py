"""A server as a child process: in a session of its own, its output followed line by line, ended with all it started.

Gives `Child` and `LogFile`. vLLM starts an engine and a worker for each GPU; when its first process is killed they
go on and hold the GPU's memory. They all stay in the child's session, so ending it means: ask the first process, wait,
ask the group, wait, and kill by its id what is still in the session. Nothing outside that session is ever signalled.
Memory is bounded: lines are cut at `MAX_LINE_CHARS`, the log file is rotated.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import BinaryIO

from infra.errors import ConfigurationError, StoreError
from infra.vllm.startup import MAX_LINE_CHARS

LOG_BYTES = 16 * 2**20
OLD_LOGS = 2
ASKED_SECONDS = 20.0
"""How long the first process may take to end when it is asked: a reply that is being written is finished or cut."""
GROUP_SECONDS = 5.0
_PIECE_BYTES = 65_536
_LEFT_SECONDS = 5.0
_STEP_SECONDS = 0.05
_SESSION_FIELD = 3  # of /proc/PID/stat after the name: state, parent, group, session
_ZOMBIE = "Z"


class LogFile:
    """A log that is rotated: ``NAME``, ``NAME.1`` and so on; a disk that is full loses lines and stops nothing.

    Args:
        path: where it is; its folder is made, and what was there becomes ``NAME.1``.
        most: bytes of one file.
    """

    def __init__(self, path: Path, most: int = LOG_BYTES) -> None:
        self.path = path
        self._most = most
        self._size = 0
        self._file: BinaryIO | None = None
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._rotate()
        except OSError as error:
            raise StoreError(f"{path} cannot be written ({error.strerror}); set DOCMIND_DATA_DIR") from error

    def write(self, piece: bytes) -> None:
        """Add what came."""
        with suppress(OSError, ValueError):  # a full disk, a closed file: the server is more than its log
            if self._size + len(piece) > self._most:
                self._rotate()
            if self._file is not None:
                self._file.write(piece)
                self._file.flush()
                self._size += len(piece)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def _rotate(self) -> None:
        self.close()
        names = [self.path, *(self.path.with_name(f"{self.path.name}.{n}") for n in range(1, OLD_LOGS + 1))]
        for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
            if newer.exists():
                newer.replace(older)
        self._file = self.path.open("wb")
        self._size = 0


class Child:
    """One server process.

    Args:
        command: what is started; no shell.
        env: its whole environment.
        log: where its output goes.
        hear: told every line, in a thread of its own; it must not fail.

    Raises:
        ConfigurationError: it cannot be started.
    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], log: LogFile, hear: Callable[[str], None]
    ) -> None:
        try:
            self._process = subprocess.Popen(
                list(command),
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            log.close()
            raise ConfigurationError(f"{command[0]} cannot be started: {error.strerror}") from error
        self.pid = self._process.pid
        self._log = log
        self._reader = Thread(target=self._read, args=(hear,), name="vllm-log", daemon=True)
        self._reader.start()

    def code(self) -> int | None:
        """Return how it ended, negative for a signal; None while it runs. What it said is heard by then."""
        code = self._process.poll()
        if code is not None:
            self._reader.join(_LEFT_SECONDS)
        return code

    def wait(self, seconds: float) -> int | None:
        """Wait for its end, ``seconds`` at most; returns as `code` does."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.code()

    def end(self, *, asked: float = ASKED_SECONDS, group: float = GROUP_SECONDS) -> int | None:
        """End it and everything in its session; a Ctrl-C meanwhile kills at once.

        Args:
            asked: seconds for its first process after SIGINT.
            group: seconds for the group after SIGTERM.

        Returns:
            How its first process ended.
        """
        try:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(asked)
            if self.members():
                self._signal_group(signal.SIGTERM)
                self._await_none(group)
        except KeyboardInterrupt:
            pass
        finally:
            self._kill()
        self._reader.join(_LEFT_SECONDS)
        self._log.close()
        return self._process.poll()

    def members(self) -> list[int]:
        """Return the ids of the processes in its session that still run."""
        return session_members(self.pid)

    def _await_none(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.members() and time.monotonic() < deadline:
            self._process.poll()  # or the first process would stay as a zombie
            time.sleep(_STEP_SECONDS)

    def _kill(self) -> None:
        for pid in self.members():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        self._await_none(_LEFT_SECONDS)  # what is killed is gone a moment later
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LEFT_SECONDS)

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _read(self, hear: Callable[[str], None]) -> None:
        assert self._process.stdout is not None
        lines = Lines()
        with self._process.stdout as output:
            while piece := os.read(output.fileno(), _PIECE_BYTES):
                self._log.write(piece)
                for line in lines.feed(piece):
                    hear(line)
        for line in lines.feed(b"\n"):
            hear(line)


class Lines:
    """Bytes to lines; a progress bar's returns end lines, too, and what is longer than `MAX_LINE_CHARS` is cut."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[str]:
        """Take a piece; return the lines that it ends."""
        *whole, rest = piece.replace(b"\r", b"\n").split(b"\n")
        self._rest, whole = (b"", [self._rest + whole[0], *whole[1:]]) if whole else (self._rest, [])
        self._rest = (self._rest + rest)[:MAX_LINE_CHARS]
        return [line[:MAX_LINE_CHARS].decode("utf-8", "replace") for line in whole if line.strip()]


def session_members(session: int) -> list[int]:
    """Return the ids of the running processes of a session; where there is no ``/proc``, of its group's leader."""
    processes = Path("/proc")
    if not (processes / "self" / "stat").exists():
        return [session] if _is_there(session) else []
    return [int(entry.name) for entry in processes.iterdir() if entry.name.isdigit() and _is_in(entry, session)]


def _is_in(process: Path, session: int) -> bool:
    try:
        stat = (process / "stat").read_text("utf-8", "replace")
    except OSError:  # it has just ended
        return False
    fields = stat.rpartition(")")[2].split()
    return len(fields) > _SESSION_FIELD and fields[_SESSION_FIELD] == str(session) and fields[0] != _ZOMBIE


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
