"""An index on a Qdrant server is the index it is embedded: whatever was changed, killed, emptied or switched."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from infra.errors import StoreError
from infra.settings import Settings, load_settings
from infra.store import qdrant_faults
from infra.store.index import Index
from infra.store.qdrant import QdrantVectors
from infra.store.records import Entry
from tests.infra.store.samples import CATS, DOGS, ROOT, CountingEmbedder, entry, snapshot
from tests.infra.store.wire_qdrant import wired
from tests.loopback import Loopback

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")

NEWER = entry(f"{ROOT}/cats.md", "Cats sleep all night.\nCats hunt mice.", header="Cats")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qdrant_faults, "LONGEST_PAUSE_SECONDS", 0.0)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with wired() as server:
        yield server


def on(server: Loopback, **more: object) -> Settings:
    return load_settings(qdrant={"url": server.url}, **more)


def collections(server: Loopback, options: Settings) -> list[str]:
    from qdrant_client import QdrantClient  # noqa: PLC0415

    client = QdrantClient(url=server.url, check_compatibility=False)
    names = sorted(entry.name for entry in client.get_collections().collections)
    client.close()
    return [name for name in names if f"-{options.tenant}-" in name]


def embedded(tmp_path: Path, entries: list[Entry]) -> tuple[object, ...]:
    with Index.open(load_settings(data_dir=tmp_path / "embedded"), CountingEmbedder()) as index:
        index.change(entries)
        return seen(index)


def seen(index: Index) -> tuple[object, ...]:
    """What readers see; scores as far as two engines agree."""
    index.settle()
    *before, dense, sparse, idf, outbox = cast("Any", snapshot(index, CountingEmbedder()))
    near = [sorted((name, round(score, 3)) for name, score in hits) for hits in (dense, sparse)]
    return (*before, *near, idf, outbox)


def test_what_is_found_on_a_server_is_what_the_embedded_store_finds(server: Loopback, tmp_path: Path):
    with Index.open(on(server), CountingEmbedder()) as index:
        index.change([CATS, DOGS])
        assert seen(index) == embedded(tmp_path / "both", [CATS, DOGS])
        index.change([NEWER], [DOGS.document.id])
        assert seen(index) == embedded(tmp_path / "changed", [NEWER])
    with Index.open(on(server), embedder := CountingEmbedder()) as index:
        assert seen(index) == embedded(tmp_path / "again", [NEWER])
        assert embedder.asked == []


@pytest.mark.parametrize("step", ["delete_documents", "upsert"])
def test_a_kill_between_library_and_server_is_repaired(
    server: Loopback, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
):
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    index = Index.open(on(server), CountingEmbedder())
    index.change([CATS])
    with monkeypatch.context() as patch:
        patch.setattr(QdrantVectors, step, killed)
        with pytest.raises(KeyboardInterrupt):
            index.change([NEWER, DOGS])
    index.close()
    with Index.open(on(server), CountingEmbedder()) as index:
        assert seen(index) == embedded(tmp_path, [NEWER, DOGS])


def test_a_server_that_lost_everything_is_filled_anew(server: Loopback, tmp_path: Path):
    with Index.open(on(server), CountingEmbedder()) as index:
        index.change([CATS, DOGS])
    with wired() as empty, Index.open(on(empty), embedder := CountingEmbedder()) as index:
        assert seen(index) == embedded(tmp_path, [CATS, DOGS])
        assert embedder.asked == []


def test_strange_windows_in_the_collection_go(server: Loopback, tmp_path: Path):
    with Index.open(on(server), CountingEmbedder()) as index:
        index.change([CATS, DOGS])
    with Index.open(on(server), CountingEmbedder()) as index, index.library._database.transaction() as change:
        change.execute("DELETE FROM windows WHERE document_id = ?", (DOGS.document.id,))
        change.execute("DELETE FROM chunks WHERE document_id = ?", (DOGS.document.id,))
        change.execute("DELETE FROM documents WHERE id = ?", (DOGS.document.id,))
    with Index.open(on(server), CountingEmbedder()) as index:
        vector = CountingEmbedder().embed(["dogs"])[0]
        assert {hit.document_id for hit in index.dense(vector, 100)} == {CATS.document.id}


def test_another_model_is_built_beside_and_switched_to(server: Loopback, tmp_path: Path):
    options = on(server)
    with Index.open(options, CountingEmbedder("first")) as index:
        index.change([CATS, DOGS])
    before = collections(server, options)
    with Index.open(options, CountingEmbedder("second")) as index:
        assert seen(index) == embedded(tmp_path, [CATS, DOGS])
    after = collections(server, options)
    assert (len(before), len(after)) == (1, 1)
    assert before != after


def test_a_rebuild_that_is_killed_leaves_the_old_collection_and_is_gone_on_with(
    server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    options = on(server)
    with Index.open(options, CountingEmbedder("first")) as index:
        index.change([CATS, DOGS])
    before = collections(server, options)

    def killed(self: QdrantVectors) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(QdrantVectors, "take_over", killed)
        with pytest.raises(KeyboardInterrupt):
            Index.open(options, CountingEmbedder("second"))
    assert set(before) < set(collections(server, options))
    with Index.open(options, embedder := CountingEmbedder("second")) as index:
        assert seen(index) == embedded(tmp_path, [CATS, DOGS])
        assert embedder.asked == []
    assert len(collections(server, options)) == 1


def test_tenants_and_machines_with_one_server_never_mix(server: Loopback, tmp_path: Path):
    with (
        Index.open(on(server), CountingEmbedder()) as mine,
        Index.open(on(server, tenant="other"), CountingEmbedder()) as others,
        Index.open(on(server, data_dir=tmp_path / "machine"), CountingEmbedder()) as elsewhere,
    ):
        mine.change([CATS])
        others.change([DOGS])
        assert seen(mine) == embedded(tmp_path / "mine", [CATS])
        assert seen(others) == embedded(tmp_path / "others", [DOGS])
        assert elsewhere.counts().windows == 0
    assert len(collections(server, on(server))) == 2


def test_from_the_folder_to_the_server_and_back(server: Loopback, data_dir: Path, tmp_path: Path):
    with Index.open(load_settings(), CountingEmbedder()) as index:
        index.change([CATS])
    with Index.open(on(server), CountingEmbedder()) as index:
        index.change([DOGS])
        assert seen(index) == embedded(tmp_path, [CATS, DOGS])
        assert list(data_dir.rglob("vectors-*")) == []
    with Index.open(load_settings(), embedder := CountingEmbedder()) as index:
        assert seen(index) == embedded(tmp_path, [CATS, DOGS])
        assert embedder.asked == []


def test_what_changed_while_the_folder_was_in_use_is_on_the_server_afterwards(server: Loopback, tmp_path: Path):
    same_size = entry(f"{ROOT}/cats.md", "Cats run.\nCats jump.\nCats climb.", header="Cats")
    with Index.open(on(server), CountingEmbedder()) as index:
        index.change([CATS])
    with Index.open(load_settings(), CountingEmbedder()) as index:
        index.change([same_size])
    with Index.open(on(server), CountingEmbedder()) as index:
        assert seen(index) == embedded(tmp_path, [same_size])


def test_a_server_that_is_gone_is_one_line_and_nothing_is_lost(tmp_path: Path):
    with wired() as server:
        options = on(server)
        index = Index.open(options, CountingEmbedder())
        index.change([CATS])
        index.settle()
    with pytest.raises(StoreError, match=r"^Qdrant at .* could not .*check DOCMIND_QDRANT__URL$"):
        index.change([DOGS])
    with pytest.raises(StoreError, match="DOCMIND_QDRANT__URL"):
        index.dense(CountingEmbedder().embed(["dogs"])[0], 1)
    index.close()
    with wired() as again, Index.open(on(again), CountingEmbedder()) as index:
        assert seen(index) == embedded(tmp_path, [CATS, DOGS])
