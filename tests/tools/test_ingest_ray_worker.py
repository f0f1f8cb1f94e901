"""What a worker of a cluster gives for its jobs; no cluster is needed for that."""

import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from infra.errors import BackendError, ConfigurationError, DocMindError
from infra.settings import PREFIX, EmbeddingSettings, IngestSettings, Settings
from infra.store.embeddings_kept import PROBE
from infra.store.library import Stamp
from tests.tools.words import DIMENSION, WordEmbedder
from tools import ingest_ray_worker as module
from tools.ingest_plan import VERSION, Job
from tools.ingest_ray_worker import ANSWER, JOB, Task, Worker
from tools.ingest_work import Outcome

TASK = Task(IngestSettings(), EmbeddingSettings(), {}, WordEmbedder.model_id, VERSION, np.array([], dtype="S32"))
HERE = f"the worker on {module.platform.node()}: "


class Counting(WordEmbedder):
    """Notes what it embeds."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: Any) -> Any:
        self.texts += [text for text in texts if text != PROBE]
        return super().embed(texts)


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> Counting:
    found = Counting()
    monkeypatch.setattr(module, "open_embedder", lambda *_, **__: found)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Job]:
    def write(name: str, text: str) -> Job:
        path = tmp_path / name
        path.write_text(text)
        digest = sha256(path.read_bytes()).hexdigest()
        return Job(Stamp(str(path), str(tmp_path), digest, path.stat().st_size, 1, VERSION), known=False)

    return write


def answers(task: Task, *jobs: Job) -> list[Any]:
    return [answer for column in Worker(task)({JOB: jobs}) for answer in column[ANSWER]]


def keys(outcome: Outcome) -> set[str]:
    assert outcome.entry
    return {span.key for span in outcome.entry.spans}


def test_a_file_comes_back_whole_with_the_embedding_of_every_window(embedder: Counting, file: Callable[..., Job]):
    job = file("a.txt", "A cache keeps what was read. A saw cuts.")
    (outcome,) = answers(TASK, job)
    assert outcome.job == job
    assert (outcome.error, outcome.unseen, outcome.nodes) == ("", False, ())
    assert outcome.vectors.keys() == keys(outcome)
    (text,) = embedder.texts
    assert np.array_equal(next(iter(outcome.vectors.values())), WordEmbedder().embed([text])[0])
    assert pickle.loads(pickle.dumps(outcome)).vectors.keys() == keys(outcome)


def test_equal_windows_are_embedded_once_and_sent_with_the_first(embedder: Counting, file: Callable[..., Job]):
    first, second = file("a.json", '{"a": 1}'), file("b.txt", "Other words.")
    again = replace(first, stamp=replace(first.stamp))
    outcomes = answers(TASK, first, second, again)
    assert [len(outcome.vectors) for outcome in outcomes] == [1, 1, 0]
    assert len(embedder.texts) == 2


def test_what_the_driver_has_is_not_embedded(embedder: Counting, file: Callable[..., Job]):
    job = file("a.txt", "A cache keeps what was read.")
    (outcome,) = answers(TASK, job)
    known = np.array(sorted([*keys(outcome), "0" * 32, "f" * 32]), dtype="S32")
    embedder.texts.clear()
    (outcome,) = answers(replace(TASK, known=known), job)
    assert (outcome.vectors, embedder.texts) == ({}, [])


def test_who_needs_no_embedding_opens_no_model(monkeypatch: pytest.MonkeyPatch, file: Callable[..., Job]):
    monkeypatch.setattr(module, "open_embedder", lambda *_, **__: pytest.fail("opened"))
    (outcome,) = answers(TASK, file("a.pdf", "%PDF-"))
    assert (outcome.entry, outcome.lasting, outcome.unseen) == (None, True, False)
    assert outcome.error.startswith("the PDF is broken")


@pytest.mark.parametrize(
    ("happens", "error"),
    [
        (Path.unlink, "No such file or directory; every machine of the cluster must see the files under the same path"),
        (
            lambda path: path.write_text("Other words of the length."),
            "another file stands there, or it was changed meanwhile; run the same again",
        ),
        (lambda path: path.write_text("More."), "another file stands there, or it was changed meanwhile; run the same"),
        (lambda path: (path.unlink(), path.mkdir()), ""),
        (lambda path: (path.unlink(), os.mkfifo(path)), "another file stands there"),
    ],
    ids=["gone", "same length", "shorter", "folder", "pipe"],
)
def test_a_file_that_is_not_the_one_planned_is_said_to_be_unseen(
    embedder: Counting, file: Callable[..., Job], happens: Callable[[Path], Any], error: str
):
    job, other = file("a.txt", "A cache keeps what is read"), file("b.txt", "One text.")
    happens(Path(job.stamp.path))
    unseen, read = answers(TASK, job, other)
    assert (unseen.entry, unseen.unseen, unseen.lasting) == (None, True, False)
    assert unseen.error.startswith(f"{HERE}{error}")
    assert read.entry


def test_a_file_that_is_too_large_fails_as_anywhere(embedder: Counting, file: Callable[..., Job]):
    job = file("a.txt", "x" * 2_000)
    task = replace(TASK, ingest=IngestSettings(max_file_mb=0.001))
    (outcome,) = answers(task, replace(job, stamp=replace(job.stamp, digest="")))
    assert (outcome.lasting, outcome.unseen) == (True, False)
    assert "DOCMIND_INGEST__MAX_FILE_MB decides" in outcome.error


def test_a_worker_of_another_version_or_model_ends_the_run(embedder: Counting, file: Callable[..., Job]):
    job = file("a.txt", "One text.")
    (version,) = answers(replace(TASK, version="9 9 9"), job)
    assert isinstance(version, ConfigurationError)
    assert str(version) == (
        f"{HERE}it has another version of DocMind ({VERSION}, needed: 9 9 9); "
        "install the same docmind on every machine of the cluster"
    )
    (model,) = answers(replace(TASK, model_id="server/bge-m3/1"), job)
    assert isinstance(model, ConfigurationError)
    assert str(model).startswith(f"{HERE}its embedding model is words/test, the index is made with server/bge-m3/1; ")
    assert not embedder.texts


def test_an_error_of_the_embedding_server_travels_as_words(monkeypatch: pytest.MonkeyPatch, file: Callable[..., Job]):
    def fail(_: Settings, **__: int) -> None:
        raise BackendError("the embedding server is down")

    monkeypatch.setattr(module, "open_embedder", fail)
    (answer,) = answers(TASK, file("a.txt", "One text."))
    assert type(answer) is DocMindError
    assert str(pickle.loads(pickle.dumps(answer))) == f"{HERE}the embedding server is down"


def test_only_what_the_task_holds_counts_not_the_machine(monkeypatch: pytest.MonkeyPatch, file: Callable[..., Job]):
    opened: list[Settings] = []
    folders: list[bytes] = []

    def look(settings: Settings, *, threads: int) -> Counting:
        assert threads == 1
        opened.append(settings)
        folders.extend(path.read_bytes() for path in sorted((settings.data_dir / "models").iterdir()))
        return Counting()

    monkeypatch.setattr(module, "open_embedder", look)
    monkeypatch.setenv(f"{PREFIX}EMBEDDING__KIND", "sentence-transformers")
    monkeypatch.setenv(f"{PREFIX}DATA_DIR", "/nowhere")
    embedding = EmbeddingSettings(kind="server", api_key=SecretStr("k"))
    (outcome,) = answers(replace(TASK, embedding=embedding, models={"embedding-1.json": b"1"}), file("a.txt", "Words."))
    assert outcome.entry
    assert (opened[0].embedding, folders) == (embedding, [b"1"])
    assert not opened[0].data_dir.exists()


def test_many_windows_come_in_groups(monkeypatch: pytest.MonkeyPatch, embedder: Counting, file: Callable[..., Job]):
    monkeypatch.setattr(module, "GROUP_WINDOWS", 2)
    monkeypatch.setattr(module, "PIECE_TEXTS", 1)
    jobs = [file(f"{n}.txt", f"Text number {n}.") for n in range(5)]
    columns = list(Worker(TASK)({JOB: jobs}))
    assert [len(column[ANSWER]) for column in columns] == [2, 2, 1]
    assert all(
        vector.shape == (DIMENSION,) for c in columns for outcome in c[ANSWER] for vector in outcome.vectors.values()
    )
    assert len(embedder.texts) == 5
