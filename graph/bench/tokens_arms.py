"""The arms of the comparison: what each one is, and what is switched off in it.

An `Arm` is the stock supervisor in one of its forms, or our graph with settings changed and, where a saving has no
setting, with a `Swap`: the plain way is put in its place while the arm runs. Arms run one after another, so a swap is
seen by nobody else. A new saving is one line of `ARMS`.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

from agents.common import SYSTEM, question_block, source_blocks
from agents.synthesizer import Case
from graph.bench.tokens_stock import Form
from graph.state import View
from infra.errors import ConfigurationError
from infra.llm.prompt import Template, render
from infra.settings import EngineSettings, ModelSettings, Settings
from infra.text.blocks import block
from tools.compress import Note

DEFAULT, FULL_HISTORY, OURS = "stock", "stock_full_history", "ours"
LEAN, LEAN_FULL_HISTORY = "stock_lean", "stock_lean_full_history"
WITHOUT = "without_"
NO_LIMIT = 10_000_000

Original = Any
"""Whatever stands under a name that is swapped."""


@dataclass(frozen=True, slots=True)
class Swap:
    """What a name of a module stands for while an arm runs: ``plain`` makes it from what stands there."""

    module: str
    name: str
    plain: Callable[[Original], object]


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to answer.

    Attributes:
        name: its key in the figures.
        what: what it is, for people.
        stock: the stock supervisor's form; None: our graph.
        settings: our settings that are changed, by section and name.
        swaps: what is swapped.
        beside: the arm it is compared with to see what its saving brings; empty where it shows none.
    """

    name: str
    what: str
    stock: Form | None = None
    settings: Mapping[tuple[str, str], Any] = field(default_factory=dict[tuple[str, str], Any])
    swaps: Sequence[Swap] = ()
    beside: str = ""


def _without(saving: str, *swaps: Swap, beside: str = OURS, **agents: Any) -> Arm:
    """Our graph with one saving switched off: by settings of the section ``agents``, or by swaps."""
    settings = {("agents", name): value for name, value in agents.items()}
    both = f"ours without {beside.removeprefix(WITHOUT)} and" if beside.startswith(WITHOUT) else f"{beside} without"
    said = f"(e) {both} {saving}".replace("_", " ")
    return Arm(f"{WITHOUT}{saving}", said, None, settings, swaps, beside)


def _never_verbatim(check: Original) -> object:
    """Have every claim put to the model, those that are quotes as well."""

    def checked(claim: object, passages: object) -> object:
        return replace(check(claim, passages), verbatim=False)

    return checked


def _as_if_supported(objection: Original) -> object:
    """Take what stands in its passages as supported: our validator does not count a judgement made by rules."""

    def objected(item: Original, judged: object) -> str | None:
        return None if item.citations else objection(item, judged)

    return objected


def _task_first(_: Original) -> object:
    """Put an agent's own rules and task before what they are about, so that no two agents' prompts begin the same."""

    def messages(template: Template, case: Case, *more: str) -> object:
        parts = [block("part", s.question, id=s.id) for s in case.plan.steps] if len(case.plan.steps) > 1 else []
        blocks = [question_block(case.question), *parts, *source_blocks(case.evidence), *more]
        rules = "\n".join(part for part in (template.system, template.task) if part)
        return render(Template(template.name, rules, "", template.version), system=SYSTEM, blocks=blocks)

    return messages


def _uncompressed(_: Original) -> object:
    """Leave what a stage said as it is."""

    async def compress(text: str, question: str, count: Callable[[str], Any], **_: object) -> Note:
        del question
        tokens = await count(text)
        return Note(text, tokens, tokens)

    return compress


def _all_that_was_found(brief: Original) -> object:
    """Show the supervising model the passages as well, as the conversation holds them."""

    def told(view: View) -> str:
        found = [f"{p.doc}: {p.text}" for finding in view.found() for p in finding.passages]
        return "\n\n".join([brief(view), *found])

    return told


_JUDGED = [
    Swap("agents.validator", "_check", _never_verbatim),
    Swap("agents.validator", "_objection", _as_if_supported),
]
_LATE_SOURCES = [Swap(f"agents.{agent}", "case_messages", _task_first) for agent in ("synthesizer", "validator")]

ARMS: Sequence[Arm] = (
    Arm(DEFAULT, "(a) langgraph-supervisor, last_message", Form()),
    Arm(FULL_HISTORY, "(a2) the same, full_history", Form("full_history")),
    Arm("stock_parallel", "(b) as (a), hand-offs side by side", Form(parallel=True)),
    Arm(LEAN, "(a) with the fewest calls", Form(lean=True)),
    Arm(LEAN_FULL_HISTORY, "(a2) with the fewest calls", Form("full_history", lean=True)),
    Arm("ours_llm", "(c) ours, a model chooses each step", settings={("agents", "supervisor"): "llm"}, beside=OURS),
    Arm(OURS, "(d) ours"),
    _without("rules_for_look-ups", route_by_rules=False),
    _without("router_and_planner_in_one", route_with_plan=False),
    _without("parallel_calls", parallel_tools=False),
    _without("validation_by_code", *_JUDGED),
    _without("shared_prefix", *_JUDGED, *_LATE_SOURCES, beside="without_validation_by_code"),
    _without("brief", Swap("graph.supervisor", "brief", _all_that_was_found), beside="ours_llm", supervisor="llm"),
    Arm(
        f"{WITHOUT}evidence_cut",
        "(e) ours without evidence cut",
        settings={("retrieval", "clear_tokens"): 0},
        beside=OURS,
    ),
    _without("compression", Swap("graph.notes", "compress", _uncompressed)),
)
"""What is measured, in the order of the table. A saving that has no setting is switched off by a swap."""


def chosen(names: Sequence[str]) -> list[Arm]:
    """Return the arms of these names, all where none is given.

    Raises:
        ConfigurationError: there is no arm of such a name.
    """
    known = [arm.name for arm in ARMS]
    if unknown := [name for name in names if name not in known]:
        raise ConfigurationError(f"--arm {unknown[0]}: there is none; known are {', '.join(known)}")
    return [arm for arm in ARMS if not names or arm.name in names]


def settings_of(arm: Arm, settings: Settings, prefill: float, decode: float) -> Settings:
    """Return the settings of an arm: the engine with these speeds (tokens/s), no cache, no budget, and its own."""
    sections: dict[str, Any] = {
        "backend": "engine",
        "fallbacks": [],
        "models": ModelSettings(),
        "engine": EngineSettings(prefill_tokens_per_second=prefill, decode_tokens_per_second=decode),
        "cache": settings.cache.model_copy(update={"enabled": False}),
        "budget": settings.budget.model_copy(update={"question_tokens": NO_LIMIT, "question_calls": 1_000}),
    }
    for (section, name), value in arm.settings.items():
        given = sections.get(section, getattr(settings, section))
        sections[section] = given.model_copy(update={name: value})
    return settings.model_copy(update=sections)


@contextmanager
def swapped(swaps: Sequence[Swap]) -> Generator[None]:
    """Put the plain ways in place, and what stood there back at the end."""
    before: list[tuple[Any, str, Original]] = []
    try:
        for swap in swaps:
            module = import_module(swap.module)
            before.append((module, swap.name, getattr(module, swap.name)))
            setattr(module, swap.name, swap.plain(before[-1][2]))
        yield
    finally:
        for module, name, original in reversed(before):
            setattr(module, name, original)
