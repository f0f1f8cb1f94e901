"""The embedding model, converted once for all tests of the graph: a data directory gets a link to it."""

import os
from pathlib import Path

import pytest

from infra.store.embeddings_convert import prepare_minilm


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the converted model, one for all workers of a run."""
    folder = tmp_path_factory.getbasetemp()
    home = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "converted"
    prepare_minilm(home)
    return home / "models"


@pytest.fixture
def data_with_model(data_dir: Path, models: Path) -> Path:
    """The data directory that the settings of this test name; it holds the converted model."""
    (data_dir / "models").symlink_to(models)
    return data_dir
