"""LlamaIndex's pipeline as it is used here: what its defaults would get wrong does not happen."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.store.database import Database
from infra.store.library import SCHEMA, Library, Stamp
from infra.store.memory import EmbeddingMemory
from tests.tools.words import WordEmbedder
from tools import ingest_pipeline
from tools.extracted import Extracted, Section
from tools.ingest_pipeline import Pipeline

STAMP = Stamp("/docs/a.md", "/docs", "d1", 10, 1, "v1")


def text_of(*paragraphs: str) -> Extracted:
    text = "\n\n".join(paragraphs)
    return Extracted(text, "Title", (Section(0, len(text)),))


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[EmbeddingMemory]:
    database = Database(tmp_path / "library.sqlite3", SCHEMA)
    yield EmbeddingMemory(Library(database), WordEmbedder())
    database.close()


@pytest.fixture
def split(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the documents that were really split, as opposed to found in the cache."""
    done: list[str] = []
    original = ingest_pipeline._split

    def noted(node: ingest_pipeline.Node) -> list[ingest_pipeline.Node]:
        done.append(node.metadata["relative"])
        return original(node)

    monkeypatch.setattr(ingest_pipeline, "_split", noted)
    return done


@pytest.fixture
def pipeline(tmp_path: Path, memory: EmbeddingMemory) -> Iterator[Pipeline]:
    made = Pipeline(memory, "v1", tmp_path / "cache.sqlite3")
    yield made
    made.close()


def at(name: str) -> Stamp:
    return replace(STAMP, path=f"/docs/{name}")


def test_a_changed_document_leaves_the_others_in_the_cache(pipeline: Pipeline, split: list[str]) -> None:
    for name in ("a.md", "b.md", "c.md"):
        pipeline.split(at(name), text_of(f"Words of {name}."))
    pipeline.split(at("a.md"), text_of("Words of a.md."))
    pipeline.split(at("b.md"), text_of("Other words."))
    pipeline.split(at("c.md"), text_of("Words of c.md."))
    assert split == ["a.md", "b.md", "c.md", "b.md"]


def test_the_same_text_at_two_places_belongs_to_each_of_them(pipeline: Pipeline, split: list[str]) -> None:
    one, _ = pipeline.split(at("a.md"), text_of("The same words."))
    two, _ = pipeline.split(at("b.md"), text_of("The same words."))
    assert split == ["a.md", "b.md"]
    assert {chunk.document_id for chunk in two.chunks} == {two.document.id} != {one.document.id}
    assert {span.key for span in one.spans} == {span.key for span in two.spans}


def test_times_and_sizes_of_a_file_are_no_part_of_what_is_cached(pipeline: Pipeline, split: list[str]) -> None:
    pipeline.split(STAMP, text_of("Words."))
    pipeline.split(replace(STAMP, mtime_ns=99, size=11, digest="d2"), text_of("Words."))
    assert split == ["a.md"]


def test_what_was_cached_is_the_same_and_another_version_splits_again(
    tmp_path: Path, memory: EmbeddingMemory, pipeline: Pipeline, split: list[str]
) -> None:
    extracted = text_of(*(f"Paragraph {n} has some words, and then some more of them." for n in range(60)))
    first, nodes = pipeline.split(STAMP, extracted)
    again, cached = pipeline.split(STAMP, extracted)
    assert (again, [node.node_id for node in cached]) == (first, [node.node_id for node in nodes])
    other = Pipeline(memory, "v2", tmp_path / "cache.sqlite3")
    assert other.split(STAMP, extracted)[0] == first
    other.close()
    assert split == ["a.md", "a.md"]


def test_ids_are_the_same_in_every_run_and_each_only_once(tmp_path: Path, memory: EmbeddingMemory) -> None:
    extracted = text_of(*["The same paragraph, again and again. It has few words."] * 60)
    found: list[list[str]] = []
    for run in ("one", "two"):
        pipeline = Pipeline(memory, "v1", tmp_path / f"{run}.sqlite3")
        entry, nodes = pipeline.split(STAMP, extracted)
        pipeline.close()
        found.append([node.node_id for node in nodes])
        assert len({chunk.id for chunk in entry.chunks}) == len(entry.chunks) > 1
    assert found[0] == found[1]
    assert len(set(found[0])) == len(found[0])


def test_nothing_of_llamaindex_removes_documents_or_starts_workers(pipeline: Pipeline) -> None:
    for used in (pipeline._split, pipeline._embed):
        assert (used.docstore, used.vector_store) == (None, None)
    assert pipeline._embed.disable_cache


def test_windows_are_embedded_once_a_model_whatever_document_they_stand_in(
    pipeline: Pipeline, memory: EmbeddingMemory
) -> None:
    _, nodes = pipeline.split(at("a.md"), text_of("The same words."))
    _, twins = pipeline.split(at("b.md"), text_of("The same words."))
    assert pipeline.embed([*nodes, *twins]) == 1
    assert pipeline.embed(twins) == 0
