"""A model call that was made before: what makes two calls the same, and how a reply is kept and given again.

Two calls are the same when the server that answers and the request body are the same: model, messages, sampling,
schema, tools, longest reply. How the reply travels (in one piece or as a stream, in what time) is no part of it. Kept
are whole replies only: not one that was cut or refused, or asked for several times over, and none of a back end whose
facts are provisional. A reply that its asker cannot read is forgotten (`KEY_MARK` says what it was kept under).
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Generic, Literal, Self, TypeVar, cast

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, InvalidToolCall, ToolCall
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import BaseModel, ConfigDict, ValidationError

from infra.llm.account import CallAccount
from infra.llm.desk import Desk
from infra.llm.endpoint import Backend
from infra.llm.kept import Kept
from infra.llm.request import Payload, Request, usage_of

Reply = TypeVar("Reply", ChatResult, list[ChatGenerationChunk])

KEY_MARK = "kept_as"
_WHOLE = ("stop", "tool_calls")
_WAY = {"stream", "stream_options", "timeout"}
_WAITS_SECONDS = 8.0  # between two tries, at most (`infra.llm.desk.Retries`)


class _Said(BaseModel):
    """What is kept of a reply: not its id and its figures, which are the first call's own."""

    model_config = ConfigDict(extra="forbid")

    text: str
    finish_reason: Literal["stop", "tool_calls"]
    model_name: str
    logprobs: dict[str, Any] | None = None
    tool_calls: list[ToolCall] = []
    invalid_tool_calls: list[InvalidToolCall] = []


@dataclass(frozen=True, slots=True)
class Replay(Generic[Reply]):
    """One call that may have been made before; implements `infra.llm.kept.Keeping`.

    Attributes:
        desk: whose call.
        account: the call's account.
        request: what is sent.
        key: what it is kept under; "": it is made in any case.
        form: how the reply is wanted.
    """

    desk: Desk
    account: CallAccount
    request: Request
    key: str
    form: type[Reply]

    @classmethod
    def of(
        cls, desk: Desk, account: CallAccount, request: Request, form: type[Reply], body_of: Callable[..., Payload]
    ) -> Self:
        """Build it for a call that is about to leave; ``body_of`` builds its request body."""
        key = ""
        if desk.keeper is not None and not desk.backend.provisional and request.ask.replies == 1:
            messages, stop = request.args
            key = key_of(desk.backend, body_of(messages, stop=stop, **request.kwargs))
        return cls(desk, account, request, key, form)

    def once(self, make: Callable[[], Reply]) -> Reply:
        """Return the reply that was given to this call before, else what ``make`` returns."""
        keeper = self.desk.keeper if self.key else None
        return keeper.once(self.key, make, self) if keeper else make()

    async def aonce(self, make: Callable[[], Awaitable[Reply]]) -> Reply:
        """Await what `once` returns."""
        keeper = self.desk.keeper if self.key else None
        return await (keeper.aonce(self.key, make, self) if keeper else make())

    @property
    def kind(self) -> str:
        """Figures are kept for model calls together."""
        return "call"

    @property
    def mark(self) -> str:
        """A reply holds as long as it is kept."""
        return ""

    @property
    def seconds(self) -> float:
        """The longest that all tries of a call may take."""
        return self.desk.retries.tries * (self.desk.calls.total_seconds + _WAITS_SECONDS)

    def kept(self, value: Reply) -> Kept | None:
        """Return what is to be kept of a reply, and mark in it what that is kept under."""
        generation = _whole(value)
        message = generation.message
        facts = message.response_metadata | (generation.generation_info or {})
        is_whole = facts.get("finish_reason") in _WHOLE and not message.additional_kwargs.get("refusal")
        if not isinstance(message, AIMessage) or not isinstance(message.content, str) or not is_whole:
            return None
        said = _Said(
            text=message.content,
            finish_reason=facts["finish_reason"],
            model_name=str(facts.get("model_name") or ""),
            logprobs=facts.get("logprobs"),
            tool_calls=message.tool_calls,
            invalid_tool_calls=message.invalid_tool_calls,
        )
        _first(value).response_metadata[KEY_MARK] = self.key
        usage = usage_of(message.usage_metadata)
        return Kept(said.model_dump(), *((usage.prompt_tokens, usage.completion_tokens) if usage else ()))

    def given(self, kept: Kept) -> Reply | None:
        """Return a reply again, and note that no server was asked."""
        try:
            said = _Said.model_validate(kept.value)
        except ValidationError:
            return None
        self.account.replayed()
        parts: dict[str, Any] = {
            "content": said.text,
            "additional_kwargs": self.request.parsed(said.text),
            "response_metadata": self._facts(said),
            "usage_metadata": UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0),
        }
        if self.form is ChatResult:
            message = AIMessage(**parts, tool_calls=said.tool_calls, invalid_tool_calls=said.invalid_tool_calls)
            return cast("Reply", ChatResult(generations=[ChatGeneration(message=message)]))
        return cast("Reply", [ChatGenerationChunk(message=AIMessageChunk(**parts))])

    def _facts(self, said: _Said) -> dict[str, Any]:
        facts: dict[str, Any] = {"finish_reason": said.finish_reason, "model_name": said.model_name}
        facts |= {"logprobs": said.logprobs} if said.logprobs else {}
        return facts | self.account.marks | {"cached": True, KEY_MARK: self.key}


def key_of(backend: Backend, body: Mapping[str, Any]) -> str:
    """Return what the reply to a request is kept under, 64 hex digits; "" where its body is no plain JSON.

    Args:
        backend: which server answers.
        body: the request body as it goes out.
    """
    sent = {name: value for name, value in body.items() if name not in _WAY}
    called = {"engine": backend.engine, "base_url": backend.base_url, "model": backend.model, "body": sent}
    try:
        return sha256(json.dumps(called, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    except (TypeError, ValueError, RecursionError):
        return ""


def kept_as(reply: BaseMessage) -> str:
    """Return what a reply is kept under; "" where it is not."""
    return str(reply.response_metadata.get(KEY_MARK) or "")


def _whole(reply: ChatResult | list[ChatGenerationChunk]) -> ChatGeneration:
    return reply.generations[0] if isinstance(reply, ChatResult) else sum(reply[1:], reply[0])


def _first(reply: ChatResult | list[ChatGenerationChunk]) -> BaseMessage:
    return reply.generations[0].message if isinstance(reply, ChatResult) else reply[0].message
