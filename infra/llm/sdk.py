"""The OpenAI client, deaf to the environment: a request carries what is ours and nothing else.

Gives `sdk_clients`. Left to itself the SDK sends OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS to whatever
server is set up, and fails where these cannot be headers. `default_headers` is where it puts them together. The key is
always given, or OPENAI_API_KEY and OPENAI_ADMIN_KEY would stand in for it. The SDK's own retries are off: they would
pass the ledger by.

A piece of a stream stays the object that it came as: LangChain reads it like that as well, and a type for each would
take half of what a streamed reply costs. One that is not plain words, or not of the usual form, goes the SDK's way.
"""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import httpx2
import openai
from openai.types.chat import ChatCompletionChunk

from infra.llm.endpoint import Clients

T = TypeVar("T")

_NO_KEY = "none"  # the SDK wants one
_HEADERS: Mapping[str, str] = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": "docmind",
}
_TYPED = ("usage", "error", "type", "chunk", "event")
"""Keys of a piece that are read otherwise than as words."""


class _Blocking(openai.OpenAI):
    @property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        return {**_HEADERS}

    def _process_response_data(self, *, data: object, cast_to: type[T], response: httpx2.Response) -> T:
        if cast_to is ChatCompletionChunk and _is_plain(data):
            return cast("T", data)
        return super()._process_response_data(data=data, cast_to=cast_to, response=response)


class _Awaiting(openai.AsyncOpenAI):
    @property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        return {**_HEADERS}

    def _process_response_data(self, *, data: object, cast_to: type[T], response: httpx2.Response) -> T:
        if cast_to is ChatCompletionChunk and _is_plain(data):
            return cast("T", data)
        return super()._process_response_data(data=data, cast_to=cast_to, response=response)


def sdk_clients(base_url: str, api_key: str, clients: Clients) -> dict[str, Any]:
    """Return what ChatOpenAI calls its clients, so that it makes none of its own.

    Args:
        base_url: where the server's OpenAI API answers.
        api_key: sent to the server; empty: a word that says so.
        clients: carry the requests; their owner closes them.
    """
    facts: dict[str, Any] = {
        "base_url": base_url,
        "api_key": api_key or _NO_KEY,
        "max_retries": 0,
        "timeout": clients.timeout,
    }
    blocking = _Blocking(**facts, http_client=clients.blocking)
    awaiting = _Awaiting(**facts, http_client=clients.awaiting)
    return {
        "client": blocking.chat.completions,
        "async_client": awaiting.chat.completions,
        "root_client": blocking,
        "root_async_client": awaiting,
    }


def _is_plain(data: object) -> bool:
    """Whether a piece is one choice's words and nothing else, so that a type would change nothing read of it."""
    piece = _object(data)
    choices: object = piece.get("choices")
    if any(piece.get(key) for key in _TYPED) or not isinstance(choices, list):
        return False
    listed = cast("list[object]", choices)
    choice = _object(listed[0]) if len(listed) == 1 else {}
    delta = _object(choice.get("delta"))
    return (
        bool(delta)
        and all(isinstance(delta.get(key), str | None) for key in ("role", "content", "id"))
        and not (delta.get("tool_calls") or delta.get("function_call") or choice.get("logprobs"))
        and isinstance(choice.get("finish_reason"), str | None)
    )


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
