"""Counting a prompt as the server will: messages, tools and chat template, before the call leaves.

Gives `TokenCounter`: the server's own ``/tokenize`` (exact), over the same HTTP clients as the calls, blocking or
awaiting, with a bounded memory of counts by content hash. A server without ``/tokenize`` is remembered as such and gets
an upper
estimate: one token a UTF-8 byte plus the template's share. That is never too low for byte-level tokenizers without
normalisation (Qwen, Llama 3, GPT), and about four times too high for English prose, three times for Chinese (a property
of the rule: ~4 and ~3 bytes a token). It leaves cutting to `infra.llm.window` and retrying to the guard: HTTP errors
other than "there is no such path" come out as httpx2 raises them.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import httpx2

from infra.llm.endpoint import Backend, Clients

MAX_REMEMBERED = 4096
MESSAGE_OVERHEAD = 16  # tokens a template may put around one message; ChatML needs 5, Llama 3 up to 10
TOOLS_OVERHEAD = 512  # Qwen3's tool preamble is about 130 tokens
_NO_SUCH_PATH = (404, 405, 501)
_TEMPLATE_KEYS = ("chat_template", "chat_template_kwargs", "add_generation_prompt")

Wire = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Count:
    """Tokens of a prompt; `exact` is False for an upper estimate."""

    tokens: int
    exact: bool


class TokenCounter:
    """Counts prompts for one back end; thread-safe.

    Args:
        backend: whose tokens they are.
        clients: the HTTP clients of that back end.
    """

    def __init__(self, backend: Backend, clients: Clients) -> None:
        self._url = f"{backend.root_url}/tokenize"
        self._model = backend.model
        self._clients = clients
        self._lock = Lock()
        self._known: OrderedDict[bytes, int] = OrderedDict()
        self._absent = False

    def count(self, payload: Wire) -> Count:
        """Count a chat completion's prompt; ``payload`` is its request body (messages, tools, template options)."""
        return self._count(chat_body(payload, self._model))

    async def acount(self, payload: Wire) -> Count:
        """Await the count of a chat completion's prompt; see `count`."""
        return await self._acount(chat_body(payload, self._model))

    def count_text(self, text: str) -> Count:
        """Count bare text, without template or special tokens."""
        return self._count({"model": self._model, "prompt": text, "add_special_tokens": False})

    async def acount_text(self, text: str) -> Count:
        """Await the count of bare text; see `count_text`."""
        return await self._acount({"model": self._model, "prompt": text, "add_special_tokens": False})

    def _count(self, body: Wire) -> Count:
        key = _key(body)
        known = self._look_up(key, body)
        if known is not None:
            return known
        response = self._clients.blocking.post(self._url, json=body, headers=self._clients.headers)
        return self._learn(key, body, response)

    async def _acount(self, body: Wire) -> Count:
        key = _key(body)
        known = self._look_up(key, body)
        if known is not None:
            return known
        response = await self._clients.awaiting.post(self._url, json=body, headers=self._clients.headers)
        return self._learn(key, body, response)

    def _look_up(self, key: bytes, body: Wire) -> Count | None:
        with self._lock:
            if self._absent:
                return estimate(body)
            tokens = self._known.get(key)
            if tokens is None:
                return None
            self._known.move_to_end(key)
            return Count(tokens, exact=True)

    def _learn(self, key: bytes, body: Wire, response: httpx2.Response) -> Count:
        """Keep a count; a server without the path is remembered, one odd answer is not."""
        if response.status_code in _NO_SUCH_PATH:
            self._absent = True
            return estimate(body)
        tokens = _read_count(response)
        if tokens is None:
            return estimate(body)
        with self._lock:
            self._known[key] = tokens
            while len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
        return Count(tokens, exact=True)


def chat_body(payload: Wire, model: str) -> dict[str, Any]:
    """Return the ``/tokenize`` body of a chat completion's request body."""
    extra: Wire = payload.get("extra_body") or {}
    body: dict[str, Any] = {"model": payload.get("model", model), "messages": payload["messages"]}
    if payload.get("tools"):
        body["tools"] = payload["tools"]
    return body | {key: extra[key] for key in _TEMPLATE_KEYS if key in extra}


def estimate(body: Wire) -> Count:
    """Return an upper estimate of a ``/tokenize`` body's tokens; see the module's docstring for its error."""
    if "prompt" in body:
        return Count(_size(body["prompt"]), exact=False)
    messages: Sequence[Wire] = body["messages"]
    tools = _size(body["tools"]) + TOOLS_OVERHEAD if body.get("tools") else 0
    return Count(sum(_size(message) + MESSAGE_OVERHEAD for message in messages) + tools, exact=False)


def _size(value: Any) -> int:  # noqa: ANN401 - any JSON value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return len(text.encode("utf-8", "surrogatepass"))


def _key(body: Wire) -> bytes:
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).digest()


def _read_count(response: httpx2.Response) -> int | None:
    """Return the server's count; None when it answers something else."""
    response.raise_for_status()
    try:
        count = response.json()["count"]
    except (ValueError, KeyError, TypeError):
        return None
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None
