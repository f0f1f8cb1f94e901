"""The graph: receive -> recall -> supervisor with five agents, compress between the stages -> deliver.

A question inside a conversation goes to the router first, which completes it, and to recall after that.

The supervisor's workflow comes from the library (``graph.supervisor``); its nodes are taken over into one flat graph
with narrow input and output types. Flat, because only nodes of the outermost graph can be interrupted before and are
streamed as updates by default: each agent is one, in Studio as on the command line. What only reads the state is a
coroutine as well: LangGraph runs a plain function in a thread, which costs more than the reading. ``_when_done`` is
none: it follows a command, and there LangGraph calls the edge itself.
"""

# langgraph's own overloads are partly untyped
# pyright: reportUnknownMemberType=false

from pathlib import Path
from typing import Any, Literal, cast

from langchain_core.runnables import Runnable
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from graph.early import told
from graph.nodes import Desk, agent_graph
from graph.policy import AGENTS, Limits
from graph.stages import RECALL, Context, Stages
from graph.state import Input, Output, State, view_of
from graph.supervisor import SUPERVISOR, SupervisorModel, supervise

DELIVER = "deliver"
PROMPT = Path(__file__).parent / "prompts" / "supervisor.md"


def build(
    desk: Desk, *, checkpointer: BaseCheckpointSaver[Any] | None = None
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Compile the graph over ``desk``; its live clients are opened by the first question that needs them."""
    agents = desk.settings.agents
    at_once = agents.max_parallel_calls if agents.parallel_tools else 1
    limits = Limits(at_once, agents.max_rounds, desk.settings.retrieval.clear_tokens)
    workflow = supervise(
        [agent_graph(name, desk) for name in AGENTS],
        SupervisorModel(mode=agents.supervisor, chat=desk.chat, ledger=desk.ledger),
        prompt=PROMPT.read_text(encoding="utf-8"),
        limits=limits,
    )
    stages = Stages(desk)
    graph = StateGraph(State, context_schema=Context, input_schema=Input, output_schema=Output)
    graph.add_node("receive", stages.receive)
    graph.add_node(RECALL, stages.recall)
    graph.add_node(SUPERVISOR, workflow.nodes[SUPERVISOR].runnable, destinations=AGENTS)
    graph.add_node("compress", stages.compress)
    graph.add_node(DELIVER, stages.deliver)
    for name in AGENTS:
        graph.add_node(name, told(cast("Runnable[Any, Any]", workflow.nodes[name].runnable)))
        graph.add_edge(name, "compress")
    graph.add_edge(START, "receive")
    graph.add_conditional_edges("receive", _when_whole, [RECALL, SUPERVISOR])
    graph.add_conditional_edges(RECALL, _when_kept, [DELIVER, SUPERVISOR])
    graph.add_conditional_edges(SUPERVISOR, _when_done, [DELIVER])
    graph.add_conditional_edges("compress", _when_whole, [RECALL, SUPERVISOR])
    graph.add_edge(DELIVER, END)
    return graph.compile(checkpointer=checkpointer, name="docmind").with_config(recursion_limit=agents.recursion_limit)


async def _when_whole(state: State) -> Literal["recall", "supervisor"]:
    """Ask the cache once, as soon as the question stands alone: at once, or when the router has completed it."""
    view = view_of(state)
    return "recall" if view.recalled is None and (view.route or not view.question.history) else "supervisor"


async def _when_kept(state: State) -> Literal["deliver", "supervisor"]:
    """Deliver a kept answer; else the work begins."""
    recalled = view_of(state).recalled
    return "deliver" if recalled and recalled.kept is not None else "supervisor"


def _when_done(state: State) -> list[Literal["deliver"]]:
    """Deliver once the supervisor said something instead of handing over.

    That is a forwarded message, or the library's last words near the step limit: either way what is there is delivered.
    """
    last = state.get("messages", [])[-1]
    return [DELIVER] if last.type == "ai" and last.name == SUPERVISOR and not last.tool_calls else []
