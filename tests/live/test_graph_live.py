"""The whole graph against a real vLLM whose model writes garbage: every run ends, checked or abstaining."""

import asyncio
from collections import Counter
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from graph.session import Ask, Session, prepare
from infra.resources import Resources
from infra.settings import SupervisorMode, load_settings

pytestmark = pytest.mark.live
DOCS = Path(__file__).parents[2] / "docs"
SUBJECTS = (
    "the KV cache",
    "FP8",
    "the router",
    "the validator",
    "a citation",
    "the manifest",
    "a hidden file",
    "the embedded engine",
    "the context window",
    "Studio",
    "a thread",
    "the data directory",
    "a broken PDF",
    "the supervisor",
    "the batch file",
    "a sub-question",
    "the data of a tenant",
)
FORMS = ("What is {}?", "When is {} read, and how large is it at 128K?", "Which setting decides about {}?")
QUESTIONS = [form.format(subject) for subject in SUBJECTS for form in FORMS][:50]
AT_ONCE = 8


@pytest.mark.parametrize(("mode", "questions"), [("policy", QUESTIONS), ("llm", QUESTIONS[::5])])
async def test_a_random_model_is_survived(
    live_url: str, monkeypatch: pytest.MonkeyPatch, mode: SupervisorMode, questions: list[str]
) -> None:
    for name, value in {"BACKEND": "vllm", "VLLM__BASE_URL": live_url, "AGENTS__SUPERVISOR": mode}.items():
        monkeypatch.setenv(f"DOCMIND_{name}", value)
    monkeypatch.setenv("DOCMIND_BUDGET__RESERVE_TOKENS", "128")
    monkeypatch.setenv("DOCMIND_BUDGET__QUESTION_TOKENS", "30000")
    settings = load_settings()
    resources = Resources(settings)
    console = Console(file=StringIO())
    roots = prepare(resources, [DOCS], console)
    slots = asyncio.Semaphore(AT_ONCE)
    async with Session(resources, console, keep_threads=False) as session:

        async def ask(question: str) -> dict[str, Any]:
            async with slots:
                return await session.ask(Ask(question, roots))

        answers = await asyncio.gather(*map(ask, questions))
    for answer in answers:
        _check(answer)
        usage = answer["usage"]
        assert usage["llm_calls"] <= settings.budget.question_calls
        assert usage["prompt_tokens"] + usage["completion_tokens"] <= settings.budget.question_tokens
    assert Counter(a["abstained"] for a in answers)[False] > 0, "not one question was answered from the documents"


def _check(answer: dict[str, Any]) -> None:
    """An answer is made of verbatim quotes, or says that there is none."""
    assert answer["abstained"] == (answer["citations"] == [])
    for c in answer["citations"]:
        text = (DOCS / c["doc"]).read_text(encoding="utf-8")
        assert text[c["start"] : c["end"]] == c["quote"]
        assert f"[{c['label']}]" in answer["answer"]
