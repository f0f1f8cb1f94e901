"""One call: what the caller wants, what of it is sent, and what came back.

Gives `Ask` (the call as its caller made it), `Request` (the call as it is sent) and `admission` (from the one to the
other: counted and fitted), with the small rules around them that need no vendor: the longest reply asked for, options
that the guard could not count, the form of the reply, the scope of a call whose model has none, the marks on a whole
reply.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast
from uuid import uuid4

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatResult
from langchain_core.runnables.config import ensure_config
from pydantic import BaseModel, ValidationError

from infra.errors import BackendError
from infra.llm.account import CallAccount, Usage
from infra.llm.bounds import timeout_of
from infra.llm.desk import Desk
from infra.llm.diagnose import failure_of
from infra.llm.ledger import Remark, Scope
from infra.llm.live_window import WindowShrank
from infra.llm.parse import Json, readings
from infra.llm.partial import LISTENER, Listener
from infra.llm.stepdown import Form, plainer, refused_form, schema_in
from infra.llm.tokens import Count
from infra.llm.window import Fitted, Window, fit
from infra.settings import CallSettings
from infra.text.plain import short_line

_LIMIT_KEYS = ("max_tokens", "max_completion_tokens")
_WAY_KEYS = ("stream", "stream_usage", LISTENER)
# what the guard counts, or sets itself
_COUNTED_KEYS = {*_LIMIT_KEYS, "messages", "model", "tools", "n", "stream", "stream_options", "timeout", "extra_body"}
# what changes neither the prompt nor how much may be written, or is known to `infra.llm.tokens`
_SAFE_KEYS = {
    *("temperature", "top_p", "top_k", "min_p", "seed", "stop", "logit_bias", "logprobs", "top_logprobs", "user"),
    *("frequency_penalty", "presence_penalty", "repetition_penalty", "repeat_penalty"),
    *("tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort"),
}

Payload = dict[str, Any]
PayloadOf = Callable[[Sequence[BaseMessage]], Payload]
Admission = Generator[Payload | str, Count, "Request"]


@dataclass(frozen=True, slots=True)
class Ask:
    """One call as its caller made it; `form` is what LangChain's structured output reads from the reply.

    `listener` hears a streamed reply while it is written.
    """

    messages: Sequence[BaseMessage]
    stop: list[str] | None
    kwargs: dict[str, Any]
    form: type[BaseModel] | None = None
    listener: Listener | None = None

    @classmethod
    def of(cls, messages: Sequence[BaseMessage], stop: list[str] | None, kwargs: Mapping[str, Any]) -> "Ask":
        """Build it from what LangChain hands over; whether the reply is streamed is not the caller's to say here."""
        kept = {key: value for key, value in kwargs.items() if key not in _WAY_KEYS}
        return cls(messages, stop, kept, _model_in(kwargs.get("response_format")), kwargs.get(LISTENER))

    @property
    def replies(self) -> int:
        """How many replies it asks for."""
        return self.kwargs.get("n") or 1

    @property
    def is_streamed(self) -> bool:
        """Whether it goes out as a stream: tool calls and several replies are safer in one piece."""
        return self.replies == 1 and not self.kwargs.get("tools")

    @property
    def schema(self) -> dict[str, Any] | None:
        """The JSON schema that its reply is held to; None for none."""
        return schema_in(wire_form(self.kwargs.get("response_format")))

    @property
    def carried(self) -> list[Form]:
        """The forms that a server may refuse."""
        return [*(["json_schema"] if self.schema else []), *(["tools"] if self.kwargs.get("tools") else [])]

    def plain(self) -> "Ask":
        """Return the same call with its JSON schema in words; itself where it has none."""
        schema = self.schema
        if schema is None:
            return self
        kwargs = {key: value for key, value in self.kwargs.items() if key != "response_format"}
        return replace(self, messages=plainer(self.messages, schema), kwargs=kwargs)


@dataclass(frozen=True, slots=True)
class Request:
    """One call as it is sent: what it came from, what it was fitted to, and the count that this rests on."""

    ask: Ask
    fitted: Fitted
    count: Count

    @property
    def args(self) -> tuple[list[BaseMessage], list[str] | None]:
        """The vendor's positional arguments."""
        return list(self.fitted.messages), self.ask.stop

    @property
    def kwargs(self) -> dict[str, Any]:
        """The vendor's keyword arguments: the caller's, the reply bounded to what was fitted."""
        kept = {key: value for key, value in self.ask.kwargs.items() if key not in _LIMIT_KEYS}
        return kept | {"max_tokens": self.fitted.reply_tokens}

    def parsed(self, text: str) -> dict[str, Any]:
        """Return what LangChain's structured output looks for in a reply: the object, where it is valid."""
        form = self.ask.form
        for reading in readings(text) if form else ():
            if form and reading.whole and _is_valid(form, reading.value):
                return {"parsed": reading.value}
        return {}


def admission(ask: Ask, window: Window, payload_of: PayloadOf) -> Admission:
    """Count and fit a call; one rule for blocking and for awaiting callers.

    Yields:
        What to count: a request body, or bare text. The caller sends back its count.

    Returns:
        The call as it is sent.

    Raises:
        ValueError: the call carries what the guard could not count.
        BudgetExceeded: it does not fit.
    """
    fitting = fit(ask.messages, window, limit_of(_countable(ask, payload_of(ask.messages))))
    counts: dict[int, Count] = {}
    try:
        asked = next(fitting)
        while True:
            count = yield asked if isinstance(asked, str) else payload_of(asked)
            if not isinstance(asked, str):
                counts[count.tokens] = count
            asked = fitting.send(count.tokens)
    except StopIteration as end:
        fitted: Fitted = end.value
        return Request(ask, fitted, counts.get(fitted.prompt_tokens, Count(fitted.prompt_tokens, exact=False)))


