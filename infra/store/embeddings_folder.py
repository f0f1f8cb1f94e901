"""Texts to vectors by sentence-transformers, from a folder on this machine: the extra ``[sentence-transformers]``.

Nothing is fetched: the package is told to stay offline, and code that a model brings along is not run. Late interaction
is not offered. Blocking; calls of several threads take turns, because fast tokenizers cannot be shared.
"""

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from infra.errors import ConfigurationError
from infra.settings import EmbeddingSettings
from infra.store.embeddings import Vectors
from infra.store.embeddings_kept import PROBE, Kept, KeptModels, normalised

PACKAGE = "sentence_transformers"
EXTRA = "docmind[sentence-transformers]"
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


class FolderEmbedder:
    """``Embedder`` over sentence-transformers; made by `open_folder`."""

    def __init__(self, settings: EmbeddingSettings, model: Any, kept: Kept) -> None:  # noqa: ANN401 - an optional vendor's
        self._settings = settings
        self._model = model
        self._kept = kept
        self._lock = Lock()

    @property
    def model_id(self) -> str:
        """Name of the model's folder, with a digest of the prefixes."""
        return self._kept.model_id(self._settings)

    @property
    def dimension(self) -> int:
        """Length of every vector."""
        return self._kept.dimension

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One L2-normalised row a text, shape (len(texts), dimension), in the order of ``texts``."""
        return self._embedded([self._settings.document_prefix + text for text in texts])

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """One L2-normalised row a question; see `embed`."""
        return self._embedded([self._settings.query_prefix + text for text in texts])

    def _embedded(self, texts: list[str]) -> Vectors:
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        with self._lock:
            return _encoded(self._model, texts, self._settings.batch_texts)


def open_folder(settings: EmbeddingSettings, data_dir: Path) -> FolderEmbedder:
    """Load the model in the settings' folder.

    Raises:
        ConfigurationError: there is no such folder, it holds no model, or the extra is not installed.
        StoreError: the data directory cannot be read or written.
    """
    folder = Path(settings.model).expanduser()
    if not settings.model or not (folder / "config.json").is_file():
        raise ConfigurationError(
            f"DOCMIND_EMBEDDING__MODEL={settings.model!r} is no folder with a model; nothing is downloaded"
        )
    os.environ.update(_OFFLINE)  # read when the package is imported
    try:
        package: Any = importlib.import_module(PACKAGE)
    except ImportError as error:
        raise ConfigurationError(
            f"DOCMIND_EMBEDDING__KIND=sentence-transformers needs an extra ({error}); run: pip install '{EXTRA}'"
        ) from error
    try:
        model = package.SentenceTransformer(str(folder), local_files_only=True, trust_remote_code=False)
        if settings.max_tokens is not None:
            model.max_seq_length = min(settings.max_tokens, model.max_seq_length or settings.max_tokens)
        probe = _encoded(model, [settings.document_prefix + PROBE], 1)[0]
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:  # what loading can raise
        reason = " ".join(str(error).split())[:300]
        raise ConfigurationError(f"DOCMIND_EMBEDDING__MODEL={folder} cannot be loaded: {reason}") from error
    found = Kept(model=folder.resolve().name, dimension=len(probe), window=model.max_seq_length, probe=probe.tolist())
    return FolderEmbedder(settings, model, KeptModels(data_dir).meet(settings, found))


def _encoded(model: Any, texts: list[str], batch_texts: int) -> Vectors:  # noqa: ANN401 - an optional vendor's
    """The package sorts by length and makes batches itself."""
    rows = model.encode(texts, batch_size=batch_texts, convert_to_numpy=True, show_progress_bar=False)
    return normalised(np.asarray(rows, dtype=np.float64))
