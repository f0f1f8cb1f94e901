"""`docmind dev` as its users meet it: the LangGraph API through langgraph-sdk, with outside connections refused."""

# langgraph's own overloads are partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from graph.policy import AGENTS
from tests.graph.test_closed import ROOT, attempts, closed_environment, run
from tests.loopback import reserved_port

QUESTION = "How much memory does the KV cache need at 128K in FP8?"
COMPOUND = "How much memory does the KV cache need at 128K in FP8 and what does the guard do?"


class Server(NamedTuple):
    url: str
    folder: Path


def wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Poll the server's health for at most 150 seconds."""
    deadline = time.monotonic() + 150
    with httpx2.Client(trust_env=False) as client:
        while time.monotonic() < deadline:
            assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
            try:
                if client.get(f"{url}/ok", timeout=20).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.2)
    pytest.fail(f"the server did not come up: {log.read_text(encoding='utf-8', errors='replace')}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("dev")
    (folder / "data").mkdir()
    (folder / "data" / "models").symlink_to(models)
    assert run(folder, "-m", "tools.ingest", "docs").returncode == 0
    # a working directory of its own, so that the server's `.langgraph_api` is not left in the tree
    config = folder / "langgraph.json"
    config.write_text(
        json.dumps({"dependencies": [str(ROOT)], "graphs": {"docmind": f"{ROOT / 'graph' / 'app.py'}:graph"}}),
        encoding="utf-8",
    )
    log = folder / "server.log"
    with reserved_port() as port, log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "graph.dev", "--port", str(port), "--config", str(config)],
            cwd=folder,
            env=closed_environment(folder, DOCMIND_BACKEND="engine")
            | {"PYTHONPATH": f"{ROOT / 'tests' / 'closed'}:{ROOT}"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_up(f"http://127.0.0.1:{port}", process, log)
            yield Server(f"http://127.0.0.1:{port}", folder)
        finally:
            process.terminate()
            process.wait(timeout=30)
    assert attempts(folder) == []


@pytest.fixture
async def client(server: Server) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=server.url) as opened:
        yield opened


def asked(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


async def test_a_run_streams_each_agents_update_and_returns_the_answer(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    updates: list[str] = []
    async for part in client.runs.stream(thread["thread_id"], "docmind", input=asked(COMPOUND), stream_mode="updates"):
        if part.event == "updates":
            updates += list(part.data)
    state: Any = await client.threads.get_state(thread["thread_id"])
    assert set(updates) >= {*AGENTS, "supervisor", "compress", "deliver"} - {"planner"}  # the router gave the steps
    assert state["values"]["answer"]["citations"]
    assert state["values"]["messages"][-1]["type"] == "ai"


async def test_a_run_streams_the_sentences_that_are_sure_before_the_answer(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    context = {"cache": False}
    told: list[Any] = []
    modes: Any = ["custom", "updates"]
    async for part in client.runs.stream(
        thread["thread_id"], "docmind", input=asked(QUESTION), stream_mode=modes, context=context
    ):
        told += [part.data] if part.event == "custom" else ["delivered"] if "deliver" in str(list(part.data)) else []
    state: Any = await client.threads.get_state(thread["thread_id"])
    answer = state["values"]["answer"]
    early = told[: told.index("delivered")]
    assert [event["event"] for event in early] == ["sentence"] * len(early) != []
    assert answer["answer"].startswith("".join(event["text"] for event in early))
    assert answer["seconds"]["first_sentence"] > 0


async def test_a_run_is_interrupted_before_an_agent_and_resumed(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    await client.runs.wait(thread["thread_id"], "docmind", input=asked(QUESTION), interrupt_before=["synthesizer"])
    paused = await client.threads.get_state(thread["thread_id"])
    assert paused["next"] == ["synthesizer"]
    result = await client.runs.wait(thread["thread_id"], "docmind", input=None)
    assert isinstance(result, dict)
    assert result["answer"]["citations"]


async def test_a_follow_up_cites_what_its_standalone_form_cites(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    first: Any = await client.runs.wait(
        thread["thread_id"], "docmind", input=asked("What does the embedded engine do?")
    )
    follow: Any = await client.runs.wait(thread["thread_id"], "docmind", input=asked("Does it use a language model?"))
    alone: Any = await client.runs.wait(None, "docmind", input=asked("Does the embedded engine use a language model?"))
    assert first["answer"]["citations"]
    assert follow["answer"]["citations"][0]["doc"] == alone["answer"]["citations"][0]["doc"]
    state: Any = await client.threads.get_state(thread["thread_id"])
    assert {key.split("-")[0] for key in state["values"]["findings"]} == {"000002"}


async def test_the_drawing_shows_supervisor_agents_and_compress(client: LangGraphClient) -> None:
    assistants = await client.assistants.search(graph_id="docmind")
    drawing = await client.assistants.get_graph(assistants[0]["assistant_id"])
    nodes = {str(node["id"]) for node in drawing["nodes"]}
    assert nodes >= {"supervisor", "compress", *AGENTS}


async def test_a_refusal_reaches_the_client_with_its_words(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    parts = [
        part
        async for part in client.runs.stream(thread["thread_id"], "docmind", input=asked(" "), stream_mode="updates")
    ]
    assert parts[-1].event == "error"
    assert parts[-1].data["message"].startswith("The question is empty")


async def test_a_run_may_choose_its_back_end(client: LangGraphClient) -> None:
    result: Any = await client.runs.wait(None, "docmind", input=asked(QUESTION), context={"backend": "engine"})
    assert result["answer"]["backend"]["name"] == "engine"


async def test_many_runs_at_once_share_one_index(client: LangGraphClient) -> None:
    results = await asyncio.gather(*(client.runs.wait(None, "docmind", input=asked(QUESTION)) for _ in range(4)))
    assert all(isinstance(result, dict) and result["answer"]["citations"] for result in results)


async def test_another_process_ingests_and_asks_while_the_server_runs(client: LangGraphClient, server: Server) -> None:
    await client.runs.wait(None, "docmind", input=asked(QUESTION))
    notes = server.folder / "notes"
    notes.mkdir()
    (notes / "boiler.txt").write_text("Clara Voss repaired the boiler of house nine in May.", encoding="utf-8")
    ingested = await asyncio.to_thread(run, server.folder, "-m", "tools.ingest", str(notes))
    assert ingested.returncode == 0, ingested.stderr
    question = "Who repaired the boiler of house nine?"
    found = await asyncio.to_thread(run, server.folder, "-m", "tools.retrieve", "--json", "--k", "1", question)
    assert json.loads(found.stdout)[0]["doc"].endswith("boiler.txt")
    answered: Any = await client.runs.wait(None, "docmind", input=asked(question))
    assert answered["answer"]["citations"][0]["doc"].endswith("boiler.txt")
