"""The live desk: what the graph's nodes work with, put together from the switchboard and the search."""

import asyncio

from langchain_core.language_models import BaseChatModel

from infra.llm.ledger import Ledger, Scope
from infra.resources import Resources
from infra.settings import BackendName, Settings
from tools.search import Retriever, open_retriever


class LiveDesk:
    """Implements ``graph.nodes.Desk`` over ``Resources``; opens nothing before it is needed."""

    def __init__(self, resources: Resources) -> None:
        """Keep ``resources``; whoever made them closes them."""
        self._resources = resources
        self._searcher: Retriever | None = None
        self._notes: dict[tuple[BackendName | None, str], str] = {}

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._resources.settings

    @property
    def ledger(self) -> Ledger:
        """Where every model call is entered."""
        return self._resources.ledger

    def forget(self, question_id: str) -> None:
        """Drop the account of a finished question."""
        self._resources.forget(question_id)

    async def chat(self, scope: Scope, backend: BackendName | None = None) -> BaseChatModel:
        """Return the guarded model that works on ``scope``'s account: its agent's own, or that of ``backend``."""
        name, model = self._resources.agent_model(scope.agent)
        asked = (name or backend, model)
        chat = await self._resources.chat(*asked)
        if asked not in self._notes:
            self._notes[asked] = (await self._resources.backend(*asked)).note
        return chat.scoped(scope)

    @property
    def notes(self) -> list[str]:
        """What is to be said of how the back ends that were asked came to be chosen; asks none."""
        return list(dict.fromkeys(note for note in self._notes.values() if note))

    async def rules(self) -> BaseChatModel:
        """Return the embedded engine's rules, which answer where a model cannot."""
        return await self._resources.rules()

    async def searcher(self) -> Retriever:
        """Return the search over the tenant's documents, opening the index at the first call."""
        index, embedder = await asyncio.to_thread(self._resources.index)
        if self._searcher is None:
            self._searcher = open_retriever(index, embedder, self.settings)
        return self._searcher

    async def count(self, text: str, backend: BackendName | None = None) -> int:
        """Return how many tokens ``text`` is to the model of ``backend``."""
        return (await (await self._resources.chat(backend)).acount_text(text)).tokens
