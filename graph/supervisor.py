"""All that is particular to langgraph-supervisor; a successor would be put in here.

The library's ``create_supervisor`` builds the supervisor (a tool-calling agent) and wraps the five agents with
hand-off-back messages. Around it stand: hand-off tools that carry a ``task``, a chat model that speaks the policy's
decision as hand-off calls (or asks a model, in ``llm`` mode), and a ``post_model_hook`` that carries the calls out. The
hook is needed because the library runs only one of several hand-offs in one message (upstream issue 230); it sends one
branch per call, and answers every call exactly once, so each history that reaches a model is valid. It is a
coroutine though it waits for nothing: LangGraph runs a plain function in a thread, which costs more than all it does.
"""

# the library is partly untyped
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false

import json
import warnings
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast
from uuid import uuid4

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.types import Command, Send
from langgraph.warnings import LangGraphDeprecatedSinceV10
from langgraph_supervisor import create_supervisor
from langgraph_supervisor.handoff import METADATA_KEY_HANDOFF_DESTINATION, create_forward_message_tool

from graph.policy import AGENTS, Agent, Decision, Handoff, Limits, brief, decide
from graph.state import Ended, State, SupervisorState, current, packed, view_of
from infra.errors import BackendError, BackendUnavailable, BudgetExceeded
from infra.llm.ledger import Ledger, Remark, Scope
from infra.settings import BackendName, SupervisorMode

SUPERVISOR = "supervisor"
FORWARD = "forward_message"
_PREFIX = "transfer_to_"
_ENDED = "ended"
"""Key under which the supervisor's words carry a budget's refusal to where state can be written."""

ChatFor = Callable[[Scope, BackendName | None], Awaitable[BaseChatModel]]
"""Gives the guarded model that works on a scope's account, of the back end that was chosen for the run."""

_DUTIES: dict[Agent, str] = {
    "router": "Decides what kind of question it is. First of all.",
    "planner": "Splits a compound question into sub-questions.",
    "retrieval": "Searches the documents. task: a step's id (q1) or all.",
    "synthesizer": "Writes the answer from what was found.",
    "validator": "Checks the draft against the passages. Before anything is forwarded.",
}


def handoff_tool(agent: Agent) -> BaseTool:
    """Return the tool by which the supervisor hands ``task`` to ``agent``. The fan-out hook carries it out."""

    def transfer(task: str) -> str:
        return f"{agent}: {task}"

    tool = StructuredTool.from_function(transfer, name=f"{_PREFIX}{agent}", description=_DUTIES[agent])
    tool.metadata = {METADATA_KEY_HANDOFF_DESTINATION: agent}
    return tool


def supervisor_tools() -> list[BaseTool]:
    """Return the supervisor's tools: a hand-off to each agent, and last the library's for the end."""
    return [*(handoff_tool(agent) for agent in AGENTS), create_forward_message_tool(SUPERVISOR)]


