"""A question that is asked again: the same answer without a model call or a search, until a document changes."""

import asyncio
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from graph.desk import LiveDesk
from graph.session import Ask, Session, prepare
from infra.resources import Resources
from infra.settings import load_settings
from tests.graph.desk import TEXTS
from tools.evidence import Finding
from tools.search import Retriever

QUESTION = "Who opened the bakery and who repaired the old mill?"


@pytest.fixture
def documents(tmp_path: Path, data_with_model: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


async def answered(documents: Path, **settings: Any) -> tuple[dict[str, Any], Resources]:
    resources = Resources(load_settings(backend="engine", **settings))
    roots = prepare(resources, [documents], Console(file=StringIO()))
    async with Session(resources, Console(file=StringIO()), keep_threads=False) as session:
        return await session.ask(Ask(QUESTION, roots)), resources


SAME = ("answer", "abstained", "citations", "route", "plan", "verdict", "notes", "backend")


async def test_a_repeated_question_is_answered_without_a_model_call(documents: Path) -> None:
    (first, _), (second, resources) = [await answered(documents) for _ in range(2)]
    assert first["usage"]["llm_calls"] > 0
    assert first["citations"]
    assert second["usage"] == {"llm_calls": 0, "prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0}
    assert {name: second[name] for name in SAME} == {name: first[name] for name in SAME}
    assert resources.calls is not None


async def test_a_search_is_made_once_until_a_document_changes(documents: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    search = Retriever.search

    def counted(self: Retriever, query: str, **more: Any) -> Finding:
        made.append(query)
        return search(self, query, **more)

    monkeypatch.setattr(Retriever, "search", counted)
    findings: list[Finding] = []
    for text in (TEXTS["ann.txt"], TEXTS["ann.txt"], "Eve Fox opened the bakery in June 2022."):
        (documents / "ann.txt").write_text(text, encoding="utf-8")
        resources = Resources(load_settings(backend="engine"))
        roots = prepare(resources, [documents], Console(file=StringIO()))
        searcher = await LiveDesk(resources).searcher()
        findings.append(await asyncio.to_thread(searcher.search, "Who opened the bakery?", roots=roots))
        await resources.aclose()
    assert findings[0] == findings[1] != findings[2]
    assert len(made) == 2
    assert findings[2].passages[0].text.startswith("Eve Fox")


async def test_switched_off_every_call_is_made(documents: Path) -> None:
    answers = [(await answered(documents, cache={"enabled": False}))[0] for _ in range(2)]
    assert answers[0]["usage"]["llm_calls"] == answers[1]["usage"]["llm_calls"] > 0
