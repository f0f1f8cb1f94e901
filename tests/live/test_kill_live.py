"""A vLLM server that is killed while it answers: each question ends, on another back end or with a clear error."""

import asyncio
import gc
import resource
import tracemalloc
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from graph.session import Ask, Session, prepare
from infra.errors import BackendUnavailable
from infra.resources import Resources
from infra.settings import load_settings
from tests.live.server import Served, served
from tests.live.test_graph_live import DOCS, QUESTIONS

pytestmark = pytest.mark.live
RUNNING = 20
CALLS_BEFORE_THE_KILL = 6
KEPT_BYTES = 20_000_000


@pytest.mark.parametrize("fallbacks", ["", "engine"])
async def test_a_kill_amid_twenty_questions_ends_each_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fallbacks: str
) -> None:
    with served(tmp_path / "server.log") as server:
        for name, value in {"BACKEND": "vllm", "VLLM__BASE_URL": server.url, "FALLBACKS": fallbacks}.items():
            monkeypatch.setenv(f"DOCMIND_{name}", value)
        monkeypatch.setenv("DOCMIND_BUDGET__RESERVE_TOKENS", "128")
        resources = Resources(load_settings())
        console = Console(file=StringIO())
        roots = prepare(resources, [DOCS], console)
        async with Session(resources, console, keep_threads=False) as session:
            await session.ask(Ask(QUESTIONS[0], roots))
            before = _kept_bytes()
            ends = await _killed_amid(session, server, resources, roots)
            after = _kept_bytes()
    errors = [end for end in ends if isinstance(end, BaseException)]
    answers = [end for end in ends if not isinstance(end, BaseException)]
    assert len(ends) == RUNNING
    assert after - before < KEPT_BYTES
    if fallbacks:
        assert errors == []
        assert any(answer["faults"]["failovers"] for answer in answers)
        assert all(answer["abstained"] == (answer["citations"] == []) for answer in answers)
    else:
        assert errors, "the server was killed too late"
        assert all(isinstance(error, BackendUnavailable) for error in errors)
        assert all("DOCMIND_" in str(error) for error in errors)


async def _killed_amid(
    session: Session, server: Served, resources: Resources, roots: list[str] | None
) -> list[dict[str, Any] | BaseException]:
    """Start the questions, kill the server once some calls were answered, and wait for every end."""
    calls, enough = 0, asyncio.Event()

    def count(_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == CALLS_BEFORE_THE_KILL:
            enough.set()

    resources.ledger.listen(count)
    running = [asyncio.create_task(session.ask(Ask(question, roots))) for question in QUESTIONS[:RUNNING]]
    await asyncio.wait_for(enough.wait(), timeout=60)
    server.kill()
    return await asyncio.wait_for(asyncio.gather(*running, return_exceptions=True), timeout=120)


def _kept_bytes() -> int:
    """Return what Python holds after a collection; the process's own size only ever grows."""
    gc.collect()
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
    return tracemalloc.get_traced_memory()[0]
