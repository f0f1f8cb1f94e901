"""One call as it is sent: what the caller wants, bounded to what was fitted, and what came back.

Gives `Request` and the small rules around it that need no vendor: the longest reply asked for, keys that the guard
could not count, the form of the reply, the scope of a call whose model has none, and the marks on a whole reply.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast
from uuid import uuid4

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatResult
from langchain_core.runnables.config import ensure_config
from pydantic import BaseModel, ValidationError

from infra.llm.account import CallAccount, Usage
from infra.llm.ledger import Scope
from infra.llm.parse import Json, readings
from infra.llm.window import Fitted

_LIMIT_KEYS = ("max_tokens", "max_completion_tokens")
_COUNTED_KEYS = (*_LIMIT_KEYS, "messages", "tools", "n", "model")


@dataclass(frozen=True, slots=True)
class Request:
    """One call as it is sent: the vendor's positional and keyword arguments, and what it was fitted to."""

    fitted: Fitted
    replies: int
    stop: list[str] | None
    kwargs: dict[str, Any]

    @property
    def args(self) -> tuple[list[BaseMessage], list[str] | None]:
        """The vendor's positional arguments."""
        return list(self.fitted.messages), self.stop

    def parsed(self, text: str) -> dict[str, Any]:
        """Return what LangChain's structured output looks for in a reply: the object, where it is valid."""
        model = _model_in(self.kwargs.get("response_format"))
        for reading in readings(text) if model else ():
            if model and reading.whole and _is_valid(model, reading.value):
                return {"parsed": reading.value}
        return {}


def _is_valid(form: type[BaseModel], value: Json) -> bool:
    try:
        form.model_validate(value)
    except ValidationError:
        return False
    return True


def countable(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the request body unless it carries, unseen, what the guard must count.

    Raises:
        ValueError: ``extra_body`` overrides messages, tools, model or limits.
    """
    smuggled = sorted(set(payload.get("extra_body") or {}) & set(_COUNTED_KEYS))
    if smuggled:
        raise ValueError(f"extra_body may not carry {', '.join(smuggled)}: the guard could not count it")
    return payload


def sendable(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value that can be UTF-8: a lone surrogate, which a model can write, becomes a question mark."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {key: sendable(item) for key, item in cast("dict[str, Any]", value).items()}
    return [sendable(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def limit_of(payload: Mapping[str, Any]) -> int | None:
    """Return the longest reply the caller asks for; None leaves it open."""
    asked = [payload[key] for key in _LIMIT_KEYS if payload.get(key) is not None]
    return min(asked, default=None)


def admitted(account: CallAccount, request: Request) -> Request:
    """Note what is going to be sent, and bound its reply."""
    account.fitted(request.fitted)
    kwargs = {key: value for key, value in request.kwargs.items() if key not in _LIMIT_KEYS}
    return replace(request, kwargs=kwargs | {"max_tokens": request.fitted.reply_tokens})


def received(account: CallAccount, request: Request, result: ChatResult) -> ChatResult:
    """Note what a whole reply used, and mark in it what was left out of the prompt and what it holds."""
    messages = [generation.message for generation in result.generations]
    if not messages:
        raise ValueError("a reply without choices")
    for message in messages:
        if isinstance(message, AIMessage):
            account.used(usage_of(message.usage_metadata))
        message.additional_kwargs |= request.parsed(message.text)
        if request.fitted.dropped:
            message.response_metadata["dropped"] = list(request.fitted.dropped)
    return result


def usage_of(metadata: UsageMetadata | None) -> Usage | None:
    """Return the tokens a reply used; None when the server did not say."""
    if metadata is None:
        return None
    cached = metadata.get("input_token_details", {}).get("cache_read") or 0
    return Usage(metadata["input_tokens"], metadata["output_tokens"], cached)


def wire_form(form: object) -> object:
    """Return a ``response_format`` as it goes out: a pydantic type becomes its JSON schema."""
    model = _model_in(form)
    if model is None:
        return form
    described = {"name": model.__name__, "schema": model.model_json_schema(), "strict": True}
    return {"type": "json_schema", "json_schema": described}


def _model_in(form: object) -> type[BaseModel] | None:
    return form if isinstance(form, type) and issubclass(form, BaseModel) else None


def scope_of_run(run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None) -> Scope:
    """Return the scope of a call whose model has none: from the run's metadata, else a question of its own."""
    config = ensure_config()
    facts: dict[str, Any] = {**config.get("configurable", {}), **config.get("metadata", {})}
    facts |= (run_manager.metadata or {}) if run_manager else {}
    agent = str(facts.get("langgraph_checkpoint_ns") or "").partition(":")[0]
    return Scope(str(facts.get("question_id") or uuid4().hex), str(facts.get("thread_id") or ""), agent or "model")
