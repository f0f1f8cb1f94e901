"""The engine is asked to write only where the disk has room for its mapped files: without, the process would die."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra.errors import StoreError
from infra.store.index import Index
from infra.store.vectors import GROWING_BYTES, OPENING_BYTES
from tests.infra.store.samples import CATS, DOGS
from tests.tools.words import WordEmbedder

FULL = "is full: .* MB are left and .* MB are needed; make room, or set DOCMIND_DATA_DIR to another disk"


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def left(free: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))

    return left


def test_nothing_is_made_or_written_on_a_full_disk_and_all_is_made_up_for(
    tmp_path: Path, room: Callable[[int], None]
) -> None:
    room(GROWING_BYTES - 1)
    with pytest.raises(StoreError, match=FULL):
        Index(tmp_path, WordEmbedder())
    room(GROWING_BYTES)
    with Index(tmp_path, WordEmbedder()) as index:
        index.change([CATS])
        room(GROWING_BYTES - 1)
        for change in (lambda: index.change([DOGS]), lambda: index.remove([CATS.document.id])):
            with pytest.raises(StoreError, match=FULL):
                change()
        assert set(index.library.stamps()) == {DOGS.document.path}
        room(GROWING_BYTES)
    room(OPENING_BYTES - 1)
    with pytest.raises(StoreError, match=FULL):
        Index(tmp_path, WordEmbedder())
    room(GROWING_BYTES)
    with Index(tmp_path, WordEmbedder()) as index:
        index.follow()
        hits = index.dense(WordEmbedder().embed(["dogs"])[0], 9)
        assert {hit.document_id for hit in hits} == {DOGS.document.id}