class SupervisorModel(BaseChatModel):
    """A chat model that says what the policy decided, or asks a real one where ``mode`` is ``llm``.

    A real one is given no conversation but a brief of what there is to choose by (``graph.policy.brief``), and only the
    hand-offs that are possible. The last input message is the envelope that ``announce`` wrote: the decision, on whose
    account, and on which back end. A model's choice outside the decision's options, or none at all, is replaced by the
    decision, so both modes always come to an end; so is the choice of a model that a budget or its server's refusal
    kept from making one.
    """

    mode: SupervisorMode
    chat: ChatFor
    ledger: Ledger
    tools: list[BaseTool] = []  # noqa: RUF012 - a pydantic field, copied for each instance

    @property
    def _llm_type(self) -> str:
        return "docmind-supervisor"

    def bind_tools(
        self,
        tools: Sequence[Any],
        *,
        parallel_tool_calls: bool = True,  # noqa: ARG002 - the library passes it on only where it is named
        **kwargs: Any,  # noqa: ARG002 - the interface's
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Keep the tools for ``llm`` mode; ``parallel_tool_calls`` is always on, the policy bounds how many."""
        return self.model_copy(update={"tools": list(tools)})

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - the interface's
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> ChatResult:
        return _result(_speak(_open(messages[-1]).decision))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - the interface's
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> ChatResult:
        envelope = _open(messages[-1])
        if self.mode == "policy" or envelope.ended or envelope.decision.forward is not None:
            return _result(_speak(envelope.decision))
        return _result(await self._asked(envelope, messages[:-1]))

    async def _asked(self, envelope: "_Envelope", messages: list[BaseMessage]) -> AIMessage:
        """Ask the model; where it cannot be asked the decision stands."""
        scope = envelope.scope
        tools = [tool for tool in self.tools if tool.name.removeprefix(_PREFIX) in envelope.decision.options]
        model = (await self.chat(scope, envelope.backend)).bind_tools(tools, parallel_tool_calls=True, strict=True)
        try:
            return _settle(await model.ainvoke(messages), envelope.decision)
        except BackendUnavailable:
            raise
        except BudgetExceeded as refused:
            self.ledger.remark(Remark(scope, "budget", str(refused)))
            ended = {_ENDED: packed(Ended.by(refused))}
            return _speak(envelope.decision).model_copy(update={"response_metadata": ended})
        except BackendError as refused:
            self.ledger.remark(Remark(scope, "fallback", str(refused)))
        return _speak(envelope.decision)


def announce(prompt: str, limits: Limits) -> Callable[[State], list[AnyMessage]]:
    """Return what the model is given for a state: the prompt, the brief, and the envelope with the policy's decision.

    The library takes it as the agent's ``prompt``; a ``pre_model_hook`` would be one more step of the graph each time.
    """

    def given(state: State) -> list[AnyMessage]:
        view = view_of(state)
        decision = decide(view, limits)
        scope = Scope(view.question.id, view.question.thread, SUPERVISOR)
        envelope = {
            "decision": asdict(decision) | {"options": sorted(decision.options)},
            "scope": asdict(scope),
            "backend": view.question.backend,
            "ended": view.ended is not None,
        }
        return [SystemMessage(prompt), HumanMessage(brief(view)), SystemMessage(json.dumps(envelope))]

    return given


def fan_out(limits: Limits) -> Callable[[State], Awaitable[Command[Any]]]:
    """Return the ``post_model_hook``: it carries out the hand-offs of the last message, each as a branch of its own.

    A retrieval that names no step is spread over all steps that are ready, so a model that says "search" once still
    gets its independent sub-questions searched side by side. A budget that refused the supervisor's own call has
    ended the model's part of the question for all.
    """

    async def hook(state: State) -> Command[Any]:
        said = cast(AIMessage, state.get("messages", [])[-1])
        forwards = [call for call in said.tool_calls if call["name"] == FORWARD]
        if forwards:
            return _forward(state, str(forwards[0]["args"].get("from_agent", "")))
        handoffs = _spread([_handoff(call) for call in said.tool_calls], state, limits)
        calls = [_call(h) for h in handoffs]
        exchange = [AIMessage(said.content, name=SUPERVISOR, tool_calls=calls, id=said.id), *map(_answered, calls)]
        inbox = [*state.get("messages", [])[:-1], *exchange]
        ended = {f"{view_of(state).question.id}/{SUPERVISOR}": e for e in [said.response_metadata.get(_ENDED)] if e}
        carried = {key: value for key, value in state.items() if key != "remaining_steps"}
        carried["ended"] = current(state.get("ended"), ended)  # the branches write it to the question's state
        branches = [Send(h.agent, {**carried, "messages": inbox, "task": h.task}) for h in handoffs]
        return Command(graph=Command.PARENT, update={"messages": exchange}, goto=branches)

    return hook


def supervise(
    agents: Sequence[Pregel[Any, Any, Any, Any]], model: SupervisorModel, *, prompt: str, limits: Limits
) -> StateGraph[Any, Any, Any, Any]:
    """Return the library's workflow over ``agents``: nodes ``supervisor`` and one for each agent, uncompiled."""
    with warnings.catch_warnings():
        # the library builds on an agent that LangGraph 2.0 will drop; langgraph is pinned below it
        warnings.simplefilter("ignore", LangGraphDeprecatedSinceV10)
        workflow = create_supervisor(
            list(agents),
            model=model,
            tools=[*supervisor_tools()],
            prompt=announce(prompt, limits),
            state_schema=SupervisorState,
            post_model_hook=fan_out(limits),
            parallel_tool_calls=True,
            add_handoff_back_messages=True,
            output_mode="last_message",
            supervisor_name=SUPERVISOR,
        )
    # no checkpoints of its own, as the agents (graph.nodes.agent_graph); the library passes no such wish on
    agent = cast(CompiledStateGraph[Any, Any, Any, Any], workflow.nodes[SUPERVISOR].runnable)
    agent.checkpointer = False
    for edges in agent.builder.branches.values():
        for edge in edges.values():
            _keep_on_the_loop(edge.path)
    return workflow


def _keep_on_the_loop(path: Runnable[Any, Any]) -> None:
    """Have an edge that only looks at the last message looked at where the graph runs, and not in a thread."""
    if (look := getattr(path, "func", None)) is not None:

        async def looked(state: Any) -> Any:  # noqa: ANN401 - the library's
            return look(state)

        cast(Any, path).afunc = looked


@dataclass(frozen=True, slots=True)
class _Envelope:
    decision: Decision
    scope: Scope
    backend: BackendName | None
    ended: bool


def _open(message: BaseMessage) -> _Envelope:
    data = json.loads(str(message.content))
    raw = data["decision"]
    handoffs = tuple(Handoff(**h) for h in raw["handoffs"])
    decision = Decision(handoffs, frozenset(raw["options"]), raw["forward"])
    return _Envelope(decision, Scope(**data["scope"]), data["backend"], data["ended"])


def _result(message: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=message)])


