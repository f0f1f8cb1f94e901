"""A folder of vectors for one model and layout: opened, repaired, or built beside the old one and switched to.

The caller owns the tenant's folder. A collection whose name is ``vectors-X`` is built as ``vectors-X.partial``; it is
renamed when it holds everything, and only then are other collections dropped, so that a kill leaves the old one whole
and the next opening goes on where this one stopped. The library notes which collection its outbox is for: another one
must look at every document again.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loguru import logger

from infra.errors import StoreError
from infra.store.follow import Followed, Progress, Truth
from infra.store.owner import writing
from infra.store.records import digest_of
from infra.store.vectors import VectorStore

PREFIX, PARTIAL = "vectors-", ".partial"
TRIES = 5


class VectorHome(Protocol):
    """Where the vectors of one kind belong: in the tenant's folder, or on a server."""

    @property
    def folder(self) -> Path:
        """The tenant's folder."""
        ...

    @property
    def name(self) -> str:
        """What tells kinds apart; processes with different ones cannot share vectors."""
        ...

    def open(self, truth: Truth, progress: Progress) -> Followed:
        """Open the vectors and bring them up to the library; build them anew where that cannot be done.

        Raises:
            StoreError: they cannot be read or written.
        """
        ...


@dataclass(frozen=True, slots=True)
class Collection:
    """Where vectors of one kind belong.

    Attributes:
        folder: the tenant's folder.
        made_by: what tells kinds apart: model, dimension, layout; collections of other kinds are dropped.
        open_store: opens or creates the vectors in a folder.
    """

    folder: Path
    made_by: str
    open_store: Callable[[Path], VectorStore]

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{PREFIX}{digest_of(self.made_by)[:16]}"

    @property
    def number(self) -> int:
        """The same as a number, for the library's note."""
        return int(digest_of(self.made_by)[:15], 16) or 1

    def open(self, truth: Truth, progress: Progress) -> Followed:
        """Open the vectors and bring them up to the library; build them anew where that cannot be done.

        Raises:
            StoreError: they cannot be read or written.
        """
        whole, partial = self.folder / self.name, self.folder / f"{self.name}{PARTIAL}"
        followed = None if self._is_ours(partial, truth) else self._repaired(whole, truth, progress)
        if followed is None:
            self._build(partial, truth, progress)
            with writing(self.folder):
                if whole.exists():
                    shutil.rmtree(whole)
                partial.rename(whole)
            followed = Followed(self.open_store(whole), truth)
        drop_collections(self.folder, but=whole)
        return followed

    def _is_ours(self, partial: Path, truth: Truth) -> bool:
        """Whether the outbox says what is missing in a collection that was being built."""
        return partial.exists() and truth.library.follower() == self.number

    def _repaired(self, whole: Path, truth: Truth, progress: Progress) -> Followed | None:
        if not whole.exists():
            return None
        if truth.library.follower() != self.number:
            truth.library.fill_outbox(self.number)
        try:
            followed = Followed(self.open_store(whole), truth)
        except StoreError as error:
            # this process owns the folder, so it is damaged; all of it stands in the library
            logger.warning(f"the vectors are built anew: {error}")
            return None
        if in_step(followed, truth, progress):
            return followed
        followed.close()
        return None

    def _build(self, partial: Path, truth: Truth, progress: Progress) -> None:
        """Build the collection, or go on with it; from the start when what is there proves wrong."""
        if self._is_ours(partial, truth) and self._filled(partial, truth, progress):
            return
        shutil.rmtree(partial, ignore_errors=True)
        truth.library.fill_outbox(self.number)
        self.open_store(partial).close()
        if not self._filled(partial, truth, progress):
            raise StoreError(f"the vectors in {partial} do not come to hold what the library holds; delete that folder")

    def _filled(self, partial: Path, truth: Truth, progress: Progress) -> bool:
        try:
            followed = Followed(self.open_store(partial), truth)
        except StoreError as error:
            logger.warning(f"the vectors are built from the start: {error}")
            return False
        whole = in_step(followed, truth, progress)
        followed.close()
        return whole


def drop_collections(folder: Path, *, but: Path | None = None) -> None:
    """Drop the collections in ``folder``, all but one; what cannot be dropped takes room and does no other harm."""
    for other in folder.glob(f"{PREFIX}*"):
        if other != but:
            try:
                shutil.rmtree(other)
            except OSError as error:
                logger.warning(f"old vectors stay in {other}: {error.strerror or error}")


def in_step(followed: Followed, truth: Truth, progress: Progress) -> bool:
    """Follow the library; whether the vectors then hold as many windows as it does."""
    for _ in range(TRIES):
        generation = truth.library.generation()
        try:
            followed.follow(progress)
            followed.settle()
            equal = followed.count() == truth.lookup.window_total()
        except BaseException:
            followed.close()
            raise
        if equal or truth.library.generation() == generation:
            return equal
    return True  # another process changes the library all the while: the next opening looks again
