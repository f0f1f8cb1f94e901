"""Choosing a back end, and building the guarded model that reaches it.

Gives `choose` (settings → `Backend`, found out by asking the server) and `build_chat` (`Backend` → `GuardedChat`).
``vllm`` and ``engine`` are asked for their model and window; ``auto`` takes vLLM when it answers within a second, else
the embedded engine, and says which in `Backend.note`. Nothing but the configured address is contacted. `choose` blocks:
call it through `asyncio.to_thread` where a loop runs.
"""

import time
from collections.abc import Mapping
from typing import TypeVar

import httpx2
from pydantic import BaseModel, Field, SecretStr, ValidationError

from infra.errors import BackendError, BackendUnavailable, ConfigurationError
from infra.llm.account import Desk, Retries
from infra.llm.budget import Budget, Limits
from infra.llm.endpoint import Backend, Clients, Transports, open_clients
from infra.llm.failures import one_line
from infra.llm.guard import GuardedChat
from infra.llm.ledger import Ledger
from infra.llm.tokens import TokenCounter
from infra.llm.window import Window
from infra.settings import Settings

__all__ = ["Backend", "GuardedChat", "Retries", "Transports", "build_budget", "build_chat", "choose"]

ENGINE_URL = "http://engine.invalid/v1"  # never resolved: requests to it are answered in process
ENGINE_NAME = "embedded engine (extractive, no language model)"
PROBE_SECONDS = 1.0
_MAX_PROBE_BYTES = 1_000_000
_MAX_NAMED = 8
_CHECK = "check DOCMIND_VLLM__BASE_URL (it ends in /v1)"
_HELP = "start the server, set DOCMIND_VLLM__BASE_URL, or use DOCMIND_BACKEND=engine"


Shape = TypeVar("Shape", bound=BaseModel)


def choose(settings: Settings, engine: Transports, *, server: Transports | None = None) -> Backend:
    """Find out which back end answers, and what it can hold.

    Args:
        settings: ``backend`` says which are allowed; ``vllm`` and ``engine`` where and how large.
        engine: reaches the embedded engine.
        server: reaches the vLLM server; None is the network.

    Raises:
        BackendUnavailable: ``vllm`` is asked for and does not answer.
        BackendError: ``vllm`` is asked for and answers what is not a model list.
        ConfigurationError: the server does not serve the configured model, and serves none or several others.
    """
    if settings.backend == "engine":
        return _engine(settings, engine, "")
    try:
        return _vllm(settings, server)
    except BackendError as error:
        if settings.backend == "vllm":
            raise
        return _engine(settings, engine, f"embedded engine: {error}")


def build_budget(settings: Settings) -> Budget:
    """Build the budgets that the settings describe."""
    budget = settings.budget
    return Budget(
        Limits(
            call_tokens=budget.call_tokens,
            agent_tokens=budget.agent_tokens,
            question_tokens=budget.question_tokens,
            question_calls=budget.question_calls,
            thread_tokens=budget.thread_tokens,
        )
    )


def build_chat(
    backend: Backend,
    settings: Settings,
    ledger: Ledger,
    budget: Budget,
    transports: Transports | None = None,
    retries: Retries | None = None,
) -> GuardedChat:
    """Build the guarded model of a back end; close it with its `aclose`.

    Args:
        backend: what `choose` found.
        settings: times, key, reserve and margin.
        ledger: where its calls are entered.
        budget: what its calls are reserved from.
        transports: what carries the requests; None is the network. The engine needs its own.
        retries: how often a call is tried; None is three times, waiting 1 and 2 s.
    """
    if backend.name == "engine" and transports is None:
        raise ConfigurationError("the embedded engine runs in process and needs its transports")
    key = settings.vllm.api_key if backend.name == "vllm" else SecretStr("none")
    clients = open_clients(
        transports,
        connect_seconds=settings.calls.connect_seconds,
        call_seconds=settings.calls.first_token_seconds,
        api_key=key.get_secret_value(),
    )
    window = Window(
        tokens=backend.context_window,
        reserve_tokens=settings.budget.reserve_tokens,
        margin_tokens=settings.budget.margin_tokens,
        setting=backend.window_setting,
    )
    counter = TokenCounter(backend, clients)
    desk = Desk(backend, clients, counter, window, budget, ledger, retries or Retries())
    return GuardedChat.over(desk, key)


