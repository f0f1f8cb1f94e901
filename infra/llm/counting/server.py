"""Asking a server how many tokens a prompt has: the requests and what their answers mean, without sending any.

Gives `ServerTokens.count`, as steps (`infra.llm.counting.steps`). Counts are remembered by content. vLLM and the
embedded engine count at ``/tokenize``. llama.cpp renders at ``/apply-template`` and tokenizes at ``/tokenize``,
``add_special`` and ``parse_special`` as its chat completions do (its ``tools/server``: ``handle_completions_impl``
calls ``tokenize_input_prompts(vocab, mctx, prompt, true, true)``). A server without these paths is asked again after
`AGAIN_SECONDS`. Size and time of an answer are bounded by `infra.llm.bounds`; HTTP errors other than "there is no such
path" come out as httpx2 raises them.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, cast

import httpx2

from infra.llm.counting.steps import Ask, Steps
from infra.llm.endpoint import Backend

MAX_REMEMBERED = 4096
MAX_COUNT = 1_000_000_000  # a prompt that long cannot be sent: an answer above it is no count
AGAIN_SECONDS = 60.0
_NO_SUCH_PATH = (404, 405, 501)

Wire = Mapping[str, Any]


Answer = dict[str, Any]


class _Absent(Exception):  # noqa: N818 - not a failure: this server does not count
    """The server has no such path."""


class ServerTokens:
    """The server's own counts; thread-safe.

    Args:
        backend: which server, and how it counts.
        clock: monotonic seconds.
    """

    def __init__(self, backend: Backend, clock: Callable[[], float]) -> None:
        self._ask = _llamacpp if backend.counting == "llamacpp" else _vllm
        self._root_url = backend.root_url
        self._clock = clock
        self._lock = Lock()
        self._known: OrderedDict[bytes, int] = OrderedDict()
        self._absent_until = 0.0 if backend.counting != "none" else float("inf")

    def count(self, body: Wire) -> Steps[int | None]:
        """Count a request body.

        Returns:
            Its tokens; None from a server that does not count, or whose answer is not a count.
        """
        key = hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).digest()
        with self._lock:
            if (known := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                return known
            if self._clock() < self._absent_until:
                return None
        try:
            tokens = yield from self._ask(self._root_url, body)
        except _Absent:
            self._absent_until = self._clock() + AGAIN_SECONDS
            return None
        if tokens is not None:
            self._keep(key, tokens)
        return tokens

    def _keep(self, key: bytes, tokens: int) -> None:
        with self._lock:
            self._known[key] = tokens
            while len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)


def _vllm(root_url: str, body: Wire) -> Steps[int | None]:
    answer = yield from _asked(f"{root_url}/tokenize", body)
    count = answer.get("count")
    return count if type(count) is int and 0 <= count <= MAX_COUNT else None


def _llamacpp(root_url: str, body: Wire) -> Steps[int | None]:
    special = "prompt" not in body
    prompt = body.get("prompt")
    if special:
        answer = yield from _asked(f"{root_url}/apply-template", body)
        prompt = answer.get("prompt")
    if not isinstance(prompt, str):
        return None
    answer = yield from _asked(
        f"{root_url}/tokenize", {"content": prompt, "add_special": special, "parse_special": True}
    )
    tokens = answer.get("tokens")
    return len(cast("list[Any]", tokens)) if isinstance(tokens, list) else None


def _asked(url: str, body: Wire) -> Steps[Answer]:
    """Ask once; returns the answer's fields, none if it is no JSON object."""
    response: httpx2.Response | None = yield Ask(url, body)
    if response is None:
        return {}
    if response.status_code in _NO_SUCH_PATH:
        raise _Absent
    response.raise_for_status()
    try:
        answer: Any = response.json()
    except (ValueError, RecursionError):
        return {}
    return cast("Answer", answer) if isinstance(answer, dict) else {}
