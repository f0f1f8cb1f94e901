"""Scripted servers that speak llama.cpp's and Ollama's own endpoints, from recorded exchanges (``tests/recorded``).

`LlamaCppServer` and `OllamaServer` are transports: they answer in process, several of them side by side in a
`tests.network.Net`. What they say in a chat comes from a script, such as the embedded engine's rules
(`tests.network.by_rules`); every frame around it is the recorded one.
"""

import copy
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from infra.llm.endpoint import Transports
from tests.fakes import Said, Script, Seen

RECORDED = Path(__file__).with_name("recorded")
Reply = tuple[int, str, Iterator[bytes]]


def tokens(text: str) -> list[str]:
    """Cut a text as the scripted servers do: special tokens, words, spaces, other characters."""
    return re.findall(r"<\|\w+\|>|\w+|\s+|[^\w\s]", text)


def rendered(body: Mapping[str, Any]) -> str:
    """Render a chat as the template of the recorded llama.cpp server does, tools first."""
    tools = "".join(f"\n{json.dumps(tool)}" for tool in body.get("tools") or ())
    system = f"<|im_start|>system\n{tools}<|im_end|>" if tools else ""
    turns = "".join(f"<|im_start|>{m['role']}\n{_said_in(m)}<|im_end|>" for m in body["messages"])
    return f"{system}{turns}<|im_start|>assistant"


