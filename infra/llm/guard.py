"""The guard: the only way to a model. Every call is counted, fitted, reserved, sent, settled and entered in the ledger.

Gives `GuardedChat`, a ChatOpenAI whose four ways to a server (`_generate`, `_agenerate`, `_stream`, `_astream`; all of
them are needed, because a streaming graph turns `ainvoke` into `_astream`) pass through one `CallAccount`. Tools,
structured output, streaming and batches work as with ChatOpenAI. Calls without tools are streamed on the wire, so that
the time to the first word is known and a silent server is noticed; a streamed reply is passed on when it is whole.
A call that fails in a way that can pass is tried again; a form that the server refuses is asked for in a plainer way;
a call whose server is down goes on to the next back end. Who answered, and what was left out to make a call fit, stands
in the reply's ``response_metadata`` (``backend``, ``dropped``, ``cut_tokens``). Vendor exceptions end here: callers see
`BudgetExceeded` and `BackendError` only. Built by `infra.llm.backends`; prompts and the reading of replies are others'.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import aclosing, closing
from functools import partial
from typing import Any, Self, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_openai import ChatOpenAI
from pydantic import PrivateAttr, SecretStr

from infra.errors import BackendError, BackendUnavailable
from infra.llm.account import CallAccount
from infra.llm.background import finished
from infra.llm.desk import Desk
from infra.llm.diagnose import failure_of
from infra.llm.endpoint import Abilities
from infra.llm.ledger import Ledger, Remark, Scope
from infra.llm.replay import Replay, Reply, kept_as
from infra.llm.request import (
    Ask,
    Payload,
    Request,
    aadmit,
    admit,
    on_the_wire,
    received,
    scope_of_run,
    steps_down,
    understood,
)
from infra.llm.sdk import sdk_clients
from infra.llm.stream import HeldReply, UnreadCalls, assembled, awaited
from infra.llm.tokens import Count
from infra.text.plain import short_line

Next = Callable[[], Awaitable["GuardedChat | None"]]
"""Opens the next back end's model; None: there is none that answers. May be asked by many calls at once."""


