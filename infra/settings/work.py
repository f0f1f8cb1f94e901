"""Settings of calls, agents and budgets."""

from typing import Literal

from pydantic import Field

from infra.settings.common import Section

SupervisorMode = Literal["policy", "llm"]


class CallSettings(Section):
    """Patience with a model server: times in seconds, tries, and when to stop asking."""

    connect_seconds: float = Field(default=5.0, gt=0, le=60, description="time to open a connection")
    first_token_seconds: float = Field(
        default=300.0, gt=0, le=3600, description="time until the first word of a reply; a long prompt needs long"
    )
    stall_seconds: float = Field(default=60.0, gt=0, le=3600, description="silence inside a reply")
    total_seconds: float = Field(default=900.0, gt=0, le=7200, description="one try of a call, from end to end")
    breaker_failures: int = Field(
        default=5, ge=1, le=100, description="failed tries in a row after which a server is left alone for a while"
    )
    breaker_seconds: float = Field(default=15.0, gt=0, le=3600, description="how long it is left alone")


class ModelSettings(Section):
    """A model of its own for an agent: `backend:model` (ollama:qwen3:0.6b), `backend`, or a model's name."""

    router: str = Field(default="", description="not set: the run's")
    planner: str = Field(default="", description="not set: the run's")
    synthesizer: str = Field(default="", description="not set: the run's")
    validator: str = Field(default="", description="not set: the run's")
    supervisor: str = Field(default="", description="not set: the run's; used in llm mode")
    compression: str = Field(
        default="",
        description="writes the notes that chosen sentences would make too long; the answer waits; not set: none does",
    )


class AgentSettings(Section):
    """How the five agents work together."""

    supervisor: SupervisorMode = Field(
        default="policy", description="who chooses the next step: the policy, or the model"
    )
    route_by_rules: bool = Field(
        default=True, description="whether a question that plainly is one look-up is routed without a model"
    )
    route_with_plan: bool = Field(
        default=True, description="whether the router also splits a compound question; off: the planner is asked"
    )
    parallel_tools: bool = Field(default=True, description="whether independent hand-offs run at the same time")
    max_parallel_calls: int = Field(default=3, ge=1, le=8, description="hand-offs at once, at most")
    max_rounds: int = Field(default=2, ge=1, le=4, description="drafts an answer may take")
    recursion_limit: int = Field(default=60, ge=50, le=500, description="graph steps of one question, at most")


class BudgetSettings(Section):
    """Token budgets. Output of a call = min(reserve, window - prompt - margin)."""

    reserve_tokens: int = Field(
        default=3_000, ge=16, le=65_536, description="output tokens kept free for one call, at most"
    )
    margin_tokens: int = Field(default=128, ge=0, le=8_192, description="tokens never used, against miscounting")
    call_tokens: int | None = Field(default=None, ge=256, description="prompt and output tokens of one call")
    agent_tokens: int | None = Field(
        default=None, ge=256, description="prompt and output tokens of one agent on one question"
    )
    question_tokens: int = Field(
        default=120_000, ge=1_000, description="prompt and output tokens of one question, all calls"
    )
    question_calls: int = Field(default=32, ge=1, le=1_000, description="model calls of one question")
    thread_tokens: int | None = Field(
        default=None, ge=1_000, description="prompt and output tokens of one conversation while the program runs"
    )
