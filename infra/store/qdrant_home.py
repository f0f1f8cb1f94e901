"""A library's vectors on a Qdrant server: brought up to the library, and switched to when they hold everything.

One collection for each model and layout. A new one is filled beside the old, which goes on to answer whoever asks its
alias; a kill leaves the old one whole, and the next opening goes on where this one stopped. The library notes which
collection its outbox is for. One process of this machine follows the library, and asks the server for the others, as
with the embedded store (``infra.store.shared``); the server itself needs no such owner.
"""

from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from infra.errors import StoreError
from infra.settings import QdrantSettings
from infra.store.collection import drop_collections, in_step
from infra.store.follow import Followed, Progress, Truth
from infra.store.qdrant import QdrantVectors, open_qdrant
from infra.store.qdrant_collection import CollectionName, library_id
from infra.store.records import digest_of
from infra.store.vectors import Bm25


@dataclass(frozen=True, slots=True)
class ServerHome:
    """``VectorHome`` on a Qdrant server.

    Attributes:
        folder: the tenant's folder; its name is the tenant's.
        made_by: what tells kinds apart: model, dimension, layout.
        settings: the server.
        dimension: numbers of a vector.
        bm25: constants of the term frequency part.
    """

    folder: Path
    made_by: str
    settings: QdrantSettings
    dimension: int
    bm25: Bm25

    @property
    def name(self) -> str:
        """Tells kinds and servers apart."""
        return f"qdrant-{self._digest[:16]}"

    def open(self, truth: Truth, progress: Progress) -> Followed:
        """Open the collection, bring it up to the library, and make it the one in use.

        Raises:
            StoreError: the server cannot be reached, refuses, or does not come to hold what the library holds.
        """
        layout = digest_of(self.made_by)[:16]
        name = CollectionName(self.settings.collection_prefix, self.folder.name, library_id(self.folder), layout)
        store = open_qdrant(self.settings, name, self.dimension, self.bm25)
        followed = Followed(store, truth)
        try:
            self._fill(store, followed, truth, progress)
            store.take_over()
        except BaseException:
            followed.close()
            raise
        drop_collections(self.folder)
        return followed

    def _fill(self, store: QdrantVectors, followed: Followed, truth: Truth, progress: Progress) -> None:
        number = int(self._digest[:15], 16) or 1
        if truth.library.follower() != number:
            truth.library.fill_outbox(number)
        if in_step(followed, truth, progress):
            return
        logger.warning("the collection {} is filled anew", store.name)
        store.clear()
        truth.library.fill_outbox(number)
        if not in_step(followed, truth, progress):
            raise StoreError(
                f"the collection {store.name} at {self.settings.url} does not come to hold what the library holds; "
                "does something else write to it?"
            )

    @property
    def _digest(self) -> str:
        return digest_of(self.made_by, str(self.settings.url), self.settings.collection_prefix)
