"""The commands with an embedding server and a Qdrant server in place of what is embedded."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.settings import PREFIX
from infra.store import asking, qdrant_faults
from tests.infra.store.embedding_servers import Ollama, Vllm, running
from tests.infra.store.wire_qdrant import wired
from tests.loopback import Loopback
from tools.ingest import app as ingest_app
from tools.retrieve import app as retrieve_app

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")

KEY = "qd-secret"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "LONGEST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(qdrant_faults, "LONGEST_PAUSE_SECONDS", 0.0)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "boiler.md").write_text("The boiler in the cellar leaks. Call the plumber on Monday.")
    (folder / "garden.md").write_text("Roses grow in the garden. They need water in summer.")
    return folder


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Loopback, Loopback]]:
    with running(Vllm("BAAI/bge-m3")) as embedding, wired(KEY) as qdrant:
        monkeypatch.setenv(f"{PREFIX}EMBEDDING__KIND", "server")
        monkeypatch.setenv(f"{PREFIX}EMBEDDING__BASE_URL", f"{embedding.url}/v1")
        monkeypatch.setenv(f"{PREFIX}QDRANT__URL", qdrant.url)
        monkeypatch.setenv(f"{PREFIX}QDRANT__API_KEY", KEY)
        yield embedding, qdrant


def test_documents_are_read_and_found_through_both_servers(servers: tuple[Loopback, Loopback], notes: Path):
    embedding, qdrant = servers
    read = CliRunner().invoke(ingest_app, [str(notes)])
    assert (read.exit_code, read.stderr) == (0, "")
    asked = len(embedding.bodies("/v1/embeddings"))
    again = CliRunner().invoke(ingest_app, [str(notes)])
    assert "2 unchanged" in again.stdout
    assert len(embedding.bodies("/v1/embeddings")) == asked + 1  # the model is looked at when it is opened
    found = CliRunner().invoke(retrieve_app, ["Who is called about the boiler?"])
    assert "plumber" in found.stdout
    assert any(request.path.endswith("/points/query") for request in qdrant.requests)


@pytest.mark.parametrize(
    ("name", "value", "helps"),
    [
        ("QDRANT__API_KEY", "wrong", "DOCMIND_QDRANT__API_KEY"),
        ("QDRANT__URL", "http://127.0.0.1:9", "DOCMIND_QDRANT__URL"),
        ("EMBEDDING__BASE_URL", "http://127.0.0.1:9/v1", "DOCMIND_EMBEDDING__BASE_URL"),
        ("EMBEDDING__MODEL", "other", "DOCMIND_EMBEDDING__MODEL"),
        ("EMBEDDING__KIND", "sentence-transformers", "DOCMIND_EMBEDDING__MODEL"),
    ],
)
def test_what_is_set_wrong_is_one_line(
    servers: tuple[Loopback, Loopback], notes: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, helps: str
):
    monkeypatch.setenv(f"{PREFIX}{name}", value)
    done = CliRunner().invoke(ingest_app, [str(notes)])
    assert done.exit_code in (1, 2)
    assert done.stderr.startswith("docmind: ")
    assert helps in done.stderr
    assert done.stderr.strip().count("\n") == 0
    assert KEY not in done.stderr


def test_another_embedding_model_rebuilds_the_index_by_itself(
    servers: tuple[Loopback, Loopback], notes: Path, monkeypatch: pytest.MonkeyPatch
):
    CliRunner().invoke(ingest_app, [str(notes)])
    with running(Ollama("nomic-embed-text")) as other:
        monkeypatch.setenv(f"{PREFIX}EMBEDDING__BASE_URL", f"{other.url}/v1")
        monkeypatch.setenv(f"{PREFIX}EMBEDDING__MODEL", "nomic-embed-text")
        found = CliRunner().invoke(retrieve_app, ["Who is called about the boiler?"])
    assert "plumber" in found.stdout
    assert sum(len(body["input"]) for body in other.bodies("/v1/embeddings")) >= 1 + 2 + 1  # probe, windows, question
