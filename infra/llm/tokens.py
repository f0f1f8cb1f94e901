"""Counting a prompt as the server will: messages, tools and chat template, before the call leaves.

Gives `TokenCounter`, blocking or awaiting. A prompt is counted by the first of these that can:

1. the model's own tokenizer and template, where its folder is known and counts as the server does
   (`infra.llm.counting.checked`);
2. the server, over the same HTTP clients as the calls (`infra.llm.counting.server`);
3. an upper estimate, learned from what the server reports (`infra.llm.counting.estimates`). Whoever makes the call
   tells `TokenCounter.reported` what it took.

It leaves cutting to `infra.llm.window` and retrying to the guard: HTTP errors come out as httpx2 raises them.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from infra.llm.counting.checked import CheckedTokens, Guesses
from infra.llm.counting.estimates import Estimate, Estimates, Measure, measure
from infra.llm.counting.server import ServerTokens
from infra.llm.counting.shapes import Shape, shape_of
from infra.llm.counting.steps import Steps, Work, arun, run
from infra.llm.endpoint import Backend, Clients, Counting

_TEMPLATE_KEYS = ("chat_template", "chat_template_kwargs", "add_generation_prompt", "continue_final_message")
_LLAMACPP_KEYS = ("tool_choice", "parallel_tool_calls", "response_format")  # what llama.cpp's templates look at as well

Wire = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Basis:
    """What a count rests on.

    Attributes:
        measure: of a prompt that was estimated.
        shape: of a prompt that was counted here, for certain or as a guess.
        local: those counts.
    """

    measure: Measure | None = None
    shape: Shape | None = None
    local: int | Guesses = field(default_factory=dict[Any, int])


@dataclass(frozen=True, slots=True)
class Count:
    """Tokens of a prompt.

    Attributes:
        tokens: as the server will count them, or more.
        exact: False for an upper estimate.
        error: share of `tokens` by which an estimate may be too high, as far as was learned.
        basis: what it rests on; `TokenCounter.reported` looks at it.
    """

    tokens: int
    exact: bool
    error: float = 0.0
    basis: Basis = field(default_factory=Basis, repr=False, compare=False)


class TokenCounter:
    """Counts prompts for one back end; thread-safe.

    Args:
        backend: whose tokens they are.
        clients: the HTTP clients of that back end.
        clock: monotonic seconds.
    """

    def __init__(self, backend: Backend, clients: Clients, clock: Callable[[], float] = time.monotonic) -> None:
        self._backend = backend
        self._clients = clients
        self._server = ServerTokens(backend, clock)
        self._local = CheckedTokens(backend, self._server)
        self._estimates = Estimates(backend.context_window)

    def count(self, payload: Wire) -> Count:
        """Count a chat completion's prompt; ``payload`` is its request body (messages, tools, template options)."""
        return run(self._steps(chat_body(payload, self._backend.model, self._backend.counting)), self._clients)

    async def acount(self, payload: Wire) -> Count:
        """Await the count of a chat completion's prompt; see `count`."""
        return await arun(self._steps(chat_body(payload, self._backend.model, self._backend.counting)), self._clients)

    def count_text(self, text: str) -> Count:
        """Count bare text, without template or special tokens."""
        return run(self._steps(self._text_body(text)), self._clients)

    async def acount_text(self, text: str) -> Count:
        """Await the count of bare text; see `count_text`."""
        return await arun(self._steps(self._text_body(text)), self._clients)

    def reported(self, counted: Count, prompt_tokens: int) -> None:
        """Learn from what the server says a call took; the figure is the server's and need not be true.

        Args:
            counted: the count of the prompt that was sent, as it was given.
            prompt_tokens: the server's ``usage.prompt_tokens``.
        """
        basis = counted.basis
        if basis.measure is not None:
            self._estimates.reported(basis.measure, prompt_tokens)
        if basis.shape is not None:
            self._local.reported(basis.shape, basis.local, prompt_tokens)

    def _text_body(self, text: str) -> Wire:
        sendable = text.encode("utf-8", "replace").decode()  # as the guard sends it: without lone surrogates
        return {"model": self._backend.model, "prompt": sendable, "add_special_tokens": False}

    def _steps(self, body: Wire) -> Steps[Count]:
        shape = shape_of(body) if self._local.is_on else None
        local: int | Guesses | None = None
        if shape is not None:
            local = yield from self._local.count(body, shape)
            if isinstance(local, int):
                return Count(local, exact=True, basis=Basis(shape=shape, local=local))
        tokens = yield from self._server.count(body)
        if tokens is not None:
            return Count(tokens, exact=True)
        measured, estimate = cast("tuple[Measure, Estimate]", (yield Work(lambda: self._estimated(body))))
        return Count(
            estimate.tokens, exact=False, error=estimate.error, basis=Basis(measured, shape, local if local else {})
        )

    def _estimated(self, body: Wire) -> tuple[Measure, Estimate]:
        measured = measure(body)
        return measured, self._estimates.of(measured)


def chat_body(payload: Wire, model: str, counting: Counting = "vllm") -> dict[str, Any]:
    """Return what of a chat completion's request body decides its prompt: the body that a server is asked to count."""
    given: Wire = {**payload, **(payload.get("extra_body") or {})}
    keys = _TEMPLATE_KEYS + (_LLAMACPP_KEYS if counting == "llamacpp" else ())
    body: dict[str, Any] = {"model": given.get("model", model), "messages": given["messages"]}
    if given.get("tools"):
        body["tools"] = given["tools"]
    body |= {key: given[key] for key in keys if key in given}
    if counting == "vllm" and (effort := given.get("reasoning_effort")) is not None:
        # vLLM hands it to the template of a chat completion; its /tokenize knows it as a template option only
        own: Wire = body.get("chat_template_kwargs") or {}
        body["chat_template_kwargs"] = {"enable_thinking": effort != "none", **own, "reasoning_effort": effort}
    return body
