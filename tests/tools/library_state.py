"""Everything an index holds, so that two of them can be compared."""

from collections.abc import Sequence
from pathlib import Path

from infra.settings import IngestSettings, load_settings
from infra.store.embeddings import Embedder
from infra.store.index import Index
from infra.store.records import Hit
from tools.ingest import ingest

EVERYTHING = 100_000
QUERIES = (["cach", "saw", "hammer"], ["sentenc"], ["row", "plain", "word"])

_TABLES = {
    # the modification time is left out: a fresh build may not trust it yet
    "documents": "SELECT id, root, path, digest, size, version, title, text, terms FROM documents ORDER BY id",
    "chunks": "SELECT id, document_id, ordinal, start, end, header, digest, text, section FROM chunks ORDER BY id",
    "windows": "SELECT id, chunk_id, document_id, start, end, key FROM windows ORDER BY id",
    "terms": "SELECT term, windows FROM terms ORDER BY term",
    "roots": "SELECT path FROM roots ORDER BY path",
    "unreadable": "SELECT path, size, error FROM unreadable ORDER BY path",
    "outbox": "SELECT document_id FROM outbox",
}


def state_of(index: Index, embedder: Embedder) -> dict[str, object]:
    """Every table, the embeddings of this model, and what the vectors answer, scores included."""
    database = index.library._database
    state: dict[str, object] = {name: database.rows(sql) for name, sql in _TABLES.items()}
    kept = "SELECT key, vector FROM embeddings WHERE model = ? ORDER BY key"
    state["embeddings"] = database.rows(kept, [embedder.model_id])
    vector = embedder.embed(["the word of a sentence in a cache"])[0]
    state["dense"] = _answers(index.dense(vector, EVERYTHING))
    state["sparse"] = [_answers(index.sparse(terms, EVERYTHING)) for terms in QUERIES]
    state["scoped"] = {
        document.path: _answers(index.dense(vector, 99, [document.path])) for document in index.documents()
    }
    return state


def _answers(hits: Sequence[Hit]) -> list[tuple[object, ...]]:
    return sorted((h.window_id, h.chunk_id, h.document_id, round(h.score, 4)) for h in hits)


def fresh_state(data_dir: Path, embedder: Embedder, roots: Sequence[Path]) -> dict[str, object]:
    """What an index built from nothing holds; ``data_dir`` must be empty."""
    with Index.open(load_settings(data_dir=data_dir), embedder) as index:
        ingest(index, embedder, roots, settings=IngestSettings())
        return state_of(index, embedder)
