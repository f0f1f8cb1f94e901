"""sentence-transformers from a folder, with the package played: nothing is fetched, and what is missing is named."""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Condition
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from infra.errors import ConfigurationError
from infra.settings import EmbeddingSettings, load_settings
from infra.store.embeddings import TokenEmbedder
from infra.store.embeddings_folder import PACKAGE, FolderEmbedder, open_folder
from infra.store.embeddings_open import open_embedder
from tests.tools.words import DIMENSION, WordEmbedder


class Played:
    """The package's class: not normalised, not for two threads at once."""

    def __init__(self, folder: str, **options: Any) -> None:
        assert (os.environ["HF_HUB_OFFLINE"], os.environ["TRANSFORMERS_OFFLINE"]) == ("1", "1")
        assert options == {"local_files_only": True, "trust_remote_code": False}
        if not (Path(folder) / "modules.json").is_file():
            raise OSError(f"no modules\nin {folder}")
        self.max_seq_length = 512
        self.within = 0
        self.most = 0
        self._changed = Condition()

    def encode(self, texts: Sequence[str], **options: Any) -> Any:
        with self._changed:
            self.within += 1
            self.most = max(self.most, self.within)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.within > 1, timeout=0.01)  # room for a second caller to show itself
            self.within -= 1
        return WordEmbedder().embed(texts) * 7


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType(PACKAGE)
    module.SentenceTransformer = Played  # pyright: ignore[reportAttributeAccessIssue] - that is the point
    monkeypatch.setitem(sys.modules, PACKAGE, module)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "0")  # given back after the test


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tmp_path / "bge-small"
    model.mkdir()
    for name in ("config.json", "modules.json"):
        (model / name).write_text("{}")
    return model


def opened(folder: Path, data_dir: Path, **more: Any) -> FolderEmbedder:
    return open_folder(settings(folder, **more), data_dir)


def settings(folder: Path, **more: Any) -> EmbeddingSettings:
    return EmbeddingSettings.model_validate({"kind": "sentence-transformers", "model": str(folder), **more})


@pytest.mark.usefixtures("package")
def test_vectors_are_the_models_normalised(folder: Path, data_dir: Path):
    embedder = open_embedder(load_settings(embedding=settings(folder, query_prefix="q: ").model_dump()))
    assert embedder.embed(["Oslo", "Paris"]) == pytest.approx(WordEmbedder().embed(["Oslo", "Paris"]), abs=1e-6)
    assert embedder.embed_queries(["Oslo"]) == pytest.approx(WordEmbedder().embed(["q: Oslo"]), abs=1e-6)
    assert (embedder.embed([]).shape, embedder.dimension) == ((0, DIMENSION), DIMENSION)
    assert embedder.model_id.startswith("sentence-transformers/bge-small/")
    assert embedder.embed(["Oslo"]).dtype == np.float32
    assert not isinstance(embedder, TokenEmbedder)


@pytest.mark.usefixtures("package")
def test_threads_take_turns(folder: Path, data_dir: Path):
    embedder = opened(folder, data_dir)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(embedder.embed, [["Oslo"]] * 8))
    assert all(vectors == pytest.approx(WordEmbedder().embed(["Oslo"]), abs=1e-6) for vectors in found)
    assert embedder._model.most == 1


@pytest.mark.usefixtures("package")
def test_a_smaller_window_of_the_settings_wins(folder: Path, data_dir: Path):
    assert opened(folder, data_dir, max_tokens=128)._model.max_seq_length == 128
    assert opened(folder, data_dir, max_tokens=4_096)._model.max_seq_length == 512


@pytest.mark.usefixtures("package")
def test_a_folder_filled_anew_is_another_model(folder: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch):
    first = opened(folder, data_dir).model_id
    assert opened(folder, data_dir).model_id == first
    monkeypatch.setattr(Played, "encode", lambda self, texts, **options: WordEmbedder().embed(texts)[:, ::-1])
    assert opened(folder, data_dir).model_id == first.removesuffix("/1") + "/2"


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("model", ["", "sentence-transformers/all-MiniLM-L6-v2", "/nowhere"])
def test_a_name_to_download_is_refused(model: str, data_dir: Path):
    with pytest.raises(ConfigurationError) as caught:
        open_folder(EmbeddingSettings(kind="sentence-transformers", model=model), data_dir)
    expected = f"DOCMIND_EMBEDDING__MODEL={model!r} is no folder with a model; nothing is downloaded"
    assert str(caught.value) == expected


@pytest.mark.usefixtures("package")
def test_a_folder_that_holds_no_model_is_named_in_one_line(folder: Path, data_dir: Path):
    (folder / "modules.json").unlink()
    with pytest.raises(ConfigurationError) as caught:
        opened(folder, data_dir)
    assert str(caught.value) == f"DOCMIND_EMBEDDING__MODEL={folder} cannot be loaded: no modules in {folder}"


def test_a_missing_package_names_the_extra(folder: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "0")
    with pytest.raises(ConfigurationError, match=r"run: pip install 'docmind\[sentence-transformers\]'$"):
        opened(folder, data_dir)
