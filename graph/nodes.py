"""Each agent as a small named graph.

An agent's graph is state -> call -> partial update: it reads the question's view, calls the agent's function with
values and a chat model, and writes what came back under the question's id, with a line for the conversation and a
line for the trail.
"""

# langgraph's own overloads are partly untyped
# pyright: reportUnknownMemberType=false

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, cast
from uuid import uuid4

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from agents.planner import Plan, plan, single
from agents.retrieval import Searcher, retrieve
from agents.router import route
from agents.synthesizer import Case, draft
from agents.validator import settled, validate
from graph.answer import text_of
from graph.early import Early, teller
from graph.late import LateAsker
from graph.policy import Agent, in_play
from graph.state import AgentOutput, Ended, Event, Question, Recalled, State, View, Visit, packed, view_of
from infra.errors import BudgetExceeded
from infra.llm.ask import Asker
from infra.llm.ledger import Ledger, Remark, RemarkKind, Scope
from infra.settings import BackendName, Settings
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

    async def recall(self, question: Question, text: str, scope: Scope) -> Recalled:
        """Ask the answer cache about ``text``, the question as it stands alone; model calls are made in ``scope``."""
        ...

    def keep(self, view: View, answer: dict[str, Any]) -> None:
        """Give a delivered answer to the cache; returns at once."""
        ...

    async def chat(self, scope: Scope, backend: BackendName | None = None) -> BaseChatModel:
        """Return the guarded model that works in ``scope``: its agent's own, or that of ``backend`` or the settings."""
        ...

    async def rules(self) -> BaseChatModel:
        """Return the embedded engine's rules, which answer where a model cannot; no model call, on nobody's account."""
        ...

    async def searcher(self) -> Searcher:
        """Return the search over the tenant's documents."""
        ...

    async def count(self, text: str, backend: BackendName | None = None) -> int:
        """Return how many tokens ``text`` is to the model of ``backend``."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One hand-off: the question's view, the task's name, and who is asked.

    ``asker`` is None once a budget has ended the model's part; ``rules`` never is. ``early`` shows sentences that are
    sure before the answer is.
    """

    view: View
    task: str
    asker: Asker | None
    rules: Asker
    desk: Desk
    early: Early

    @property
    def answering(self) -> Asker:
        """The model, or the rules when the model's part is over."""
        return self.asker or self.rules


@dataclass(frozen=True, slots=True)
class Done:
    """What an agent's work comes to: the state it writes, and what it says in the conversation."""

    update: dict[str, Any]
    said: str


Work = Callable[[Job], Awaitable[Done]]


async def _route(job: Job) -> Done:
    question, chosen = job.view.question, job.desk.settings.agents
    routed = await route(
        question.text,
        question.history,
        job.answering,
        by_rules=chosen.route_by_rules,
        with_steps=chosen.route_with_plan,
    )
    update = {"routes": {question.id: packed(routed.route)}}
    said = routed.route.reply or f"{routed.route.kind}: {routed.route.question}"
    if routed.plan is None:
        return Done(update, said)
    return Done(update | {"plans": {question.id: packed(routed.plan)}}, f"{said}\n{_listed(routed.plan)}")


async def _plan(job: Job) -> Done:
    chosen = await plan(job.view.asked, job.answering)
    return Done({"plans": {job.view.question.id: packed(chosen)}}, _listed(chosen))


async def _retrieve(job: Job) -> Done:
    step = next((s for s in job.view.steps if s.id == job.task), job.view.steps[0])
    needed = [job.view.findings[n] for n in step.needs if n in job.view.findings]
    searcher = await job.desk.searcher()
    finding = await retrieve(step.question, needed, searcher, roots=job.view.question.roots)
    return Done({"findings": {f"{job.view.question.id}/{step.id}": packed(finding)}}, listing(step.id, finding))


async def _draft(job: Job) -> Done:
    view = job.view
    objections = [f"{r.text} ({r.reason})" for r in view.verdicts[-1].rejected] if view.verdicts else []
    case, round_ = _case(job), f"{view.question.id}/{len(view.drafts) + 1}"
    written = await draft(
        case, job.answering, objections=objections, told=lambda claims: job.early.now(settled(case, claims))
    )
    job.early.now(settled(case, written.claims), whole=True)
    said = " ".join(f"{c.text} [{', '.join(c.marks)}]" for c in written.claims) or "Nothing found."
    return Done({"drafts": {round_: packed(written)}, "shown": {round_: packed(job.early.shown)}}, said)


