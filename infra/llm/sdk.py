"""The OpenAI client, deaf to the environment: a request carries what is ours and nothing else.

Gives `sdk_clients`. Left to itself the SDK sends OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS to whatever
server is set up, and fails where these cannot be headers. `default_headers` is where it puts them together. The key is
always given, or OPENAI_API_KEY and OPENAI_ADMIN_KEY would stand in for it. The SDK's own retries are off: they would
pass the ledger by.
"""

from collections.abc import Mapping
from typing import Any

import openai

from infra.llm.endpoint import Clients

_NO_KEY = "none"  # the SDK wants one
_HEADERS: Mapping[str, str] = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": "docmind",
}


class _Blocking(openai.OpenAI):
    @property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        return {**_HEADERS}


class _Awaiting(openai.AsyncOpenAI):
    @property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        return {**_HEADERS}


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
