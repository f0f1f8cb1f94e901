"""Collections of a Qdrant server: their names, how they are made, and whether one is as this program makes it."""

import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from qdrant_client import QdrantClient, models

from infra.errors import StoreError
from infra.settings import QdrantSettings
from infra.store.qdrant_faults import Patience
from infra.store.vectors import DENSE, DOCUMENT, SCOPES, SPARSE

LIBRARY_FILE = "library.id"
_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class CollectionName:
    """Which of a server's collections.

    Attributes:
        prefix: what all our collections begin with; no dash.
        tenant: whose documents.
        library: 8 hex digits of the library the windows belong to.
        layout: 16 hex digits of what made the vectors: model, constants, versions.
    """

    prefix: str
    tenant: str
    library: str
    layout: str

    @property
    def alias(self) -> str:
        """The name that always leads to the library's collection in use."""
        return f"{self.prefix}-{self.tenant}-{self.library}"

    def __str__(self) -> str:
        return f"{self.alias}-{self.layout}"

    def is_layout(self, name: str) -> bool:
        """Whether ``name`` is a collection of the same library, of whatever layout."""
        return re.fullmatch(f"{re.escape(self.alias)}-[0-9a-f]{{16}}", name) is not None


def library_id(folder: Path) -> str:
    """Return the id of the library in ``folder``, made at the first call: two machines never share a collection.

    Raises:
        StoreError: the folder cannot be read or written, or the file holds no id.
    """
    file = folder / LIBRARY_FILE
    try:
        if not file.exists():
            fresh = folder / f"{LIBRARY_FILE}.{secrets.token_hex(4)}"
            fresh.write_text(secrets.token_hex(4), encoding="ascii")
            try:
                file.hardlink_to(fresh)  # fails where another process was faster: its id counts
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        found = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read or write {file}: {error}; set DOCMIND_DATA_DIR to a folder you own") from error
    if not _ID.fullmatch(found):
        raise StoreError(f"{file} holds no library id; delete it, and the index is built anew")
    return found


def prepare(
    client: QdrantClient, patience: Patience, name: CollectionName, dimension: int, settings: QdrantSettings
) -> None:
    """Make the collection if it is not there, and make sure that it is as this program makes it.

    Raises:
        StoreError: the server cannot be reached, wants a key, or has another collection of that name.
    """
    collection = str(name)

    def exists() -> bool:
        return patience.do("look for a collection", lambda: client.collection_exists(collection))

    if not exists():
        try:
            patience.do("make a collection", lambda: _create(client, collection, dimension, settings))
        except StoreError:
            if not exists():  # made by another process meanwhile, or by a try whose answer was lost
                raise
    info = patience.do("look at a collection", lambda: client.get_collection(collection))
    problem = _misfit(info.config.params, dimension)
    if problem:
        raise StoreError(
            f"the collection {collection} at {patience.url} is not as DocMind makes it: {problem}; "
            "delete it there, or set DOCMIND_QDRANT__COLLECTION_PREFIX"
        )
    for field in sorted({DOCUMENT, SCOPES} - set(info.payload_schema)):
        _index(client, patience, collection, field)


def _create(client: QdrantClient, collection: str, dimension: int, settings: QdrantSettings) -> None:
    on_disk = settings.on_disk or None
    client.create_collection(
        collection,
        vectors_config={DENSE: models.VectorParams(size=dimension, distance=models.Distance.COSINE, on_disk=on_disk)},
        # no modifier: the inverse document frequency comes with the query
        sparse_vectors_config={SPARSE: models.SparseVectorParams(index=models.SparseIndexParams(on_disk=on_disk))},
        shard_number=settings.shard_number,
        replication_factor=settings.replication_factor,
        write_consistency_factor=settings.write_consistency_factor,
    )


def _index(client: QdrantClient, patience: Patience, collection: str, field: str) -> None:
    keyword = models.PayloadSchemaType.KEYWORD
    patience.do("index a field", lambda: client.create_payload_index(collection, field, keyword, wait=True))


def _misfit(params: models.CollectionParams, dimension: int) -> str:
    """Return how a collection differs from what is needed; empty where it does not."""
    dense = params.vectors.get(DENSE) if isinstance(params.vectors, dict) else None
    sparse = (params.sparse_vectors or {}).get(SPARSE)
    if dense is None or sparse is None:
        return f"it has no vectors {DENSE!r} and {SPARSE!r}"
    if dense.size != dimension:
        return f"its vectors have {dense.size} numbers, the embedding model's {dimension}"
    if dense.distance != models.Distance.COSINE or sparse.modifier not in (None, models.Modifier.NONE):
        return "it scores otherwise"
    return ""
