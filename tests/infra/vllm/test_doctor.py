"""What the doctor reads off a server, its command, and servers that are gone or hostile."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from infra.engine.core import Engine
from infra.engine.protocol import MODEL_ID
from infra.engine.transport import EngineTransport
from infra.settings import EngineSettings
from infra.vllm import doctor as door
from infra.vllm.doctor import shown
from tests.infra.vllm.examining import CHECKS, CONFIG, Changed, answered, body, lines, refusing, verdicts
from tests.loopback import Answered, Asked, serving


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


SLIDING = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4_096, "use_sliding_window": True}


@pytest.mark.parametrize(
    ("gpus", "tokens", "more", "verdict"),
    [
        (1, 262_144, {}, "pass"),
        (1, 131_072, {}, "fail"),
        (2, 524_288, {}, "pass"),
        (2, 262_144, {}, "fail"),
        (1, 262_144, SLIDING, "pass"),
    ],
)
def test_a_type_is_not_believed_where_a_token_takes_twice_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: int, tokens: int, more: dict[str, Any], verdict: str
):
    """2 layers x 2 heads x (32 + 32) elements: 256 bytes a token in FP8, 512 in 16 bits, as the real server has it.

    Two GPUs share the heads. Within its window a sliding layer takes as much as the others, so then a token's bytes
    prove nothing.
    """
    monkeypatch.setenv("DOCMIND_SERVE__TENSOR_PARALLEL_SIZE", str(gpus))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | more))
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


@pytest.mark.parametrize("checks", [True, False], ids=["checks the key", "takes any key"])
def test_the_command_prints_json_for_programs_and_sends_the_key(monkeypatch: pytest.MonkeyPatch, *, checks: bool):
    engine = Engine(EngineSettings())
    client = httpx2.Client(transport=EngineTransport(engine), base_url="http://engine.invalid")

    def answer(asked: Asked) -> Answered:
        if checks and asked.headers.get("authorization") != "Bearer a-key":
            return Answered(b'{"error": "Unauthorized"}', 401)
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
    assert (result.exit_code, told["failed"]) == ((0, 0) if checks else (1, 1))
    assert [check["check"] for check in told["checks"]] == CHECKS
    assert [check["check"] for check in told["checks"] if check["verdict"] == "fail"] == ([] if checks else ["key"])
    strangers = [asked for asked in loopback.requests if asked.headers.get("authorization") != "Bearer a-key"]
    assert [(asked.method, asked.path) for asked in strangers] == [("GET", "/v1/models")]