def _vllm(settings: Settings, transports: Transports | None) -> Backend:
    vllm = settings.vllm
    patience = PROBE_SECONDS if settings.backend == "auto" else settings.calls.connect_seconds
    clients = open_clients(
        transports, connect_seconds=patience, call_seconds=patience, api_key=vllm.api_key.get_secret_value()
    )
    try:
        served = _served(clients, vllm.base_url)
        version = _version(clients, vllm.base_url)
    finally:
        if transports is None:  # given ones are their owner's to close
            clients.close()
    model, note = _model(served, vllm.model, vllm.base_url)
    limit = served[model]
    return Backend(
        name="vllm",
        model=model,
        engine=f"vllm {version}".strip(),
        context_window=min(limit or vllm.context_window, vllm.context_window),
        base_url=vllm.base_url,
        note=note or (f"vLLM at {vllm.base_url}" if settings.backend == "auto" else ""),
    )


def _engine(settings: Settings, transports: Transports, note: str) -> Backend:
    clients = open_clients(transports, connect_seconds=PROBE_SECONDS, call_seconds=PROBE_SECONDS)
    served = _served(clients, ENGINE_URL)
    model = next(iter(served))
    return Backend(
        name="engine",
        model=model,
        engine=ENGINE_NAME,
        context_window=min(served[model] or settings.engine.context_window, settings.engine.context_window),
        base_url=ENGINE_URL,
        note=note,
    )


class _Served(BaseModel):
    id: str
    max_model_len: int | None = Field(default=None, gt=0)


class _Listing(BaseModel):
    data: list[_Served] = Field(min_length=1)


class _Version(BaseModel):
    version: str = Field(max_length=64)


def _served(clients: Clients, base_url: str) -> dict[str, int | None]:
    """Ask which models are served; returns each one's window where the server says it (vLLM's ``max_model_len``)."""
    listing = _get(clients, f"{base_url}/models", _Listing)
    return {served.id: served.max_model_len for served in listing.data}


def _version(clients: Clients, base_url: str) -> str:
    """Ask for vLLM's version; empty where the server does not say (only shown, never decided on)."""
    try:
        return _get(clients, f"{base_url.removesuffix('/v1')}/version", _Version).version
    except BackendError:
        return ""


def _model(served: Mapping[str, int | None], configured: str, base_url: str) -> tuple[str, str]:
    """Return the model to ask for, and what to say when it is not the configured one."""
    if configured in served:
        return configured, ""
    names = list(served)
    if len(names) == 1:
        return names[0], f"{base_url} serves {names[0]}, not {configured} (DOCMIND_VLLM__MODEL): using what it serves"
    raise ConfigurationError(
        f"DOCMIND_VLLM__MODEL={configured!r} is not served at {base_url}; it serves {', '.join(names[:_MAX_NAMED])}"
    )


def _get(clients: Clients, url: str, shape: type[Shape]) -> Shape:
    """Get a small JSON object within the clients' patience, whatever the server does."""
    try:
        return shape.model_validate_json(_read(clients, url))
    except httpx2.HTTPStatusError as error:
        status = error.response.status_code
        hint = "set DOCMIND_VLLM__API_KEY" if status in (401, 403) else _CHECK
        raise BackendError(f"{url} answered {status}; {hint}") from error
    except httpx2.HTTPError as error:
        said = one_line(f"{type(error).__name__}: {error}")
        raise BackendUnavailable(f"no model server answers at {url} ({said}); {_HELP}") from error
    except ValidationError as error:
        said = one_line(error.errors()[0]["msg"])
        raise BackendError(f"{url} answered what an OpenAI API would not ({said}); {_CHECK}") from error


def _read(clients: Clients, url: str) -> bytes:
    deadline = time.monotonic() + (clients.timeout.read or PROBE_SECONDS)
    body = b""
    with clients.blocking.stream("GET", url, headers=clients.headers) as response:
        response.raise_for_status()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > _MAX_PROBE_BYTES or time.monotonic() > deadline:
                raise httpx2.ReadTimeout("the answer is too long or too slow", request=response.request)
    return body
