"""What is known of an embedding model that is not ours: its dimension, its window, and one vector to know it again by.

A server can come back with another model under the same name, and a folder can be filled anew. So one short text is
embedded when a model is opened, and its vector compared with the one kept: where they differ, the model gets a new id,
and with it its own collection and caches. Kept in the data directory, so that an index can be opened while its model's
server is down.
"""

import json
import secrets
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from infra.errors import StoreError
from infra.settings import EmbeddingSettings
from infra.store.records import digest_of

PROBE = "The boiler of the house was serviced in March."
SAME_MODEL = 0.98
"""Cosine of the probe's two vectors: one model on other hardware stays above .99, another is far off."""


class Kept(BaseModel):
    """One model, as it was found.

    Attributes:
        model: its name.
        dimension: numbers of a vector.
        window: tokens of a text it reads, where told.
        cuts: whether the server cuts longer texts when asked to (vLLM).
        probe: the vector of `PROBE`.
        version: how many models went by this name, this one included.
    """

    model: str
    dimension: int = Field(gt=0, le=65_536)
    window: int | None = None
    cuts: bool = False
    probe: list[float]
    version: int = Field(default=1, ge=1)

    def model_id(self, settings: EmbeddingSettings) -> str:
        """The id that vectors of this model are kept under: name, and what is put before texts or cut off them."""
        made = digest_of(settings.kind, settings.query_prefix, settings.document_prefix, str(settings.max_tokens))
        return f"{settings.kind}/{self.model}/{made[:8]}/{self.version}"


class KeptModels:
    """The models that a data directory knows."""

    def __init__(self, data_dir: Path) -> None:
        """Keep them in ``data_dir``."""
        self._folder = data_dir / "models"

    def recall(self, settings: EmbeddingSettings, model: str) -> Kept | None:
        """Return what was found before, if anything."""
        try:
            return Kept.model_validate_json(self._file(settings, model).read_bytes())
        except (FileNotFoundError, ValidationError):  # damaged is as good as unknown: it is found out anew
            return None
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def meet(self, settings: EmbeddingSettings, found: Kept) -> Kept:
        """Return a model as it is known, after looking whether it is the one that was met before.

        Raises:
            StoreError: the data directory cannot be read or written.
        """
        before = self.recall(settings, found.model)
        if before is not None and _is_same(before, found):
            found = found.model_copy(update={"probe": before.probe, "version": before.version})
        elif before is not None:
            found = found.model_copy(update={"version": before.version + 1})
        # the settings may name no model, and then this is how it is looked for while its server is down
        for name in {found.model, settings.model}:
            if found != self.recall(settings, name):
                self._keep(settings, name, found)
        return found

    def _keep(self, settings: EmbeddingSettings, name: str, found: Kept) -> None:
        file = self._file(settings, name)
        fresh = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.write_text(json.dumps(found.model_dump()), encoding="utf-8")
            fresh.replace(file)
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def _file(self, settings: EmbeddingSettings, model: str) -> Path:
        name = digest_of(settings.kind, model, settings.document_prefix, str(settings.max_tokens))
        return self._folder / f"embedding-{name[:16]}.json"


def _is_same(before: Kept, found: Kept) -> bool:
    return before.dimension == found.dimension and float(np.dot(before.probe, found.probe)) >= SAME_MODEL


def _unusable(folder: Path, error: OSError) -> StoreError:
    reason = error.strerror or error
    return StoreError(f"cannot read or write {folder}: {reason}; set DOCMIND_DATA_DIR to a folder you own")


def normalised(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return rows of length 1.

    Raises:
        ValueError: a number is not finite, or a row has no direction.
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise ValueError("a vector holds what is not a number")
    if not (lengths > 0).all():
        raise ValueError("a vector is all zeros")
    return (rows / lengths).astype(np.float32)
