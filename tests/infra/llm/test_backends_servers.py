"""What each kind of server says of itself when it is asked: model, window, abilities, tokenizer."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from infra.errors import BackendError, BackendUnavailable, ConfigurationError
from infra.llm.backends import Backend, choose
from infra.llm.endpoint import Abilities, Transports
from infra.settings import BackendKind, load_settings
from tests.fakes import ScriptedServer
from tests.servers import LlamaCppServer, OllamaModel, OllamaServer

LLAMA = "http://127.0.0.1:8080/v1"
OLLAMA = "http://127.0.0.1:11434/v1"
OTHER = "http://127.0.0.1:1234/v1"
OPTION = "Ollama's OLLAMA_CONTEXT_LENGTH, or num_ctx of the model,"


def found(kind: BackendKind, server: Any, asked: str = "", **section: object) -> Backend:
    engine = ScriptedServer().transports
    settings = load_settings(**{kind: section} if section else {})
    return choose(settings, engine, name=kind, model=asked, server=server.transports)


class Listing(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """A server of the OpenAI protocol; ``more`` has its answers by path, beside the model list."""

    def __init__(self, *models: dict[str, Any], **more: Any) -> None:
        self.answers = {"/v1/models": {"data": [*models]}, **{f"/{path}": answer for path, answer in more.items()}}
        self.asked: list[tuple[str, str]] = []

    @property
    def transports(self) -> Transports:
        return Transports(self, self)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append((request.method, request.url.path))
        answer = self.answers.get(request.url.path)
        return httpx2.Response(404) if answer is None else httpx2.Response(200, content=json.dumps(answer).encode())


def test_llamacpp_tells_the_window_of_a_slot_and_what_its_template_can_do() -> None:
    server = LlamaCppServer()
    assert found("llamacpp", server, api_key="k") == Backend(
        name="llamacpp",
        model="tiny-qwen3",
        engine="llama.cpp b1-7e4c0a9",
        context_window=4_096,
        base_url=LLAMA,
        counting="llamacpp",
        abilities=Abilities(tools=True, parallel_calls=True, json_schema=True),
        window_option="llama.cpp's --ctx-size, shared by its --parallel slots,",
    )
    assert server.paths == ["/v1/models", "/props"]
    assert {seen.headers["authorization"] for seen in server.requests} == {"Bearer k"}


def test_a_window_that_the_settings_bound_names_the_setting() -> None:
    backend = found("llamacpp", LlamaCppServer(window=16_384), context_window=8_192)
    assert (backend.context_window, backend.window_setting) == (8_192, "DOCMIND_LLAMACPP__CONTEXT_WINDOW")


def test_llamacpp_that_is_still_loading_is_not_there_yet() -> None:
    with pytest.raises(BackendUnavailable) as failed:
        found("llamacpp", LlamaCppServer(state="loading"))
    assert str(failed.value) == f"{LLAMA}/models answered 503: still loading its model, or busy; ask again later"


def test_llamacpp_that_wants_a_key_names_its_setting() -> None:
    with pytest.raises(BackendError) as failed:
        found("llamacpp", LlamaCppServer(state="no_key"))
    assert str(failed.value) == (
        "http://127.0.0.1:8080/props?model=tiny-qwen3 answered 401; set DOCMIND_LLAMACPP__API_KEY"
    )


def test_of_several_models_llamacpp_has_the_loaded_one_is_taken() -> None:
    router = Listing(
        {"id": "other", "status": {"value": "unloaded"}},
        {"id": "tiny", "status": {"value": "loaded"}},
        props={"default_generation_settings": {"n_ctx": 2_048}},
    )
    assert found("llamacpp", router).model == "tiny"
    assert found("llamacpp", router, model="other").model == "other"
    with pytest.raises(ConfigurationError) as failed:
        found("llamacpp", router, model="x")
    assert str(failed.value) == f"DOCMIND_LLAMACPP__MODEL='x' is not served at {LLAMA}; it serves other, tiny"
    with pytest.raises(ConfigurationError) as failed:
        found("llamacpp", router, "x")
    assert str(failed.value) == f"a model of DOCMIND_MODELS, 'x' is not served at {LLAMA}; it serves other, tiny"


def test_what_is_not_llamacpp_is_said_to_be_something_else() -> None:
    with pytest.raises(BackendError) as failed:
        found("llamacpp", ScriptedServer(model="m"))
    assert str(failed.value) == (
        "http://127.0.0.1:8080/props?model=m answered 404; check DOCMIND_LLAMACPP__BASE_URL (it ends in /v1)"
    )


def test_ollama_tells_the_real_window_of_a_model_in_memory() -> None:
    server = OllamaServer((), OllamaModel(loaded=True, loads_with=16_384))
    assert found("ollama", server) == Backend(
        name="ollama",
        model="qwen3:32b",
        engine="ollama 0.13.5",
        context_window=16_384,
        base_url=OLLAMA,
        counting="none",
        abilities=Abilities(tools=True, json_schema=True),
        window_option=OPTION,
    )
    assert server.paths == ["/api/version", "/api/ps", "/api/tags", "/api/show"]


def test_a_model_that_is_not_loaded_gets_ollamas_smallest_default_until_it_is() -> None:
    backend = found("ollama", OllamaServer((), OllamaModel(loads_with=32_768)))
    assert (backend.context_window, backend.provisional) == (4_096, True)
    assert backend.note == f"qwen3:32b is not loaded yet: 4,096 tokens are assumed; {OPTION} sets more"
    assert backend.window_setting == OPTION


@pytest.mark.parametrize(
    ("model", "version", "window"),
    [
        (OllamaModel(num_ctx=8_192), "0.40.12", 8_192),
        (OllamaModel(num_ctx=99_999, longest=40_960), "0.40.12", 40_960),
        (OllamaModel(longest=2_048), "0.40.12", 2_048),
        (OllamaModel(), "0.6.6", 2_048),
        (OllamaModel(), "0.6.7", 4_096),
        (OllamaModel(), "unknown", 4_096),
    ],
)
def test_the_window_of_a_model_that_is_not_loaded(model: OllamaModel, version: str, window: int) -> None:
    assert found("ollama", OllamaServer((), model, version=version)).context_window == window


def test_an_ollama_that_does_not_tell_windows_gets_the_default_of_its_version() -> None:
    backend = found("ollama", OllamaServer((), OllamaModel(loaded=True), version="0.6.0", tells_window=False))
    assert (backend.context_window, backend.provisional) == (2_048, False)
    assert backend.note == f"qwen3:32b does not say its window: 2,048 tokens are assumed; {OPTION} sets more"


@pytest.mark.parametrize(("version", "told"), [("0.4.9", False), ("0.5.0", True), ("1.0.0", True), ("dev", None)])
def test_ollama_holds_replies_to_a_schema_since_a_version(version: str, told: bool | None) -> None:
    assert found("ollama", OllamaServer(version=version)).abilities.json_schema is told


def test_a_model_without_the_tools_capability_takes_none() -> None:
    assert found("ollama", OllamaServer((), OllamaModel(capabilities=("completion",)))).abilities.tools is False


def test_ollamas_model_is_the_one_asked_for_else_the_loaded_one_else_the_only_one() -> None:
    small, large = OllamaModel("qwen3:0.6b", loaded=True), OllamaModel("qwen3:latest")
    embeds = OllamaModel("nomic-embed-text:latest", loaded=True, capabilities=("embedding",))
    server = OllamaServer((), embeds, small, large)
    assert found("ollama", server).model == "qwen3:0.6b"
    assert found("ollama", server, base_url=OLLAMA, model="qwen3").model == "qwen3:latest"
    assert found("ollama", server, "qwen3").model == "qwen3:latest"
    assert found("ollama", OllamaServer((), embeds, large)).model == "qwen3:latest"


def test_several_models_of_ollama_are_a_choice_for_the_person() -> None:
    server = OllamaServer((), OllamaModel("a:1"), OllamaModel("b:1"))
    with pytest.raises(ConfigurationError) as failed:
        found("ollama", server)
    assert str(failed.value) == f"{OLLAMA} serves a:1, b:1: name one in DOCMIND_OLLAMA__MODEL"
    with pytest.raises(ConfigurationError) as failed:
        found("ollama", server, "c")
    assert str(failed.value) == f"a model of DOCMIND_MODELS, 'c' is not served at {OLLAMA}; it serves a:1, b:1"


def test_a_model_that_ollama_passes_on_to_another_machine_is_never_used() -> None:
    cloud = OllamaModel("gpt-oss:120b", loaded=True, remote_host="https://ollama.example:443")
    local = OllamaModel("qwen3:0.6b")
    assert found("ollama", OllamaServer((), cloud, OllamaModel("glm:cloud"), local)).model == "qwen3:0.6b"
    with pytest.raises(ConfigurationError, match=r"^the model 'gpt-oss:120b' of Ollama runs on another machine; "):
        found("ollama", OllamaServer((), cloud, local), "gpt-oss:120b")
    with pytest.raises(ConfigurationError, match=r"has no model on this machine; get one with: ollama pull MODEL$"):
        found("ollama", OllamaServer((), cloud))


@pytest.mark.parametrize("field", ["max_model_len", "context_length", "context_window", "max_context_length"])
def test_any_other_server_tells_its_window_in_one_of_several_words(field: str) -> None:
    assert found("openai", Listing({"id": "m", field: 4_096})) == Backend(
        name="openai",
        model="m",
        engine="OpenAI-compatible server",
        context_window=4_096,
        base_url=OTHER,
        counting="none",
        window_option="the server's own context length",
    )


def test_a_window_that_is_not_told_is_the_settings() -> None:
    backend = found("openai", Listing({"id": "m"}), context_window=6_000)
    assert (backend.context_window, backend.window_setting) == (6_000, "DOCMIND_OPENAI__CONTEXT_WINDOW")
    assert backend.note == "its window is not told, DOCMIND_OPENAI__CONTEXT_WINDOW=6000 holds"


def test_lm_studio_tells_which_model_is_loaded_and_with_what_window() -> None:
    known = [
        {"id": "embeds", "type": "embeddings", "state": "loaded", "max_context_length": 2_048},
        {"id": "big", "type": "llm", "state": "not-loaded", "max_context_length": 131_072},
        {"id": "m", "type": "llm", "state": "loaded", "loaded_context_length": 4_096, "capabilities": ["tool_use"]},
    ]
    server = Listing(*({"id": entry["id"]} for entry in known), **{"api/v0/models": {"data": known}})
    backend = found("openai", server)
    assert (backend.model, backend.engine, backend.context_window) == ("m", "LM Studio", 4_096)
    assert backend.abilities == Abilities(tools=True)
    assert found("openai", server, "big").model == "big"


@pytest.mark.parametrize(
    ("answer", "counting"),
    [({"count": 9, "max_model_len": 4_096}, "vllm"), ({"tokens": []}, "none"), ({"count": True}, "none")],
)
def test_whether_a_server_counts_messages_is_tried_once(answer: dict[str, Any], counting: str) -> None:
    server = Listing({"id": "m"}, tokenize=answer)
    assert found("openai", server).counting == counting
    assert server.asked.count(("POST", "/tokenize")) == 1


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tokenizer.json").write_text("{}")
    return tmp_path / "model"


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def test_a_vllm_on_this_machine_lends_the_tokenizer_it_loaded(model_folder: Path) -> None:
    server = Listing({"id": "Qwen/Qwen3-4B-Instruct-2507-FP8", "root": str(model_folder)})
    assert found("vllm", server).tokenizer == model_folder
    assert found("vllm", server, base_url="http://10.0.0.7:8000/v1").tokenizer is None


@pytest.mark.parametrize("root", [None, "relative", "/nowhere/at/all", "/" + "x" * 9_999, "/nul\0"])
def test_a_root_that_is_no_folder_here_lends_nothing(root: str | None) -> None:
    assert found("vllm", Listing({"id": "m", "root": root})).tokenizer is None


def test_a_tokenizer_of_the_settings_comes_first_and_must_be_one(model_folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    server = Listing({"id": "m", "root": str(model_folder)})
    for kind in ("vllm", "openai"):
        with pytest.raises(ConfigurationError) as failed:
            found(kind, server, tokenizer=own)
        setting = f"DOCMIND_{kind.upper()}__TOKENIZER"
        assert str(failed.value) == f"{setting}={own} holds no tokenizer.json; give the model's folder"
    (own / "tokenizer.json").write_text("{}")
    assert found("vllm", server, tokenizer=own).tokenizer == own
    assert found("openai", server, tokenizer=own).tokenizer == own
    assert found("openai", server).tokenizer is None


def test_a_tokenizer_in_the_users_cache_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    revision = "0" * 40
    home = tmp_path / "home"
    snapshot = home / "hub" / "models--Qwen--Qwen3-0.6B" / "snapshots" / revision
    ref = home / "hub" / "models--Qwen--Qwen3-0.6B" / "refs" / "main"
    for folder in (snapshot, ref.parent):
        folder.mkdir(parents=True)
    (snapshot / "tokenizer.json").write_text("{}")
    ref.write_text(f"{revision}\n")
    server = Listing({"id": "small", "root": "Qwen/Qwen3-0.6B"})
    assert found("vllm", server).tokenizer is None
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", str(home))
    assert found("vllm", server).tokenizer == snapshot
    elsewhere = home / "hub" / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "tokenizer.json").write_text("{}")
    ref.write_text("../../elsewhere")
    assert found("vllm", server).tokenizer is None
    assert found("vllm", Listing({"id": "../../x", "root": "../Qwen3"})).tokenizer is None
