"""The live desk: what the graph's nodes work with, put together from the switchboard and the search."""

import asyncio

from langchain_core.language_models import BaseChatModel

from infra.llm.endpoint import Backend
from infra.llm.ledger import Ledger, Scope
from infra.resources import Resources
from infra.settings import Settings
from tools.search import Retriever


class LiveDesk:
    """Implements ``graph.nodes.Desk`` over ``Resources``; opens nothing before it is needed."""

    def __init__(self, resources: Resources) -> None:
        """Keep ``resources``; whoever made them closes them."""
        self._resources = resources

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

    async def chat(self, scope: Scope) -> BaseChatModel:
        """Return the guarded model that works on ``scope``'s account."""
        return (await self._resources.chat()).scoped(scope)

    async def searcher(self) -> Retriever:
        """Return the search over the tenant's documents, opening the index at the first call."""
        index, embedder = await asyncio.to_thread(self._resources.index)
        return Retriever(index, embedder, self.settings.retrieval)

    async def backend(self) -> Backend:
        """Return the facts of the model server in use."""
        return await self._resources.backend()

    async def count(self, text: str) -> int:
        """Return how many tokens ``text`` is to the model in use."""
        return (await (await self._resources.chat()).acount_text(text)).tokens