class GuardedChat(UnreadCalls, ChatOpenAI):
    """A chat model that no call leaves uncounted.

    Build it with `infra.llm.backends.chat_over`; give each agent its own with `scoped`.
    """

    _desk: Desk = PrivateAttr()
    _scope: Scope | None = PrivateAttr(default=None)
    _next: Next | None = PrivateAttr(default=None)

    @classmethod
    def over(cls, desk: Desk, api_key: SecretStr, next_: Next | None = None) -> Self:
        """Build the model of one desk. What LangChain would read from the environment is given, or refused.

        Args:
            desk: what its calls share.
            api_key: sent to the server.
            next_: where calls go while the server is down.
        """
        chat = cls(
            model=desk.backend.model,
            base_url=desk.backend.base_url,
            api_key=api_key,
            temperature=0.0,
            disable_streaming="tool_calling",
            stream_usage=True,
            use_responses_api=False,
            cache=False,
            stream_chunk_timeout=None,
            output_version=None,
            http_socket_options=(),
            **sdk_clients(desk.backend.base_url, api_key.get_secret_value(), desk.clients),
        )
        chat._desk, chat._next = desk, next_
        return chat

    def scoped(self, scope: Scope) -> Self:
        """Return a copy whose calls go on ``scope``'s account; clients, budget, ledger and fail-over are shared."""
        copy = self.model_copy()
        copy._scope = scope  # noqa: SLF001 - our own copy
        return copy

    @property
    def ledger(self) -> Ledger:
        """Where the calls are entered."""
        return self._desk.ledger

    @property
    def abilities(self) -> Abilities:
        """What the server can do: as it said, corrected by what its replies showed."""
        return self._desk.abilities

    async def acount_text(self, text: str) -> Count:
        """Count bare text as the server does; `exact` is False where the server cannot say.

        Raises:
            BackendError: the server failed, and so did those after it.
        """
        try:
            return await self._desk.acount(text)
        except BackendError as error:
            other = await self._next_after(error)
            if other is None:
                raise
        return await other.acount_text(text)

    def get_num_tokens(self, text: str) -> int:
        """Count bare text as the server does (never with a tokenizer fetched from elsewhere)."""
        return self._desk.count(text).tokens

    def get_num_tokens_from_messages(
        self, messages: Sequence[BaseMessage], tools: Sequence[Any] | None = None, **_: Any
    ) -> int:
        """Count a prompt as the server does, template included."""
        bound: dict[str, Any] = {"tools": [convert_to_openai_tool(tool) for tool in tools]} if tools else {}
        return self._desk.count(self._get_request_payload(list(messages), **bound)).tokens

    def forget(self, reply: BaseMessage) -> None:
        """Have a reply that its asker could not read not given again, whichever back end it came from."""
        if self._desk.keeper is not None and (key := kept_as(reply)):
            self._desk.keeper.forget(key)

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
        ask, scope = Ask.of(messages, stop, kwargs), self._scope or scope_of_run(run_manager)
        if ask.is_streamed and self._desk.streams:
            return assembled(self._answer(scope, ask, list, GuardedChat._send_streamed))
        return self._answer(scope, ask, ChatResult, GuardedChat._send)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        ask, scope = Ask.of(messages, stop, kwargs), self._scope or scope_of_run(run_manager)
        if ask.is_streamed and self._desk.streams:
            return assembled(await self._aanswer(scope, ask, list, GuardedChat._asend_streamed))
        return await self._aanswer(scope, ask, ChatResult, GuardedChat._asend)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        ask, scope = Ask.of(messages, stop, kwargs), self._scope or scope_of_run(run_manager)
        for piece in self._answer(scope, ask, list, GuardedChat._send_streamed):
            if run_manager is not None:
                run_manager.on_llm_new_token(piece.text, chunk=piece)
            yield piece

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        ask, scope = Ask.of(messages, stop, kwargs), self._scope or scope_of_run(run_manager)
        for piece in await self._aanswer(scope, ask, list, GuardedChat._asend_streamed):
            if run_manager is not None:
                await run_manager.on_llm_new_token(piece.text, chunk=piece)
            yield piece

    def _streaming_disabled(self, **kwargs: Any) -> bool:
        """Send in one piece what LangChain cannot put together from a stream: several replies to one call."""
        return (kwargs.get("n") or 1) > 1 or super()._streaming_disabled(**kwargs)

    def _answer(
        self, scope: Scope, ask: Ask, form: type[Reply], send: Callable[["GuardedChat", CallAccount, Request], Reply]
    ) -> Reply:
        """Make one call, blocking; where the server is down, the next back end is asked the same."""
        wanted, ask = ask, understood(self._desk, ask)
        try:
            with CallAccount(self._desk, scope, has_next=self._next is not None) as account:
                request = admit(account, ask, self._desk.window.now, partial(self._get_request_payload, **ask.kwargs))

                def attempt() -> Reply:
                    with account.sending(ask.replies):
                        return send(self, account, request)

                def made() -> Reply:
                    return self._desk.window.checked(request.fitted, account.blocking_tries()(attempt))

                return Replay[Reply].of(self._desk, account, request, form, self._get_request_payload).once(made)
        except BackendError as error:
            other = self if steps_down(self._desk, scope, ask, error) else finished(self._successor(scope, error))
            if other is None:
                raise
        return other._answer(scope, wanted, form, send)  # noqa: SLF001 - our own class

    async def _aanswer(
        self,
        scope: Scope,
        ask: Ask,
        form: type[Reply],
        send: Callable[["GuardedChat", CallAccount, Request], Awaitable[Reply]],
    ) -> Reply:
        """Make one call, awaiting; where the server is down, the next back end is asked the same."""
        wanted, ask = ask, understood(self._desk, ask)
        try:
            with CallAccount(self._desk, scope, has_next=self._next is not None) as account:
                payload_of = partial(self._get_request_payload, **ask.kwargs)
                request = await aadmit(account, ask, self._desk.window.now, payload_of)

                async def attempt() -> Reply:
                    with account.sending(ask.replies):
                        return await send(self, account, request)

                async def made() -> Reply:
                    return await self._desk.window.achecked(request.fitted, await account.awaiting_tries()(attempt))

                return await Replay[Reply].of(self._desk, account, request, form, self._get_request_payload).aonce(made)
        except BackendError as error:
            other = self if steps_down(self._desk, scope, ask, error) else await self._successor(scope, error)
            if other is None:
                raise
        return await other._aanswer(scope, wanted, form, send)  # noqa: SLF001 - our own class

    async def _successor(self, scope: Scope, error: BackendError) -> "GuardedChat | None":
        """Return the next back end's model; None where there is none or another server cannot help."""
        other = await self._next_after(error)
        if other is not None:
            names = f"{self._desk.backend.name} → {other._desk.backend.name}"  # noqa: SLF001 - our own class
            self.ledger.remark(Remark(scope, "failover", f"{names}: {short_line(str(error))}"))
        return other

    async def _next_after(self, error: BackendError) -> "GuardedChat | None":
        failure = failure_of(error)
        is_down = isinstance(error, BackendUnavailable) or (failure is not None and failure.server_failed)
        return await self._next() if self._next and is_down else None

    def _send(self, account: CallAccount, request: Request) -> ChatResult:
        return received(account, request, super()._generate(*request.args, None, **request.kwargs))

    async def _asend(self, account: CallAccount, request: Request) -> ChatResult:
        result = await super()._agenerate(*request.args, None, **request.kwargs)
        return received(account, request, result)

    def _send_streamed(self, account: CallAccount, request: Request) -> list[ChatGenerationChunk]:
        held = HeldReply(account, request, self._desk.calls)
        vendor = super()._stream(*request.args, None, **request.kwargs)
        with closing(cast("Generator[ChatGenerationChunk]", vendor)) as pieces:
            for piece in pieces:
                held.take(piece)
        return held.whole()

    async def _asend_streamed(self, account: CallAccount, request: Request) -> list[ChatGenerationChunk]:
        held = HeldReply(account, request, self._desk.calls)
        vendor = super()._astream(*request.args, None, **request.kwargs)
        async with aclosing(cast("AsyncGenerator[ChatGenerationChunk]", vendor)) as pieces:
            await awaited(pieces, held)
        return held.whole()

    def _get_request_payload(
        self,
        input_: LanguageModelInput,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Payload:
        """Build the request body, in the form that every server knows."""
        vendor = super()._get_request_payload(input_, stop=stop, **kwargs)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - bare dict
        return on_the_wire(cast("Payload", vendor), self._desk.calls)
