"""The vectors as plain arithmetic over a file: what any store must answer, with a disk that a kill can cut off."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infra.store.records import Hit, Window
from infra.store.vectors import Bm25, term_index


class PlainVectors:
    """``VectorStore``; only what was flushed is there when the folder is opened again."""

    def __init__(self, folder: Path, dimension: int, bm25: Bm25) -> None:
        folder.mkdir(exist_ok=True)
        self._file = folder / "windows.pickle"
        self._bm25 = bm25
        stored = self._file.exists()
        self._windows: dict[str, Window] = pickle.loads(self._file.read_bytes()) if stored else {}
        assert all(window.dense.shape == (dimension,) for window in self._windows.values())

    def upsert(self, windows: Sequence[Window]) -> None:
        self._windows |= {window.id: window for window in windows}

    def delete_documents(self, document_ids: Sequence[str], keep: Sequence[str] = ()) -> None:
        gone, kept = set(document_ids), set(keep)
        self._windows = {
            one: window for one, window in self._windows.items() if window.document_id not in gone or one in kept
        }

    def dense(self, vector: NDArray[np.float32], limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        return self._best({w.id: float(w.dense @ vector) for w in self._windows.values()}, limit, scopes)

    def sparse(self, weights: Mapping[str, float], limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        wanted = {term_index(term): weight for term, weight in weights.items()}
        scores = {w.id: self._bm25_of(w, wanted) for w in self._windows.values()}
        return self._best({one: score for one, score in scores.items() if score}, limit, scopes)

    def count(self) -> int:
        return len(self._windows)

    def flush(self) -> None:
        self._file.write_bytes(pickle.dumps(self._windows))

    def close(self) -> None:
        self.flush()

    def _bm25_of(self, window: Window, wanted: Mapping[int, float]) -> float:
        stored = self._bm25.weights(window.terms)
        return sum(weight * stored.get(term, 0.0) for term, weight in wanted.items())

    def _best(self, scores: Mapping[str, float], limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        windows = [(self._windows[one], score) for one, score in ranked]
        inside = [(w, score) for w, score in windows if scopes is None or set(scopes) & set(w.scopes)]
        return [Hit(w.id, w.chunk_id, w.document_id, score) for w, score in inside[:limit]]