class RecordedServer(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """What both servers share: requests are kept, and frames filled with what the script says.

    Args:
        file: the recorded exchanges.
        script: the answers to chat completions, in order, or a function of the request's body.
    """

    def __init__(self, file: str, script: Script = ()) -> None:
        self.requests: list[Seen] = []
        self.recorded: dict[str, Any] = json.loads((RECORDED / file).read_text(encoding="utf-8"))["exchanges"]
        self._answers = script if callable(script) else None
        self._said = iter(()) if callable(script) else iter(script)

    @property
    def transports(self) -> Transports:
        return Transports(blocking=self, awaiting=self)

    @property
    def paths(self) -> list[str]:
        return [seen.path for seen in self.requests]

    @property
    def chats(self) -> list[dict[str, Any]]:
        return [seen.body for seen in self.requests if seen.path.endswith("/chat/completions")]

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        status, kind, pieces = self._handle(request, request.read())
        return httpx2.Response(status, headers={"content-type": kind}, content=pieces)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        status, kind, pieces = self._handle(request, await request.aread())
        return httpx2.Response(status, headers={"content-type": kind}, content=_awaited(pieces))

    def answer(self, path: str, body: dict[str, Any]) -> Reply:
        """Answer one request; each kind of server its own way."""
        raise NotImplementedError

    def frame(self, name: str) -> Any:
        """Return a copy of what a recorded exchange answered."""
        exchange = self.recorded[name]
        return copy.deepcopy(exchange["answer"] if "answer" in exchange else exchange["events"])

    def as_recorded(self, name: str, answer: Any = None) -> Reply:
        """Answer a recorded exchange again, or ``answer`` in its form."""
        exchange = self.recorded[name]
        content = json.dumps(self.frame(name) if answer is None else answer).encode()
        return exchange["status"], exchange["content_type"], iter([content])

    def chat(self, body: dict[str, Any], prompt_tokens: int) -> Reply:
        """Answer a chat completion, whole or streamed, with what the script says."""
        said = self._answers(body) if self._answers else next(self._said)
        said = Said(said) if isinstance(said, str) else said
        if said.error:
            raise said.error
        reply_tokens = len(tokens(said.text)) + len(said.tool_calls)
        used = {"prompt_tokens": prompt_tokens, "completion_tokens": reply_tokens}
        usage = used | {"total_tokens": prompt_tokens + reply_tokens}
        if body.get("stream"):
            return 200, "text/event-stream", self._events(body, said, usage)
        whole = self.frame("chat") | {"model": body["model"]}
        whole["choices"][0] |= {"message": _message(said), "finish_reason": said.finish_reason}
        whole["usage"] |= usage
        return self.as_recorded("chat", whole)

    def _events(self, body: dict[str, Any], said: Said, usage: dict[str, int]) -> Iterator[bytes]:
        opening, *_, closing, last = self.frame("stream")
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": piece} for piece in tokens(said.text)]
        deltas += [{"tool_calls": [call | {"index": n}]} for n, call in enumerate(_calls(said))]
        for n, delta in enumerate(deltas):
            if n == said.breaks_after:
                raise httpx2.ReadError("the connection broke")
            opening["choices"][0]["delta"] = delta
            yield _event(opening | {"model": body["model"]})
        closing["choices"][0]["finish_reason"] = said.finish_reason
        yield _event(closing | {"model": body["model"]})
        if body.get("stream_options", {}).get("include_usage"):
            yield _event(last | {"model": body["model"], "usage": last["usage"] | usage})
        yield b"data: [DONE]\n\n"

    def _handle(self, request: httpx2.Request, content: bytes) -> Reply:
        body: dict[str, Any] = json.loads(content) if content else {}
        self.requests.append(Seen(request.url.path, body, dict(request.headers)))
        return self.answer(request.url.path, body)


class LlamaCppServer(RecordedServer):
    """llama.cpp's server with one model.

    Args:
        script: the answers to chat completions.
        window: tokens of a slot.
        model: name of its model.
        state: whether it is loading, or wants a key.
    """

    def __init__(
        self, script: Script = (), *, window: int = 4_096, model: str = "tiny-qwen3", state: str = "ready"
    ) -> None:
        super().__init__("llamacpp.json", script)
        self.window, self.model, self.state = window, model, state

    def answer(self, path: str, body: dict[str, Any]) -> Reply:
        if self.state == "loading" or (self.state == "no_key" and path != "/v1/models"):
            return self.as_recorded(self.state)
        answers: dict[str, Callable[[dict[str, Any]], Reply]] = {
            "/health": lambda _: self.as_recorded("health"),
            "/props": self._props,
            "/v1/models": self._models,
            "/apply-template": lambda body: self.as_recorded("apply_template", {"prompt": rendered(body)}),
            "/tokenize": self._tokenized,
            "/v1/chat/completions": self._bounded,
        }
        return answers.get(path, lambda _: self.as_recorded("no_such_path"))(body)

    def _props(self, _: dict[str, Any]) -> Reply:
        props = self.frame("props") | {"model_alias": self.model}
        props["default_generation_settings"]["n_ctx"] = self.window
        return self.as_recorded("props", props)

    def _models(self, _: dict[str, Any]) -> Reply:
        models = self.frame("models")
        models["data"][0] |= {"id": self.model, "aliases": [self.model]}
        return self.as_recorded("models", models)

    def _tokenized(self, body: dict[str, Any]) -> Reply:
        return self.as_recorded("tokenize", {"tokens": [*range(len(tokens(body.get("content", ""))))]})

    def _bounded(self, body: dict[str, Any]) -> Reply:
        prompt_tokens = len(tokens(rendered(body)))
        if prompt_tokens < self.window:
            return self.chat(body, prompt_tokens)
        refused = self.frame("too_long")
        sizes = f"request ({prompt_tokens} tokens) exceeds the available context size ({self.window} tokens)"
        refused["error"] |= {
            "message": f"{sizes}, try increasing it",
            "n_prompt_tokens": prompt_tokens,
            "n_ctx": self.window,
        }
        return self.as_recorded("too_long", refused)


@dataclass
class OllamaModel:
    """A model that Ollama has.

    Attributes:
        name: with its tag.
        loads_with: tokens of its window once it is in memory.
        loaded: whether it is in memory.
        num_ctx: of its Modelfile.
        longest: tokens it was made for.
        capabilities: as ``/api/show`` says.
        remote_host: where it runs, when not here.
    """

    name: str = "qwen3:32b"
    loads_with: int = 4_096
    loaded: bool = False
    num_ctx: int | None = None
    longest: int = 40_960
    capabilities: tuple[str, ...] = ("completion", "tools", "thinking")
    remote_host: str = ""


class OllamaServer(RecordedServer):
    """Ollama: the first call to a model loads it; a prompt over its window is cut without a word.

    Args:
        script: the answers to chat completions.
        models: what is installed.
        version: what it says it is.
        tells_window: whether ``/api/ps`` has ``context_length``.
    """

    def __init__(
        self, script: Script = (), *models: OllamaModel, version: str = "0.13.5", tells_window: bool = True
    ) -> None:
        super().__init__("ollama.json", script)
        self.models = {model.name: model for model in models or (OllamaModel(),)}
        self.version, self.tells_window = version, tells_window

    def answer(self, path: str, body: dict[str, Any]) -> Reply:
        model = self.models.get(body.get("model", ""))
        match path:
            case "/api/version":
                return self.as_recorded("version", {"version": self.version})
            case "/api/tags":
                return self.as_recorded("tags", {"models": [self._entry("tags", m) for m in self.models.values()]})
            case "/api/ps":
                loaded = [m for m in self.models.values() if m.loaded]
                return self.as_recorded("ps", {"models": [self._entry("ps", m) for m in loaded]})
            case "/api/show" if model:
                return self.as_recorded("show", self._shown(model))
            case "/v1/chat/completions" if model:
                model.loaded = True
                return self.chat(body, min(len(tokens(rendered(body))), model.loads_with))
            case _:
                missing = {"error": f"model '{body.get('model')}' not found"}
                return self.as_recorded("not_installed", missing if body else {"error": "404 page not found"})

    def _entry(self, name: str, model: OllamaModel) -> dict[str, Any]:
        entry: dict[str, Any] = self.frame(name)["models"][0] | {"name": model.name, "model": model.name}
        if name == "ps":
            entry["context_length"] = model.loads_with
        if not self.tells_window:
            entry.pop("context_length", None)
        remote = {"remote_host": model.remote_host, "remote_model": model.name}
        return entry | remote if model.remote_host else entry

    def _shown(self, model: OllamaModel) -> dict[str, Any]:
        parameters = "temperature                    0.7"
        if model.num_ctx:
            parameters += f"\nnum_ctx                        {model.num_ctx}"
        info = {
            "general.architecture": "qwen3",
            "qwen3.context_length": model.longest,
            "qwen3.vision.context_length": 1,
        }
        said = {"parameters": parameters, "capabilities": [*model.capabilities], "model_info": info}
        return self.frame("show") | said


def _said_in(message: Mapping[str, Any]) -> str:
    calls = message.get("tool_calls")
    return f"{message.get('content') or ''}{json.dumps(calls) if calls else ''}"


def _message(said: Said) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said.text}
    return message | {"tool_calls": _calls(said)} if said.tool_calls else message


def _calls(said: Said) -> list[dict[str, Any]]:
    return [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for n, (name, arguments) in enumerate(said.tool_calls)
    ]


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


async def _awaited(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
