"""A streamed reply, held back until it is whole: one that breaks is asked for again, and nothing of it is returned.

Gives `HeldReply`, which takes the pieces of one try, notes the first word, usage and the end, and gives the pieces when
the end has come; and `awaited`, which feeds it from a server that is given its time for the first word and for each
silence after it. A blocking caller's silences are bounded by its client (`infra.llm.bounds.timeout_of`). Whoever the
caller named as listener hears the words as they come, and with each try that those of the one before are void.

Only words, the figures of use and why the reply ended are kept of a piece: LangChain looks through a whole list for
each of its numbered elements, and copies a long text for each part of it. Calls with tools are not streamed, so a tool
call in a stream is one that nobody asked for, and its arguments are words of the reply. `UnreadCalls` keeps LangChain
from reading them before they are whole.

A thought (``reasoning_content``, ``reasoning``) is no word of the reply, but a sign of life: LangChain gives it as a
piece without words. The first such piece is none, because it may name the role only: vLLM and llama.cpp send it with
the first token, other servers as soon as they have the request.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from itertools import chain
from typing import Any, cast

from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from infra.llm.account import CallAccount
from infra.llm.bounds import NotAReply, OutOfTime, StreamBroken
from infra.llm.request import Request, usage_of
from infra.settings import CallSettings

_PIECES_A_TOKEN = 4  # a token comes in one piece; a server may send a few about other things
_OTHER_PIECES = 256


class HeldReply:
    """One try of a streamed call.

    Args:
        account: the call's account, told of the first word and of the usage.
        request: what was sent.
        calls: how long the first word may take, and each silence after it.
    """

    def __init__(self, account: CallAccount, request: Request, calls: CallSettings) -> None:
        self._account, self._request, self._calls = account, request, calls
        self._held: list[ChatGenerationChunk] = []
        self._most = _PIECES_A_TOKEN * request.fitted.reply_tokens + _OTHER_PIECES
        self._first_word_due = time.monotonic() + calls.first_token_seconds
        self._called: defaultdict[int | None, list[str]] = defaultdict(list)  # arguments of calls, by their number
        self._deltas = 0
        self._spoken = self._finished = False
        self._listener = request.ask.listener
        if self._listener is not None:
            self._listener.began()

    @property
    def patience(self) -> float:
        """Seconds that the next piece may take."""
        return self._calls.stall_seconds if self._spoken else max(0.0, self._first_word_due - time.monotonic())

    def late(self) -> OutOfTime:
        """Return what to raise when the next piece took longer."""
        return OutOfTime(self._calls, "stall" if self._spoken else "first_token")

    def take(self, piece: ChatGenerationChunk) -> None:
        """Take a piece.

        Raises:
            OutOfTime: it is the first word and comes too late.
            NotAReply: the reply is far longer than it may be.
        """
        message, ending = piece.message, {} if self._finished else _ending(piece)
        self._heed(piece)
        if isinstance(message, AIMessageChunk):
            self._account.used(usage_of(message.usage_metadata))
            for call in message.tool_call_chunks:
                self._called[call["index"]].append(call["args"] or "")
        self._finished = self._finished or bool(ending)
        self._held.append(_plain(piece, ending))
        if len(self._held) > self._most:
            raise NotAReply(
                f"more than {self._most:,} pieces where {self._request.fitted.reply_tokens:,} were asked for"
            )
        if self._listener is not None and (words := self._held[-1].text):
            self._listener.said(words)

    def whole(self) -> list[ChatGenerationChunk]:
        """End the stream; give its pieces, marked with what was left out of the prompt and what they hold together.

        Raises:
            StreamBroken: the server stopped without a finish reason.
        """
        if not self._finished:
            raise StreamBroken("the stream ended without a finish reason")
        if called := "".join(chain.from_iterable(self._called.values())):
            self._held.append(ChatGenerationChunk(message=AIMessageChunk(content=called)))
        whole = self._held[0] + self._held[1:]
        self._account.learned.replied(whole.message, self._request.ask.schema)
        self._held[0].message.response_metadata |= self._account.marks
        if parsed := self._request.parsed(whole.text):
            self._held.append(ChatGenerationChunk(message=AIMessageChunk(content="", additional_kwargs=parsed)))
        return self._held

    def _heed(self, piece: ChatGenerationChunk) -> None:
        """Note the first sign that the reply is being written: a word, a call, or a second piece without either."""
        self._deltas += "model_provider" in piece.message.response_metadata  # LangChain's mark of what is no bare usage
        if self._spoken or not (_says_something(piece) or self._deltas > 1):
            return
        if not self.patience:
            raise self.late()
        self._spoken = True
        self._account.spoke()


class UnreadCalls:
    """Mixed into the vendor's model, before it: the tool calls in a piece of a stream are kept as they came.

    LangChain reads the arguments in each piece as JSON that was cut, and tries every length of them.
    """

    def _convert_chunk_to_generation_chunk(
        self,
        chunk: dict[str, Any],
        default_chunk_class: type,
        base_generation_info: dict[str, Any] | None,
    ) -> ChatGenerationChunk | None:
        vendor = super()._convert_chunk_to_generation_chunk  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType] - what it is mixed into
        calls = list(_calls_out_of(chunk))
        piece = cast("Callable[..., ChatGenerationChunk | None]", vendor)(
            chunk, default_chunk_class, base_generation_info
        )
        if piece is not None and isinstance(piece.message, AIMessageChunk):
            piece.message.tool_call_chunks = calls
        return piece


def assembled(pieces: list[ChatGenerationChunk]) -> ChatResult:
    """Return a streamed reply as one that came in one piece."""
    return generate_from_stream(iter(pieces))


async def awaited(pieces: AsyncIterator[ChatGenerationChunk], held: HeldReply) -> None:
    """Take pieces until there are no more. Raises OutOfTime for a server that lets its time pass."""
    while True:
        try:
            async with asyncio.timeout(held.patience):
                piece = await anext(pieces, None)
        except TimeoutError as error:
            raise held.late() from error
        if piece is None:
            return
        held.take(piece)


def _says_something(piece: ChatGenerationChunk) -> bool:
    message = piece.message
    return bool(message.content) or (isinstance(message, AIMessageChunk) and bool(message.tool_call_chunks))


def _ending(piece: ChatGenerationChunk) -> dict[str, str]:
    """Return why the reply ended, and which model wrote it; nothing where it has not ended."""
    info = piece.generation_info or {}
    told = {key: value for key, value in info.items() if isinstance(value, str)}
    return told if told.get("finish_reason") else {}


def _plain(piece: ChatGenerationChunk, ending: dict[str, str]) -> ChatGenerationChunk:
    """Return what a piece says and what it says was used, whatever role its server gives itself."""
    message = piece.message
    said = AIMessageChunk(
        content=str(piece.text),
        id=message.id,
        usage_metadata=message.usage_metadata if isinstance(message, AIMessageChunk) else None,
        response_metadata=message.response_metadata,
    )
    return ChatGenerationChunk(message=said, generation_info=ending or None)


def _calls_out_of(chunk: Mapping[str, Any]) -> Iterator[ToolCallChunk]:
    """Take the tool calls out of a piece as the server sent it, which may be anything."""
    for choice in _objects(chunk.get("choices"))[:1]:
        for delta in _objects([choice.get("delta")]):
            for call in _objects(delta.pop("tool_calls", None)):
                for function in _objects([call.get("function")]):
                    args, index = function.get("arguments"), call.get("index")
                    if isinstance(args, str):
                        yield tool_call_chunk(args=args, index=index if isinstance(index, int) else None)


def _objects(value: object) -> list[dict[str, Any]]:
    listed = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", item) for item in listed if isinstance(item, dict)]
