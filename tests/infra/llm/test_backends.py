"""Choosing a back end by asking it, and building the model that reaches only it."""

import itertools
from collections.abc import Iterator

import httpx2
import pytest

from infra.errors import BackendError, BackendUnavailable, ConfigurationError
from infra.llm.backends import Backend, Retries, build_budget, build_desk, chat_over, choose
from infra.llm.endpoint import Abilities, Transports
from infra.llm.ledger import Ledger, Scope
from infra.settings import Settings, load_settings
from tests.fakes import URL, Said, ScriptedServer
from tests.loopback import reserved_port

QWEN = "Qwen/Qwen3-4B-Instruct-2507-FP8"
HELP = "start the server, set DOCMIND_VLLM__BASE_URL, or use DOCMIND_BACKEND=engine"
CHECK = "check DOCMIND_VLLM__BASE_URL (it ends in /v1)"


class Answers(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """A server that answers every request the same."""

    def __init__(self, said: Said, headers: dict[str, str] | None = None) -> None:
        self.said = said
        self.headers = headers or {}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.said.error:
            raise self.said.error
        return httpx2.Response(self.said.status, content=self.said.body or b"", headers=self.headers)


def engine() -> Transports:
    return ScriptedServer(model="docmind-extractive", window=65_536).transports


def always(said: Said) -> Transports:
    transport = Answers(said)
    return Transports(transport, transport)


def settings(backend: str, **vllm: object) -> Settings:
    return load_settings(backend=backend, vllm=vllm or None)


ENGINE = Backend(
    name="engine",
    model="docmind-extractive",
    engine="embedded engine (extractive, no language model)",
    context_window=32_768,
    base_url="http://engine.invalid/v1",
    abilities=Abilities(tools=True, parallel_calls=True, json_schema=True, cached_tokens=True),
)


def test_vllm_is_asked_for_its_model_window_and_version() -> None:
    server = ScriptedServer(model=QWEN, window=40_960)
    assert choose(settings("vllm", api_key="k"), engine(), server=server.transports) == Backend(
        name="vllm",
        model=QWEN,
        engine="vllm 0.32.0",
        context_window=40_960,
        base_url=URL,
        window_option="vLLM's --max-model-len",
    )
    assert [(seen.path, seen.headers["authorization"]) for seen in server.requests] == [
        ("/v1/models", "Bearer k"),
        ("/version", "Bearer k"),
    ]
    assert server.closed == 0


OURS, THEIRS = "DOCMIND_VLLM__CONTEXT_WINDOW", "vLLM's --max-model-len"


@pytest.mark.parametrize(
    ("limit", "window", "decides"), [(40_960, 4_096, OURS), (2_048, 2_048, THEIRS), (None, 4_096, OURS)]
)
def test_the_smaller_window_wins_and_what_sets_it_is_named(limit: int | None, window: int, decides: str) -> None:
    server = ScriptedServer(model=QWEN, window=limit)
    backend = choose(settings("vllm", context_window=4_096), engine(), server=server.transports)
    assert (backend.context_window, backend.window_setting) == (window, decides)


def test_the_only_model_served_is_used_and_said() -> None:
    backend = choose(settings("vllm"), engine(), server=ScriptedServer(model="tiny").transports)
    assert backend.model == "tiny"
    assert backend.note == f"{URL} serves tiny, not {QWEN} (DOCMIND_VLLM__MODEL): using what it serves"


@pytest.mark.parametrize("name", ["vllm", "auto"])
def test_several_other_models_are_a_choice_for_the_person(name: str) -> None:
    server = ScriptedServer(model="a")
    server.models.append({"id": "b"})
    with pytest.raises(ConfigurationError) as failed:
        choose(settings(name), engine(), server=server.transports)
    assert str(failed.value) == f"DOCMIND_VLLM__MODEL='{QWEN}' is not served at {URL}; it serves a, b"


def test_the_engine_is_asked_in_process() -> None:
    assert choose(settings("engine"), engine()) == ENGINE
    assert ENGINE.window_setting == "DOCMIND_ENGINE__CONTEXT_WINDOW"
    assert ENGINE.root_url == "http://engine.invalid"


def test_auto_takes_vllm_when_it_answers_and_says_so() -> None:
    backend = choose(settings("auto"), engine(), server=ScriptedServer(model=QWEN).transports)
    assert (backend.name, backend.note) == ("vllm", f"vllm at {URL}")


FAULTS = {
    "refused": (
        Said(error=httpx2.ConnectError("refused")),
        f"no model server answers at {URL}/models (ConnectError: refused); {HELP}",
    ),
    "reset": (
        Said(error=httpx2.ReadError("reset")),
        f"no model server answers at {URL}/models (ReadError: reset); {HELP}",
    ),
    "500": (Said(status=500), f"{URL}/models answered 500; {CHECK}"),
    "401": (Said(status=401), f"{URL}/models answered 401; set DOCMIND_VLLM__API_KEY"),
    "redirect": (Said(status=307), f"{URL}/models answered 307; {CHECK}"),
    "html": (
        Said(body=b"<html>"),
        f"{URL}/models answered what an OpenAI API would not "
        f"(Invalid JSON: expected value at line 1 column 1); {CHECK}",
    ),
    "no models": (
        Said(body=b'{"data": []}'),
        f"{URL}/models answered what an OpenAI API would not "
        f"(List should have at least 1 item after validation, not 0); {CHECK}",
    ),
    "no list": (
        Said(body=b"[]"),
        f"{URL}/models answered what an OpenAI API would not (Input should be an object); {CHECK}",
    ),
    "endless": (
        Said(body=b" " * 1_000_001),
        f"no model server answers at {URL}/models (ReadError: the answer is too long); {HELP}",
    ),
    "busy": (Said(status=503), f"{URL}/models answered 503: still loading its model, or busy; ask again later"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_does_not_answer_well_is_named_with_what_helps(fault: str) -> None:
    said, message = FAULTS[fault]
    with pytest.raises(BackendError) as failed:
        choose(settings("vllm"), engine(), server=always(said))
    assert str(failed.value) == message
    assert isinstance(failed.value, BackendUnavailable) == (message.startswith("no model server") or fault == "busy")


@pytest.mark.parametrize("fault", FAULTS)
def test_auto_takes_the_engine_then_and_says_why(fault: str) -> None:
    said, message = FAULTS[fault]
    backend = choose(settings("auto"), engine(), server=always(said))
    assert (backend.name, backend.note) == ("engine", f"embedded engine: {message}")


def test_a_version_that_is_not_told_is_left_out() -> None:
    class NoVersion(ScriptedServer):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(404) if request.url.path == "/version" else super().handle_request(request)

    assert choose(settings("vllm"), engine(), server=NoVersion(model=QWEN).transports).engine == "vllm"


class Drip(httpx2.SyncByteStream):
    """An answer that comes byte by byte and has no end."""

    def __iter__(self) -> Iterator[bytes]:
        return itertools.repeat(b" ")


def test_an_answer_that_drips_is_given_up() -> None:
    class Slow(Answers):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, stream=Drip())

    slow = Slow(Said())
    with pytest.raises(BackendUnavailable, match=r"\(OutOfTime: not done after 0\.05 s\)"):
        choose(load_settings(calls={"connect_seconds": 0.05}), engine(), name="vllm", server=Transports(slow, slow))


def test_an_answer_that_is_compressed_is_not_unpacked() -> None:
    class Packed(Answers):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, content=iter([b"\x1f"]), headers={"content-encoding": "gzip"})

    packed = Packed(Said())
    with pytest.raises(BackendUnavailable, match=r"\(NotAReply: a compressed answer:"):
        choose(settings("vllm"), engine(), server=Transports(packed, packed))


def test_no_server_at_all_is_found_out_at_once() -> None:
    with reserved_port() as port:
        backend = choose(settings("auto", base_url=f"http://127.0.0.1:{port}/v1"), engine())
    assert backend.note.startswith(f"embedded engine: no model server answers at http://127.0.0.1:{port}/v1/models (")


def test_the_engine_needs_its_transports() -> None:
    with pytest.raises(ConfigurationError, match="the embedded engine runs in process and needs its transports"):
        build_desk(ENGINE, settings("engine"), Ledger(), build_budget(settings("engine")))


async def test_a_built_model_talks_to_its_backend_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "LANGSMITH_GATEWAY", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "somebody's")
    server = ScriptedServer(["fine"], model="docmind-extractive")
    ledger, budget = Ledger(), build_budget(settings("engine"))
    chat = chat_over(build_desk(ENGINE, settings("engine"), ledger, budget, server.transports), settings("engine"))
    assert (await chat.scoped(Scope("q", "t", "router")).ainvoke("hello")).text == "fine"
    assert {seen.headers["host"] for seen in server.requests} == {"engine.invalid"}
    assert {seen.headers["authorization"] for seen in server.requests} == {"Bearer none"}
    assert [call.model for call in ledger.calls("q")] == ["docmind-extractive"]
    await chat.aclose()


async def test_a_built_model_without_transports_uses_the_network() -> None:
    chosen = settings("vllm")
    with reserved_port() as port:
        url = f"http://127.0.0.1:{port}/v1"
        backend, once = Backend("vllm", "m", "vllm", 8_192, url), Retries(tries=1)
        chat = chat_over(build_desk(backend, chosen, Ledger(), build_budget(chosen), retries=once), chosen)
        async with chat:
            with pytest.raises(BackendUnavailable, match=f"^vllm at {url} cannot be reached "):
                await chat.ainvoke("q")
