"""What travels through the graph, and the rules by which parallel branches are merged.

Hand-offs re-emit state, so every reducer is idempotent, commutative and associative: merging a value twice changes
nothing. What belongs to one question is keyed ``<question id>/...``; question ids sort by turn, and a merge keeps only
the newest question's keys, so question two never sees question one's evidence. A value is never changed under its key.
"""

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages
from langgraph.managed import RemainingSteps
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from agents.planner import Plan, Step, single
from agents.router import Route, Turn
from agents.synthesizer import Draft
from agents.validator import Verdict
from tools.evidence import Finding

T = TypeVar("T")


class Question(BaseModel):
    """The question being worked on.

    ``id`` is ``<turn, six digits>-<message id>``: ids of later turns sort after earlier ones.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    thread: str
    text: str
    history: list[Turn] = Field(default_factory=list[Turn])
    roots: list[str] | None = None
    asked_at: float


class Visit(BaseModel):
    """One agent's work on one task; times in seconds, ``started`` since the question was asked."""

    model_config = ConfigDict(frozen=True)

    agent: str
    started: float
    seconds: float
    llm_seconds: float = 0.0
    llm_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


class Compression(BaseModel):
    """What the compress node made of one stage's result, in tokens."""

    model_config = ConfigDict(frozen=True)

    stage: str
    tokens_before: int
    tokens_after: int


def current(left: dict[str, T] | None, right: dict[str, T] | None) -> dict[str, T]:
    """Merge by key and keep only the newest question's entries."""
    merged = {**(left or {}), **(right or {})}
    newest = max((key.split("/", 1)[0] for key in merged), default="")
    return {key: merged[key] for key in sorted(merged) if key.split("/", 1)[0] == newest}


def newest(left: Question | None, right: Question | None) -> Question | None:
    """Keep the later question."""
    if left is None or right is None:
        return right or left
    return right if right.id >= left.id else left


class Input(TypedDict):
    """What a caller gives."""

    messages: Annotated[list[AnyMessage], add_messages]
    """The conversation; its last message is the question."""


class Output(TypedDict):
    """What a caller gets."""

    messages: Annotated[list[AnyMessage], add_messages]
    """The conversation with the answer as its last message."""
    answer: dict[str, Any]
    """The answer as the command line's ``--json`` prints it."""


class State(TypedDict, total=False):
    """All that travels."""

    messages: Annotated[list[AnyMessage], add_messages]
    """The conversation; while a question is worked on also its hand-offs."""
    question: Annotated[Question, newest]
    """The question being worked on."""
    task: str
    """What the agent that is handed to is asked to do: set by the hand-off, never merged."""
    routes: Annotated[dict[str, Route], current]
    """``<question>`` -> the router's decision."""
    plans: Annotated[dict[str, Plan], current]
    """``<question>`` -> the planner's steps."""
    findings: Annotated[dict[str, Finding], current]
    """``<question>/<step>`` -> what retrieval found."""
    drafts: Annotated[dict[str, Draft], current]
    """``<question>/<round>`` -> the synthesizer's draft."""
    verdicts: Annotated[dict[str, Verdict], current]
    """``<question>/<round>`` -> the validator's verdict on that draft."""
    trail: Annotated[dict[str, Visit], current]
    """``<question>/<agent>/<task>`` -> who worked, when, at what cost."""
    compressions: Annotated[dict[str, Compression], current]
    """``<question>/<stage>/<n>`` -> what compression saved."""
    answer: dict[str, Any]
    """The last answer, as ``--json`` prints it."""


class AgentOutput(TypedDict, total=False):
    """What an agent's graph gives back: the keys it may write, and its words."""

    messages: Annotated[list[AnyMessage], add_messages]
    routes: Annotated[dict[str, Route], current]
    plans: Annotated[dict[str, Plan], current]
    findings: Annotated[dict[str, Finding], current]
    drafts: Annotated[dict[str, Draft], current]
    verdicts: Annotated[dict[str, Verdict], current]
    trail: Annotated[dict[str, Visit], current]


class SupervisorState(State, total=False):
    """The state as the supervisor's own small graph sees it."""

    remaining_steps: RemainingSteps
    """Steps left before the recursion limit, managed by LangGraph."""


@dataclass(frozen=True, slots=True)
class View:
    """The newest question's part of the state, typed: what the policy and the agents read."""

    question: Question
    route: Route | None
    plan: Plan | None
    findings: dict[str, Finding]
    drafts: list[Draft]
    verdicts: list[Verdict]

    @property
    def asked(self) -> str:
        """The question in its standalone form, once the router has written it."""
        return self.route.question if self.route else self.question.text

    @property
    def steps(self) -> list[Step]:
        """The sub-questions; a look-up is its own only one."""
        return (self.plan or single(self.asked)).steps

    def ready(self) -> list[Step]:
        """Return the steps that can be searched now: not found yet, nothing missing that they need."""
        return [s for s in self.steps if s.id not in self.findings and all(n in self.findings for n in s.needs)]

    def found(self) -> list[Finding]:
        """Return the findings in the order of the steps."""
        return [self.findings[s.id] for s in self.steps if s.id in self.findings]


def view_of(state: State) -> View:
    """Return the newest question's view. Raises KeyError before a question was received."""
    question = state.get("question")
    if question is None:
        raise KeyError("no question was received")
    return View(
        question=question,
        route=state.get("routes", {}).get(question.id),
        plan=state.get("plans", {}).get(question.id),
        findings=dict(_under(state.get("findings", {}), question.id)),
        drafts=[value for _, value in sorted(_under(state.get("drafts", {}), question.id))],
        verdicts=[value for _, value in sorted(_under(state.get("verdicts", {}), question.id))],
    )


def _under(entries: dict[str, T], question_id: str) -> list[tuple[str, T]]:
    prefix = f"{question_id}/"
    return [(key.removeprefix(prefix), value) for key, value in entries.items() if key.startswith(prefix)]
