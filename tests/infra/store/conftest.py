"""For tests of a shared index: two indexes over one folder are like two processes; lock and socket see no other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.settings import load_settings
from infra.store.index import Index
from tests.infra.store.samples import CountingEmbedder, Opened


@pytest.fixture
def opened(data_dir: Path) -> Iterator[Opened]:
    """Opens the same folder again and again, as one process each."""
    indexes: list[Index] = []

    def another() -> Index:
        indexes.append(Index.open(load_settings(data_dir=data_dir), CountingEmbedder()))
        return indexes[-1]

    yield another
    for index in reversed(indexes):
        index.close()
