"""Embedding servers on a loopback port, in the forms of vLLM and of Ollama, over the words embedder.

Tokens are words. Each can be told to answer the next requests otherwise.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.settings import EmbeddingSettings
from infra.store.embeddings_server import ServerEmbedder, open_server
from tests.loopback import Answered, Asked, Loopback, serving
from tests.tools.words import WordEmbedder

Otherwise = Callable[[Asked, dict[str, Any]], Answered | None]


def scale(row: list[float], by: float) -> list[float]:
    return [value * by for value in row]


class EmbeddingServer:
    """What both have in common.

    Args:
        model: name of its model.
        window: tokens of a text it reads.
        key: what it wants as a bearer token.
    """

    def __init__(self, model: str = "BAAI/bge-m3", *, window: int = 512, key: str = "") -> None:
        self.model, self.window, self.key = model, window, key
        self.embedder = WordEmbedder()
        self.otherwise: Otherwise = lambda asked, reply: None

    def answer(self, asked: Asked) -> Answered:
        if self.key and asked.headers.get("authorization") != f"Bearer {self.key}":
            return Answered({"error": "Unauthorized"}, 401)
        match asked.path:
            case "/v1/models":
                return Answered({"object": "list", "data": self.listing()})
            case "/v1/embeddings":
                return self._embedded(asked)
            case _:
                return Answered({"detail": "Not Found"}, 404)

    def listing(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def too_long(self, tokens: int) -> Answered:
        raise NotImplementedError

    def _embedded(self, asked: Asked) -> Answered:
        body = asked.body
        if body["model"] != self.model:
            return Answered({"error": {"message": f"The model `{body['model']}` does not exist."}}, 404)
        cut = body.get("truncate_prompt_tokens") or 10**9
        texts = [" ".join(text.split()[:cut]) if cut < 10**9 else text for text in body["input"]]
        longest = max(len(text.split()) for text in texts)
        if longest > self.window:
            return self.too_long(longest)
        rows = [
            {"object": "embedding", "index": n, "embedding": scale(row, 3.0)}
            for n, row in enumerate(self.embedder.embed(texts).astype(float).tolist())
        ]
        reply: dict[str, Any] = {"object": "list", "model": self.model, "data": rows, "usage": {"prompt_tokens": 1}}
        return self.otherwise(asked, reply) or Answered(reply)


class Vllm(EmbeddingServer):
    """vLLM 0.32: tells its window, cuts when asked to, refuses to cut at more than its window."""

    def listing(self) -> list[dict[str, Any]]:
        return [{"id": self.model, "object": "model", "owned_by": "vllm", "max_model_len": self.window}]

    def too_long(self, tokens: int) -> Answered:
        said = f"This model's maximum context length is {self.window} tokens. However, you requested {tokens} tokens"
        return Answered({"error": {"message": said, "type": "BadRequestError", "code": 400}}, 400)


class Ollama(EmbeddingServer):
    """Ollama: does not tell a window, knows nothing of cutting, lists names with tags."""

    def _embedded(self, asked: Asked) -> Answered:
        body = {key: value for key, value in asked.body.items() if key != "truncate_prompt_tokens"}
        return super()._embedded(Asked(asked.method, asked.path, asked.query, asked.headers, body))

    def listing(self) -> list[dict[str, Any]]:
        names = ["qwen3:4b", f"{self.model}:latest"]
        return [{"id": name, "object": "model", "owned_by": "library"} for name in names]

    def too_long(self, tokens: int) -> Answered:
        return Answered({"error": {"message": "the input length exceeds the context length"}}, 400)


@contextmanager
def running(server: EmbeddingServer) -> Generator[Loopback]:
    """Serve on a loopback port."""
    with serving(server.answer) as loopback:
        yield loopback


@contextmanager
def opened(server: EmbeddingServer, data_dir: Path, **more: Any) -> Generator[tuple[ServerEmbedder, Loopback]]:
    with running(server) as loopback:
        embedder = open_server(settings(loopback, **more), data_dir)
        yield embedder, loopback
        embedder.close()


def settings(loopback: Loopback, **more: Any) -> EmbeddingSettings:
    return EmbeddingSettings.model_validate({"kind": "server", "base_url": f"{loopback.url}/v1", **more})


def expected(texts: list[str]) -> Any:
    return pytest.approx(WordEmbedder().embed([text or "." for text in texts]), abs=1e-6)
