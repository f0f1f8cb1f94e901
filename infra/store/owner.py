"""Who holds a folder: one process at a time, and the others are told who.

The lock is the operating system's (a file lock through filelock), so it ends with its process however that ends: a
stale lock cannot be. A small file beside it says who holds it, and where the holder is asked; the lock alone decides.
"""

import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from infra.errors import StoreError, StoreLocked

MAX_COMMAND_CHARS = 120
OWNER, INGESTION = "owner", "ingestion"
_REFUSALS = {
    OWNER: "the index in {folder} is in use by {who}; stop it, or set DOCMIND_DATA_DIR to work on another one",
    INGESTION: "{who} is ingesting into {folder}; run this again when it is done",
}


class Ownership:
    """A folder, or the part of it that ``name`` stands for, that belongs to this process until ``release``."""

    def __init__(self, folder: Path, *, name: str = OWNER, wait_seconds: float = 1.0, asked_at: str = "") -> None:
        """Take ``folder`` (made if missing); wait up to ``wait_seconds`` for an owner that is just leaving.

        Args:
            folder: what is taken.
            name: ``OWNER`` or ``INGESTION``; these do not exclude each other.
            wait_seconds: how long.
            asked_at: the socket at which others may ask the owner; see ``socket_of``.

        Raises:
            StoreLocked: another owner holds it; the message says which process, which command, since when.
            StoreError: the folder cannot be written.
        """
        make_folder(folder)
        self._card = _card(folder, name)
        # the lock is given back from whichever thread closes the index, so it must not be bound to one thread
        self._lock = FileLock(folder / f"{name}.lock", thread_local=False)
        with writing(folder):
            try:
                self._lock.acquire(timeout=wait_seconds)
                self._card.write_text(json.dumps({**_this_process(), "socket": asked_at}), encoding="utf-8")
            except Timeout as error:
                raise StoreLocked(_REFUSALS[name].format(folder=folder, who=holder(folder, name))) from error
            except OSError:
                self._lock.release()
                raise

    def release(self) -> None:
        """Give the folder back; safe to call twice."""
        if self._lock.is_locked:
            self._card.unlink(missing_ok=True)
            self._lock.release()


def make_folder(folder: Path) -> None:
    """Make ``folder`` if it is not there, for its user alone: people's documents are in it. Raises StoreError."""
    with writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextmanager
def writing(folder: Path) -> Generator[None]:
    """Change something in ``folder``; the system's errors come out as StoreError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(f"cannot write {folder}: {reason}; set DOCMIND_DATA_DIR to a folder you own") from error


def holder(folder: Path, name: str = OWNER) -> str:
    """The process that says it holds ``folder``, for people."""
    said = _said(folder, name)
    try:
        return f"process {said['pid']} ({said['command']}, since {said['since']})"
    except KeyError:
        return "another process"


def socket_of(folder: Path) -> Path | None:
    """The socket at which the owner of ``folder`` says it is asked."""
    path = _said(folder, OWNER).get("socket")
    return Path(path) if path and isinstance(path, str) else None


def _card(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _said(folder: Path, name: str) -> dict[str, Any]:
    try:
        return dict(json.loads(_card(folder, name).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _this_process() -> dict[str, str | int]:
    program, *rest = sys.orig_argv or ["python"]
    command = " ".join([Path(program).name, *rest])[:MAX_COMMAND_CHARS]
    return {"pid": os.getpid(), "command": command, "since": datetime.now().astimezone().isoformat(timespec="seconds")}
