"""The switchboard: several back ends open at once, each chosen once, and what happens when one is down."""

import asyncio
from functools import partialmethod
from threading import Event
from typing import Any

import httpx2
import pytest
from langchain_core.messages import HumanMessage

from infra.engine.protocol import MODEL_ID
from infra.errors import BackendUnavailable, ConfigurationError
from infra.llm import backends
from infra.llm.ledger import Scope
from infra.resources import Resources
from infra.settings import BackendName, load_settings
from infra.store.performance import PerformanceLog
from infra.telemetry import PERFORMANCE_FILE
from infra.vllm import nvml
from tests.fakes import Said, ScriptedServer
from tests.network import Net, by_rules
from tests.servers import LlamaCppServer, OllamaModel, OllamaServer

QWEN = "Qwen/Qwen3-4B-Instruct-2507-FP8"
SCOPE = Scope("q", "t", "router")
FAST = {"connect_seconds": 0.5, "breaker_failures": 1}
ANSWER = [HumanMessage("What is the capital of France?")]


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers have the time they need to answer, and rows to be written, whatever else the machine does."""
    monkeypatch.setattr(PerformanceLog, "close", partialmethod(PerformanceLog.close, seconds=60.0))
    monkeypatch.setattr(backends, "AUTO_SECONDS", 60.0)
    monkeypatch.setattr(backends, "LATE_SECONDS", 60.0)


def resources(net: Net, backend: BackendName = "auto", **settings: Any) -> Resources:
    """Open them without the cache: the same is asked more than once."""
    settings = {"cache": {"enabled": False}, **settings}
    return Resources(load_settings(backend=backend, **settings), server=net.transports)


async def said(opened: Resources, name: BackendName | None = None, model: str = "") -> str:
    return (await (await opened.chat(name, model)).scoped(SCOPE).ainvoke(ANSWER)).text


def probes(server: Any) -> list[str]:
    return [path for path in server.paths if not path.endswith(("/chat/completions", "/tokenize", "/apply-template"))]


async def test_switching_from_vllm_to_the_engine_and_back_chooses_each_once() -> None:
    vllm = ScriptedServer(["one", "two"], model=QWEN)
    opened = resources(Net({8000: vllm}))
    assert await said(opened, "vllm") == "one"
    assert await said(opened, "engine")
    assert await said(opened, "vllm") == "two"
    assert probes(vllm) == ["/v1/models", "/version"]
    assert [(call.backend, call.model) for call in opened.ledger.calls("q")] == [
        ("vllm", QWEN),
        ("engine", MODEL_ID),
        ("vllm", QWEN),
    ]
    await opened.aclose()


async def test_switching_from_ollama_to_llamacpp_speaks_to_each_in_its_own_way() -> None:
    ollama, llama = OllamaServer(["one"], OllamaModel(loaded=True)), LlamaCppServer(["two"])
    opened = resources(Net({11434: ollama, 8080: llama}))
    assert [await said(opened, "ollama"), await said(opened, "llamacpp")] == ["one", "two"]
    assert probes(ollama) == ["/api/version", "/api/ps", "/api/tags", "/api/show", "/api/ps"]
    assert probes(llama) == ["/v1/models", "/props"]
    assert [call.backend for call in opened.ledger.calls("q")] == ["ollama", "llamacpp"]
    assert [(await opened.backend(name)).context_window for name in ("ollama", "llamacpp")] == [4_096, 4_096]
    await opened.aclose()


async def test_servers_of_two_kinds_carry_the_same_conversation() -> None:
    servers = {11434: OllamaServer(by_rules(), OllamaModel(loaded=True)), 8080: LlamaCppServer(by_rules())}
    opened = resources(Net(servers))
    answers = [await said(opened, name) for name in ("ollama", "llamacpp", "engine")]
    assert answers[0]
    assert answers == [answers[0]] * 3
    await opened.aclose()


async def test_an_agent_may_have_a_model_of_its_own_beside_the_runs() -> None:
    models = [OllamaModel("large:latest", loaded=True), OllamaModel("small:latest")]
    server = OllamaServer(lambda body: body["model"], *models)
    opened = resources(Net({11434: server}), ollama={"model": "large"}, models={"router": "small"})
    assert opened.agent_model("router") == (None, "small")
    assert [await said(opened), await said(opened, *opened.agent_model("router"))] == ["large:latest", "small:latest"]
    with pytest.raises(ConfigurationError, match=r"^a model of DOCMIND_MODELS, 'none' is not served at "):
        await opened.chat(None, "none")
    await opened.aclose()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", (None, "")),
        ("ollama:qwen3:0.6b", ("ollama", "qwen3:0.6b")),
        ("engine", ("engine", "")),
        ("openai: org/m ", ("openai", "org/m")),
        ("qwen3:0.6b", (None, "qwen3:0.6b")),
        ("org/model", (None, "org/model")),
    ],
)
def test_an_agents_model_is_a_back_end_a_model_or_both(value: str, expected: tuple[str | None, str]) -> None:
    opened = resources(Net({}), models={"router": value})
    assert opened.agent_model("router") == expected
    assert opened.agent_model("planner") == opened.agent_model("retrieval") == (None, "")


@pytest.mark.parametrize("value", ["auto", "auto:m", "ollama:", "vllm: "])
def test_an_agents_model_that_says_too_little_is_named(value: str) -> None:
    with pytest.raises(ConfigurationError) as failed:
        resources(Net({}), models={"router": value}).agent_model("router")
    assert str(failed.value) == (
        f"DOCMIND_MODELS__ROUTER={value.strip()!r}: give backend:model, "
        "a back end (vllm, llamacpp, ollama, openai, engine) or a model"
    )


async def test_a_choice_that_failed_is_made_anew() -> None:
    net = Net({})
    opened = resources(net, "vllm")
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="no model server answers"):
            await opened.backend()
    net.servers[8000] = ScriptedServer(model=QWEN)
    assert (await opened.backend()).name == "vllm"
    await opened.aclose()


class Silent(httpx2.BaseTransport):
    """A server that answers when it is told to."""

    def __init__(self) -> None:
        self.speak = Event()
        self.asked = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        assert self.speak.wait(30)
        raise httpx2.ConnectError("refused", request=request)


async def test_a_silent_server_keeps_only_those_waiting_who_asked_for_it() -> None:
    silent = Silent()
    opened = resources(Net({8000: silent, 8080: LlamaCppServer(["fine"])}))
    waiting = [asyncio.create_task(opened.backend("vllm")) for _ in range(40)]
    assert await said(opened, "llamacpp") == "fine"
    assert (await opened.backend("engine")).name == "engine"
    waiting[0].cancel()
    silent.speak.set()
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(failure) for failure in failures] == [asyncio.CancelledError, *[BackendUnavailable] * 39]
    assert silent.asked == 1
    await opened.aclose()


async def test_the_real_window_is_asked_again_once_the_model_is_loaded() -> None:
    ollama = OllamaServer(["one", "two"], OllamaModel(loads_with=32_768))
    opened = resources(Net({11434: ollama}), "ollama")
    assert (await opened.backend()).context_window == 4_096
    assert await said(opened) == "one"
    known = await asyncio.gather(*(opened.backend() for _ in range(5)))
    assert {(backend.context_window, backend.provisional) for backend in known} == {(32_768, False)}
    asked = probes(ollama)
    assert await said(opened) == "two"
    assert probes(ollama) == [*asked, "/api/ps"]  # after the reply
    await opened.aclose()


async def test_how_a_back_end_was_chosen_stays_said_when_its_window_is_known() -> None:
    opened = resources(Net({11434: OllamaServer(["one"])}), ollama={"model": "qwen3:32b"})
    assert (await opened.backend()).note.startswith("ollama at http://127.0.0.1:11434/v1; qwen3:32b is not loaded yet")
    assert await said(opened) == "one"
    assert (await opened.backend()).note == "ollama at http://127.0.0.1:11434/v1"
    await opened.aclose()


async def test_facts_that_cannot_be_asked_again_stay_as_they_are() -> None:
    net = Net({11434: OllamaServer()})
    opened = resources(net, "ollama")
    first = await opened.backend()
    net.servers.clear()
    assert await opened.backend() == first
    await opened.aclose()


async def test_what_takes_over_is_opened_only_when_it_must() -> None:
    llama = LlamaCppServer(["taken over", "again"])
    net = Net({8000: ScriptedServer(["fine"], model=QWEN), 8080: llama})
    opened = resources(net, "vllm", calls=FAST, fallbacks="ollama,llamacpp,engine")
    assert await said(opened) == "fine"
    assert llama.paths == []
    del net.servers[8000]
    assert [await said(opened), await said(opened)] == ["taken over", "again"]
    assert probes(llama) == ["/v1/models", "/props"]
    assert [call.backend for call in opened.ledger.calls("q") if call.outcome == "ok"] == ["vllm", *["llamacpp"] * 2]
    assert {remark.kind for remark in opened.ledger.remarks("q")} == {"failover"}
    await opened.aclose()


async def test_servers_that_take_over_from_each_other_end_when_all_are_down() -> None:
    net = Net({8000: ScriptedServer(model=QWEN), 8080: LlamaCppServer()})
    opened = resources(net, calls=FAST, fallbacks="vllm,llamacpp")
    for name in ("vllm", "llamacpp"):
        await opened.backend(name)
    net.servers.clear()
    for name in ("vllm", "llamacpp"):
        with pytest.raises(BackendUnavailable):
            await said(opened, name)
    await opened.aclose()


async def test_nothing_takes_over_from_a_back_end_that_was_named() -> None:
    net = Net({8000: ScriptedServer(model=QWEN), 8080: LlamaCppServer()})
    opened = resources(net, "vllm", calls=FAST)
    await opened.backend()
    net.servers.clear()
    with pytest.raises(BackendUnavailable, match=r"^vllm at http://127\.0\.0\.1:8000/v1 "):
        await said(opened)
    await opened.aclose()


async def test_the_engines_rules_are_no_model_calls() -> None:
    opened = resources(Net({}), "engine", budget={"question_calls": 1})
    rules = await opened.rules()
    assert rules is await opened.rules()
    for _ in range(3):
        assert (await rules.ainvoke(ANSWER)).text
    assert opened.ledger.calls("q") == []
    assert await said(opened)
    await opened.aclose()


async def test_everything_opened_is_closed_and_can_be_opened_again() -> None:
    vllm = ScriptedServer(lambda _: Said("fine"), model=QWEN)
    opened = resources(Net({8000: vllm}), "vllm")
    chat = await opened.chat()
    await opened.aclose()
    await opened.aclose()
    with pytest.raises(RuntimeError, match="client has been closed"):
        await chat.scoped(SCOPE).ainvoke(ANSWER)
    assert await said(opened) == "fine"
    await opened.aclose()


async def test_the_row_of_a_call_says_what_the_gpus_of_this_machine_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    card = nvml.Device("RTX 4090", 24 * 10**9, 12 * 10**9, (8, 9), 10**12, 0.5, "580.1")
    monkeypatch.setattr(nvml, "devices", lambda: (card,))
    opened = resources(Net({}), "engine")
    assert await said(opened)
    await opened.aclose()
    (row,) = PerformanceLog(opened.settings.tenant_dir / PERFORMANCE_FILE).recent()
    assert (row.metrics["resources"]["vram_used"], row.metrics["resources"]["vram_total"]) == (12_000, 24_000)
