"""`auto`: which of the servers that are set up is taken, and what takes over from it."""

import socket
from collections.abc import Iterator
from functools import partial
from threading import Barrier, Event
from typing import Any

import httpx2
import pytest

from infra.errors import BackendUnavailable
from infra.llm import backends
from infra.llm.backends import Backend, Transports, chain, choose
from infra.llm.servers.probe import Probe
from infra.settings import BackendKind, BackendName, load_settings
from tests.fakes import URL, ScriptedServer
from tests.loopback import Answered, Asked, Broken, serving
from tests.network import Net
from tests.servers import LlamaCppServer, OllamaServer

QWEN = "Qwen/Qwen3-4B-Instruct-2507-FP8"
SECONDS = backends.AUTO_SECONDS + backends.LATE_SECONDS


def engine() -> Transports:
    return ScriptedServer(model="docmind-extractive", window=65_536).transports


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A loopback port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.usefixtures("patient")
def test_silent_servers_are_left_when_the_time_is_over(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SECONDS < 1
    monkeypatch.setattr(backends, "AUTO_SECONDS", 0.2)
    monkeypatch.setattr(backends, "Probe", partial(Probe, clock=lambda: 0.0))  # the whole time is left to the request
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    url = f"http://127.0.0.1:{silent_port}/v1"
    silent = {kind: {"base_url": url} for kind in backends.SERVERS}
    backend = choose(load_settings(**silent), engine())
    assert (backend.name, backend.note.count("not done after 0.2 s")) == ("engine", 4)


def test_auto_asks_all_that_are_set_up_at_the_same_time() -> None:
    together = Barrier(len(backends.SERVERS), timeout=30)  # passes only when all are asked

    def meet(_: Asked) -> Answered:
        together.wait()
        raise Broken

    with serving(meet) as server:
        silent = {kind: {"base_url": f"{server.url}/v1"} for kind in backends.SERVERS}
        assert choose(load_settings(**silent), engine()).name == "engine"
    assert not together.broken


def net(*kinds: BackendKind) -> Net:
    there: dict[BackendKind, tuple[int, Any]] = {
        "vllm": (8000, ScriptedServer(model=QWEN)),
        "llamacpp": (8080, LlamaCppServer()),
        "ollama": (11434, OllamaServer()),
        "openai": (1234, ScriptedServer(model="m")),
    }
    return Net(dict(there[kind] for kind in kinds))


@pytest.mark.parametrize(
    ("up", "given", "chosen"),
    [
        (("vllm", "llamacpp", "ollama", "openai"), ("llamacpp", "ollama", "openai"), "vllm"),
        (("llamacpp", "ollama", "openai"), ("llamacpp", "ollama", "openai"), "llamacpp"),
        (("llamacpp", "ollama", "openai"), ("ollama", "openai"), "ollama"),
        (("llamacpp", "ollama", "openai"), ("openai",), "openai"),
        (("llamacpp", "ollama", "openai"), (), "engine"),
        ((), ("llamacpp", "ollama", "openai"), "engine"),
    ],
)
def test_auto_takes_the_first_that_answers_of_those_set_up(
    up: tuple[BackendKind, ...], given: tuple[BackendKind, ...], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in given:
        monkeypatch.setenv(f"DOCMIND_{kind.upper()}__CONTEXT_WINDOW", "2048")
    there = net(*up)
    backend = choose(load_settings(), engine(), server=there.transports)
    assert (backend.name, backend.context_window) == (chosen, 2_048 if chosen in given else 32_768)
    asked = {port for port, server in there.servers.items() if server.requests}
    ports = {"vllm": 8000, "llamacpp": 8080, "ollama": 11434, "openai": 1234}
    assert asked <= {ports[kind] for kind in ("vllm", *given)}


@pytest.mark.parametrize("kind", ["vllm", "llamacpp", "ollama", "openai", "engine"])
def test_a_back_end_that_is_named_is_asked_alone_at_its_usual_address(kind: BackendKind) -> None:
    there = net("vllm", "llamacpp", "ollama", "openai")
    assert choose(load_settings(), engine(), name=kind, server=there.transports).name == kind
    assert sum(bool(server.requests) for server in there.servers.values()) == (kind != "engine")


@pytest.mark.parametrize("kind", ["llamacpp", "ollama", "openai"])
def test_a_server_that_is_not_there_is_told_by_its_own_setting(kind: BackendKind) -> None:
    hint = f"start the server, set DOCMIND_{kind.upper()}__BASE_URL, or use DOCMIND_BACKEND=engine"
    with pytest.raises(BackendUnavailable) as failed:
        choose(load_settings(), engine(), name=kind, server=net().transports)
    assert str(failed.value).startswith("no model server answers at http://127.0.0.1:")
    assert str(failed.value).endswith(f"(ConnectError: refused); {hint}")


@pytest.mark.parametrize(
    ("chosen", "setting", "fallbacks", "given", "expected"),
    [
        ("vllm", "auto", "", ("ollama", "openai"), ["ollama", "openai", "engine"]),
        ("ollama", "auto", "", ("ollama", "openai"), ["openai", "engine"]),
        ("vllm", "auto", "", (), ["engine"]),
        ("engine", "auto", "", ("ollama",), []),
        ("vllm", "vllm", "", ("ollama",), []),
        ("vllm", "vllm", "ollama,vllm,engine,ollama", (), ["ollama", "engine"]),
        ("ollama", "auto", "vllm", ("ollama",), ["vllm"]),
    ],
)
def test_what_takes_over_from_a_back_end(
    chosen: BackendKind, setting: BackendName, fallbacks: str, given: tuple[str, ...], expected: list[str]
) -> None:
    sections: dict[str, Any] = {kind: {"context_window": 2_048} for kind in given}
    chosen_settings = load_settings(backend=setting, fallbacks=fallbacks, **sections)
    first = Backend(chosen, "m", "", 2_048, URL)
    assert chain(chosen_settings, first) == expected
    assert chain(chosen_settings, first, name="vllm") == (expected if fallbacks else [])


def test_a_name_that_is_not_resolved_in_time_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "AUTO_SECONDS", 0.1)
    monkeypatch.setattr(backends, "LATE_SECONDS", 0.1)
    resolved = Event()

    class Resolving(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            resolved.wait(60)
            raise httpx2.ConnectError("no such host")

    backend = choose(load_settings(), engine(), server=Transports(Resolving(), Resolving()))
    resolved.set()
    assert backend.note == "embedded engine: no model server answers at http://127.0.0.1:8000/v1 within a second"
