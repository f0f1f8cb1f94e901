"""The switchboard: settings in, live clients out; nobody else assembles.

Nothing is opened before it is first asked for, and everything opened is closed by ``aclose``. The index and the
embedding model are opened in the calling thread (``index``). Any number of back ends are open at once, one for each
name and model asked for: each is chosen once, in a thread of its own, so that a silent server keeps nobody else
waiting; a choice that failed is made anew when it is asked for again. One instance serves any number of questions.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Literal, get_args

from langchain_core.language_models import BaseChatModel
from loguru import logger

from infra.cache.answers import AnswerCache
from infra.cache.calls import CallCache, open_calls
from infra.cache.calls_follow import follow_documents
from infra.cache.meaning import Meaning
from infra.cache.upkeep import bounds_of
from infra.engine.core import Engine
from infra.engine.transport import EngineAsyncTransport, EngineTransport
from infra.errors import BackendError, ConfigurationError
from infra.llm.backends import GuardedChat, build_budget, build_desk, chain, chat_over, choose
from infra.llm.background import awaited, in_background
from infra.llm.breaker import Breaker
from infra.llm.budget import Budget, Limits
from infra.llm.desk import Desk
from infra.llm.endpoint import Backend, Transports
from infra.llm.ledger import Ledger
from infra.settings import BackendKind, BackendName, ModelSettings, Settings
from infra.store.embeddings import Embedder, MiniLM, word_pieces
from infra.store.embeddings_open import open_embedder
from infra.store.index import Index
from infra.telemetry import CallLog
from infra.vllm.watch import gpus_in_use

_Key = tuple[BackendName, str] | Literal["rules"]


@dataclass(frozen=True, slots=True)
class _Opened:
    """A back end in use: what its calls share, and its model with those that take over from it."""

    desk: Desk
    chat: GuardedChat


class Resources:
    """Live clients for one set of settings.

    Args:
        settings: read at a door.
        server: reaches the model servers; None is the network.

    Attributes:
        calls: keeps model replies and searches; None where it is switched off.
    """

    def __init__(self, settings: Settings, *, server: Transports | None = None) -> None:
        self.settings = settings
        self.ledger = Ledger()
        self._call_log = CallLog(settings, gpus_in_use)
        self.ledger.listen(self._call_log)
        self._server = server
        self.calls: CallCache | None = open_calls(settings)
        self._budget = build_budget(settings)
        self._lock = Lock()
        self._opened: dict[_Key, Future[_Opened]] = {}
        self._retired: list[Desk] = []
        self._breakers: dict[str, Breaker] = {}
        engine = Engine(settings.engine)
        self._inside = Transports(EngineTransport(engine), EngineAsyncTransport(engine))
        self._store_lock = Lock()
        self._store: tuple[Index, Embedder] | None = None
        self._answers: AnswerCache | None = None

    def index(self) -> tuple[Index, Embedder]:
        """Return the tenant's index and the embedding model, opening both at the first call; blocks.

        Raises:
            StoreLocked: another process owns the vectors and uses another embedding model.
            StoreError: the data directory cannot be read or written.
        """
        with self._store_lock:
            if self._store is None:
                embedder = open_embedder(self.settings)
                index = Index.open(self.settings, embedder)
                # whether it is used or not: what is cached follows each change of documents, or is all forgotten
                follow_documents(index)
                self._store = (index, embedder)
            return self._store

    def answers(self) -> AnswerCache | None:
        """Return the tenant's answer cache, opened at the first call; blocks. None where it is switched off.

        Raises:
            StoreLocked, StoreError: see `index`.
        """
        if not (self.settings.cache.enabled and self.settings.cache.answers):
            return None
        index, embedder = self.index()
        with self._store_lock:
            if self._answers is None:
                pieces = word_pieces(self.settings.data_dir) if isinstance(embedder, MiniLM) else None
                meaning = Meaning(embedder, pieces)
                bounds = bounds_of(self.settings.cache)
                self._answers = AnswerCache(index, meaning, meaning, bounds=bounds, qdrant=self.settings.qdrant)
            return self._answers

    async def backend(self, name: BackendName | None = None, model: str = "") -> Backend:
        """Return the facts of a back end; see `chat`."""
        return (await self._ready(name, model)).desk.backend

    async def chat(self, name: BackendName | None = None, model: str = "") -> GuardedChat:
        """Return the guarded model of a back end; give each agent its own with ``scoped``.

        While its server is down, calls go on to the next of `infra.llm.backends.chain`, which is opened only then.

        Args:
            name: which one; None: the settings'.
            model: a model asked for in place of the settings'; without a name, of the back end in use.

        Raises:
            BackendError: it does not answer.
            ConfigurationError: it does not serve the model.
        """
        return (await self._ready(name, model)).chat

    def agent_model(self, agent: str) -> tuple[BackendName | None, str]:
        """Return the back end and the model that an agent has of its own, for `chat`; (None, "") has the run's.

        Raises:
            ConfigurationError: the setting names no back end and no model.
        """
        if agent not in ModelSettings.model_fields:
            return None, ""
        value: str = getattr(self.settings.models, agent).strip()
        head, colon, rest = (part.strip() for part in value.partition(":"))
        for kind in get_args(BackendKind):
            if head == kind and bool(rest) == bool(colon):
                return kind, rest
        if head in get_args(BackendName):
            kinds = ", ".join(get_args(BackendKind))
            raise ConfigurationError(
                f"DOCMIND_MODELS__{agent.upper()}={value!r}: give backend:model, a back end ({kinds}) or a model"
            )
        return None, value

    async def rules(self) -> BaseChatModel:
        """Return the embedded engine's rules as a model: not model calls, so in no question's budget or ledger."""
        return (await self._shared("rules", self._choose_rules)).chat

    def forget(self, question_id: str) -> None:
        """Drop a finished question's entries and reservations."""
        self.ledger.forget(question_id)
        self._budget.forget(question_id)

    async def llama_index(self) -> None:
        """Set LlamaIndex's ``Settings`` to the guarded model and our embedder, for who works with LlamaIndex."""
        # it takes a second or two to import, and no question needs it
        from infra.llama import use_for_llama_index  # noqa: PLC0415

        ready = await self._ready(None, "")
        _, embedder = await asyncio.to_thread(self.index)
        pieces = await asyncio.to_thread(word_pieces, self.settings.data_dir)
        use_for_llama_index(ready.chat, ready.desk.backend, self.settings, embedder, pieces)

    def close(self) -> None:
        """Close the index, the cache and the log of calls, blocking. Closing twice does nothing more."""
        self._call_log.close()
        if self.calls is not None:
            self.calls.close()
        with self._store_lock:
            store, self._store = self._store, None
            answers, self._answers = self._answers, None
        if answers is not None:
            answers.close()  # before the documents it stands with
        if store is not None:
            store[0].close()

    async def aclose(self) -> None:
        """Close everything that was opened. Closing twice does nothing more."""
        with self._lock:
            opened, self._opened = self._opened, {}
            retired, self._retired = self._retired, []
        done = [future.result().desk for future in opened.values() if future.done() and not future.exception()]
        for desk in [*done, *retired]:
            await desk.clients.aclose()
        await asyncio.to_thread(self.close)

    async def _ready(self, name: BackendName | None, model: str) -> _Opened:
        if model and name in (None, "auto"):
            name = (await self._ready(name, "")).desk.backend.name
        key: tuple[BackendName, str] = (name or self.settings.backend, model)
        opened = await self._shared(key, partial(self._choose, key))
        if opened.desk.backend.provisional:
            return await self._settled(key, opened)
        return opened

    async def _shared(self, key: _Key, work: Callable[[], _Opened]) -> _Opened:
        """Do ``work`` once for all who ask for ``key``; a failure is told to them and forgotten."""
        with self._lock:
            future = self._opened.get(key)
            if future is None or (future.done() and future.exception()):
                future = self._opened[key] = in_background(work)
        return await awaited(future)

    def _choose(self, key: tuple[BackendName, str]) -> _Opened:
        name, model = key
        backend = choose(self.settings, self._inside, name=name, model=model, server=self._server)
        return self._linked(self._desk(backend), chain(self.settings, backend, name=name))

    def _choose_rules(self) -> _Opened:
        backend = choose(self.settings, self._inside, name="engine")
        desk = build_desk(backend, self.settings, Ledger(), Budget(Limits()), self._inside)
        return self._linked(desk, [])

    def _desk(self, backend: Backend) -> Desk:
        carrier = self._inside if backend.name == "engine" else self._server
        desk = build_desk(backend, self.settings, self.ledger, self._budget, carrier)
        with self._lock:
            breaker = self._breakers.setdefault(backend.base_url, desk.breaker)
        return replace(desk, breaker=breaker, keeper=self.calls)

    def _linked(self, desk: Desk, rest: Sequence[BackendKind]) -> _Opened:
        """Put a model over a desk that goes on to ``rest`` while its server is down."""
        return _Opened(desk, chat_over(desk, self.settings, partial(self._next, rest) if rest else None))

    async def _next(self, rest: Sequence[BackendKind]) -> GuardedChat | None:
        """Open the first back end of ``rest`` that answers; what is after it takes over from it in turn."""
        for place, kind in enumerate(rest, start=1):
            try:
                opened = await self._ready(kind, "")
            except (BackendError, ConfigurationError) as error:
                logger.warning("{} cannot take over: {}", kind, type(error).__name__)
            else:
                return self._linked(opened.desk, rest[place:]).chat
        return None

    async def _settled(self, key: tuple[BackendName, str], opened: _Opened) -> _Opened:
        """Ask again for facts that were provisional; keep the old ones while nobody knows better."""
        old = opened.desk
        name: BackendName = old.backend.name
        ask = partial(choose, self.settings, self._inside, name=name, model=old.backend.model, server=self._server)
        try:
            backend = await awaited(in_background(ask))
        except (BackendError, ConfigurationError) as error:
            logger.warning("{} could not be asked again: {}", name, type(error).__name__)
            return opened
        return opened if backend.provisional else self._renewed(key, opened, backend)

    def _renewed(self, key: tuple[BackendName, str], opened: _Opened, backend: Backend) -> _Opened:
        """Put new facts in the place of provisional ones, unless another caller was faster."""
        if key[0] == "auto":
            backend = replace(backend, note=f"{backend.name} at {backend.base_url}")
        desk = replace(self._desk(backend), learned=opened.desk.learned)
        renewed: Future[_Opened] = Future()
        renewed.set_result(self._linked(desk, chain(self.settings, backend, name=key[0])))
        with self._lock:
            current = self._opened.get(key)
            if current is None or current.result() is not opened:
                return current.result() if current else opened
            self._opened[key] = renewed
            self._retired.append(opened.desk)
        return renewed.result()
