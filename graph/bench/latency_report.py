"""The latency of look-ups for people: a table, and a plot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from graph.bench import plots
from graph.bench.latency import AIM_TOKENS, AIMS, TIMES

TOKENS = ("evidence_tokens", "draft_uncached_tokens", "draft_reply_tokens")


def tables(figures: Mapping[str, Any], console: Console) -> None:
    """Print a row for each size: seconds, p50 / p95."""
    names = [name.replace("_", " ") for name in TIMES]
    columns = ["at most", "look-ups", "by rules", "rounds", "shown early", "evidence", "uncached", "reply", *names]
    table = Table(*columns, title="A look-up, seconds: p50 / p95", title_justify="left")
    for size, row in figures["sizes"].items():
        counts = [str(row["lookups"]), str(row["routed_by_rules"]), _rounds(row), f"{row['shown_early']:.2f}"]
        tokens = [f"{row[name]['p50']:,.0f}" for name in TOKENS]
        seconds = [f"{row[name]['p50']:.2f} / {row[name]['p95']:.2f}" for name in TIMES]
        table.add_row(f"{int(size):,}", *counts, *tokens, *seconds)
        within = [f"{row['within'][n]['p50']:.2f} / {row['within'][n]['p95']:.2f}" for n in TIMES[:3]]
        table.add_row("  these only", str(row["within"]["lookups"]), "", _rounds(row["within"]), *[""] * 4, *within)
    console.print(table)


def _rounds(row: Mapping[str, Any]) -> str:
    """Return how many look-ups took one round, two, and so on: ``20 + 3``."""
    return " + ".join(str(row["rounds"].get(str(n), 0)) for n in range(1, max(map(int, row["rounds"]), default=0) + 1))


def draw(figures: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw the times over the size of the evidence; returns the file."""
    lines = {
        f"{name.replace('_', ' ')}, {quantile}": [
            (float(size), row[name][quantile]) for size, row in figures["sizes"].items()
        ]
        for name in TIMES[:3]
        for quantile in ("p50", "p95")
    }
    points = {f"aim: {name.replace('_', ' ')}": (float(AIM_TOKENS), seconds) for name, seconds in AIMS.items()}
    names = ("tokens of evidence", "seconds")
    return [plots.curves(folder / "latency.png", "A look-up, seconds", names, lines, points, shares=False)]
