"""Roots, scopes and names: pure functions over absolute paths (strings with ``/``).

A root is a folder or a single file that was given to be ingested. Roots never lie inside each other: a document belongs
to the outermost root that contains it, once. A scope is anything a search can be limited to: a root, a folder in it, or
a document; its id is the digest of its path. The name of a document is its path relative to the root in play; with
several roots in play it starts with the root's name, made unique by as many of its parents as are needed. There may be
thousands of roots (``docmind ingest notes/*.txt``): nothing here compares all with all.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import PurePosixPath

from infra.store.records import digest_of


def scope_id(path: str) -> str:
    """The id of a root, a folder or a document: a document's id is the scope id of its path."""
    return digest_of("scope", path)


def contains(root: str, path: str) -> bool:
    """Whether ``path`` is ``root`` or lies under it."""
    return path == root or path.startswith(root.rstrip("/") + "/")


def outermost(roots: Iterable[str]) -> list[str]:
    """The roots that lie in no other one, sorted, each once."""
    kept: set[str] = set()
    for root in sorted(set(roots), key=lambda r: (r.count("/"), r)):
        if root_of(root, kept) is None:
            kept.add(root)
    return sorted(kept)


def root_of(path: str, roots: Collection[str]) -> str | None:
    """The innermost of ``roots`` that contains ``path``; a set where there are many."""
    return next((around for around in _around(path) if around in roots), None)


def _around(path: str) -> Iterator[str]:
    """An absolute path and all folders it lies in, inside out."""
    yield path
    while path != "/":
        path = path.rpartition("/")[0] or "/"
        yield path


def scopes_of(root: str, path: str) -> tuple[str, ...]:
    """The scope ids of a document: its own, and those of the folders around it up to its root."""
    around = (str(folder) for folder in PurePosixPath(path).parents)
    return (scope_id(path), *(scope_id(folder) for folder in around if contains(root, folder)))


def wanted_scopes(wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """The scope ids a search for what lies under ``wanted`` is limited to, ``known`` being the roots ingested.

    A path above a known root stands for that root, since the scopes of a document end at its root.
    """
    given = frozenset(wanted)
    inner = (root for root in known if root_of(root, given) is not None)
    return list(dict.fromkeys(scope_id(path) for path in [*wanted, *inner]))


def relative(root: str, path: str) -> str:
    """The path of a document relative to its root; the file's name when the root is the file itself."""
    return PurePosixPath(path).name if path == root else str(PurePosixPath(path).relative_to(root))


def document_name(path: str, roots: Sequence[str]) -> str:
    """The name of the document at ``path`` when ``roots`` are in play; its whole path when it lies under none."""
    names = _names_in_play(tuple(roots))
    root = root_of(path, names)
    if root is None:
        return path
    if len(names) == 1:
        return relative(root, path)
    return names[root] if path == root else f"{names[root]}/{relative(root, path)}"


@lru_cache(maxsize=8)
def _names_in_play(roots: tuple[str, ...]) -> dict[str, str]:
    return root_names(outermost(roots))


def root_names(roots: Sequence[str]) -> dict[str, str]:
    """A short unique name for each root: its last part, with as many of its parents as set it apart from the others."""
    parts = {root: PurePosixPath(root).parts[1:] or ("root",) for root in roots}
    ends = Counter(own[-n:] for own in parts.values() for n in range(1, len(own) + 1))
    names: dict[str, str] = {}
    for root, own in parts.items():
        length = next((n for n in range(1, len(own)) if ends[own[-n:]] == 1), len(own))
        names[root] = "/".join(own[-length:])
    return names
