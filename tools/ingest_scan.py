"""Which files there are: a walk over the given paths that costs a stat a file and follows no link out of its root.

Hidden files and folders (a leading dot), ``__pycache__`` and what editors leave beside a file while they work (``~``,
``~$``, ``#``) are passed over, unless given themselves. A link that stays inside its root needs nothing: its target is
read where it stands. Links that lead out of the root or to what is passed over, loops, broken links, and what cannot be
listed are reported. Changes nothing and reads no content.
"""

import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.errors import ConfigurationError
from infra.store.roots import contains, outermost

SKIPPED = frozenset({"__pycache__"})
UNTRUSTED = -1
FRESH_NS = 2_000_000_000
"""A file changed so shortly ago may change once more within the same time stamp: its time proves nothing."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be read: its absolute path and why."""

    path: str
    error: str


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is there: absolute path, bytes, modification time (``UNTRUSTED`` when it changed just now)."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found, by path.

    Attributes:
        given: where it was looked for: absolute, none inside another.
        files: the files that are there.
        failed: what could not be looked at.
    """

    given: tuple[str, ...]
    files: tuple[Found, ...]
    failed: tuple[Failure, ...]


def scan(paths: Sequence[Path]) -> Scan:
    """Find the files under ``paths``.

    Raises:
        ConfigurationError: no path was given, one is not there, cannot be listed, or is neither a file nor a folder.
    """
    given = tuple(outermost(given_paths(paths)))
    items = [item for root in given for item in _under(root)]
    files = sorted((item for item in items if isinstance(item, Found)), key=lambda found: found.path)
    failed = sorted((item for item in items if isinstance(item, Failure)), key=lambda failure: failure.path)
    return Scan(given, tuple(files), tuple(failed))


def given_paths(paths: Sequence[Path]) -> list[str]:
    """The absolute form of ``paths``, links resolved; checks that all are there. Raises as ``scan``."""
    if not paths:
        raise ConfigurationError("no path was given: name files or folders to read")
    return [str(_there(path)) for path in paths]


def _there(path: Path) -> Path:
    try:
        resolved = path.expanduser().resolve(strict=True)
        mode = resolved.stat().st_mode
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path}: {reason}; give files or folders that are there") from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ConfigurationError(f"{path} is neither a file nor a folder")
    if not _is_text(str(resolved)):
        raise ConfigurationError(f"{path!s:.200}: the name is not valid UTF-8; rename it")
    return resolved


def is_passed_over(name: str) -> bool:
    """Whether a file or folder of this name is not looked at when a folder above it is."""
    lock, autosave = name.startswith("~$"), name.startswith("#") and name.endswith("#")
    return name.startswith(".") or name.endswith("~") or lock or autosave or name in SKIPPED


def _under(root: str) -> Iterator[Found | Failure]:
    try:
        if not os.path.isdir(root):  # noqa: PTH112 - os.scandir and strings: a walk over 100,000 files stays cheap
            yield _found(root, os.stat(root))  # noqa: PTH116 - as above
            return
        top = _listed(root)
    except OSError as error:
        # it vanished or failed just now: that is no reason to think that everything in it was removed
        raise ConfigurationError(
            f"{root} cannot be looked at: {error.strerror or error}; nothing was changed"
        ) from error
    folders: list[str] = []
    for entry in top:
        yield from _entry(entry, root, folders)
    while folders:
        folder = folders.pop()
        try:
            listed = _listed(folder)
        except OSError as error:
            yield Failure(folder, f"the folder cannot be listed: {error.strerror or error}")
            continue
        for entry in listed:
            yield from _entry(entry, root, folders)


def _listed(folder: str) -> list["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if not is_passed_over(entry.name)), key=lambda entry: entry.name)


def _entry(entry: "os.DirEntry[str]", root: str, folders: list[str]) -> Iterator[Found | Failure]:
    if not _is_text(entry.path):
        yield Failure(entry.path.encode("utf-8", "replace").decode(), "the name is not valid UTF-8; rename it")
        return
    try:
        if entry.is_symlink():
            yield from _link(entry, root)
        elif entry.is_dir():
            folders.append(entry.path)
        elif entry.is_file():
            yield _found(entry.path, entry.stat())
    except OSError as error:
        yield Failure(entry.path, f"it cannot be looked at: {error.strerror or error}")


def _link(entry: "os.DirEntry[str]", root: str) -> Iterator[Failure]:
    try:
        target = str(Path(entry.path).resolve(strict=True))
    except (OSError, RuntimeError) as error:  # a circle is a RuntimeError before Python 3.13, ELOOP from then on
        reason = "it goes round in a circle"
        if isinstance(error, OSError) and error.errno != errno.ELOOP:
            reason = error.strerror
        yield Failure(entry.path, f"the link leads nowhere: {reason}")
        return
    if contains(target, entry.path):
        yield Failure(entry.path, "the link is a loop: it leads to a folder that it stands in")
    elif not contains(root, target):
        yield Failure(entry.path, f"the link leads out of {root}; give {target} itself to have it read")
    elif any(map(is_passed_over, target.removeprefix(root).split("/"))):
        yield Failure(entry.path, f"the link leads to {target}, which is passed over; give that to have it read")


def _found(path: str, status: os.stat_result) -> Found:
    fresh = time.time_ns() - status.st_mtime_ns < FRESH_NS
    return Found(path, status.st_size, UNTRUSTED if fresh else status.st_mtime_ns)


def _is_text(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
