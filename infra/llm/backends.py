"""Choosing a back end, and building the guarded model that reaches it.

Gives `choose` (settings → `Backend`, found out by asking the server), `chain` (where calls go when it is down) and, in
two steps, `build_desk` and `chat_over` (`Backend` → what its calls share → `GuardedChat`). ``auto`` asks every server
that is set up at the same time, takes the first that answers, in the order of `SERVERS`, all within a second, else the
embedded engine, and says which in `Backend.note`. What is asked of each kind is in `infra.llm.servers`; nothing but the
configured addresses is contacted. `choose` blocks: call it off the loop.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

from pydantic import SecretStr

from infra.errors import BackendError, BackendUnavailable, ConfigurationError
from infra.llm.background import in_background
from infra.llm.breaker import Breaker
from infra.llm.budget import Budget, Limits
from infra.llm.desk import Desk, Retries
from infra.llm.endpoint import Backend, Transports, open_clients
from infra.llm.guard import GuardedChat, Next
from infra.llm.ledger import Ledger
from infra.llm.live_window import LiveWindow
from infra.llm.servers import engine as engine_server
from infra.llm.servers import llamacpp, ollama, openai, vllm
from infra.llm.servers.engine import ENGINE_URL
from infra.llm.servers.probe import Probe
from infra.llm.tokens import TokenCounter
from infra.llm.window import Window
from infra.settings import (
    BackendKind,
    BackendName,
    LlamaCppSettings,
    OllamaSettings,
    OpenAISettings,
    Settings,
    VllmSettings,
)

__all__ = [
    "Backend",
    "GuardedChat",
    "Retries",
    "Transports",
    "build_budget",
    "build_desk",
    "chain",
    "chat_over",
    "choose",
]

SERVERS: tuple[BackendKind, ...] = ("vllm", "llamacpp", "ollama", "openai")
AUTO_SECONDS = 0.8  # for all servers together, who are asked side by side
LATE_SECONDS = 0.1  # more for one whose name is not resolved in time, which no HTTP timeout bounds
NO_KEY = SecretStr("none")  # the OpenAI client wants one

_FIND: dict[BackendKind, Callable[[Probe, Settings, str], Backend]] = {
    "vllm": vllm.find,
    "llamacpp": llamacpp.find,
    "ollama": ollama.find,
    "openai": openai.find,
    "engine": engine_server.find,
}


def choose(
    settings: Settings,
    engine: Transports,
    *,
    name: BackendName | None = None,
    model: str = "",
    server: Transports | None = None,
) -> Backend:
    """Find out which back end answers, what it can hold and what it can do.

    Args:
        settings: where the servers are, and which one when ``name`` does not say.
        engine: reaches the embedded engine.
        name: which one; None: ``settings.backend``.
        model: a model asked for in place of the settings'; empty: theirs.
        server: reaches the servers; None is the network.

    Raises:
        BackendUnavailable: the one that is asked for does not answer.
        BackendError: it answers what it should not.
        ConfigurationError: it does not serve the model, and what it serves leaves a choice.
    """
    asked = name or settings.backend
    if asked == "auto":
        return _first(settings, engine, model, server)
    return _asked(asked, settings, engine if asked == "engine" else server, model, settings.calls.connect_seconds)


def set_up(settings: Settings) -> list[BackendKind]:
    """Return the servers that ``auto`` asks, in order: vLLM, and those of which a setting is given."""
    return [kind for kind in SERVERS if kind == "vllm" or getattr(settings, kind).model_fields_set]


def chain(settings: Settings, first: Backend, *, name: BackendName | None = None) -> list[BackendKind]:
    """Return where calls go when ``first`` is down, in order.

    Args:
        settings: ``fallbacks``, where given. Else a back end that was named stands alone; one that was chosen among
            those set up is followed by the rest of them and the embedded engine.
        first: the back end in use.
        name: how it was asked for; None: as ``settings.backend`` says.
    """
    followers: list[BackendKind] = [*settings.fallbacks]
    if not followers and (name or settings.backend) == "auto":
        known = set_up(settings)
        followers = [*known[known.index(first.name) + 1 :], "engine"] if first.name in known else []
    return [kind for kind in dict.fromkeys(followers) if kind != first.name]


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


def build_desk(
    backend: Backend,
    settings: Settings,
    ledger: Ledger,
    budget: Budget,
    transports: Transports | None = None,
    retries: Retries | None = None,
) -> Desk:
    """Open the clients of a back end, and put together what all its models share.

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
    clients = open_clients(
        transports,
        connect_seconds=settings.calls.connect_seconds,
        call_seconds=settings.calls.stall_seconds,
        api_key=_key(settings, backend.name).get_secret_value(),
        calls=settings.calls,
    )
    window = Window(
        tokens=backend.context_window,
        reserve_tokens=settings.budget.reserve_tokens,
        margin_tokens=settings.budget.margin_tokens,
        setting=backend.window_setting,
    )
    return Desk(
        backend,
        clients,
        TokenCounter(backend, clients),
        LiveWindow(window, clients, ollama.window_source(backend, settings) if backend.name == "ollama" else None),
        budget,
        ledger,
        retries or Retries(),
        settings.calls,
        Breaker(settings.calls),
    )


