"""One conversation on several back ends: what was said is kept, and the metrics name who answered."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from graph.session import Ask, Session, prepare
from infra.errors import StoreError
from infra.resources import Resources
from infra.settings import BackendKind, load_settings
from infra.telemetry import CallLog
from tests.fakes import ScriptedServer
from tests.network import Net, by_rules
from tests.servers import LlamaCppServer, OllamaModel, OllamaServer

pytestmark = pytest.mark.usefixtures("data_with_model")

QUESTIONS = ("Who is Bob Stone and what did he repair?", "When did he repair it?", "Where does the mill stand?")
WINDOW = 32_768


@pytest.mark.parametrize("order", [("vllm", "engine", "vllm"), ("ollama", "llamacpp", "ollama")], ids="-".join)
async def test_a_conversation_goes_from_one_back_end_to_another_and_back(
    tmp_path: Path, order: tuple[BackendKind, ...]
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "bob.txt").write_text("Bob Stone repaired the old mill in 1998. The mill stands by the river Ems.\n")
    ollama = OllamaServer(by_rules(), OllamaModel("qwen3:4b", loads_with=WINDOW))
    llamacpp = LlamaCppServer(by_rules(), window=WINDOW)
    net = Net({8000: ScriptedServer(by_rules()), 8080: llamacpp, 11434: ollama})
    settings = load_settings()
    resources = Resources(settings, server=net.transports)
    console = Console(file=StringIO())
    roots = prepare(resources, [docs], console)
    async with Session(resources, console, keep_threads=True) as session:
        answers = [
            await session.ask(Ask(question, roots, "mill", backend))
            for question, backend in zip(QUESTIONS, order, strict=True)
        ]
    assert [answer["backend"]["name"] for answer in answers] == list(order)
    assert {visit["backend"] for visit in answers[1]["trail"] if visit["llm_calls"]} == {order[1]}
    assert "Bob Stone" in answers[1]["question"]  # said in the first answer's turn, to another back end
    assert [answer["citations"][0]["doc"] for answer in answers] == ["bob.txt"] * 3
    assert [answer["notes"] for answer in answers] == [[], [], []]
    assert {row.backend for row in CallLog(settings).summary()} == set(order)


async def test_an_agent_may_have_a_back_end_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCMIND_MODELS__ROUTER", "llamacpp")
    monkeypatch.setenv("DOCMIND_AGENTS__ROUTE_BY_RULES", "false")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "bob.txt").write_text("Bob Stone repaired the old mill in 1998. The mill stands by the river Ems.\n")
    net = Net({8080: LlamaCppServer(by_rules(), window=WINDOW)})
    resources = Resources(load_settings(backend="engine"), server=net.transports)
    console = Console(file=StringIO())
    roots = prepare(resources, [docs], console)
    async with Session(resources, console, keep_threads=False) as session:
        answer = await session.ask(Ask("When did Bob Stone repair the old mill?", roots))
    asked = {visit["agent"]: visit["backend"] for visit in answer["trail"] if visit["llm_calls"]}
    assert asked == {"router": "llamacpp", "synthesizer": "engine"}
    assert answer["backend"]["name"] == "engine"


async def test_a_thread_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, backend="engine")
    settings.tenant_dir.mkdir(parents=True)
    (settings.tenant_dir / "threads.sqlite3").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match=r"the database .*threads\.sqlite3 failed"):
        async with Session(Resources(settings), Console(file=StringIO()), keep_threads=True):
            pass
