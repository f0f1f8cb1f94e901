"""What a question's time goes to: its model calls, its searches and the graph's steps, as spans of one clock.

`Watch` collects them while one question after the other is worked on; `watched` puts it in place. A model call lasts
from when its request reaches the embedded engine until the last byte of the reply was taken: what the client does with
one piece of a streamed reply before it takes the next is within. `Watch.work` has the engine's own work in it alone.
Counting a prompt is no model call, whoever counts it. A search lasts as long as the retriever works, in its thread.
Nodes of the graph are timed where LangGraph calls them; what is between them is LangGraph's.
"""

# langgraph's own overloads are partly untyped
# pyright: reportUnknownMemberType=false

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.graph.state import CompiledStateGraph

from agents.retrieval import Searcher
from graph.bench.tokens_arms import Original, Swap, swapped
from infra.engine.core import Engine
from infra.engine.exchange import Answer, Chunk, Request
from infra.measure.spans import Span
from infra.settings import EngineSettings
from tools.evidence import Finding

COMPLETIONS = "/v1/chat/completions"


@dataclass(slots=True)
class Watch:
    """What was seen since `clear`; ``delay_seconds`` is added to every search.

    Attributes:
        calls: model calls, each from its request to the end of its reply.
        work: the engine's own work for them.
        searches: searches.
        steps: nodes of our graph, with their names.
    """

    delay_seconds: float = 0.0
    calls: list[Span] = field(default_factory=list[Span])
    work: list[Span] = field(default_factory=list[Span])
    searches: list[Span] = field(default_factory=list[Span])
    steps: list[tuple[str, Span]] = field(default_factory=list[tuple[str, Span]])

    def clear(self) -> None:
        """Forget what was seen."""
        for seen in (self.calls, self.work, self.searches, self.steps):
            seen.clear()


def watched(watch: Watch) -> AbstractContextManager[None]:
    """Have everything that is assembled inside tell ``watch``."""
    return swapped(
        [
            Swap("infra.resources", "Engine", lambda _: partial(_Engine, watch=watch)),
            Swap("graph.desk", "open_retriever", lambda opened: _searching(opened, watch)),
            Swap("graph.session", "build", lambda build: _timed(build, watch)),
        ]
    )


class _Engine(Engine):
    def __init__(self, settings: EngineSettings, watch: Watch) -> None:
        super().__init__(settings)
        self._watch = watch

    def handle(self, request: Request) -> Answer:
        if request.path != COMPLETIONS:
            return super().handle(request)
        began = time.perf_counter()
        answer = super().handle(request)
        self._watch.work.append(Span(began, time.perf_counter()))
        return replace(answer, chunks=self._told(answer.chunks, request.arrived))

    def _told(self, chunks: Generator[Chunk, None, None], arrived: float) -> Generator[Chunk, None, None]:
        try:
            while True:
                began = time.perf_counter()
                chunk = next(chunks, None)
                self._watch.work.append(Span(began, time.perf_counter()))
                if chunk is None:
                    return
                yield chunk
        finally:
            chunks.close()
            self._watch.calls.append(Span(arrived, time.perf_counter()))


class _Search:
    """A searcher that tells how long it works."""

    def __init__(self, inner: Searcher, watch: Watch) -> None:
        self._inner, self._watch = inner, watch

    def search(
        self, query: str, *, k: int | None = None, roots: Sequence[str] | None = None, context: str = ""
    ) -> Finding:
        """Search as the inner one."""
        began = time.perf_counter()
        found = self._inner.search(query, k=k, roots=roots, context=context)
        time.sleep(self._watch.delay_seconds)
        self._watch.searches.append(Span(began, time.perf_counter()))
        return found


def _searching(opened: Original, watch: Watch) -> Callable[..., Searcher]:
    def search(*given: Any) -> Searcher:
        return _Search(opened(*given), watch)

    return search


class _Node(Runnable[Any, Any]):
    """A node's work, timed."""

    def __init__(self, name: str, inner: Runnable[Any, Any], watch: Watch) -> None:
        self._called, self._inner, self._watch = name, inner, watch

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: ANN401
        return self._inner.invoke(input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: ANN401
        began = time.perf_counter()
        try:
            return await self._inner.ainvoke(input, config, **kwargs)
        finally:
            self._watch.steps.append((self._called, Span(began, time.perf_counter())))


def _timed(build: Original, watch: Watch) -> Callable[..., CompiledStateGraph[Any, Any, Any, Any]]:
    """Return ``build`` with the nodes of what it builds timed."""

    def built(*given: Any, **named: Any) -> CompiledStateGraph[Any, Any, Any, Any]:
        graph: CompiledStateGraph[Any, Any, Any, Any] = build(*given, **named)
        for name, node in graph.nodes.items():
            if not name.startswith("__"):
                node.bound = _Node(name, node.bound, watch)
                vars(node).pop("node", None)  # put together from the old one
        return graph

    return built
