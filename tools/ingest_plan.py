"""What an ingestion has to do: a pure comparison of what is there with what was read before.

A file is unchanged when size and time are as noted (it is not opened); when they differ its content is hashed, and an
equal hash only updates the note. Everything made by another version of reader, splitter or terms is read again, and so
is a document that comes under another root, because its header carries its relative path. A new file with the content
of one that is gone was moved: its old document stays until the new one is stored. A file that could not be read is not
tried again while it and the bounds stay the same.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from infra.store.library import Stamp, Unreadable
from infra.store.roots import outermost, root_of
from infra.text.terms import VERSION as TERMS_VERSION
from tools.chunk import SPLITTER_VERSION
from tools.ingest_scan import UNTRUSTED, Failure, Found, Scan
from tools.readers import READER_VERSION

VERSION = f"{READER_VERSION} {SPLITTER_VERSION} {TERMS_VERSION}"
"""What makes documents of files, here and on every machine that helps."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the library holds: its roots, and stamps and unreadable files by absolute path."""

    roots: tuple[str, ...]
    stamps: Mapping[str, Stamp]
    unreadable: Mapping[str, Unreadable]


@dataclass(frozen=True, slots=True)
class Job:
    """A file to read.

    Attributes:
        stamp: what its document will carry.
        known: whether there is a document of its path.
        moved_from: path of the document that goes when this one comes, or "".
    """

    stamp: Stamp
    known: bool
    moved_from: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    Attributes:
        roots: the roots there are from now on.
        jobs: files to read, by path.
        touched: documents of the same content with a new size or time.
        removed: paths of documents to remove at once (those that moved go when they come again).
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
    """What was done of a plan.

    Attributes:
        added: documents of new files.
        changed: documents read again.
        moved: documents of files that stood elsewhere before.
        dropped: documents of files that cannot be read any more.
        embedded: windows whose embedding was computed.
        failed: files that failed.
        unreadable: those of them that need not be tried again while they stay the same.
    """

    added: int = 0
    changed: int = 0
    moved: int = 0
    dropped: int = 0
    embedded: int = 0
    failed: list[Failure] = field(default_factory=list[Failure])
    unreadable: list[Unreadable] = field(default_factory=list[Unreadable])


@dataclass(frozen=True, slots=True)
class Maker:
    """What makes documents of files.

    Attributes:
        version: of reader, splitter and terms; another one makes other documents.
        attempt: version and bounds; under another one a file that could not be read is tried again.
    """

    version: str
    attempt: str


def make_plan(scan: Scan, known: Known, maker: Maker, *, prune: bool, digest: Callable[[Found], str | Failure]) -> Plan:
    """Compare; ``digest`` gives a file's sha256 and is only asked where size or time differ."""
    roots = frozenset(outermost(scan.given if prune else [*known.roots, *scan.given]))
    given = frozenset(scan.given)
    jobs: list[Job] = []
    touched: list[Stamp] = []
    failed = list(scan.failed)
    kept: set[str] = set()
    for found in scan.files:
        outcome = _judge(found, known, maker, roots, digest)
        if isinstance(outcome, Failure):
            failed.append(outcome)
            continue
        kept.add(found.path)
        if isinstance(outcome, Job):
            jobs.append(outcome)
        elif outcome != known.stamps[found.path]:
            touched.append(outcome)
    gone = {
        path: stamp
        for path, stamp in sorted(known.stamps.items())
        if path not in kept and (root_of(path, given) or not root_of(path, roots))
    }
    moves = _moves([job for job in jobs if not job.known], gone.values())
    todo = tuple(replace(job, moved_from=moves.get(job.stamp.path, "")) for job in jobs)
    removed = tuple(sorted(set(gone) - set(moves.values())))
    return Plan(tuple(sorted(roots)), todo, tuple(touched), removed, len(kept) - len(jobs), tuple(failed))


def _moves(jobs: Sequence[Job], gone: Iterable[Stamp]) -> dict[str, str]:
    """Old path by new path, content deciding; of several equal files one of the same name, if there is one."""
    left = {(stamp.digest, stamp.path): None for stamp in gone}
    moves: dict[str, str] = {}
    for by_name in (True, False):
        olds: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for digest, path in reversed(left):
            olds[digest, _name(path) if by_name else ""].append(path)
        for job in jobs:
            digest, path = job.stamp.digest, job.stamp.path
            same = olds[digest, _name(path) if by_name else ""]
            if same and path not in moves:
                moves[path] = same.pop()
                del left[digest, moves[path]]
    return moves


def _name(path: str) -> str:
    return PurePosixPath(path).name


def _judge(
    found: Found, known: Known, maker: Maker, roots: frozenset[str], digest: Callable[[Found], str | Failure]
) -> Job | Stamp | Failure:
    """A job, the stamp of an unchanged document, or why the file need not be tried."""
    stamp, broken = known.stamps.get(found.path), known.unreadable.get(found.path)
    root = root_of(found.path, roots) or found.path
    trusted = found.mtime_ns != UNTRUSTED
    tried = broken and (broken.size, broken.mtime_ns, broken.version) == (found.size, found.mtime_ns, maker.attempt)
    if broken and tried and trusted:
        return Failure(found.path, broken.error)
    current = stamp is not None and (stamp.version, stamp.root) == (maker.version, root)
    if stamp and current and trusted and (stamp.size, stamp.mtime_ns) == (found.size, found.mtime_ns):
        return stamp
    content = digest(found)
    if isinstance(content, Failure):
        return content
    fresh = Stamp(found.path, root, content, found.size, found.mtime_ns, maker.version)
    if stamp and current and stamp.digest == content:
        return replace(stamp, size=found.size, mtime_ns=found.mtime_ns)
    return Job(fresh, known=stamp is not None)