def chat_over(desk: Desk, settings: Settings, next_: Next | None = None) -> GuardedChat:
    """Build a guarded model over a desk; its `aclose` closes the desk's clients.

    Args:
        desk: what `build_desk` gave.
        settings: the key.
        next_: opens the model that takes over while this one's server is down; asked only then.
    """
    return GuardedChat.over(desk, _key(settings, desk.backend.name), next_)


def _first(settings: Settings, engine: Transports, model: str, server: Transports | None) -> Backend:
    """Ask every server that is set up at the same time; return the first that answers, in order."""
    late = time.monotonic() + AUTO_SECONDS + LATE_SECONDS
    answers: dict[BackendKind, Future[Backend]] = {
        kind: in_background(partial(_asked, kind, settings, server, model, AUTO_SECONDS)) for kind in set_up(settings)
    }
    failures: list[str] = []
    for kind, answer in answers.items():
        try:
            backend = answer.result(timeout=max(0.0, late - time.monotonic()))
        except BackendError as error:
            failures.append(str(error))
        except TimeoutError:
            said = BackendUnavailable(f"no model server answers at {_address(settings, kind)} within a second")
            failures.append(str(said))
        else:
            return _noted(backend, f"{backend.name} at {backend.base_url}")
    chosen = _asked("engine", settings, engine, model, settings.calls.connect_seconds)
    return _noted(chosen, f"embedded engine: {'; '.join(failures)}")


def _asked(kind: BackendKind, settings: Settings, transports: Transports | None, model: str, seconds: float) -> Backend:
    """Ask one server, for so many seconds in all."""
    clients = open_clients(
        transports,
        connect_seconds=seconds,
        call_seconds=seconds,
        api_key=_key(settings, kind).get_secret_value(),
    )
    try:
        return _FIND[kind](Probe(kind, _address(settings, kind), clients, seconds=seconds), settings, model)
    finally:
        if transports is None:  # given ones are their owner's to close
            clients.close()


def _noted(backend: Backend, how: str) -> Backend:
    return replace(backend, note="; ".join(part for part in (how, backend.note) if part))


def _address(settings: Settings, kind: BackendKind) -> str:
    if kind == "engine":
        return ENGINE_URL
    section: VllmSettings | LlamaCppSettings | OllamaSettings | OpenAISettings = getattr(settings, kind)
    return section.base_url


def _key(settings: Settings, kind: BackendKind) -> SecretStr:
    """Return the key that is sent to a server; one that has no setting for it gets a word that says so."""
    return getattr(getattr(settings, kind), "api_key", NO_KEY)
