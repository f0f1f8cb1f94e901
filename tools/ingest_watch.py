"""Folders watched, so that the index keeps in step with them: ``python -m tools.ingest PATH ... --watch``.

Two threads: a ``Watcher`` takes the system's events and notes which of the given paths they concern (a burst of any
size takes no room), ``keep_in_step`` brings those paths up to date, as often as there is something noted. What an
update finds is decided by its own look at the files; an event only says that it is time to look. So nothing depends on
every event: given paths that vanish are waited for and looked at when they are back, and everything is looked at again
now and then, because network disks send no events and a system may drop some.
"""

import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Self

from watchfiles import watch

from infra.errors import ConfigurationError, DocMindError, StoreLocked
from infra.store.roots import contains, root_of
from tools.ingest_report import IngestReport
from tools.ingest_scan import Failure, is_passed_over

BEAT_MS = 1_000
"""How often it is seen to whether the given paths are still there."""
QUIET_MS, LONGEST_MS = 200, 1_600
"""Events are gathered until none came for so long, and no longer than that."""
LOOK_AGAIN_SECONDS = 300.0
LEAVE_SECONDS = 5.0

Say = Callable[[str], None]


class Pending:
    """Which of the given paths are to be looked at; filled by one thread, emptied by another."""

    def __init__(self, given: Sequence[str]) -> None:
        """Start with nothing to look at."""
        self._given = tuple(given)
        self._noted: set[str] = set()
        self._error: BaseException | None = None
        self._closed = False
        self._changed = Condition()

    def note(self, changed: Iterable[str]) -> None:
        """Note the given paths in which ``changed`` lie."""
        self._add({root for path in changed for root in self._given if contains(root, path)})

    def note_all(self) -> None:
        """Note all of them."""
        self._add(set(self._given))

    def close(self, error: BaseException | None = None) -> None:
        """Let ``take`` end: with ``error`` if there is one, else when nothing is noted any more."""
        with self._changed:
            self._closed, self._error = True, error
            self._changed.notify_all()

    def take(self) -> list[str]:
        """What is noted, sorted, and then forgotten; waits for something; nothing: it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._noted or self._closed)
            if self._error is not None:
                raise self._error
            noted, self._noted = self._noted, set()
            return sorted(noted)

    def _add(self, roots: Collection[str]) -> None:
        with self._changed:
            self._noted.update(roots)
            self._changed.notify_all()


def keep_in_step(
    pending: Pending,
    update: Callable[[list[Path]], IngestReport],
    show: Callable[[IngestReport], None],
    say: Say,
    *,
    told: Iterable[Failure] = (),
) -> None:
    """Update what is noted until ``pending`` is closed.

    Args:
        pending: what is to be looked at.
        update: brings paths that are there up to date.
        show: given each report of an update that changed something or found files that cannot be read; each such file
            stands in one report only.
        say: told why an update failed.
        told: files of which a report has said before that they cannot be read.
    """
    told = frozenset(told)
    while noted := pending.take():
        there = [Path(path) for path in noted if os.path.exists(path)]  # noqa: PTH110 - Path's raises where it may not look
        try:
            report = update(there) if there else None
        except StoreLocked as error:
            say(str(error))
            pending.note(noted)  # the update has waited for the other one; it waits again
            continue
        except (DocMindError, OSError) as error:
            say(str(error))
            continue
        if report is None:
            continue
        elsewhere = {failure for failure in told if not root_of(failure.path, noted)}
        new = tuple(failure for failure in report.failed if failure not in told)
        told = frozenset(elsewhere | set(report.failed))
        if new or report.added or report.changed or report.moved or report.removed:
            show(replace(report, failed=new))


class Watcher:
    """The thread that takes the system's events, from ``with`` on until the block is left.

    Args:
        given: absolute paths of files and folders.
        pending: told what changed; everything once the system watches, so that nothing before that is missed.
        say: told of given paths that vanish.
    """

    def __init__(self, given: Sequence[str], pending: Pending, say: Say) -> None:
        self._given = tuple(given)
        self._pending = pending
        self._say = say
        self._stop = Event()
        self._thread = Thread(target=self._run, name="docmind-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(LEAVE_SECONDS)

    def _run(self) -> None:
        try:
            gone: set[str] = set()
            while not self._stop.is_set():
                there = _identities(self._given)
                missing = set(self._given) - set(there)
                for path in sorted(missing - gone):
                    self._say(f"{path} is gone; what was read of it is kept until it is back")
                gone = missing
                self._watch(there)
        except BaseException as error:  # noqa: BLE001 - raised again where the paths are taken
            self._pending.close(error)

    def _watch(self, there: Mapping[str, object]) -> None:
        """Watch what is there until a given path comes or goes."""
        looked = -LOOK_AGAIN_SECONDS
        for changed in _events(list(there), self._stop):
            if time.monotonic() - looked > LOOK_AGAIN_SECONDS:
                looked = time.monotonic()
                self._pending.note_all()
            else:
                self._pending.note(changed)
            if _identities(self._given) != there:
                return


def _identities(given: Iterable[str]) -> dict[str, tuple[int, int]]:
    """The given paths that are there; another folder of the same name is another one."""
    found: dict[str, tuple[int, int]] = {}
    for path in given:
        with suppress(OSError):
            status = os.stat(path)  # noqa: PTH116 - strings throughout
            # a file that was replaced is an event like any other
            found[path] = (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else (0, 0)
    return found


def _events(there: Sequence[str], stop: Event) -> Iterator[set[str]]:
    """Paths that changed, or an empty set every second or two. A file is watched through its folder: it is replaced."""
    folders = [path for path in there if Path(path).is_dir()]
    files = [path for path in there if path not in folders]
    around = sorted({str(Path(path).parent) for path in files})
    sources = [_source(folders, folders, stop, recursive=True)] if folders else []
    sources += [_source(around, files, stop, recursive=False)] if around else []
    if not sources:
        stop.wait(BEAT_MS / 1_000)
        yield set()
    while sources:
        for source in sources:
            changed = next(source, None)
            if changed is None:
                return
            yield changed


def _source(watched: Sequence[str], wanted: Sequence[str], stop: Event, *, recursive: bool) -> Iterator[set[str]]:
    try:
        for changes in watch(
            *watched,
            watch_filter=None,
            debounce=LONGEST_MS,
            step=QUIET_MS,
            stop_event=stop,
            rust_timeout=BEAT_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=recursive,
            ignore_permission_denied=True,
        ):
            yield {path for _, path in changes if _is_wanted(path, wanted)}
    except FileNotFoundError:
        return  # it vanished just now
    except (OSError, RuntimeError) as error:
        raise ConfigurationError(
            f"{', '.join(watched)} cannot be watched: {error}; raise the system's limit (Linux: "
            "fs.inotify.max_user_watches), or set WATCHFILES_FORCE_POLLING=1 to have the files looked at instead"
        ) from error


def _is_wanted(path: str, wanted: Sequence[str]) -> bool:
    root = root_of(path, wanted)
    return root is not None and not any(is_passed_over(part) for part in path.removeprefix(root).split("/"))
