"""The embedded engine as a server that the doctor examines, with its answers changed on the way."""

import json
from collections.abc import Callable
from typing import Any

import httpx2

from infra.engine.core import Engine
from infra.engine.protocol import MODEL_ID
from infra.engine.transport import EngineTransport
from infra.llm.endpoint import Transports
from infra.settings import EngineSettings, Settings, load_settings
from infra.vllm.doctor import examined
from infra.vllm.doctor_checks import Line

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
"""Of a small model."""
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
