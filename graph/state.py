"""What travels through the graph, and the rules by which parallel branches are merged.

What travels is plain JSON (``packed``): any checkpointer, server or Studio edit can carry it, and nothing but plain
values is ever built from what is on disk. ``view_of`` reads it back, typed and checked; only views are worked with.

Hand-offs re-emit state, so every reducer is idempotent, commutative and associative: merging a value twice changes
nothing. What belongs to one question is keyed ``<question id>/...``; question ids sort by turn, and a merge keeps only
the newest question's keys, so question two never sees question one's evidence. A value is never changed under its key.
"""

from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Annotated, Any, Literal, Self, TypeVar

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages
from langgraph.managed import RemainingSteps
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict

from agents.planner import Plan, Step, single
from agents.router import Route, Turn
from agents.synthesizer import Draft
from agents.validator import Verdict
from graph.noted import Compression, Earlier, Shown
from infra.errors import BudgetExceeded
from infra.llm.ledger import RemarkKind
from infra.settings import BackendName
from tools.evidence import Finding

T = TypeVar("T")
Json = dict[str, Any]
_adapter: Any = cache(TypeAdapter)  # built once: it takes milliseconds


class Question(BaseModel):
    """The question being worked on.

    ``id`` is ``<turn, six digits>-<random hex>``: ids of later turns sort after earlier ones.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    thread: str
    text: str
    history: list[Turn] = Field(default_factory=list[Turn])
    roots: list[str] | None = None
    backend: BackendName | None = None
    cache: bool = True
    asked_at: float


class Recalled(BaseModel):
    """What the answer cache said.

    ``answer``: hit, the kept answer is given again; miss, the question is answered anew; off, the cache was not asked
    or failed. ``kept`` is the answer to give again (``graph.answer.CONTENT``).
    """

    model_config = ConfigDict(frozen=True)

    answer: Literal["hit", "miss", "off"]
    reason: str
    kept: Json | None = None


class Event(BaseModel):
    """What happened beside an agent's calls; see ``infra.llm.ledger.Remark``."""

    model_config = ConfigDict(frozen=True)

    kind: RemarkKind
    detail: str


class Visit(BaseModel):
    """One agent's work on one task; times in seconds, ``started`` since the question was asked.

    ``backend``, ``model`` and ``engine`` (what answered, in words) are those of the last call that brought a reply;
    ``calls`` are the model calls' starts and lengths.
    """

    model_config = ConfigDict(frozen=True)

    agent: str
    started: float
    seconds: float
    calls: list[tuple[float, float]] = Field(default_factory=list[tuple[float, float]])
    llm_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    retries: int = 0
    dropped: int = 0
    cut_tokens: int = 0
    backend: str = ""
    model: str = ""
    engine: str = ""
    events: list[Event] = Field(default_factory=list[Event])


class Ended(BaseModel):
    """A budget that ended the model's part of a question: the setting that decided, and the refusal."""

    model_config = ConfigDict(frozen=True)

    setting: str
    message: str

    @classmethod
    def by(cls, refused: BudgetExceeded) -> Self:
        """Return what a refusal comes to."""
        return cls(setting=refused.setting, message=str(refused))


def current(left: dict[str, T] | None, right: dict[str, T] | None) -> dict[str, T]:
    """Merge by key and keep only the newest question's entries."""
    merged = {**(left or {}), **(right or {})}
    newest = max((key.split("/", 1)[0] for key in merged), default="")
    return {key: merged[key] for key in sorted(merged) if key.split("/", 1)[0] == newest}


def packed(value: object) -> Json:
    """Return a dataclass or pydantic model as plain JSON."""
    return _adapter(type(value)).dump_python(value, mode="json")


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