async def _validate(job: Job) -> Done:
    view = job.view
    if not view.drafts:
        return Done({}, "There is no draft to check.")
    verdict = await validate(_case(job), view.drafts[-1], job.asker, view.verdicts)
    checked = replace(view, verdicts=[*view.verdicts, verdict])
    return Done({"verdicts": {f"{view.question.id}/{len(view.drafts)}": packed(verdict)}}, text_of(checked))


WORK: dict[Agent, Work] = {
    "router": _route,
    "planner": _plan,
    "retrieval": _retrieve,
    "synthesizer": _draft,
    "validator": _validate,
}


def agent_graph(name: Agent, desk: Desk) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return the agent ``name`` as a graph of one node that writes only what it made.

    It keeps no checkpoints of its own: the outermost graph's say all that it starts from, and each costs a way to disk.
    """

    async def run(state: State) -> dict[str, Any]:
        view = view_of(state)
        scope = Scope(view.question.id, view.question.thread, name)
        began = time.time()
        task = state.get("task", "")
        done = await _within_budget(view, task, scope, desk)
        line = visit(scope, began, view.question, desk.ledger)
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
    return graph.compile(checkpointer=False, name=name)


async def _within_budget(view: View, task: str, scope: Scope, desk: Desk) -> Done:
    """Do the work of an agent; where a budget refuses the model's call, the rules do it, now and from then on."""
    work = WORK[cast(Agent, scope.agent)]

    def remark(kind: RemarkKind, detail: str) -> None:
        desk.ledger.remark(Remark(scope, kind, detail))

    rules = await desk.rules()
    alone = Job(view, task, None, Asker(rules), desk, Early(view, teller()))
    if view.ended is not None or scope.agent == "retrieval":
        return await work(alone)
    opened = partial(desk.chat, scope, view.question.backend)
    try:
        return await work(replace(alone, asker=LateAsker(opened, rules, remark)))
    except BudgetExceeded as refused:
        remark("budget", str(refused))
        ended = {f"{view.question.id}/{scope.agent}": packed(Ended.by(refused))}
        done = await work(alone)
        return replace(done, update={**done.update, "ended": ended})


def _case(job: Job) -> Case:
    """What synthesizer and validator work on: the same in one round."""
    retrieval = job.desk.settings.retrieval
    evidence = merge(in_play(job.view, retrieval.clear_tokens), retrieval.max_evidence)
    return Case(job.view.asked, job.view.plan or single(job.view.asked), evidence, retrieval.max_documents)


def visit(scope: Scope, began: float, question: Question, ledger: Ledger) -> Visit:
    """Return the trail's line for work on ``scope``'s account that began at ``began`` (unix time) and ends now.

    ``scope`` is compared by identity: an agent that works on two tasks side by side has two scopes that are equal.
    """
    calls = [call for call in ledger.calls(question.id) if call.scope is scope]
    remarks = [remark for remark in ledger.remarks(question.id) if remark.scope is scope]
    answered = next((call for call in reversed(calls) if call.outcome == "ok"), None)
    return Visit(
        agent=scope.agent,
        started=round(began - question.asked_at, 4),
        seconds=round(time.time() - began, 4),
        calls=[(round(call.started - question.asked_at, 4), round(call.seconds, 4)) for call in calls],
        llm_calls=sum(call.tries > 0 for call in calls),
        prompt_tokens=sum(call.prompt_tokens for call in calls),
        completion_tokens=sum(call.completion_tokens for call in calls),
        cached_tokens=sum(call.cached_tokens for call in calls),
        retries=sum(max(0, call.tries - 1) for call in calls),
        dropped=sum(len(call.dropped) for call in calls),
        cut_tokens=sum(call.cut_tokens for call in calls),
        backend=answered.backend if answered else "",
        model=answered.model if answered else "",
        engine=answered.engine if answered else "",
        events=[Event(kind=remark.kind, detail=remark.detail) for remark in remarks],
    )


def _listed(plan: Plan) -> str:
    """Return a plan as its steps are said, a line each."""
    needs = {step.id: f" (needs {', '.join(step.needs)})" if step.needs else "" for step in plan.steps}
    return "\n".join(f"{step.id}: {step.question}{needs[step.id]}" for step in plan.steps)


def listing(step_id: str, finding: Finding) -> str:
    """Return what retrieval says: the signal, then the passages."""
    signal = "may hold an answer" if finding.signal.likely else "do not seem to hold an answer"
    seen = f"{len(finding.passages)} passages; the documents {signal}"
    head = f"{step_id}: {seen} (probability {finding.signal.probability:.2f})."
    return "\n\n".join([head, *(f"{p.doc} ({p.start}-{p.end}): {p.text}" for p in finding.passages)])
