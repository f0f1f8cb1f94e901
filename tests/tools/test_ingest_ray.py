"""``--ray``: the same index as one process gives, whatever happens on the way. A stand-in plays Ray's part."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from infra.settings import PREFIX, load_settings
from infra.store.embeddings_kept import PROBE
from infra.store.index import Index
from tests.tools import fake_ray
from tests.tools.fake_ray import FakeRay
from tests.tools.files import pdf_bytes, write
from tests.tools.library_state import fresh_state, state_of
from tests.tools.words import WordEmbedder
from tools import ingest as door
from tools import ingest_ray_worker

STORED = "what was stored is kept, run the same again to go on"


class ActorDiedError(Exception):
    """As Ray calls it."""


@pytest.fixture(autouse=True)
def _words_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (door, ingest_ray_worker):
        monkeypatch.setattr(module, "open_embedder", lambda *_, **__: WordEmbedder())


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    return fake_ray.installed(monkeypatch)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    for number in range(12):
        write(folder / f"{number:02}.txt", f"Text {number} of a cache. A saw and hammer number {number}.")
    for name in ("00 copy.md", "notes.md"):  # far from each other: two workers embed the same windows
        write(folder / name, "# Caches\n\nA cache keeps what was read.\n\n## Kinds\n\nExact and semantic ones.\n")
    (folder / "good.pdf").write_bytes(pdf_bytes(["A plain sentence.", "Another row of words."]))
    (folder / "broken.pdf").write_bytes(b"%PDF-")
    os.utime(folder / "broken.pdf", ns=(0, 10**18))
    return folder


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(door.app, [str(argument) for argument in arguments])


def on_ray(docs: Path, *options: str) -> Any:
    result = call(docs, "--ray", "local", "--json", *options)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def state(data_dir: Path) -> dict[str, object]:
    with Index.open(load_settings(data_dir=data_dir), WordEmbedder()) as index:
        return state_of(index, WordEmbedder())


@pytest.fixture
def fresh(docs: Path, tmp_path: Path) -> Callable[[], dict[str, object]]:
    return lambda: fresh_state(tmp_path / "fresh", WordEmbedder(), [docs])


def test_the_index_and_the_report_are_those_of_one_process(
    ray: FakeRay, docs: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: Any
):
    monkeypatch.setattr("tools.ingest_work.GROUP_WINDOWS", 2)
    report = on_ray(docs)
    assert state(data_dir) == fresh()
    monkeypatch.setenv(f"{PREFIX}DATA_DIR", str(tmp_path / "one"))
    alone = json.loads(call(docs, "--json").stdout)
    assert report | {"seconds": 0} == alone | {"seconds": 0}


def test_files_go_out_in_blocks_for_all_workers_which_die_once(ray: FakeRay, docs: Path):
    on_ray(docs, "--ray-workers", "2")
    options = ray.options
    assert options["blocks"] == [2] * 8
    assert (options["compute"], options["num_cpus"], options["max_restarts"]) == (2, 1, 0)
    (docs / "00.txt").write_text("One file is changed.")
    on_ray(docs)
    assert (ray.options["blocks"], ray.options["compute"]) == ([1], 1)


def test_a_run_without_work_starts_no_cluster(ray: FakeRay, docs: Path):
    on_ray(docs)
    ray.calls.clear()
    os.utime(docs / "00.txt", ns=(0, 10**17))
    assert on_ray(docs)["embedded"] == 0
    assert ray.calls == []


def test_a_changed_file_embeds_only_its_changed_windows(
    ray: FakeRay, docs: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch, fresh: Any
):
    write(docs / "long.md", "\n\n".join(f"# Part {n}\n\nWords of part {n}." for n in range(9)))
    on_ray(docs)
    embedded: list[str] = []

    class Noting(WordEmbedder):
        def embed(self, texts: Any) -> Any:
            embedded.extend(text for text in texts if text != PROBE)
            return super().embed(texts)

    monkeypatch.setattr(ingest_ray_worker, "open_embedder", lambda *_, **__: Noting())
    text = (docs / "long.md").read_text().replace("Words of part 4", "Other words of part 4")
    write(docs / "long.md", text, age=61)
    assert on_ray(docs)["embedded"] == len(embedded) == 1
    assert state(data_dir) == fresh()


@pytest.mark.parametrize(("kind", "given"), [("minilm", ("", {})), ("server", ("s3cret", {"embedding-1.json": b"{}"}))])
def test_workers_are_told_of_the_model_and_a_key_only_where_its_server_wants_one(
    ray: FakeRay, docs: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch, kind: str, given: Any
):
    monkeypatch.setenv(f"{PREFIX}EMBEDDING__KIND", kind)
    monkeypatch.setenv(f"{PREFIX}EMBEDDING__API_KEY", "s3cret")
    write(data_dir / "models" / "embedding-1.json", "{}")
    write(data_dir / "models" / "other.json", "{}")
    on_ray(docs)
    (task,) = ray.options["fn_constructor_args"]
    assert task.embedding.kind == kind
    assert (task.embedding.api_key.get_secret_value(), task.models) == given


def test_an_interrupted_run_keeps_what_came_and_the_next_goes_on(
    ray: FakeRay, docs: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch, fresh: Any
):
    monkeypatch.setattr("tools.ingest_work.GROUP_WINDOWS", 2)

    def interrupt(block: int) -> None:
        if block == 5:
            raise KeyboardInterrupt

    ray.before_block = interrupt
    result = call(docs, "--ray", "local")
    assert result.exit_code == door.INTERRUPTED
    assert ray.calls[-1] == "shutdown"
    with Index.open(load_settings(data_dir=data_dir), WordEmbedder()) as index:
        assert index.counts().documents == 3
    assert on_ray(docs)["unchanged"] == 3
    assert state(data_dir) == fresh()


def test_what_dead_workers_had_is_sent_out_again(ray: FakeRay, docs: Path, data_dir: Path, fresh: Any):
    def die(block: int) -> None:
        if block in (3, 4, 9):
            raise ActorDiedError("The actor died unexpectedly.\n  its log")

    ray.before_block = die
    assert on_ray(docs)["added"] == 15
    assert state(data_dir) == fresh()


def test_workers_that_die_again_and_again_end_the_run_with_one_line(ray: FakeRay, docs: Path):
    def die(block: int) -> None:
        if block > 2:
            raise ActorDiedError

    ray.before_block = die
    result = call(docs, "--ray", "local")
    assert (result.exit_code, ray.blocks) == (1, 2 + 3)
    assert result.stderr.splitlines() == [
        f"docmind: Ray failed: a worker died, such as for want of memory; try fewer workers: --ray-workers; {STORED}"
    ]
    assert ray.calls[-1] == "shutdown"


def test_a_file_that_no_worker_sees_is_reported_and_what_is_stored_of_it_stays(
    ray: FakeRay, docs: Path, data_dir: Path, fresh: Any
):
    on_ray(docs)
    before = state(data_dir)["documents"]
    write(docs / "00.txt", "New words.", age=61)
    hidden = docs.with_name("hidden.txt")

    def hide(_: int) -> None:
        shutil.move(docs / "00.txt", hidden)

    ray.before_block = hide
    report = on_ray(docs)
    (failure, _) = report["failed"]
    assert (report["changed"], report["removed"], failure["path"]) == (0, 0, str(docs / "00.txt"))
    assert failure["error"].endswith(
        "No such file or directory; every machine of the cluster must see the files under the same path"
    )
    assert state(data_dir)["documents"] == before
    shutil.move(hidden, docs / "00.txt")
    ray.before_block = lambda _: None
    assert on_ray(docs)["changed"] == 1
    assert state(data_dir) == fresh()


def test_a_moved_file_that_no_worker_sees_keeps_its_document(ray: FakeRay, docs: Path, data_dir: Path):
    on_ray(docs)
    (docs / "00.txt").rename(docs / "moved.txt")
    ray.before_block = lambda _: (docs / "moved.txt").unlink()
    report = on_ray(docs)
    assert (report["moved"], report["removed"]) == (0, 0)
    with Index.open(load_settings(data_dir=data_dir), WordEmbedder()) as index:
        assert str(docs / "00.txt") in {document.path for document in index.documents()}


def test_a_worker_with_another_model_ends_the_run(ray: FakeRay, docs: Path, monkeypatch: pytest.MonkeyPatch):
    class Other(WordEmbedder):
        model_id = "words/other"

    monkeypatch.setattr(ingest_ray_worker, "open_embedder", lambda *_, **__: Other())
    result = call(docs, "--ray", "local")
    assert result.exit_code == 2
    assert "its embedding model is words/other, the index is made with words/test" in result.stderr
    assert result.stderr.count("\n") == 1
