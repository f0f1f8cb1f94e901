"""Each agent as a small named graph.

An agent's graph is state -> call -> partial update: it reads the question's view, calls the agent's function with
values and a chat model, and writes what came back under the question's id, with a line for the conversation and a
line for the trail.
"""

# langgraph's own overloads are partly untyped
# pyright: reportUnknownMemberType=false

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from agents.planner import plan, single
from agents.retrieval import Searcher, retrieve
from agents.router import route
from agents.synthesizer import Case, draft
from agents.validator import validate
from graph.answer import text_of
from graph.policy import Agent
from graph.state import AgentOutput, Question, State, View, Visit, packed, view_of
from infra.llm.endpoint import Backend
from infra.llm.ledger import Call, Ledger, Scope
from infra.settings import Settings
from tools.evidence import Finding, merge


class Desk(Protocol):
    """What the nodes work with, from the switchboard."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        ...

    @property
    def ledger(self) -> Ledger:
        """Where every model call is entered."""
        ...

    def forget(self, question_id: str) -> None:
        """Drop the account of a finished question."""
        ...

    async def chat(self, scope: Scope) -> BaseChatModel:
        """Return the guarded model that works in ``scope``."""
        ...

    async def searcher(self) -> Searcher:
        """Return the search over the tenant's documents."""
        ...

    async def backend(self) -> Backend:
        """Return the facts of the model server in use."""
        ...

    async def count(self, text: str) -> int:
        """Return how many tokens ``text`` is to the model."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One hand-off: the question's view, the task's name, and the model that works on it."""

    view: View
    task: str
    model: BaseChatModel
    desk: Desk


@dataclass(frozen=True, slots=True)
class Done:
    """What an agent's work comes to: the state it writes, and what it says in the conversation."""

    update: dict[str, Any]
    said: str


Work = Callable[[Job], Awaitable[Done]]


async def _route(job: Job) -> Done:
    question = job.view.question
    chosen = await route(question.text, question.history, job.model)
    return Done({"routes": {question.id: packed(chosen)}}, chosen.reply or f"{chosen.kind}: {chosen.question}")


async def _plan(job: Job) -> Done:
    chosen = await plan(job.view.asked, job.model)
    lines = [f"{s.id}: {s.question}" + (f" (needs {', '.join(s.needs)})" if s.needs else "") for s in chosen.steps]
    return Done({"plans": {job.view.question.id: packed(chosen)}}, "\n".join(lines))


async def _retrieve(job: Job) -> Done:
    step = next((s for s in job.view.steps if s.id == job.task), job.view.steps[0])
    needed = [job.view.findings[n] for n in step.needs if n in job.view.findings]
    searcher = await job.desk.searcher()
    finding = await retrieve(step.question, needed, searcher, roots=job.view.question.roots)
    return Done({"findings": {f"{job.view.question.id}/{step.id}": packed(finding)}}, _listing(step.id, finding))


async def _draft(job: Job) -> Done:
    view = job.view
    objections = [f"{r.text} ({r.reason})" for r in view.verdicts[-1].rejected] if view.verdicts else []
    written = await draft(_case(job), job.model, objections=objections)
    said = " ".join(f"{c.text} [{', '.join(c.marks)}]" for c in written.claims) or written.missing or "Nothing found."
    return Done({"drafts": {f"{view.question.id}/{len(view.drafts) + 1}": packed(written)}}, said)


async def _validate(job: Job) -> Done:
    view = job.view
    if not view.drafts:
        return Done({}, "There is no draft to check.")
    verdict = await validate(_case(job), view.drafts[-1], job.model)
    checked = View(view.question, view.route, view.plan, view.findings, view.drafts, [*view.verdicts, verdict])
    return Done({"verdicts": {f"{view.question.id}/{len(view.drafts)}": packed(verdict)}}, text_of(checked))


WORK: dict[Agent, Work] = {
    "router": _route,
    "planner": _plan,
    "retrieval": _retrieve,
    "synthesizer": _draft,
    "validator": _validate,
}


def agent_graph(name: Agent, desk: Desk) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return the agent ``name`` as a graph of one node that writes only what it made."""
    work = WORK[name]

    async def run(state: State) -> dict[str, Any]:
        view = view_of(state)
        scope = Scope(view.question.id, view.question.thread, name)
        began = time.time()
        task = state.get("task", "")
        done = await work(Job(view, task, await desk.chat(scope), desk))
        line = visit(name, began, view.question, [c for c in desk.ledger.calls(view.question.id) if c.scope is scope])
        key = f"{view.question.id}/{began:.6f}-{name}-{task}"
        return {
            **done.update,
            "trail": {key: packed(line)},
            "messages": [AIMessage(done.said, name=name, id=str(uuid4()))],
        }

    graph = StateGraph(State, output_schema=AgentOutput)
    graph.add_node("work", run)
    graph.add_edge(START, "work")
    graph.add_edge("work", END)
    return graph.compile(name=name)


def _case(job: Job) -> Case:
    retrieval = job.desk.settings.retrieval
    evidence = merge(job.view.found(), retrieval.max_evidence)
    return Case(job.view.asked, job.view.plan or single(job.view.asked), evidence, retrieval.max_documents)


def visit(agent: str, began: float, question: Question, calls: Sequence[Call]) -> Visit:
    """Return the trail's line for work that began at ``began`` (unix time) and ends now."""
    return Visit(
        agent=agent,
        started=round(began - question.asked_at, 4),
        seconds=round(time.time() - began, 4),
        llm_seconds=sum(c.seconds for c in calls),
        llm_calls=len(calls),
        prompt_tokens=sum(c.prompt_tokens for c in calls),
        completion_tokens=sum(c.completion_tokens for c in calls),
        cached_tokens=sum(c.cached_tokens for c in calls),
    )


def _listing(step_id: str, finding: Finding) -> str:
    """Return what retrieval says: the signal, then the passages."""
    signal = "may hold an answer" if finding.signal.likely else "do not seem to hold an answer"
    head = (
        f"{step_id}: {len(finding.passages)} passages; the documents {signal} (coverage {finding.signal.coverage:.2f})."
    )
    return "\n\n".join([head, *(f"{p.doc} ({p.start}-{p.end}): {p.text}" for p in finding.passages)])
