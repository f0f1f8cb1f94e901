"""The overhead for people: tables, and a plot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from graph.bench import plots
from graph.bench.overhead_figures import ARMS, COLUMNS
from graph.bench.tokens_figures import KINDS

_TITLES = {"compound": "Compound questions", "lookup": "Look-ups"}


def tables(figures: Mapping[str, Any], console: Console) -> None:
    """Print the milliseconds of each kind of question, of each step, and the aims."""
    for kind in KINDS:
        if figures["questions"][kind]:
            console.print(_questions(figures, kind))
    console.print(_steps(figures))
    console.print(_aims(figures))
    if memory := figures.get("memory"):
        console.print(_memory(memory))
    if parallel := figures.get("parallel"):
        console.print(_parallel(parallel))


def draw(figures: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw the overhead of the arms and the steps into ``folder``; return the files."""
    kinds = [kind for kind in KINDS if figures["questions"][kind]]
    groups = [f"{kind}, {of}" for kind in kinds for of in ("p50", "p95")]
    arms = {
        ARMS[name]: {
            f"{kind}, {of}": found[kind]["overhead"][of]
            for kind in kinds
            if found[kind]["answers"]
            for of in ("p50", "p95")
        }
        for name, found in figures["arms"].items()
    }
    steps = {of: {name: step[of] for name, step in figures["steps"].items()} for of in ("p50", "p95")}
    return [
        plots.bars(folder / "overhead.png", "Milliseconds of a question beside model and search", arms, groups),
        plots.bars(
            folder / "overhead_steps.png", "Milliseconds of a step without model calls", steps, list(figures["steps"])
        ),
    ]


def _questions(figures: Mapping[str, Any], kind: str) -> Table:
    title = f"{_TITLES[kind]} ({figures['questions'][kind]}), milliseconds: p50 / p95"
    heads = [column.replace("_", " ") for column in COLUMNS]
    table = Table("", "answers", *heads, title=title, title_justify="left")
    for name, found in figures["arms"].items():
        row = found[kind]
        cells = [f"{row[of]['p50']:.1f} / {row[of]['p95']:.1f}" if of in row else "" for of in COLUMNS]
        table.add_row(ARMS[name], str(row["answers"]), *cells)
    return table


def _steps(figures: Mapping[str, Any]) -> Table:
    title = "Our steps without model calls, milliseconds of a call"
    table = Table("step", "calls", "p50", "p95", title=title, title_justify="left")
    for name, step in figures["steps"].items():
        table.add_row(name, str(step["visits"]), f"{step['p50']:.1f}", f"{step['p95']:.1f}")
    return table


def _aims(figures: Mapping[str, Any]) -> Table:
    table = Table("aim", "measured", "at most", title="Aims", title_justify="left")
    for name, most in figures["aims"].items():
        table.add_row(name.replace("_", " "), f"{figures['reached'][name]:g}", f"{most:g}")
    return table


def _memory(memory: Mapping[str, Any]) -> Table:
    title = "Memory of the process, MiB"
    table = Table("caches", "questions", "first", "last", "per 1,000 questions", "peak", title=title)
    table.title_justify = "left"
    for name in ("off", "on"):
        row = memory[name]
        cells = [f"{row[key]:.1f}" for key in ("first_mb", "last_mb", "per_thousand_mb")]
        table.add_row(name, f"{row['questions']:,}", *cells, f"{memory['peak_mb']:.0f}")
    return table


def _parallel(parallel: Mapping[str, Any]) -> Table:
    title = "Sub-questions side by side and one after the other, seconds of a question (p50)"
    table = Table(
        "parts", "search takes more, ms", "questions", "three at once", "one at once", "saved", "same answers"
    )
    table.title, table.title_justify = title, "left"
    for row in parallel["rows"]:
        seconds = [f"{row[key]:.3f}" for key in ("together_s", "apart_s")]
        cells = [str(row[key]) for key in ("parts", "delay_ms", "questions")]
        table.add_row(*cells, *seconds, f"{row['saved']:.0%}", f"{row['same']:.0%}")
    return table
