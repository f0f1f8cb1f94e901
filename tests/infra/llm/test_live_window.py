"""Ollama's window may change with any call: no reply to a prompt that was cut is used, and the next ones fit."""

import json
from collections.abc import Sequence
from typing import Any

import httpx2
import pytest

from infra.errors import BudgetExceeded
from infra.llm.backends import Backend
from infra.llm.ledger import Ledger
from infra.llm.servers.ollama import OPTION
from infra.settings import load_settings
from infra.text.blocks import block
from tests.fakes import Script, ScriptedServer
from tests.infra.llm.bench import BACKEND, SCOPE, WAYS, Bench, chat_of, desk, limits, say
from tests.servers import OllamaModel, OllamaServer

OLLAMA = Backend("ollama", "qwen3:32b", "ollama 0.13.5", 8_192, "http://127.0.0.1:11434/v1", counting="none")
EVIDENCE = "\n".join(block("source", "w " * 800, id=f"E{n}") for n in (1, 2, 3)) + "\nq"


class Reloading(OllamaServer):
    """Ollama whose model is in memory with the next of ``windows`` at each call."""

    def __init__(self, windows: Sequence[int], script: Script) -> None:
        super().__init__(script, OllamaModel(loaded=True, loads_with=windows[0]))
        self._windows = iter(windows)

    def answer(self, path: str, body: dict[str, Any]) -> Any:
        if path.endswith("/chat/completions"):
            (model,) = self.models.values()
            model.loads_with = next(self._windows, model.loads_with)
        return super().answer(path, body)


def bench_of(server: Any) -> Bench:
    ledger, budget = Ledger(), limits()
    return Bench(chat_of(desk(server.transports, OLLAMA, ledger=ledger, budget=budget)), server, ledger, budget)


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_reply_to_a_prompt_that_was_cut_is_not_used_and_the_call_is_fitted_anew(blocking: bool) -> None:
    b = bench_of(Reloading([4_096, 4_096], ["of half a prompt", "of a whole one"]))
    reply = b.chat.invoke(EVIDENCE) if blocking else await b.chat.ainvoke(EVIDENCE)
    assert reply.text == "of a whole one"
    assert reply.response_metadata["dropped"] == ["E2", "E3"]
    assert [(c.outcome, c.tries) for c in b.calls] == [("failed", 1), ("ok", 1)]
    assert b.calls[0].counted_tokens > 4_096 > b.calls[1].counted_tokens
    (remark,) = b.ledger.remarks(SCOPE.question_id)
    assert (remark.kind, remark.detail.partition(":")[0]) == ("step_down", "ollama is asked anew")
    assert "loaded with 4,096 tokens" in remark.detail


@pytest.mark.parametrize("way", WAYS)
async def test_a_smaller_window_that_held_the_prompt_holds_for_the_calls_after_it(way: str) -> None:
    b = bench_of(Reloading([4_096], ["one", "two"]))
    assert (await say(b, way)).strip() == "one"
    assert (await b.chat.ainvoke(EVIDENCE)).response_metadata["dropped"] == ["E2", "E3"]
    assert [c.outcome for c in b.calls] == ["ok", "ok"]


async def test_a_window_that_grew_is_used_as_far_as_the_settings_allow() -> None:
    b = bench_of(Reloading([4_096, 10_000_000], ["one", "two", "three"]))
    said: list[tuple[int, str]] = []
    for _ in range(2):
        await b.chat.ainvoke("q")
        window = b.chat._desk.window.now
        said.append((window.tokens, window.setting))
    assert said == [(4_096, OPTION), (load_settings().ollama.context_window, "DOCMIND_OLLAMA__CONTEXT_WINDOW")]
    assert "dropped" not in (await b.chat.ainvoke(EVIDENCE)).response_metadata


async def test_nothing_is_learned_from_prompts_that_were_cut() -> None:
    b = bench_of(Reloading([512, 8_192] * 6, lambda _: "fine"))
    whole = [("system", "word " * 600), ("user", "q")]
    for _ in range(6):
        with pytest.raises(BudgetExceeded):
            await b.chat.ainvoke(whole)  # cut by the server, and too long for what it holds
        await b.chat.ainvoke("q")
    cut = [c.counted_tokens for c in b.calls if c.prompt_tokens == 512]
    assert cut == [cut[0]] * 6


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(404),
        httpx2.Response(200, content=b"["),
        httpx2.Response(200, content=json.dumps({"models": [{"name": OLLAMA.model}]}).encode()),
        httpx2.Response(200, content=json.dumps({"models": [{"name": "another", "context_length": 9}]}).encode()),
        httpx2.Response(200, content=json.dumps({"models": [{"name": OLLAMA.model, "context_length": 0}]}).encode()),
        httpx2.ConnectError("refused"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("way", WAYS)
async def test_a_server_that_does_not_say_keeps_its_window(answer: httpx2.Response | Exception, way: str) -> None:
    class Silent(OllamaServer):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            if not request.url.path.endswith("/api/ps"):
                return super().handle_request(request)
            if isinstance(answer, Exception):
                raise answer
            return httpx2.Response(answer.status_code, content=answer.content)

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            if not request.url.path.endswith("/api/ps"):
                return await super().handle_async_request(request)
            return self.handle_request(request)

    b = bench_of(Silent(["one", "two"]))
    assert (await say(b, way)).strip() == "one"
    assert "dropped" not in (await b.chat.ainvoke(EVIDENCE)).response_metadata


async def test_other_servers_are_not_asked() -> None:
    server = ScriptedServer(["fine"])
    await chat_of(desk(server.transports, BACKEND)).ainvoke("q")
    assert server.paths == ["/tokenize", "/v1/chat/completions"]
