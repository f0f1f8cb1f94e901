"""The live desk: what the graph's nodes work with, put together from the switchboard and the search.

A search that was made before is not made again while no document changes (`KeptSearch`).
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from langchain_core.language_models import BaseChatModel
from pydantic import TypeAdapter, ValidationError

from agents.retrieval import Searcher
from infra.llm.kept import Keeper, Kept
from infra.llm.ledger import Ledger, Scope
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

    async def searcher(self) -> Searcher:
        """Return the search over the tenant's documents, opening the index at the first call."""
        index, embedder = await asyncio.to_thread(self._resources.index)
        if self._searcher is None:
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
