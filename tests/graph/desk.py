"""A desk for graph tests: the embedded engine as model, a search over a few passages in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel
from tenacity import wait_none

from graph.state import Question, Recalled, View
from infra.engine.core import Engine
from infra.engine.transport import EngineAsyncTransport, EngineTransport
from infra.llm.backends import GuardedChat, build_budget, build_desk, chat_over, choose
from infra.llm.budget import Budget, Limits
from infra.llm.desk import Retries
from infra.llm.endpoint import Backend, Transports
from infra.llm.ledger import Ledger, Scope
from infra.settings import AgentSettings, BackendName, Settings, SupervisorMode
from infra.text.terms import terms
from tools.evidence import Finding, Passage, Signal

TEXTS = {
    "ann.txt": "Ann Miller opened the bakery in May 2021. She sells forty loaves a day.",
    "bob.txt": "Bob Stone repaired the old mill in 1998. The mill stands by the river.",
    "cat.txt": "The cat of the bakery is called Whiskers. Whiskers sleeps on the oven.",
}


def passage(doc: str, text: str, score: float = 1.0) -> Passage:
    return Passage(f"id-{doc}", doc, 0, len(text), text, doc, score, f"digest-{doc}")


@dataclass
class SmallSearch:
    """Ranks whole texts by shared terms and gives the best ``most``; ``before`` is called with every query."""

    texts: dict[str, str] = field(default_factory=lambda: dict(TEXTS))
    before: Callable[[str], None] = lambda _: None
    queries: list[str] = field(default_factory=list[str])
    most: int = 2

    def search(
        self, query: str, *, k: int | None = None, roots: Sequence[str] | None = None, context: str = ""
    ) -> Finding:
        self.before(query)
        self.queries.append(f"{query} {context}".strip())
        wanted = set(terms(f"{query} {context}"))
        scored = {doc: len(wanted.intersection(terms(text))) for doc, text in self.texts.items()}
        best = sorted((doc for doc in scored if scored[doc]), key=lambda doc: (-scored[doc], doc))[: k or self.most]
        coverage = max(scored.values(), default=0) / len(wanted) if wanted else 0.0
        found = [passage(doc, self.texts[doc], float(scored[doc])) for doc in best]
        return Finding(query, found, Signal(coverage, likely=coverage >= 0.4, probability=coverage))


class SmallDesk:
    """Implements ``graph.nodes.Desk``.

    Args:
        search: what retrieval searches.
        mode: who chooses the next step.
        server: the model server; None: the embedded engine.
        settings: more settings, by section.
    """

    def __init__(
        self,
        search: SmallSearch | None = None,
        *,
        mode: SupervisorMode = "policy",
        server: Transports | None = None,
        **settings: Any,
    ) -> None:
        agents: dict[str, Any] = {"supervisor": mode, **settings.pop("agents", {})}
        self.settings = Settings(backend="vllm" if server else "engine", agents=AgentSettings(**agents), **settings)
        self.ledger = Ledger()
        self.forgotten: list[str] = []
        self.kept: list[dict[str, Any]] = []
        self.recalled = Recalled(answer="off", reason="no cache at a small desk")
        self.counted_for: list[BackendName | None] = []
        self.search = search or SmallSearch()
        engine = Engine(self.settings.engine)
        self._inside = Transports(EngineTransport(engine), EngineAsyncTransport(engine))
        chosen = choose(self.settings, self._inside, server=server)
        self._chat = self._built(chosen, self.ledger, build_budget(self.settings), server or self._inside)
        rules = choose(self.settings, self._inside, name="engine")
        self._rules = self._built(rules, Ledger(), Budget(Limits()), self._inside)

    def _built(self, backend: Backend, ledger: Ledger, budget: Budget, carrier: Transports) -> GuardedChat:
        desk = build_desk(backend, self.settings, ledger, budget, carrier, Retries(wait=wait_none()))
        return chat_over(desk, self.settings)

    def forget(self, question_id: str) -> None:
        self.forgotten.append(question_id)
        self.ledger.forget(question_id)

    async def recall(self, question: Question, text: str, scope: Scope) -> Recalled:
        return self.recalled

    def keep(self, view: View, answer: dict[str, Any]) -> None:
        self.kept.append(answer)

    async def chat(self, scope: Scope, backend: BackendName | None = None) -> BaseChatModel:
        return (self._rules if backend == "engine" else self._chat).scoped(scope)

    async def rules(self) -> BaseChatModel:
        return self._rules

    async def searcher(self) -> SmallSearch:
        return self.search

    async def count(self, text: str, backend: BackendName | None = None) -> int:
        self.counted_for.append(backend)
        return (await self._chat.acount_text(text)).tokens
