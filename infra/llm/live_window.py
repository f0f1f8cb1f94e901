"""The window that calls are fitted to, also where the server may change it with any call.

Gives `LiveWindow` and `WindowShrank`. Ollama loads a model anew after some idle minutes, or where another client wants
another window, and for a call of ours it takes its own default: what it said before need not hold. So it is asked after
each reply, when the model that wrote it is in memory. A prompt that may not have been held whole was cut without a
word: that reply is not used, and the call is fitted anew and sent again. A server that cannot be asked tells nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import httpx2

from infra.errors import BackendError
from infra.llm.bounds import TOTAL
from infra.llm.endpoint import Clients
from infra.llm.window import Fitted, Window

R = TypeVar("R")


class WindowShrank(BackendError):  # noqa: N818 - a name says what happened
    """A reply was written to a prompt that its server may have cut: it holds less than it said."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a server says what its model holds now.

    Attributes:
        url: answers a GET.
        read: its answer → tokens of prompt and reply; None where it does not say.
        option: name of what bounds the window there.
        most: tokens that are used of it.
        setting: name of what bounds these.
        seconds: time that the question may take.
    """

    url: str
    read: Callable[[bytes], int | None]
    option: str
    most: int
    setting: str
    seconds: float


class LiveWindow:
    """The window of one back end.

    Args:
        window: as it was found.
        clients: the HTTP clients of that back end.
        source: where it is told anew; None: it cannot change.
    """

    def __init__(self, window: Window, clients: Clients, source: Source | None = None) -> None:
        self.now = window
        self._clients = clients
        self._source = source

    def checked(self, fitted: Fitted, reply: R) -> R:
        """Return a reply to what was fitted, made sure of. Raises WindowShrank where its prompt may have been cut."""
        if self._source is None:
            return reply
        try:
            response = self._clients.blocking.get(self._source.url, **self._options(self._source.seconds))
        except httpx2.HTTPError:
            return reply
        return self._checked(fitted, reply, response, self._source)

    async def achecked(self, fitted: Fitted, reply: R) -> R:
        """Await what `checked` returns."""
        if self._source is None:
            return reply
        try:
            response = await self._clients.awaiting.get(self._source.url, **self._options(self._source.seconds))
        except httpx2.HTTPError:
            return reply
        return self._checked(fitted, reply, response, self._source)

    def _checked(self, fitted: Fitted, reply: R, response: httpx2.Response, source: Source) -> R:
        told = source.read(response.content) if response.is_success else None
        if told is None:
            return reply
        setting = source.option if told < source.most else source.setting
        self.now = replace(self.now, tokens=min(told, source.most), setting=setting)
        if fitted.prompt_tokens > told:
            raise WindowShrank(
                f"the prompt may have been cut: the model was loaded with {told:,} tokens, which is less than the "
                f"{fitted.prompt_tokens:,} that were sent; {source.option} decides"
            )
        return reply

    def _options(self, seconds: float) -> dict[str, Any]:
        return {"headers": self._clients.headers, "timeout": seconds, "extensions": {TOTAL: seconds}}
