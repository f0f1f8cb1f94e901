"""A streamed reply, held back until it is whole: one that breaks is asked for again, and nothing of it is ever used.

Gives `HeldReply`, which takes the pieces of one try, notes the first word, usage and the end, and gives the pieces when
the end has come; and `awaited`, which feeds it from a server that is given its time for the first word and for each
silence after it. A blocking caller's silences are bounded by its client (`infra.llm.bounds.timeout_of`).
"""

import asyncio
import time
from collections.abc import AsyncIterator

from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessageChunk
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
        self._spoken = self._finished = False

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
        message = piece.message
        if isinstance(message, AIMessageChunk):
            self._account.used(usage_of(message.usage_metadata))
        if not self._spoken and _says_something(piece):
            if not self.patience:
                raise self.late()
            self._spoken = True
            self._account.spoke()
        self._finished = self._finished or bool((piece.generation_info or {}).get("finish_reason"))
        self._held.append(piece)
        if len(self._held) > self._most:
            raise NotAReply(
                f"more than {self._most:,} pieces where {self._request.fitted.reply_tokens:,} were asked for"
            )

    def whole(self) -> list[ChatGenerationChunk]:
        """End the stream; give its pieces, marked with what was left out of the prompt and what they hold together.

        Raises:
            StreamBroken: the server stopped without a finish reason.
        """
        if not self._finished:
            raise StreamBroken("the stream ended without a finish reason")
        whole = self._held[0] + self._held[1:]
        self._account.learned.replied(whole.message, self._request.ask.schema)
        self._held[0].message.response_metadata |= self._request.marks
        if parsed := self._request.parsed(whole.text):
            self._held.append(ChatGenerationChunk(message=AIMessageChunk(content="", additional_kwargs=parsed)))
        return self._held


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
