"""Small real fakes that tests share.

`ScriptedServer` speaks vLLM's dialect of the OpenAI protocol in process: chat completions from a script (whole and
streamed), `/tokenize`, `/v1/models` and `/version`. It records every request. Its tokens are words, and 4 a message.
"""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from infra.llm.endpoint import Transports

URL = "http://127.0.0.1:8000/v1"


@dataclass(frozen=True, slots=True)
class Said:
    """One scripted answer to a chat completion.

    Attributes:
        text: what the model says.
        tool_calls: (name, arguments) of the tools it calls.
        finish_reason: why it stopped; None: the stream ends without saying so.
        status: HTTP status; other than 200, `text` is the error's message.
        body: sent as it is, instead of a chat completion.
        content_type: of `body`.
        error: raised by the transport instead of answering.
        breaks_after: streamed only: after this many pieces the connection breaks.
        usage: False for a server that reports none.
        cached_tokens: prompt tokens it says it had.
    """

    text: str = ""
    tool_calls: Sequence[tuple[str, dict[str, Any]]] = ()
    finish_reason: str | None = "stop"
    status: int = 200
    body: bytes | None = None
    content_type: str = "application/json"
    error: Exception | None = None
    breaks_after: int | None = None
    usage: bool = True
    cached_tokens: int = 0


Script = Iterable[Said | str] | Callable[[dict[str, Any]], Said | str]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived."""

    path: str
    body: dict[str, Any] = field(default_factory=dict[str, Any])
    headers: dict[str, str] = field(default_factory=dict[str, str])


class ScriptedServer(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """A model server in process, as a transport.

    Args:
        script: the answers to chat completions, in order, or a function of the request's body.
        model: name of the model it serves.
        window: its ``max_model_len``; None: it does not say.
        counts: answers to ``/tokenize`` before it counts; None in place of an answer is the true count, False for a
            server that has no such path.
    """

    def __init__(
        self,
        script: Script = (),
        *,
        model: str = "scripted",
        window: int | None = 32_768,
        counts: Sequence[Said | None] | bool = True,
    ) -> None:
        self.requests: list[Seen] = []
        self.closed = 0
        self.models: list[dict[str, Any]] = [{"id": model, "object": "model", "max_model_len": window}]
        self._answers = script if callable(script) else None
        self._script = iter(()) if callable(script) else iter(script)
        self._counts = iter(
            [Said("Not Found", status=404)] * 10_000 if counts is False else [] if counts is True else counts
        )

    @property
    def transports(self) -> Transports:
        """The server for blocking and for awaiting clients."""
        return Transports(blocking=self, awaiting=self)

    @property
    def chats(self) -> list[dict[str, Any]]:
        """The bodies of the chat completions that arrived."""
        return [seen.body for seen in self.requests if seen.path.endswith("/chat/completions")]

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [seen.path for seen in self.requests]

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        status, kind, pieces = self._answer(request, request.read())
        return httpx2.Response(status, headers={"content-type": kind}, content=pieces)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        status, kind, pieces = self._answer(request, await request.aread())
        return httpx2.Response(status, headers={"content-type": kind}, content=_awaited(pieces))

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1

    def _answer(self, request: httpx2.Request, content: bytes) -> tuple[int, str, Iterator[bytes]]:
        path = request.url.path
        body: dict[str, Any] = json.loads(content) if content else {}
        self.requests.append(Seen(path, body, dict(request.headers)))
        if path.endswith("/chat/completions"):
            return self._chat(body)
        if path == "/tokenize":
            return self._tokenize(body)
        if path == "/v1/models":
            return _json(200, {"object": "list", "data": self.models})
        if path == "/version":
            return _json(200, {"version": "0.32.0"})
        return _json(404, {"detail": "Not Found"})

    def _chat(self, body: dict[str, Any]) -> tuple[int, str, Iterator[bytes]]:
        said = self._answers(body) if self._answers else next(self._script, None)
        assert said is not None, "nothing more is scripted"
        said = Said(said) if isinstance(said, str) else said
        if said.error:
            raise said.error
        if said.body is not None:
            return said.status, said.content_type, iter([said.body])
        if said.status != 200:
            return _json(said.status, refusal(said.status, said.text))
        if body.get("stream"):
            return 200, "text/event-stream", _events(body, said)
        return _json(200, completion(body, said))

    def _tokenize(self, body: dict[str, Any]) -> tuple[int, str, Iterator[bytes]]:
        said = next(self._counts, None)
        if said is not None and said.error:
            raise said.error
        if said is not None:
            content = said.body if said.body is not None else json.dumps(refusal(said.status, said.text)).encode()
            return said.status, said.content_type, iter([content])
        return _json(200, {"count": words_in(body), "max_model_len": 32_768})


def words_in(body: dict[str, Any]) -> int:
    """Return the tokens of a request as the scripted server counts them."""
    if "prompt" in body:
        return len(body["prompt"].split())
    messages = sum(4 + len(json.dumps(m.get("content") or "").split()) for m in body["messages"])
    return messages + len(json.dumps(body.get("tools") or "").split()) - 1


def refusal(status: int, message: str) -> dict[str, Any]:
    """Return vLLM's error body."""
    return {"error": {"message": message, "type": "BadRequestError", "param": None, "code": status}}


def completion(body: dict[str, Any], said: Said) -> dict[str, Any]:
    """Return a whole chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": said.text or None}
    if said.tool_calls:
        message["tool_calls"] = _calls(said)
    choices = [{"index": n, "message": message, "finish_reason": said.finish_reason} for n in range(body.get("n") or 1)]
    whole = _frame(body, "chat.completion") | {"choices": choices}
    return whole | {"usage": _usage(body, said)} if said.usage else whole


def _events(body: dict[str, Any], said: Said) -> Iterator[bytes]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in re.findall(r"\s*\S+|\s+$", said.text)]
    deltas += [{"tool_calls": [call | {"index": n}]} for n, call in enumerate(_calls(said))]
    for n, delta in enumerate(deltas):
        if n == said.breaks_after:
            raise httpx2.ReadError("the connection broke")
        yield _event(body, [{"index": 0, "delta": delta, "finish_reason": None}])
    if said.finish_reason:
        yield _event(body, [{"index": 0, "delta": {}, "finish_reason": said.finish_reason}])
    if said.usage and body.get("stream_options", {}).get("include_usage"):
        yield _event(body, [], usage=_usage(body, said))
    yield b"data: [DONE]\n\n"


def _event(body: dict[str, Any], choices: list[dict[str, Any]], **more: Any) -> bytes:
    chunk = _frame(body, "chat.completion.chunk") | {"choices": choices} | more
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _frame(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "scripted-1", "object": kind, "created": 0, "model": body["model"]}


def _calls(said: Said) -> list[dict[str, Any]]:
    return [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for n, (name, arguments) in enumerate(said.tool_calls)
    ]


def _usage(body: dict[str, Any], said: Said) -> dict[str, Any]:
    prompt, reply = words_in(body), len(said.text.split()) + len(said.tool_calls)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": reply,
        "total_tokens": prompt + reply,
        "prompt_tokens_details": {"cached_tokens": said.cached_tokens},
    }


def _json(status: int, value: dict[str, Any]) -> tuple[int, str, Iterator[bytes]]:
    return status, "application/json", iter([json.dumps(value).encode()])


async def _awaited(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
