"""The live desk: what the graph's nodes work with, put together from the switchboard and the search.

A search that was made before is not made again while no document changes (`KeptSearch`).
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import TypeAdapter, ValidationError

from agents.retrieval import Searcher
from agents.verifier import same_question
from graph.recall import Memory
from graph.state import Question, Recalled, View
from infra.cache.answers import AnswerCache
from infra.llm.ask import Asker
from infra.llm.backends import GuardedChat
from infra.llm.endpoint import Backend
from infra.llm.kept import Keeper, Kept
from infra.llm.ledger import Ledger, Remark, RemarkKind, Scope
from infra.resources import Resources
from infra.settings import BackendName, Settings
from infra.store.index import Index
from tools.evidence import Finding
from tools.search import open_retriever

SEARCH_SECONDS = 30.0
"""How long one search waits for an equal one."""

_FINDING = TypeAdapter(Finding)


@dataclass(frozen=True, slots=True)
class _Search:
    """One search; implements `infra.llm.kept.Keeping`. It holds for one generation of the index.

    Attributes:
        index: what is searched.
        generation: what its number was before the search; None: vectors were still behind the documents.
    """

    index: Index
    generation: int | None

    @property
    def kind(self) -> str:
        """Figures are kept for searches together."""
        return "search"

    @property
    def mark(self) -> str:
        """The generation: what was found in another one is dropped, texts of documents that may be gone with it."""
        return str(self.generation)

    @property
    def seconds(self) -> float:
        """The longest that it may take."""
        return SEARCH_SECONDS

    def kept(self, value: Finding) -> Kept | None:
        """Return what is to be kept of a finding, unless the documents changed while it was made."""
        return Kept(asdict(value)) if self.generation is not None and _settled(self.index) == self.generation else None

    def given(self, kept: Kept) -> Finding | None:
        """Return the finding again."""
        try:
            return _FINDING.validate_python(kept.value)
        except ValidationError:
            return None


class KeptSearch:
    """A search whose findings are kept; blocking, thread-safe.

    Args:
        search: makes the searches.
        index: what it searches.
        keeper: keeps them.
        how: what decides a finding beside the documents and the query: settings and model.
    """

    def __init__(self, search: Searcher, index: Index, keeper: Keeper, how: str) -> None:
        self._search, self._index, self._keeper, self._how = search, index, keeper, how

    def search(
        self, query: str, *, k: int | None = None, roots: Sequence[str] | None = None, context: str = ""
    ) -> Finding:
        """Return what this search found in these documents before, else search."""
        generation = _settled(self._index)
        asked = [self._how, generation, query, k, None if roots is None else list(roots), context]
        return self._keeper.once(
            json.dumps(asked),
            lambda: self._search.search(query, k=k, roots=roots, context=context),
            _Search(self._index, generation),
        )


def _settled(index: Index) -> int | None:
    """Return the index's generation; None while vectors are behind the documents, so that a search may miss some."""
    generation = index.generation
    return None if index.library.outbox() else generation


class LiveDesk:
    """Implements ``graph.nodes.Desk`` over ``Resources``; opens nothing before it is needed."""

    def __init__(self, resources: Resources) -> None:
        """Keep ``resources``; whoever made them closes them."""
        self._resources = resources
        self._searcher: Searcher | None = None
        self._memory = Memory(self)
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
        self._memory.forget(question_id)
        self._resources.forget(question_id)

    async def recall(self, question: Question, text: str, scope: Scope) -> Recalled:
        """Ask the answer cache; what is near is the model's to verify, on ``scope``'s account."""

        async def same(asked: str, kept: str) -> bool:
            def remark(kind: RemarkKind, detail: str) -> None:
                self.ledger.remark(Remark(scope, kind, detail))

            chat = await self._chat("validator", question.backend)
            return await same_question(asked, kept, Asker(chat.scoped(scope), None, remark))

        return await self._memory.recall(question, text, same)

    def keep(self, view: View, answer: dict[str, Any]) -> None:
        """Give a delivered answer to the cache; returns at once."""
        self._memory.keep(view, answer)

    async def stored(self) -> None:
        """Wait, in bounded time, until all answers given to `keep` are stored."""
        await asyncio.to_thread(self._memory.stored)

    async def store(self) -> tuple[Index, str, AnswerCache | None]:
        """Return the index, the embedding model's name and the answer cache, opening them at the first call."""
        index, embedder = await asyncio.to_thread(self._resources.index)
        return index, embedder.model_id, await asyncio.to_thread(self._resources.answers)

    async def backend(self, agent: str, name: BackendName | None = None) -> Backend:
        """Return the facts of the back end that answers ``agent``: its own, or that of ``name`` or the settings."""
        own, model = self._resources.agent_model(agent)
        asked = (own or name, model)
        backend = await self._resources.backend(*asked)
        self._notes.setdefault(asked, backend.note)
        return backend

    async def chat(self, scope: Scope, backend: BackendName | None = None) -> BaseChatModel:
        """Return the guarded model that works on ``scope``'s account: its agent's own, or that of ``backend``."""
        return (await self._chat(scope.agent, backend)).scoped(scope)

    async def _chat(self, agent: str, backend: BackendName | None) -> GuardedChat:
        name, model = self._resources.agent_model(agent)
        chat = await self._resources.chat(name or backend, model)
        await self.backend(agent, backend)
        return chat

    @property
    def notes(self) -> list[str]:
        """What is to be said of how the back ends that were asked came to be chosen; asks none."""
        return list(dict.fromkeys(note for note in self._notes.values() if note))

    async def rules(self) -> BaseChatModel:
        """Return the embedded engine's rules, which answer where a model cannot."""
        return await self._resources.rules()

    async def searcher(self) -> Searcher:
        """Return the search over the tenant's documents, opening the index at the first call."""
        if self._searcher is None:
            index, embedder = await asyncio.to_thread(self._resources.index)
            search = open_retriever(index, embedder, self.settings)
            keeper = self._resources.calls
            # a rerank server that fails leaves the order as it is: what was found then is not to be given again
            if keeper is None or self.settings.reranker.base_url:
                self._searcher = search
            else:
                how = f"{embedder.model_id} {self.settings.retrieval.model_dump_json()}"
                self._searcher = KeptSearch(search, index, keeper, how)
        return self._searcher

    async def count(self, text: str, backend: BackendName | None = None) -> int:
        """Return how many tokens ``text`` is to the model of ``backend``."""
        return (await (await self._resources.chat(backend)).acount_text(text)).tokens
