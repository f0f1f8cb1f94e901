"""The engine: one function from a request to an answer, shared by the transports and the served app.

``Engine.handle`` reads, checks and decides at once; the answer's chunks carry the time they are due, and whoever writes
them waits for it (``pace.Clock``) and closes the answer when nobody listens any more. Thread-safe; pure computation,
which an event loop should leave to a thread.
"""

from collections.abc import Callable
from typing import Any

from infra.engine.chat import Chat, prompt_pieces
from infra.engine.exchange import MAX_BODY_BYTES, Answer, Request, answer_of
from infra.engine.meters import Meters
from infra.engine.pace import Clock, SystemClock
from infra.engine.protocol import FINGERPRINT, MODEL_ID, ChatRequest, DetokenizeRequest, TokenizeRequest, parse
from infra.engine.refusal import RefusedError, RoutingError, refused_body
from infra.engine.tokenizer import decode, encode, encode_all, token_text
from infra.engine.wire import json_bytes
from infra.settings import EngineSettings

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Engine:
    """The embedded engine.

    Args:
        settings: window, speeds, prefix cache.
        clock: where time comes from; the transports wait on it.
    """

    def __init__(self, settings: EngineSettings, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self._window = settings.context_window
        self._meters = Meters(prefix_cache=settings.prefix_cache)
        self._chat = Chat(settings, self.clock, self._meters)
        self._routes: dict[str, tuple[str, Callable[[Request], Answer]]] = {
            "/v1/chat/completions": ("POST", self._complete),
            "/v1/models": ("GET", self._models),
            "/tokenize": ("POST", self._tokenize),
            "/detokenize": ("POST", self._detokenize),
            "/health": ("GET", lambda _: answer_of(200, b"", "")),
            "/version": ("GET", lambda _: _json({"version": FINGERPRINT})),
            "/metrics": ("GET", lambda _: answer_of(200, self._meters.exposition(), METRICS_TYPE)),
        }

    def handle(self, request: Request) -> Answer:
        """Return the answer to ``request``; what is refused is answered with vLLM's status and body."""
        try:
            return self._route(request)
        except RoutingError as error:
            answer = _json(error.body, error.status)
            return Answer(
                answer.status, answer.headers | ({"allow": error.allow} if error.allow else {}), answer.chunks
            )
        except RefusedError as error:
            return _json(error.body, error.status)
        except UnicodeEncodeError:
            return _json(RefusedError("The text holds a lone surrogate, which is no character.").body, 400)
        except RecursionError:
            return _json(RefusedError("The request is nested too deeply.").body, 400)

    def _route(self, request: Request) -> Answer:
        if request.path not in self._routes:
            raise RoutingError("Not Found", status=404)
        method, answer = self._routes[request.path]
        if request.method != method:
            raise RoutingError("Method Not Allowed", status=405, allow=method)
        if method == "POST":
            _check_body(request)
        return answer(request)

    def _complete(self, request: Request) -> Answer:
        chat = parse(ChatRequest, request.body)
        _check_model(chat.model)
        return self._chat.answer(chat, request.arrived)

    def _models(self, _: Request) -> Answer:
        card = {"id": MODEL_ID, "object": "model", "created": 0, "owned_by": MODEL_ID, "root": MODEL_ID, "parent": None}
        return _json({"object": "list", "data": [card | {"max_model_len": self._window}]})

    def _tokenize(self, request: Request) -> Answer:
        asked = parse(TokenizeRequest, request.body)
        _check_model(asked.model)
        if asked.prompt is not None:
            tokens = encode(asked.prompt)
        elif asked.messages is not None:
            pieces = prompt_pieces(asked.messages, asked.tools, add_generation_prompt=asked.add_generation_prompt)
            tokens = encode_all(pieces)
        else:
            missing: dict[str, Any] = {"type": "missing", "msg": "Field required", "input": {}}
            raise refused_body([{**missing, "loc": ("body", name)} for name in ("prompt", "messages")])
        strings = [token_text(token) for token in tokens] if asked.return_token_strs else None
        count = {"count": len(tokens), "max_model_len": self._window}
        return _json({**count, "tokens": tokens, "token_strs": strings})

    def _detokenize(self, request: Request) -> Answer:
        asked = parse(DetokenizeRequest, request.body)
        _check_model(asked.model)
        return _json({"prompt": decode(asked.tokens)})


def _json(body: Any, status: int = 200) -> Answer:  # noqa: ANN401 - any JSON value
    return answer_of(status, json_bytes(body))


def _check_model(model: str | None) -> None:
    if model and model != MODEL_ID:
        message = f"The model `{model}` does not exist. Valid aliases: {MODEL_ID}."
        raise RefusedError(message, status=404, kind="NotFoundError", param="model")


def _check_body(request: Request) -> None:
    if len(request.body) > MAX_BODY_BYTES:
        message = f"The request body is larger than {MAX_BODY_BYTES} bytes."
        raise RefusedError(message, status=413, kind="Request Entity Too Large")
    if request.content_type.split(";")[0].strip().lower() != "application/json":
        message = "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed"
        raise RefusedError(message, kind="Bad Request")
