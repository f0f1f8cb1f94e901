"""The switchboard: settings in, live clients out; nobody else assembles.

Nothing is opened before it is first asked for, and everything opened is closed by ``aclose``. The index and the
embedding model are opened in the calling thread (``index``); the model server is chosen off the event loop. One
instance serves any number of questions at once.
"""

import asyncio
from threading import Lock

from infra.engine.core import Engine
from infra.engine.transport import EngineAsyncTransport, EngineTransport
from infra.llm.backends import GuardedChat, build_budget, build_chat, choose
from infra.llm.endpoint import Backend, Transports
from infra.llm.ledger import Ledger
from infra.settings import Settings
from infra.store.embeddings import Embedder, open_minilm
from infra.store.index import Index


class Resources:
    """Live clients for one set of settings.

    Args:
        settings: read at a door.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ledger = Ledger()
        self._budget = build_budget(settings)
        self._lock = Lock()
        self._model: tuple[Backend, GuardedChat] | None = None
        self._store: tuple[Index, Embedder] | None = None

    def index(self) -> tuple[Index, Embedder]:
        """Return the tenant's index and the embedding model, opening both at the first call; blocks.

        Raises:
            StoreLocked: another process owns the data directory.
            StoreError: the data directory cannot be read or written.
        """
        with self._lock:
            if self._store is None:
                embedder = open_minilm(self.settings.data_dir)
                self._store = (Index.open(self.settings, embedder), embedder)
            return self._store

    async def backend(self) -> Backend:
        """Return the facts of the model server in use, choosing it at the first call."""
        return (await self._ready())[0]

    async def chat(self) -> GuardedChat:
        """Return the guarded model; give each agent its own with ``scoped``."""
        return (await self._ready())[1]

    def forget(self, question_id: str) -> None:
        """Drop a finished question's entries and reservations."""
        self.ledger.forget(question_id)
        self._budget.forget(question_id)

    def close(self) -> None:
        """Close the index, blocking. Closing twice does nothing more."""
        with self._lock:
            store, self._store = self._store, None
        if store is not None:
            store[0].close()

    async def aclose(self) -> None:
        """Close everything that was opened. Closing twice does nothing more."""
        with self._lock:
            model, self._model = self._model, None
        if model is not None:
            await model[1].aclose()
        await asyncio.to_thread(self.close)

    async def _ready(self) -> tuple[Backend, GuardedChat]:
        return self._model or await asyncio.to_thread(self._chosen)

    def _chosen(self) -> tuple[Backend, GuardedChat]:
        with self._lock:
            if self._model is None:
                engine = Engine(self.settings.engine)
                inside = Transports(EngineTransport(engine), EngineAsyncTransport(engine))
                backend = choose(self.settings, inside)
                carrier = inside if backend.name == "engine" else None
                chat = build_chat(backend, self.settings, self.ledger, self._budget, carrier)
                self._model = (backend, chat)
            return self._model
