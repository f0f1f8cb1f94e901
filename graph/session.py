"""A session of the command line: the documents brought up to date, then one graph for one question or many."""

# langgraph's own overloads are partly untyped
# pyright: reportUnknownMemberType=false

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from uuid import uuid4

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.errors import GraphRecursionError
from langgraph.graph.state import CompiledStateGraph
from rich.console import Console
from rich.text import Text

from graph.build import build
from graph.desk import LiveDesk
from graph.early import Tell
from graph.policy import AGENTS
from graph.stages import Context, asked
from infra.errors import ConfigurationError, StoreError
from infra.resources import Resources
from infra.settings import BackendName
from infra.store.database import store_errors
from infra.text.plain import one_line
from tools.ingest import ingest

SHOWN_CHARS = 100
"""Of what an agent said, on the line that shows its stage."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a session.

    Attributes:
        text: what is asked.
        roots: what to answer from; None: all.
        thread: the conversation it continues; None: one of its own.
        backend: which back end answers it; None: the settings'.
        cache: whether the answer cache may answer it, and keep its answer.
    """

    text: str
    roots: Sequence[str] | None = None
    thread: str | None = None
    backend: BackendName | None = None
    cache: bool = True


def prepare(resources: Resources, docs: Sequence[Path] | None, console: Console) -> list[str] | None:
    """Bring ``docs`` up to date and return them as roots; without any, make sure that there are documents.

    Blocks, in the calling thread: Ctrl-C ends an ingestion at the next file and leaves a usable index.

    Raises:
        ConfigurationError: nothing is there to answer from.
    """
    index, embedder = resources.index()
    if not docs:
        if index.counts().documents == 0:
            raise ConfigurationError("No documents yet: give --docs PATH, or run `docmind ingest PATH` first.")
        return None
    with console.status("Reading documents") as status:
        report = ingest(
            index,
            embedder,
            docs,
            settings=resources.settings.ingest,
            progress=lambda at: status.update(Text(f"Reading documents {at.done}/{at.total} {one_line(str(at))}")),
        )
    for failure in report.failed:
        said = one_line(f"not read: {failure.path}: {failure.error}")
        console.print(said, style="yellow", markup=False, soft_wrap=True)
    roots = [str(path.resolve()) for path in docs]
    if index.counts(roots).documents == 0:
        raise ConfigurationError(f"No readable documents under {', '.join(map(str, docs))}.")
    return roots


class Session:
    """Async context manager; progress goes to ``console`` (stderr).

    Args:
        resources: live clients; closed at the end.
        console: where progress is shown.
        keep_threads: whether conversations are kept on disk (``--thread``).
    """

    def __init__(self, resources: Resources, console: Console, *, keep_threads: bool) -> None:
        self.console = console
        self._keep = keep_threads
        self._stack = AsyncExitStack()
        self._resources = resources
        self._desk = LiveDesk(resources)
        self._graph: CompiledStateGraph[Any, Any, Any, Any] | None = None

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(self._resources.aclose)
        self._stack.push_async_callback(self._desk.stored)
        try:
            saver = await self._saver() if self._keep else None
        except BaseException:
            await self._stack.aclose()
            raise
        self._graph = build(self._desk, checkpointer=saver)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def _threads(self) -> Path:
        return self._resources.settings.tenant_dir / "threads.sqlite3"

    async def _saver(self) -> AsyncSqliteSaver:
        path = self._threads
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with store_errors(path):
                saver = await self._stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(path)))
                await saver.setup()
        except OSError as error:
            raise StoreError(f"Cannot write {path.parent} ({error}); set DOCMIND_DATA_DIR.") from error
        return saver

    async def ask(self, ask: Ask, *, show: bool = False, tell: Tell | None = None) -> dict[str, Any]:
        """Answer one question and return the contract's JSON object.

        Args:
            ask: the question.
            show: whether the stages are printed as they run, until the first sentence is shown.
            tell: given each sentence that is sure before the answer is, and told of what is withdrawn; see
                `graph.early`. A question that fails withdraws nothing: all of it is void.

        Raises:
            QuestionError: the question is empty or too long.
            BackendError: no configured model server answers.
            StoreError: the conversation cannot be kept.
            ConfigurationError: the question took more steps than the settings allow.
        """
        answer: dict[str, Any] = {}
        try:
            with store_errors(self._threads):
                async for mode, update in self._updates(ask):
                    if mode == "custom" and tell is not None:
                        tell(update)
                        show = False
                    for node, value in update.items() if mode == "updates" else ():
                        if node == "deliver":
                            answer = value["answer"]
                        elif show and (line := stage_line(node, value)):
                            self.console.print(line, style="dim", highlight=False, markup=False, soft_wrap=True)
        except GraphRecursionError as error:
            steps = self._resources.settings.agents.recursion_limit
            raise ConfigurationError(
                f"The question took more than {steps} graph steps; DOCMIND_AGENTS__RECURSION_LIMIT decides."
            ) from error
        return answer

    def _updates(self, ask: Ask) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        assert self._graph is not None, "enter the session first"
        config: RunnableConfig = {"configurable": {"thread_id": ask.thread or str(uuid4())}}
        text = asked([HumanMessage(ask.text)], self._resources.settings.max_question_chars)
        updates = self._graph.astream(
            {"messages": [HumanMessage(text, id=str(uuid4()))]},
            config,
            context=Context(list(ask.roots) if ask.roots is not None else None, ask.backend, ask.cache),
            stream_mode=["updates", "custom"],
            durability="exit" if self._keep else None,
        )
        return cast("AsyncIterator[tuple[str, dict[str, Any]]]", updates)

    async def stored(self) -> None:
        """Wait, in bounded time, until the answers given so far are kept; the end of a session waits by itself."""
        await self._desk.stored()

    @property
    def notes(self) -> list[str]:
        """What is to be said of how the back ends that were asked came to be chosen."""
        return self._desk.notes


def stage_line(node: str, value: dict[str, Any] | None) -> str:
    """Return one line for what an agent just said; empty for the nodes between the agents."""
    messages: list[AnyMessage] = (value or {}).get("messages") or []
    words = one_line(next((m.text for m in messages if m.name == node), ""))
    return f"{node:12} {words[:SHOWN_CHARS]}" if words and node in AGENTS else ""
