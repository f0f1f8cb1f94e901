"""Watching a streamed reply: nothing is passed on before it says something, and a reply that stops half-way is noticed.

Gives `StreamWatch`, which holds back the empty opening chunks (so that a stream that breaks before its first word can
be tried again), notes usage and the end, and marks what was left out of the prompt on the first chunk passed on.
"""

from collections.abc import Iterator

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from infra.llm.account import CallAccount
from infra.llm.request import Request, usage_of


class StreamBroken(Exception):  # noqa: N818 - what happened
    """A stream ended without saying that it is finished."""


class StreamWatch:
    """One try of a streamed call.

    Args:
        account: the call's account, told the usage and that a part was passed on.
        request: what was sent.
    """

    def __init__(self, account: CallAccount, request: Request) -> None:
        self._account = account
        self._request = request
        self._text = ""
        self._held: list[ChatGenerationChunk] = []
        self._finished = False

    def take(self, chunk: ChatGenerationChunk) -> Iterator[ChatGenerationChunk]:
        """Take one chunk; give those that may be passed on now."""
        message = chunk.message
        if isinstance(message, AIMessageChunk):
            self._account.used(usage_of(message.usage_metadata))
        self._finished = self._finished or bool((chunk.generation_info or {}).get("finish_reason"))
        self._text += chunk.text
        self._held.append(chunk)
        if self._account.passed_on or _says_something(chunk):
            yield from self._release()

    def end(self) -> Iterator[ChatGenerationChunk]:
        """End the stream; give what is still held back.

        Raises:
            StreamBroken: the server stopped without a finish reason.
        """
        if not self._finished:
            raise StreamBroken("the stream ended without a finish reason")
        if parsed := self._request.parsed(self._text):
            self._held.append(ChatGenerationChunk(message=AIMessageChunk(content="", additional_kwargs=parsed)))
        yield from self._release()

    def _release(self) -> Iterator[ChatGenerationChunk]:
        held, self._held = self._held, []
        if held and not self._account.passed_on and self._request.fitted.dropped:
            held[0].message.response_metadata["dropped"] = list(self._request.fitted.dropped)
        self._account.passed_on = self._account.passed_on or bool(held)
        yield from held


def _says_something(chunk: ChatGenerationChunk) -> bool:
    message = chunk.message
    return bool(message.content) or (isinstance(message, AIMessageChunk) and bool(message.tool_call_chunks))
