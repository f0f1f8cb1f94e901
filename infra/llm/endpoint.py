"""The other end of a model call: the facts of a back end, and the HTTP clients that reach it.

Gives `Backend` (facts found out by asking, in `infra.llm.servers`), `Transports` (what carries the requests: the
network, or the embedded engine in process) and `Clients` (httpx2 clients over them, shared by token counts and calls).
Leaves choosing to `infra.llm.backends` and what is sent to `infra.llm.guard`. Proxies of the environment are never used
and redirects never followed: the only address contacted is the configured one.
"""

import ssl
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import httpx2

from infra.llm.bounds import bounded_awaiting, bounded_blocking
from infra.llm.network import PerLoop, blocking_over
from infra.settings import BackendKind, CallSettings

Counting = Literal["vllm", "llamacpp", "none"]
"""How a server counts tokens: vLLM's /tokenize; llama.cpp's /apply-template and /tokenize; not at all."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a server can do; None: not known, it has not said and was not asked yet.

    Attributes:
        tools: it takes tools and calls them.
        parallel_calls: it may call several in one reply.
        json_schema: it holds a reply to a JSON schema.
        cached_tokens: it reports how much of a prompt it had in its cache.
    """

    tools: bool | None = None
    parallel_calls: bool | None = None
    json_schema: bool | None = None
    cached_tokens: bool | None = None


@dataclass(frozen=True, slots=True)
class Backend:
    """What a run needs to know about the server that answers it.

    Attributes:
        name: which kind it is.
        model: name of the model as the server knows it.
        engine: what answers, in words (``vllm 0.32.0``, ``embedded engine (extractive, no language model)``).
        context_window: tokens of prompt and reply together: the smaller of the server's figure and the settings'.
        base_url: where its OpenAI API answers, ending in ``/v1``.
        counting: how it counts tokens.
        abilities: what it can do, as far as it said so.
        tokenizer: folder with its tokenizer and chat template on this machine, where there is one.
        note: how it came to be chosen, fit to be shown; empty when there is nothing to say.
        window_option: the server's own option that bounds the window, where its figure is the smaller one.
        provisional: the window is the server's default and not its figure, because the model is not loaded yet: ask
            again after a call.
    """

    name: BackendKind
    model: str
    engine: str
    context_window: int
    base_url: str
    counting: Counting = "vllm"
    abilities: Abilities = field(default_factory=Abilities)
    tokenizer: Path | None = None
    note: str = ""
    window_option: str = ""
    provisional: bool = False

    @property
    def root_url(self) -> str:
        """Where ``/tokenize``, ``/health`` and ``/version`` answer: the base URL without ``/v1``."""
        return self.base_url.removesuffix("/v1")

    @property
    def window_setting(self) -> str:
        """Name of the setting, or of the server's option, that bounds the window."""
        return self.window_option or f"DOCMIND_{self.name.upper()}__CONTEXT_WINDOW"


@dataclass(frozen=True, slots=True)
class Transports:
    """What carries the requests, for blocking and for awaiting callers.

    Attributes:
        blocking: answers in process; None: ``awaiting`` carries the blocking callers' requests too, in another loop.
        awaiting: whatever it waits for can be ended at any moment.
    """

    blocking: httpx2.BaseTransport | None
    awaiting: httpx2.AsyncBaseTransport


@dataclass(frozen=True, slots=True)
class Clients:
    """The two HTTP clients of one back end; whoever made them closes them."""

    blocking: httpx2.Client
    awaiting: httpx2.AsyncClient
    timeout: httpx2.Timeout
    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)  # the key stands there

    def close(self) -> None:
        """Close the blocking client, where the awaiting one is not used; `aclose` closes both."""
        self.blocking.close()

    async def aclose(self) -> None:
        """Close both clients; closing twice does nothing more."""
        await self.awaiting.aclose()
        self.blocking.close()


def open_clients(
    transports: Transports | None,
    *,
    connect_seconds: float,
    call_seconds: float,
    api_key: str = "",
    calls: CallSettings | None = None,
) -> Clients:
    """Open the clients of one back end.

    Args:
        transports: what carries the requests; None is the network.
        connect_seconds: time to open a connection.
        call_seconds: time without a byte before a request is given up, where it brings no time of its own.
        api_key: sent as a bearer token with the requests that the OpenAI client does not send itself.
        calls: bounds every exchange by `infra.llm.bounds`; None: the usual times, or the request's own `TOTAL`.

    Returns:
        Both clients, unconnected.
    """
    timeout = httpx2.Timeout(call_seconds, connect=connect_seconds, pool=call_seconds / 2)
    bounds = calls or CallSettings()
    carried = transports or Transports(None, PerLoop(_network))
    awaiting = bounded_awaiting(carried.awaiting, bounds)
    blocking = bounded_blocking(carried.blocking, bounds) if carried.blocking else blocking_over(awaiting)
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return Clients(
        blocking=httpx2.Client(transport=blocking, timeout=timeout, trust_env=False, follow_redirects=False),
        awaiting=httpx2.AsyncClient(transport=awaiting, timeout=timeout, trust_env=False, follow_redirects=False),
        timeout=timeout,
        headers=headers,
    )


def _network() -> httpx2.AsyncBaseTransport:
    return httpx2.AsyncHTTPTransport(verify=_tls(), trust_env=False)


@cache
def _tls() -> ssl.SSLContext:
    """Return the one TLS context of all clients: reading the certificates takes 20 ms and more (measured)."""
    return httpx2.create_ssl_context(trust_env=False)
