"""The token comparison for people: tables, and plots as PNG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from graph.bench import plots
from graph.bench.tokens_arms import ARMS, OURS, WITHOUT
from graph.bench.tokens_figures import COLUMNS, KINDS

_WHAT = {arm.name: arm.what for arm in ARMS}
_TITLES = {"compound": "Compound questions", "lookup": "Look-ups"}


def tables(figures: Mapping[str, Any], console: Console) -> None:
    """Print the medians of each kind of question, what our calls cost, and the reductions beside the aims."""
    for kind in KINDS:
        if figures["questions"][kind]:
            console.print(_medians(figures, kind))
            if OURS in figures["arms"]:
                console.print(_agents(figures, kind))
    if figures["reduction"]:
        console.print(_against(figures))


def draw(figures: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw tokens and seconds of the arms, and tokens with savings switched off, into ``folder``; return the files."""
    kinds = [kind for kind in KINDS if figures["questions"][kind]]
    groups = [f"{column}, {kind}" for kind in kinds for column in ("total", "uncached")]
    tokens = {
        name: {f"{column}, {kind}": found[kind][column] for kind in kinds for column in ("total", "uncached")}
        for name, found in figures["arms"].items()
    }
    seconds = {name: {kind: found[kind]["seconds"] for kind in kinds} for name, found in figures["arms"].items()}
    whole = [name for name in tokens if not name.startswith(WITHOUT)]
    ours = [name for name in tokens if name not in whole or name.startswith(OURS)]
    speeds = figures["conditions"]
    paced = (
        f"{speeds['prefill_tokens_per_second']:g} prefill and {speeds['decode_tokens_per_second']:g} decode tokens/s"
    )
    timed = f"Seconds of a question at {paced}, medians"
    return [
        plots.bars(folder / "tokens.png", "Tokens of a question, medians", _named(tokens, whole), groups),
        plots.bars(folder / "tokens_savings.png", "Tokens without a saving, medians", _named(tokens, ours), groups),
        plots.bars(folder / "tokens_seconds.png", timed, _named(seconds, whole), kinds),
    ]


def _named(values: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> dict[str, Mapping[str, float]]:
    return {_WHAT[name]: values[name] for name in names}


def _medians(figures: Mapping[str, Any], kind: str) -> Table:
    title = f"{_TITLES[kind]} ({figures['questions'][kind]}), medians"
    columns = [name.replace("_", " ") for name in COLUMNS]
    heads = (*columns, "gold evidence", "more total", "more uncached")
    table = Table("", *heads, title=title, title_justify="left")
    for name, found in figures["arms"].items():
        row = found[kind]
        cells = [f"{row[column]:.2f}" if column == "seconds" else f"{row[column]:,.0f}" for column in COLUMNS]
        more = [f"{row[key]:+.0%}" if key in row else "" for key in ("more_total", "more_uncached")]
        table.add_row(_WHAT[name], *cells, f"{row['gold_evidence']:.3f}", *more)
    return table


def _agents(figures: Mapping[str, Any], kind: str) -> Table:
    table = Table("", "calls", "prompt", "completion", "uncached", title=f"{_TITLES[kind]}: ours, a question's mean")
    table.title_justify = "left"
    for agent, cost in figures["arms"][OURS][kind]["agents"].items():
        table.add_row(agent, *(f"{cost[name]:,.1f}" for name in ("calls", "prompt", "completion", "uncached")))
    return table


def _against(figures: Mapping[str, Any]) -> Table:
    kinds = [kind for kind in KINDS if kind in figures["reduction"]]
    heads = [_TITLES[kind].lower() for kind in kinds]
    table = Table(
        "ours saves", *heads, "aim", *(f"{head}, fewest calls" for head in heads), title="Reductions, medians"
    )
    table.title_justify = "left"
    for name, aim in figures["aims"].items():
        full = [f"{figures['reduction'][kind][name]:.1%}" for kind in kinds]
        lean = [f"{figures['reduction_lean'][kind][name]:.1%}" for kind in kinds if kind in figures["reduction_lean"]]
        table.add_row(name.replace("_", " "), *full, f"{aim:.0%}", *lean)
    return table