def _speak(decision: Decision) -> AIMessage:
    if decision.forward is not None:
        call = ToolCall(name=FORWARD, args={"from_agent": decision.forward}, id=f"call_{uuid4().hex}")
        return AIMessage("", tool_calls=[call])
    return AIMessage("", tool_calls=[_call(h) for h in decision.handoffs])


def _settle(reply: AIMessage, decision: Decision) -> AIMessage:
    """Keep the hand-offs of ``reply`` that the options allow; where none is left the decision stands."""
    chosen = [h for h in map(_handoff, reply.tool_calls) if h.agent in decision.options]
    distinct = tuple({(h.agent, h.task if h.agent == "retrieval" else ""): h for h in chosen}.values())
    return _speak(Decision(distinct, decision.options)) if distinct else _speak(decision)


def _handoff(call: ToolCall) -> Handoff:
    return Handoff(cast(Agent, call["name"].removeprefix(_PREFIX)), str(call["args"].get("task", "")))


def _call(handoff: Handoff) -> ToolCall:
    return ToolCall(name=f"{_PREFIX}{handoff.agent}", args={"task": handoff.task}, id=f"call_{uuid4().hex}")


def _answered(call: ToolCall) -> ToolMessage:
    return ToolMessage("Handed over.", tool_call_id=str(call["id"]), name=call["name"])


def _spread(handoffs: Sequence[Handoff], state: State, limits: Limits) -> list[Handoff]:
    """Give each retrieval one ready step; a name that is no ready step stands for all of them. One of each."""
    ready = [step.id for step in view_of(state).ready()] or ["q1"]
    spread: dict[Handoff, None] = {}
    for handoff in handoffs:
        if handoff.agent != "retrieval":
            spread[handoff] = None
            continue
        for step in [handoff.task] if handoff.task in ready else ready:
            spread[Handoff("retrieval", step)] = None
    return list(spread)[: limits.max_parallel]


def _forward(state: State, agent: str) -> Command[Any]:
    """Give the agent's last message to the user unchanged, as the library's forward-message tool does."""
    said = [m for m in state.get("messages", []) if isinstance(m, AIMessage) and m.name == agent and not m.tool_calls]
    content = said[-1].content if said else ""
    return Command(graph=Command.PARENT, update={"messages": [AIMessage(content, name=SUPERVISOR)]})