class AgentOutput(TypedDict, total=False):
    """What an agent's graph gives back: the keys it may write, and its words."""

    messages: Annotated[list[AnyMessage], add_messages]
    """The conversation; while a question is worked on also its hand-offs."""
    routes: Annotated[dict[str, Json], current]
    """``<question>`` -> the router's decision (Route)."""
    plans: Annotated[dict[str, Json], current]
    """``<question>`` -> the planner's steps (Plan)."""
    findings: Annotated[dict[str, Json], current]
    """``<question>/<step>`` -> what retrieval found (Finding)."""
    drafts: Annotated[dict[str, Json], current]
    """``<question>/<round>`` -> the synthesizer's draft (Draft)."""
    shown: Annotated[dict[str, Json], current]
    """``<question>/<round>`` -> what the user saw of the answer once that draft was written (Shown)."""
    verdicts: Annotated[dict[str, Json], current]
    """``<question>/<round>`` -> the validator's verdict on that draft (Verdict)."""
    trail: Annotated[dict[str, Json], current]
    """``<question>/<when>-<agent>-<task>`` -> who worked, when, at what cost (Visit)."""
    ended: Annotated[dict[str, Json], current]
    """``<question>/<agent>`` -> the budget that ended the model's part (Ended)."""


class State(AgentOutput, total=False):
    """All that travels."""

    questions: Annotated[dict[str, Json], current]
    """``<question>`` -> the question being worked on (Question)."""
    recalls: Annotated[dict[str, Json], current]
    """``<question>`` -> what the answer cache said (Recalled)."""
    earlier: Annotated[dict[str, Json], current]
    """``<question>`` -> the rolling note of the conversation before the turns that are still read (Earlier)."""
    task: str
    """What the agent that is handed to is asked to do: set by the hand-off, never merged."""
    compressions: Annotated[dict[str, Json], current]
    """``<question>/<n>`` -> what compression saved (Compression)."""
    answer: dict[str, Any]
    """The last answer, as ``--json`` prints it; empty while a question is worked on."""


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
    ended: Ended | None = None
    recalled: Recalled | None = None
    shown: Shown = field(default_factory=Shown)

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
    """Return the newest question's view.

    Raises:
        KeyError: no question was received yet.
        ValidationError: what the state holds is not what was put there.
    """
    question = question_of(state)
    if question is None:
        raise KeyError("no question was received")
    routes = _under(state.get("routes"), question.id, Route)
    plans = _under(state.get("plans"), question.id, Plan)
    return View(
        question=question,
        route=routes.get(""),
        plan=plans.get(""),
        findings=_under(state.get("findings"), question.id, Finding),
        drafts=list(_under(state.get("drafts"), question.id, Draft).values()),
        verdicts=list(_under(state.get("verdicts"), question.id, Verdict).values()),
        ended=next(iter(_under(state.get("ended"), question.id, Ended).values()), None),
        recalled=_under(state.get("recalls"), question.id, Recalled).get(""),
        shown=next(reversed(_under(state.get("shown"), question.id, Shown).values()), Shown()),
    )


def question_of(state: State) -> Question | None:
    """Return the newest question, or None before the first."""
    questions = state.get("questions")
    return _checked(Question, _Same(questions[max(questions)])) if questions else None


def earlier_of(state: State) -> Earlier:
    """Return the rolling note of the conversation; an empty one where nothing was left out yet."""
    entries = state.get("earlier")
    return Earlier.model_validate(entries[max(entries)]) if entries else Earlier()


def visits_of(state: State) -> list[Visit]:
    """Return the trail of the newest question, in no particular order."""
    return [Visit.model_validate(value) for value in state.get("trail", {}).values()]


def compressions_of(state: State) -> list[Compression]:
    """Return what was compressed for the newest question, first to last."""
    return [Compression.model_validate(value) for _, value in sorted(state.get("compressions", {}).items())]


def _under(entries: dict[str, Json] | None, question_id: str, kind: type[T]) -> dict[str, T]:
    """Return the question's entries by the rest of their key, in its order, as ``kind``."""
    if not entries:  # most are, for most of the time
        return {}
    mine = {key: value for key, value in sorted(entries.items()) if key.split("/", 1)[0] == question_id}
    return {
        key.removeprefix(question_id).removeprefix("/"): _checked(kind, _Same(value)) for key, value in mine.items()
    }


class _Same:
    """A value that equals itself alone, so that what was read of it can be found again."""

    __slots__ = ("value",)

    def __init__(self, value: Json) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


@lru_cache(maxsize=256)
def _checked(kind: type[object], same: _Same) -> Any:  # noqa: ANN401 - of ``kind``
    """Return a value as ``kind``: read once, though each node asks for its own view, for none changes under its key."""
    return _adapter(kind).validate_python(same.value)
