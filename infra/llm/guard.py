"""The guard: the only way to a model. Every call is counted, fitted, reserved, sent, settled and entered in the ledger.

Gives `GuardedChat`, a ChatOpenAI whose four ways to a server (`_generate`, `_agenerate`, `_stream`, `_astream`; all of
them are needed, because a streaming graph turns `ainvoke` into `_astream`) pass through one `CallAccount`. Tools,
structured output, streaming and batches work as with ChatOpenAI. What was left out to make a call fit stands in the
reply's ``response_metadata["dropped"]``. Vendor exceptions end here: callers see `BudgetExceeded` and `BackendError`
only. Built by `infra.llm.backends`; it leaves prompts and the reading of replies to others.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any, Self, cast

import httpx2
import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_openai import ChatOpenAI
from pydantic import PrivateAttr, SecretStr

from infra.llm.account import CallAccount, Desk
from infra.llm.failures import Failure, translated
from infra.llm.ledger import Ledger, Scope
from infra.llm.request import Request, admitted, countable, limit_of, received, scope_of_run, sendable, wire_form
from infra.llm.stream import StreamBroken, StreamWatch
from infra.llm.tokens import Count
from infra.llm.window import fit

_FIRST_SERVER_ERROR = 500
_MAX_CAUSES = 8
# What the SDK and LangChain raise on a body that is no chat completion; a request that cannot be built fails before.
_UNREADABLE = (openai.OpenAIError, ValueError, KeyError, TypeError, AttributeError, IndexError)


class GuardedChat(ChatOpenAI):
    """A chat model that no call leaves uncounted.

    Build it with `infra.llm.backends.build_chat`; give each agent its own with `scoped`.
    """

    _desk: Desk = PrivateAttr()
    _scope: Scope | None = PrivateAttr(default=None)

    @classmethod
    def over(cls, desk: Desk, api_key: SecretStr) -> Self:
        """Build the model of one desk. The SDK's own retries are off: they would pass the ledger by."""
        chat = cls(
            model=desk.backend.model,
            base_url=desk.backend.base_url,
            api_key=api_key,
            temperature=0.0,
            max_retries=0,
            stream_usage=True,
            use_responses_api=False,
            cache=False,
            timeout=desk.clients.timeout,
            stream_chunk_timeout=None,
            http_client=desk.clients.blocking,
            http_async_client=desk.clients.awaiting,
        )
        chat._desk = desk
        return chat

    def scoped(self, scope: Scope) -> Self:
        """Return a copy whose calls go on ``scope``'s account; clients, budget and ledger are shared."""
        copy = self.model_copy()
        copy._scope = scope  # noqa: SLF001 - our own copy
        return copy

    @property
    def ledger(self) -> Ledger:
        """Where the calls are entered."""
        return self._desk.ledger

    async def acount_text(self, text: str) -> Count:
        """Count bare text as the server does; `exact` is False where the server cannot say.

        Raises:
            BackendError: the server failed.
        """
        with translated(_diagnose, self._desk.backend):
            return await self._desk.counter.acount_text(text)

    def get_num_tokens(self, text: str) -> int:
        """Count bare text as the server does (never with a tokenizer fetched from elsewhere)."""
        with translated(_diagnose, self._desk.backend):
            return self._desk.counter.count_text(text).tokens

    def get_num_tokens_from_messages(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[Any] | None = None,
        **_: Any,
    ) -> int:
        """Count a prompt as the server does, template included."""
        bound: dict[str, Any] = {"tools": [convert_to_openai_tool(tool) for tool in tools]} if tools else {}
        payload = self._get_request_payload(list(messages), **bound)
        with translated(_diagnose, self._desk.backend):
            return self._desk.counter.count(payload).tokens

    async def aclose(self) -> None:
        """Close both clients; all scoped copies share them."""
        await self._desk.clients.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._open(run_manager) as account:
            request = self._admit(account, messages, stop, kwargs)

            def send() -> ChatResult:
                with account.sending(request.replies):
                    result = super(GuardedChat, self)._generate(*request.args, None, **request.kwargs)
                    return received(account, request, result)

            return account.blocking_tries()(send)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._open(run_manager) as account:
            request = await self._aadmit(account, messages, stop, kwargs)

            async def send() -> ChatResult:
                with account.sending(request.replies):
                    result = await super(GuardedChat, self)._agenerate(*request.args, None, **request.kwargs)
                    return received(account, request, result)

            return await account.awaiting_tries()(send)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with self._open(run_manager) as account:
            request = self._admit(account, messages, stop, kwargs)
            for attempt in account.blocking_tries():
                with attempt, account.sending():
                    watch = StreamWatch(account, request)
                    vendor = super()._stream(*request.args, run_manager, **request.kwargs)
                    with closing(cast("Generator[ChatGenerationChunk]", vendor)) as chunks:
                        for chunk in chunks:
                            yield from watch.take(chunk)
                    yield from watch.end()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with self._open(run_manager) as account:
            request = await self._aadmit(account, messages, stop, kwargs)
            async for attempt in account.awaiting_tries():
                with attempt, account.sending():
                    watch = StreamWatch(account, request)
                    vendor = super()._astream(*request.args, run_manager, **request.kwargs)
                    async with aclosing(cast("AsyncGenerator[ChatGenerationChunk]", vendor)) as chunks:
                        async for chunk in chunks:
                            for ready in watch.take(chunk):
                                yield ready
                    for ready in watch.end():
                        yield ready

    def _open(self, run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None) -> CallAccount:
        return CallAccount(self._desk, self._scope or scope_of_run(run_manager), _diagnose)

    def _admit(
        self, account: CallAccount, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Request:
        """Count and fit a call, blocking."""
        payload = countable(self._get_request_payload(messages, **kwargs))
        fitting = fit(messages, self._desk.window, limit_of(payload))
        try:
            body = self._get_request_payload([*next(fitting)], **kwargs)
            while True:
                count = account.blocking_tries()(self._count, body)
                body = self._get_request_payload([*fitting.send(count.tokens)], **kwargs)
        except StopIteration as end:
            return admitted(account, Request(end.value, payload.get("n") or 1, stop, kwargs))

    async def _aadmit(
        self, account: CallAccount, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Request:
        """Count and fit a call, awaiting."""
        payload = countable(self._get_request_payload(messages, **kwargs))
        fitting = fit(messages, self._desk.window, limit_of(payload))
        try:
            body = self._get_request_payload([*next(fitting)], **kwargs)
            while True:
                count = cast("Count", await account.awaiting_tries()(self._acount, body))
                body = self._get_request_payload([*fitting.send(count.tokens)], **kwargs)
        except StopIteration as end:
            return admitted(account, Request(end.value, payload.get("n") or 1, stop, kwargs))

    def _count(self, payload: dict[str, Any]) -> Count:
        with translated(_diagnose, self._desk.backend):
            return self._desk.counter.count(payload)

    async def _acount(self, payload: dict[str, Any]) -> Count:
        with translated(_diagnose, self._desk.backend):
            return await self._desk.counter.acount(payload)

    def _get_request_payload(
        self,
        input_: LanguageModelInput,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Build the request body; the form of the reply goes out as a plain json_schema.

        Left in its place, the SDK would parse the reply itself and lose one that is cut or not valid.
        """
        vendor = super()._get_request_payload(input_, stop=stop, **kwargs)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - bare dict
        payload = cast("dict[str, Any]", vendor)
        payload["messages"] = sendable(payload["messages"])
        if payload.get("response_format") is not None:
            form = wire_form(payload.pop("response_format"))
            payload["extra_body"] = (payload.get("extra_body") or {}) | {"response_format": form}
        return payload


def _diagnose(error: BaseException) -> Failure | None:
    """Return the facts of a failed call; None for an exception that says nothing about the server."""
    if isinstance(error, openai.APIStatusError | httpx2.HTTPStatusError):
        return Failure("status", _words(error), error.response.status_code)
    if isinstance(error, openai.APIConnectionError | httpx2.RequestError):
        return _connection_failure(error)
    if isinstance(error, openai.APIError) and not isinstance(error, openai.APIResponseValidationError):
        return _event_failure(error)
    if isinstance(error, StreamBroken):
        return Failure("broken", str(error))
    if isinstance(error, _UNREADABLE):
        return Failure("unreadable", f"{type(error).__name__}: {error}")
    return None


def _event_failure(error: openai.APIError) -> Failure:
    """Return the facts of an error event inside a stream."""
    code = _told(error.body).get("code")
    if isinstance(code, int) and code < _FIRST_SERVER_ERROR:
        return Failure("status", error.message, code)
    return Failure("broken", error.message)


def _connection_failure(error: BaseException) -> Failure:
    """Tell a server that is not there from one that is too slow and one that broke off."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and len(causes) < _MAX_CAUSES:
        causes.append(cause)
    said = f"{type(causes[-1]).__name__}: {causes[-1]}"
    if any(isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout) for cause in causes):
        return Failure("unreachable", said)
    if any(isinstance(cause, httpx2.TimeoutException | openai.APITimeoutError) for cause in causes):
        return Failure("timeout", said)
    return Failure("broken", said)


def _words(error: openai.APIStatusError | httpx2.HTTPStatusError) -> str:
    """Return the server's own words: the error's message, else the body as it is."""
    body = error.body if isinstance(error, openai.APIStatusError) else None
    told = _told(body)
    return str(told.get("message") or dict(told) or body or error.response.reason_phrase)


def _told(body: object) -> Mapping[str, object]:
    """Return the fields of an error's body; none when it is not an object."""
    return cast("Mapping[str, object]", body) if isinstance(body, Mapping) else {}
