"""What tests of the engine share: a clock that only moves when it is waited on, requests, and stock clients."""

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any

import httpx2
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from infra.engine.core import Engine
from infra.engine.exchange import Answer, Chunk, Request
from infra.engine.protocol import MODEL_ID
from infra.engine.transport import BASE_URL, EngineAsyncTransport, EngineTransport
from infra.settings import EngineSettings

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]


class StillClock:
    """A clock at 100 s that moves only as far as somebody waits."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        self.waits.append(round(seconds, 9))
        self.seconds += max(0.0, seconds)

    async def wait_async(self, seconds: float) -> None:
        self.wait(seconds)
        await asyncio.sleep(0)


def make_engine(**settings: Any) -> Engine:
    """Build an engine on a still clock."""
    return Engine(EngineSettings.model_validate(settings), StillClock())


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer read to its end."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def message(self) -> dict[str, Any]:
        return self.json["choices"][0]["message"]

    @property
    def usage(self) -> dict[str, Any]:
        return self.json["usage"]


def send(engine: Engine, path: str, body: Any = b"", method: str = "POST", kind: str = "application/json") -> Answer:
    """Send one request; ``body`` is JSON unless it is bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return engine.handle(Request(method, path, kind, content, engine.clock.now()))


def ask(engine: Engine, path: str, body: Any = b"", method: str = "POST", kind: str = "application/json") -> Reply:
    """Send one request and read its answer to the end."""
    answer = send(engine, path, body, method, kind)
    return Reply(answer.status, answer.headers, b"".join(chunk.data for chunk in answer.chunks))


def chat(engine: Engine, messages: Any = HELLO, **more: Any) -> Reply:
    """Ask for a chat completion."""
    return ask(engine, CHAT, {"messages": messages, **more})


def stream(engine: Engine, messages: Any = HELLO, **more: Any) -> Answer:
    """Ask for a streamed chat completion."""
    return send(engine, CHAT, {"messages": messages, "stream": True, **more})


def events(content: bytes) -> list[dict[str, Any]]:
    """Return the events of a stream; it must end with ``[DONE]``."""
    *parts, done, rest = content.decode().split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(part.removeprefix("data: ")) for part in parts]


def chunks_of(answer: Answer) -> list[Chunk]:
    """Read all chunks of an answer."""
    return list(answer.chunks)


def metric(engine: Engine, name: str) -> float:
    """Return the value of one metric without labels of its own."""
    text = ask(engine, "/metrics", method="GET").content.decode()
    (line,) = [line for line in text.splitlines() if re.match(rf"vllm:{name}\{{", line)]
    return float(line.rsplit(" ", 1)[1])


def tool(name: str, parameters: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a tool as it stands in a request; by default it takes one text."""
    text = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    return {"type": "function", "function": {"name": name, "parameters": parameters or text, **more}}


def same_names(content: bytes) -> bytes:
    """Return an answer with what is made up for each request (ids, time of creation) replaced."""
    content = re.sub(rb"chatcmpl-(tool-)?[0-9a-f]{16}", rb"chatcmpl-\1ID", content)
    return re.sub(rb'"created":\d+', b'"created":0', content)


class Counting:
    """Keeps the answers an engine gave, with how many of their chunks were taken and whether they ended."""

    def __init__(self, engine: Engine) -> None:
        self._handle = engine.handle
        self.taken: list[int] = []
        self.ended: list[bool] = []
        engine.handle = self.handle

    def handle(self, request: Request) -> Answer:
        answer = self._handle(request)
        self.taken.append(0)
        self.ended.append(False)
        return Answer(answer.status, answer.headers, self._counted(answer, len(self.taken) - 1))

    def _counted(self, answer: Answer, at: int) -> Any:
        try:
            for chunk in answer.chunks:
                self.taken[at] += 1
                yield chunk
        finally:
            answer.chunks.close()
            self.ended[at] = True


def model(engine: Engine, **more: Any) -> Any:
    """Build LangChain's stock client over both transports; untyped, as its own signatures are only partly known."""
    return ChatOpenAI(
        model=MODEL_ID,
        base_url=BASE_URL,
        api_key=SecretStr("none"),
        http_client=httpx2.Client(transport=EngineTransport(engine)),
        http_async_client=httpx2.AsyncClient(transport=EngineAsyncTransport(engine)),
        stream_usage=True,
        max_retries=0,
        **more,
    )
