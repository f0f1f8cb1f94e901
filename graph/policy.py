"""Who goes next: a pure function of the state, and what else would be sensible.

``decide`` writes down the step that follows from the state, at no cost. ``Decision.options`` are the agents whose
inputs are there: in ``llm`` mode the model may choose among them, and a choice outside is replaced by the policy's.
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from graph.state import View
from infra.text.blocks import block
from tools.clear import narrowed
from tools.evidence import Finding

Agent = Literal["router", "planner", "retrieval", "synthesizer", "validator"]
AGENTS: tuple[Agent, ...] = get_args(Agent)


@dataclass(frozen=True, slots=True)
class Handoff:
    """One agent asked to do one task; ``task`` is a step id for retrieval."""

    agent: Agent
    task: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The next hand-offs (several run at once), or none and the agent whose result is forwarded to the user."""

    handoffs: tuple[Handoff, ...]
    options: frozenset[Agent]
    forward: Agent | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one question."""

    max_parallel: int
    max_rounds: int
    clear_tokens: int = 0


def decide(view: View, limits: Limits) -> Decision:
    """Return what follows from ``view``. Every path ends: each step adds a key that the next one reads."""
    if view.route is None:
        return _go("router", "route")
    if view.route.kind == "direct":
        return _end("router")
    if view.route.kind == "compound" and view.plan is None:
        return _go("planner", "plan")
    if ready := view.ready():
        chosen = tuple(Handoff("retrieval", step.id) for step in ready[: limits.max_parallel])
        return Decision(chosen, frozenset({"retrieval"}))
    return _after_retrieval(view, limits)


def _after_retrieval(view: View, limits: Limits) -> Decision:
    if not any(finding.signal.likely for finding in view.found()):
        return _end("retrieval")
    if not view.drafts:
        return _go("synthesizer", "round 1")
    if len(view.verdicts) < len(view.drafts):
        # of nothing there is nothing to check, unless passages were left out: then all are shown in a further round
        if not view.drafts[-1].claims and in_play(view, limits.clear_tokens) == in_play(view, 0):
            return _end("synthesizer")
        return _go("validator", f"round {len(view.drafts)}")
    if view.verdicts[-1].accepted or len(view.drafts) >= _rounds(view, limits):
        return _end("validator")
    return _go("synthesizer", f"round {len(view.drafts) + 1}")


def _rounds(view: View, limits: Limits) -> int:
    """Return how many rounds there may be: one more where passages were left out, so that all are shown in one."""
    cut = in_play(replace(view, verdicts=[]), limits.clear_tokens) != in_play(view, 0)
    return max(limits.max_rounds, 1 + cut) + (view.ended is not None)  # one more by rules, which need no judge


def in_play(view: View, clear_tokens: int) -> list[Finding]:
    """Return what synthesizer and validator see in this round, a finding a part.

    For a part whose signal says that the documents do not answer it, nothing can be claimed and nothing accepted: what
    was found for it looks like an answer and is none. The answer then names the part as not answered. Where the best
    passages are clear, the first round sees no more than those. When nothing of it was accepted, they may have been the
    wrong ones: a further round sees all, and reads the evidence anew, also where the settings allow but one.
    """
    likely = [finding for finding in view.found() if finding.signal.likely]
    return likely if view.verdicts else [narrowed(finding, clear_tokens) for finding in likely]


def brief(view: View) -> str:
    """Return what the next step is chosen by where a model chooses: the question, and what is there so far.

    No word of a document or a draft is among it, so none can sway the choice. The question is the one understood
    alone, so in a conversation it may hold words of earlier turns that complete it.
    """
    done = [f"route: {view.route.kind if view.route else 'open'}"]
    if view.route and view.route.kind == "compound" and view.plan is None:
        done.append("steps: none")
    elif view.route:
        waiting = {step.id: "open" for step in view.ready()}
        done += [f"{step.id}: {_said(view, step.id) or waiting.get(step.id, 'waits')}" for step in view.steps]
    checked = [f"accepted {len(verdict.accepted)}" for verdict in view.verdicts]
    drafts = [f"draft {n}: {said}" for n, said in enumerate([*checked, "unchecked"][: len(view.drafts)], start=1)]
    return "\n".join([block("question", view.asked), *done, *drafts])


def _said(view: View, step: str) -> str:
    found = view.findings.get(step)
    return "" if found is None else "found" if found.signal.likely else "nothing found"


def _go(agent: Agent, task: str) -> Decision:
    return Decision((Handoff(agent, task),), frozenset({agent}))


def _end(forward: Agent) -> Decision:
    return Decision((), frozenset(), forward)