def _countable(ask: Ask, payload: Payload) -> Payload:
    """Return the request body unless it carries an option that might change, unseen, what the guard must count."""
    extra: dict[str, Any] = payload.get("extra_body") or {}
    unknown = [*(payload.keys() - _COUNTED_KEYS - _SAFE_KEYS), *(ask.kwargs.keys() & {"model"})]
    unknown += [f"extra_body.{key}" for key in extra.keys() - _SAFE_KEYS]
    if unknown:
        takes = ", ".join(sorted(_SAFE_KEYS | {"max_tokens", "n", "tools"}))
        raise ValueError(f"the guard could not count a call with {', '.join(sorted(unknown))}; it takes {takes}")
    return payload


def _is_valid(form: type[BaseModel], value: Json) -> bool:
    try:
        form.model_validate(value)
    except ValidationError:
        return False
    return True


def admit(account: CallAccount, ask: Ask, window: Window, payload_of: PayloadOf) -> Request:
    """Count and fit a call, blocking, and note what is going to be sent; see `admission`. Raises BackendError, too."""
    admitting = admission(ask, window, payload_of)
    try:
        asked = next(admitting)
        while True:
            asked = admitting.send(account.blocking_tries()(account.count, asked))
    except StopIteration as end:
        return _admitted(account, end.value)


async def aadmit(account: CallAccount, ask: Ask, window: Window, payload_of: PayloadOf) -> Request:
    """Await what `admit` returns."""
    admitting = admission(ask, window, payload_of)
    try:
        asked = next(admitting)
        while True:
            asked = admitting.send(cast("Count", await account.awaiting_tries()(account.acount, asked)))
    except StopIteration as end:
        return _admitted(account, end.value)


def _admitted(account: CallAccount, request: Request) -> Request:
    account.fitted(request.fitted, request.count)
    return request


def understood(desk: Desk, ask: Ask) -> Ask:
    """Return the call in a form that the server takes, as far as that is known."""
    return ask.plain() if desk.abilities.json_schema is False else ask


def steps_down(desk: Desk, scope: Scope, ask: Ask, error: BackendError) -> bool:
    """Learn from a form that was refused; returns whether the call can be made in a plainer one, or a shorter one."""
    if isinstance(error, WindowShrank):
        desk.ledger.remark(Remark(scope, "step_down", f"{desk.backend.name} is asked anew: {short_line(str(error))}"))
        return True
    form = refused_form(failure_of(error), ask.carried)
    if form is not None:
        desk.learned.refused(form)
    if form != "json_schema":
        return False
    detail = f"{desk.backend.name} refuses json_schema and is asked in words: {short_line(str(error))}"
    desk.ledger.remark(Remark(scope, "step_down", detail))
    return True


def sendable(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value that can be UTF-8: a lone surrogate, which a model can write, becomes a question mark."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {key: sendable(item) for key, item in cast("dict[str, Any]", value).items()}
    return [sendable(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def on_the_wire(payload: Payload, calls: CallSettings) -> Payload:
    """Return LangChain's request body as every server knows it, with the times it may take.

    The longest reply goes out as ``max_tokens``, the older name. The form of the reply goes out as a plain json_schema:
    left in its place, the SDK would parse the reply itself and lose one that is cut or not valid.
    """
    payload["messages"] = sendable(payload["messages"])
    payload["timeout"] = timeout_of(calls, streamed=bool(payload.get("stream")))
    if (limit := payload.pop("max_completion_tokens", None)) is not None:
        payload["max_tokens"] = limit
    if payload.get("response_format") is not None:
        form = wire_form(payload.pop("response_format"))
        payload["extra_body"] = (payload.get("extra_body") or {}) | {"response_format": form}
    return payload


def limit_of(payload: Mapping[str, Any]) -> int | None:
    """Return the longest reply the caller asks for; None leaves it open."""
    asked = [payload[key] for key in _LIMIT_KEYS if payload.get(key) is not None]
    return min(asked, default=None)


def received(account: CallAccount, request: Request, result: ChatResult) -> ChatResult:
    """Note what a whole reply used, and mark in it what was left out of the prompt and what it holds."""
    if not result.generations:
        raise ValueError("a reply without choices")
    for generation in result.generations:
        message = generation.message
        if not isinstance(message, AIMessage):  # whatever role the server gave it, it is the model's reply
            message = generation.message = AIMessage(message.text)
        account.used(usage_of(message.usage_metadata))
        account.learned.replied(message, request.ask.schema)
        message.additional_kwargs |= request.parsed(message.text)
        message.response_metadata |= account.marks
    return result


def usage_of(metadata: UsageMetadata | None) -> Usage | None:
    """Return the tokens a reply used; None when the server did not say."""
    if metadata is None:
        return None
    cached = metadata.get("input_token_details", {}).get("cache_read") or 0
    return Usage(max(0, metadata["input_tokens"]), max(0, metadata["output_tokens"]), max(0, cached))


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
