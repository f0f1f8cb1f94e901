"""How replies look on the wire: vLLM's completion object, and its chunks as server-sent events."""

import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from infra.engine.generation import Generation, Step
from infra.engine.protocol import FINGERPRINT, MODEL_ID

DONE = b"data: [DONE]\n\n"


def json_bytes(body: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Return ``body`` as compact UTF-8 JSON."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int

    def body(self) -> dict[str, Any]:
        """Return vLLM's usage object."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "completion_tokens": self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }


@dataclass(frozen=True, slots=True)
class Reply:
    """A generation with its usage, ready to be written whole or as events.

    Attributes:
        generation: what was generated.
        usage: what it took.
        id: what the reply is called.
        created: Unix time in seconds.
    """

    generation: Generation
    usage: Usage
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(8)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self) -> bytes:
        """Return the completion object."""
        end = {"finish_reason": self.generation.finish, "stop_reason": self.generation.stop}
        choice = {"index": 0, "message": self.generation.message, "logprobs": None, **end}
        last = {"system_fingerprint": FINGERPRINT, "usage": self.usage.body()}
        return json_bytes(self._object("chat.completion", [choice]) | last)

    def opening(self) -> bytes:
        """Return the first event: the role."""
        return self._event([_choice({"role": "assistant", "content": ""})])

    def event(self, step: Step) -> bytes:
        """Return the event of one step; the last step's carries the end."""
        if step is not self.generation.steps[-1]:
            return self._event([_choice(step.delta)])
        end = _choice(step.delta) | {"finish_reason": self.generation.finish, "stop_reason": self.generation.stop}
        return self._event([end], system_fingerprint=FINGERPRINT)

    def usage_event(self) -> bytes:
        """Return the event that carries the usage and no choices."""
        return self._event([], usage=self.usage.body(), system_fingerprint=FINGERPRINT)

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        return b"data: " + json_bytes(self._object("chat.completion.chunk", choices) | more) + b"\n\n"

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": MODEL_ID, "choices": choices}


def _choice(delta: dict[str, Any]) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
