"""The whole graph against a real vLLM whose model writes garbage: every run ends, checked or abstaining."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from graph.session import Ask, Session, prepare
from infra.resources import Resources
from infra.settings import SupervisorMode, load_settings

pytestmark = pytest.mark.live
DOCS = Path(__file__).parents[2] / "docs"
QUESTIONS = ["How much memory does the KV cache need at 128K in FP8?", "What is ingested, and when is it read again?"]


@pytest.mark.parametrize("mode", ["policy", "llm"])
async def test_a_random_model_is_survived(live_url: str, monkeypatch: pytest.MonkeyPatch, mode: SupervisorMode) -> None:
    for name, value in {"BACKEND": "vllm", "VLLM__BASE_URL": live_url, "AGENTS__SUPERVISOR": mode}.items():
        monkeypatch.setenv(f"DOCMIND_{name}", value)
    monkeypatch.setenv("DOCMIND_BUDGET__RESERVE_TOKENS", "200")
    resources = Resources(load_settings())
    console = Console(file=StringIO())
    roots = prepare(resources, [DOCS], console)
    async with Session(resources, console, keep_threads=False) as session:
        for question in QUESTIONS:
            answer = await session.ask(Ask(question, roots))
            assert answer["backend"]["name"] == "vllm"
            assert answer["abstained"] == (answer["citations"] == [])
            for c in answer["citations"]:
                assert (DOCS / c["doc"]).read_text(encoding="utf-8")[c["start"] : c["end"]] == c["quote"]
