"""What an ingestion has to do: a pure comparison of what is there with what was read before.

A file is unchanged when size and time are as noted (it is not opened); when they differ its content is hashed, and an
equal hash only updates the note. Everything made by another version of reader, splitter or terms is read again, and so
is a document that comes under another root, because its header carries its relative path. A file that could not be read
is not tried again while it stays the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from infra.store.library import Stamp, Unreadable
from infra.store.roots import contains, outermost, root_of
from tools.ingest_scan import UNTRUSTED, Failure, Found, Scan


@dataclass(frozen=True, slots=True)
class Known:
    """What the library holds: its roots, and stamps and unreadable files by absolute path."""

    roots: tuple[str, ...]
    stamps: Mapping[str, Stamp]
    unreadable: Mapping[str, Unreadable]


@dataclass(frozen=True, slots=True)
class Job:
    """A file to read; ``stamp`` is what its document will carry."""

    stamp: Stamp
    known: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    Attributes:
        roots: the roots there are from now on.
        jobs: files to read, by path.
        touched: documents of the same content with a new size or time.
        removed: paths of documents to remove.
        unchanged: how many documents stay as they are.
        failed: files that cannot be read and need not be tried again.
    """

    roots: tuple[str, ...]
    jobs: tuple[Job, ...]
    touched: tuple[Stamp, ...]
    removed: tuple[str, ...]
    unchanged: int
    failed: tuple[Failure, ...]


@dataclass(slots=True)
class Done:
    """What was done of a plan: documents added, changed and dropped (known, but unreadable now); files that failed."""

    added: int = 0
    changed: int = 0
    dropped: int = 0
    failed: list[Failure] = field(default_factory=list[Failure])
    unreadable: list[Unreadable] = field(default_factory=list[Unreadable])


def make_plan(scan: Scan, known: Known, version: str, *, prune: bool, digest: Callable[[Found], str | Failure]) -> Plan:
    """Compare; ``digest`` gives a file's sha256 and is only asked where size or time differ."""
    roots = tuple(outermost(scan.given if prune else [*known.roots, *scan.given]))
    jobs: list[Job] = []
    touched: list[Stamp] = []
    failed = list(scan.failed)
    kept: set[str] = set()
    for found in scan.files:
        outcome = _judge(found, known, version, roots, digest)
        if isinstance(outcome, Failure):
            failed.append(outcome)
            continue
        kept.add(found.path)
        if isinstance(outcome, Job):
            jobs.append(outcome)
        elif outcome != known.stamps[found.path]:
            touched.append(outcome)
    gone = (path for path in known.stamps if path not in kept and (_given(path, scan) or not root_of(path, roots)))
    return Plan(roots, tuple(jobs), tuple(touched), tuple(sorted(gone)), len(kept) - len(jobs), tuple(failed))


def _given(path: str, scan: Scan) -> bool:
    return any(contains(root, path) for root in scan.given)


def _judge(
    found: Found, known: Known, version: str, roots: tuple[str, ...], digest: Callable[[Found], str | Failure]
) -> Job | Stamp | Failure:
    """A job, the stamp of an unchanged document, or why the file need not be tried."""
    stamp, broken = known.stamps.get(found.path), known.unreadable.get(found.path)
    root = root_of(found.path, roots) or found.path
    trusted = found.mtime_ns != UNTRUSTED
    if broken and trusted and (broken.size, broken.mtime_ns, broken.version) == (found.size, found.mtime_ns, version):
        return Failure(found.path, broken.error)
    current = stamp is not None and (stamp.version, stamp.root) == (version, root)
    if stamp and current and trusted and (stamp.size, stamp.mtime_ns) == (found.size, found.mtime_ns):
        return stamp
    content = digest(found)
    if isinstance(content, Failure):
        return content
    fresh = Stamp(found.path, root, content, found.size, found.mtime_ns, version)
    if stamp and current and stamp.digest == content:
        return replace(stamp, size=found.size, mtime_ns=found.mtime_ns)
    return Job(fresh, known=stamp is not None)
