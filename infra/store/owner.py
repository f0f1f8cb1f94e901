"""Who owns a folder: one process at a time, and the others are told who.

The lock is the operating system's (a file lock through filelock), so it ends with its process however that ends: a
stale lock cannot be. A small file beside it says who holds it; it is for people only and decides nothing.
"""

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from infra.errors import StoreError, StoreLocked

MAX_COMMAND_CHARS = 120


class Ownership:
    """A folder that belongs to this process until ``release``."""

    def __init__(self, folder: Path, *, wait_seconds: float = 1.0) -> None:
        """Take ``folder`` (made if missing); wait up to ``wait_seconds`` for an owner that is just leaving.

        Raises:
            StoreLocked: another owner holds it; the message says which process, which command, since when.
            StoreError: the folder cannot be written.
        """
        self._card = folder / "owner.json"
        # the lock is given back from whichever thread closes the index, so it must not be bound to one thread
        self._lock = FileLock(folder / "owner.lock", thread_local=False)
        try:
            # people's documents: nobody else on this machine needs to look inside
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire(timeout=wait_seconds)
            self._card.write_text(json.dumps(_this_process()), encoding="utf-8")
        except Timeout as error:
            raise StoreLocked(_refusal(folder, self._card)) from error
        except OSError as error:
            self._lock.release()
            reason = error.strerror or error
            raise StoreError(f"cannot write {folder}: {reason}; set DOCMIND_DATA_DIR to a folder you own") from error

    def release(self) -> None:
        """Give the folder back; safe to call twice."""
        if self._lock.is_locked:
            self._card.unlink(missing_ok=True)
            self._lock.release()


def _this_process() -> dict[str, str | int]:
    program, *rest = sys.orig_argv or ["python"]
    command = " ".join([Path(program).name, *rest])[:MAX_COMMAND_CHARS]
    return {"pid": os.getpid(), "command": command, "since": datetime.now().astimezone().isoformat(timespec="seconds")}


def _refusal(folder: Path, card: Path) -> str:
    try:
        said: dict[str, Any] = json.loads(card.read_text("utf-8"))
        who = f"process {said['pid']} ({said['command']}, since {said['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process"
    return f"the index in {folder} is in use by {who}; stop it, or set DOCMIND_DATA_DIR to work on another one"
