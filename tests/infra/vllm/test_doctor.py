"""The doctor against the embedded engine, which speaks vLLM's dialect, right and with one thing wrong at a time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from infra.engine.core import Engine
from infra.engine.protocol import MODEL_ID
from infra.engine.transport import EngineTransport
from infra.llm.endpoint import Transports
from infra.settings import EngineSettings, Settings, load_settings
from infra.vllm import doctor as door
from infra.vllm.doctor import examined, shown
from infra.vllm.doctor_checks import Line
from tests.loopback import Answered, Asked, serving

CHECKS = [
    "data folder",
    "health",
    "version",
    "key",
    "model",
    "window",
    "KV cache type",
    "tool calls",
    "structured output",
    "prefix caching",
    "cached tokens",
    "token counts",
]
RIGHT = {"model": MODEL_ID, "context_window": 32_768, "kv_cache_dtype": "auto"}
Change = Callable[[httpx2.Request, httpx2.Response], httpx2.Response]


def same(_: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    return response


class Changed(httpx2.BaseTransport):
    """The engine, with its answers changed on the way."""

    def __init__(self, change: Change = same, *, prefix_cache: bool = True) -> None:
        self._inner = EngineTransport(Engine(EngineSettings(prefix_cache=prefix_cache)))
        self._change = change
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        body = request.read()
        self.asked.append((request.url.path, json.loads(body) if body else {}))
        return self._change(request, self._inner.handle_request(request))


def settings(**vllm: Any) -> Settings:
    return load_settings(vllm=RIGHT | vllm)


def lines(server: httpx2.BaseTransport, **vllm: Any) -> dict[str, Line]:
    transports = Transports(server, httpx2.AsyncHTTPTransport())
    found = list(examined(settings(**vllm), transports))
    assert [line.check for line in found] == CHECKS
    return {line.check: line for line in found}


def verdicts(server: httpx2.BaseTransport, **vllm: Any) -> dict[str, str]:
    """What is not passed."""
    return {name: line.verdict for name, line in lines(server, **vllm).items() if line.verdict != "pass"}


def body(response: httpx2.Response) -> Any:
    return json.loads(response.read())


def answered(value: Any, status: int = 200) -> httpx2.Response:
    return httpx2.Response(status, json=value)


def at(path: str, change: Callable[[Any], Any], asked: Callable[[dict[str, Any]], bool] = lambda _: True) -> Change:
    """Change the JSON that a path answers."""

    def changed(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        content = request.read()
        if request.url.path != path or not asked(json.loads(content) if content else {}):
            return response
        return answered(change(body(response)))

    return changed


def refusing(path: str, status: int, value: Any, asked: Callable[[dict[str, Any]], bool] = lambda _: True) -> Change:
    def changed(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        content = request.read()
        if request.url.path != path or not asked(json.loads(content) if content else {}):
            return response
        return answered(value, status)

    return changed


def test_a_right_server_passes_every_line_but_the_count_here_that_has_no_tokenizer():
    assert verdicts(Changed()) == {"token counts": "unknown"}
    assert "DOCMIND_VLLM__TOKENIZER" in lines(Changed())["token counts"].cure


def test_calls_are_few_and_short_and_hold_no_word_of_a_document():
    server = Changed()
    lines(server)
    chats = [asked for path, asked in server.asked if path.endswith("/chat/completions")]
    assert len(chats) <= 10
    assert all(chat["max_tokens"] <= 256 for chat in chats)


def test_another_model_name_fails_and_the_others_are_still_looked_at():
    found = lines(Changed(), model="Qwen/Qwen3-4B")
    assert found["model"].verdict == "fail"
    assert found["model"].cure == (
        f"set DOCMIND_VLLM__MODEL={MODEL_ID}, or start with --served-model-name Qwen/Qwen3-4B"
    )
    assert found["tool calls"].verdict == "pass"


def test_another_window_fails_with_both_cures():
    line = lines(Changed(), context_window=131_072)["window"]
    assert (line.verdict, line.found) == ("fail", "32,768 tokens, 131,072 are set")
    assert line.cure == "set DOCMIND_VLLM__CONTEXT_WINDOW=32768, or start with --max-model-len 131072"


@pytest.mark.parametrize(
    ("runs", "wanted", "verdict"),
    [
        ("fp8", "fp8", "pass"),
        ("fp8", "fp8_e4m3", "pass"),
        ("fp8_e4m3", "fp8", "pass"),
        ("auto", "fp8", "fail"),
        ("fp8_e5m2", "fp8", "fail"),
        ("bfloat16", "fp8_e5m2", "fail"),
        ("anything", "auto", "pass"),
    ],
)
def test_the_type_of_the_kv_cache_is_the_one_that_runs(runs: str, wanted: str, verdict: str):
    def change(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if request.url.path != "/metrics":
            return response
        told = response.read().replace(b'cache_dtype="none"', f'cache_dtype="{runs}"'.encode())
        return httpx2.Response(200, content=told)

    line = lines(Changed(change), kv_cache_dtype=wanted)["KV cache type"]
    assert line.verdict == verdict
    assert (f"--kv-cache-dtype {wanted}" in line.cure) == (verdict == "fail")


CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_size": 128,
    "intermediate_size": 256,
    "vocab_size": 4_096,
    "max_position_embeddings": 40_960,
    "dtype": "bfloat16",
}


@pytest.mark.parametrize(("tokens", "verdict"), [(262_144, "pass"), (131_072, "fail")])
def test_a_type_is_not_believed_where_a_token_takes_twice_what_it_needs(tmp_path: Path, tokens: int, verdict: str):
    """2 layers x 2 heads x (32 + 32) elements: 256 bytes a token in FP8, 512 in 16 bits, as the real server has it."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    labels = f'cache_dtype="fp8",kv_cache_memory_bytes="67108864",kv_cache_size_tokens="{tokens}"'

    def change(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if request.url.path == "/metrics":
            told = response.read().replace(b'cache_dtype="none"', labels.encode())
            return httpx2.Response(200, content=told)
        if request.url.path == "/v1/models":
            listing = body(response)
            listing["data"][0]["root"] = str(tmp_path)
            return answered(listing)
        return response

    line = lines(Changed(change), kv_cache_dtype="fp8")["KV cache type"]
    assert line.verdict == verdict
    assert line.found.startswith(f"fp8 runs with {67_108_864 / tokens:.0f} bytes a token, fp8 is set")


def test_a_server_without_metrics_leaves_the_type_of_the_cache_unknown():
    found = verdicts(Changed(refusing("/metrics", 404, {"detail": "Not Found"})), kv_cache_dtype="fp8")
    assert found == {"KV cache type": "unknown", "token counts": "unknown"}


def test_a_server_that_does_not_take_tools_fails_with_vllms_own_words():
    said = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    refusal = {"error": {"message": said, "type": "BadRequestError", "param": None, "code": 400}}
    auto = refusing("/v1/chat/completions", 400, refusal, lambda asked: asked.get("tool_choice") == "auto")
    line = lines(Changed(auto))["tool calls"]
    assert line.verdict == "fail"
    assert "--enable-auto-tool-choice" in line.found
    assert "--tool-call-parser" in line.cure


def test_a_call_with_another_argument_fails():
    def change(reply: Any) -> Any:
        reply["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = '{"code": "docmind-0"}'
        return reply

    forced = at("/v1/chat/completions", change, lambda asked: isinstance(asked.get("tool_choice"), dict))
    assert verdicts(Changed(forced))["tool calls"] == "fail"


@pytest.mark.parametrize("text", ["Hello!", '{"code": "hello"}', "null", "[]", '{"code": "', "\x00", "[" * 5_000])
def test_a_reply_that_the_schema_does_not_allow_fails(text: str):
    def change(reply: Any) -> Any:
        reply["choices"][0]["message"]["content"] = text
        return reply

    ignoring = at("/v1/chat/completions", change, lambda asked: "response_format" in asked)
    line = lines(Changed(ignoring))["structured output"]
    assert line.verdict == "fail"
    assert "response_format" in line.cure


def test_replies_that_are_cut_are_asked_for_again_and_then_unknown():
    def change(reply: Any) -> Any:
        reply["choices"][0] |= {"finish_reason": "length", "message": {"role": "assistant", "content": "{   "}}
        return reply

    server = Changed(at("/v1/chat/completions", change, lambda asked: "response_format" in asked))
    assert lines(server)["structured output"].verdict == "unknown"
    assert [asked["temperature"] for _, asked in server.asked if "response_format" in asked] == [0, 1, 1, 1]


def test_a_server_that_keeps_no_prefixes_fails():
    found = lines(Changed(prefix_cache=False))
    assert (found["prefix caching"].verdict, found["cached tokens"].verdict) == ("fail", "pass")
    assert "--enable-prefix-caching" in found["prefix caching"].cure


def test_a_server_that_keeps_prefixes_and_does_not_tell_fails_for_that_alone():
    def change(reply: Any) -> Any:
        reply["usage"]["prompt_tokens_details"] = None
        return reply

    found = lines(Changed(at("/v1/chat/completions", change)))
    assert (found["prefix caching"].verdict, found["cached tokens"].verdict) == ("pass", "fail")
    assert found["cached tokens"].cure == "start with --enable-prompt-tokens-details"


def test_counts_that_differ_fail_with_the_figures():
    def change(reply: Any) -> Any:
        return reply | {"count": reply["count"] + 1}

    line = lines(Changed(at("/tokenize", change)))["token counts"]
    assert line.verdict == "fail"
    assert line.found.startswith("here unknown, /tokenize ")


def test_a_folder_without_a_tokenizer_fails_and_names_the_setting(tmp_path: Path):
    line = lines(Changed(), tokenizer=tmp_path)["token counts"]
    assert (line.verdict, "DOCMIND_VLLM__TOKENIZER" in line.cure) == ("fail", True)


def test_a_refused_key_leaves_what_needs_it_unknown():
    unauthorized = refusing("/v1/models", 401, {"error": "Unauthorized"})
    found = lines(Changed(unauthorized), api_key="wrong-key")
    assert (found["key"].verdict, found["key"].cure) == ("fail", "set DOCMIND_VLLM__API_KEY to the server's --api-key")
    assert {found[name].verdict for name in CHECKS[4:6] + CHECKS[7:]} == {"unknown"}
    assert "wrong-key" not in str(found)


def test_a_server_that_is_not_there_is_asked_once():
    asked: list[str] = []

    def loading(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        return httpx2.Response(503, json={"error": {"message": "loading"}})

    found = lines(httpx2.MockTransport(loading))
    assert asked == ["/health"]
    assert found["health"].verdict == "fail"
    assert "docmind serve" in found["health"].cure
    assert {found[name].verdict for name in CHECKS[2:]} == {"unknown"}


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b"{}", b"\xff\xfe", b'{"data": [{"id": 5}]}', b"[" * 100_000, b"x" * 5_000_000]
)
def test_whatever_a_server_answers_is_a_finding_and_no_error(content: bytes):
    def change(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if request.url.path == "/health":
            return response
        return httpx2.Response(200, headers={"content-type": "application/json"}, content=content)

    found = verdicts(Changed(change), kv_cache_dtype="fp8")
    assert set(found.values()) == {"unknown"}


def test_words_of_a_server_cannot_steer_a_terminal():
    wicked = {"error": {"message": "\x1b[2J\u202eevil\n" * 1_000}}
    line = lines(Changed(refusing("/v1/models", 500, wicked)))["model"]
    told = "\n".join(shown(line))
    assert "\x1b" not in told
    assert len(told) < 500
    assert len(told.splitlines()) == 2


def test_the_command_prints_a_line_a_check_and_fails_where_one_fails():
    with serving(lambda _: Answered({"detail": "no"}, 404)) as loopback:
        result = CliRunner().invoke(door.app, ["--base-url", f"{loopback.url}/v1"])
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].startswith("FAIL  health ")


def test_the_command_prints_json_for_programs_and_sends_the_key(monkeypatch: pytest.MonkeyPatch):
    engine = Engine(EngineSettings())
    client = httpx2.Client(transport=EngineTransport(engine), base_url="http://engine.invalid")

    def answer(asked: Asked) -> Answered:
        content = None if asked.body is None else json.dumps(asked.body).encode()
        response = client.request(
            asked.method, asked.path, content=content, headers={"content-type": "application/json"}
        )
        kind = {"content-type": response.headers["content-type"]} if "content-type" in response.headers else {}
        return Answered(response.content, response.status_code, kind)

    monkeypatch.setenv("DOCMIND_VLLM__API_KEY", "a-key")
    monkeypatch.setenv("DOCMIND_VLLM__MODEL", MODEL_ID)
    monkeypatch.setenv("DOCMIND_VLLM__CONTEXT_WINDOW", "32768")
    monkeypatch.setenv("DOCMIND_VLLM__KV_CACHE_DTYPE", "auto")
    with serving(answer) as loopback:
        result = CliRunner().invoke(door.app, ["--base-url", loopback.url, "--json"])
    told = json.loads(result.stdout)
    assert (result.exit_code, told["failed"]) == (0, 0)
    assert [check["check"] for check in told["checks"]] == CHECKS
    assert {asked.headers.get("authorization") for asked in loopback.requests} == {"Bearer a-key"}
