"""What the scenarios share: quantiles, a table, and the last JSON line."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Return p50 and p95 (linear interpolation); zeros for no values."""
    if not values:
        return {"p50": 0.0, "p95": 0.0}
    p50, p95 = np.percentile(np.asarray(values, dtype=np.float64), [50, 95])
    return {"p50": round(float(p50), 4), "p95": round(float(p95), 4)}


def share(part: int, whole: int) -> float:
    """Return part / whole rounded to four digits; 0 of nothing is 0."""
    return round(part / whole, 4) if whole else 0.0


def show(title: str, figures: Mapping[str, Any]) -> None:
    """Print ``figures`` as a table, then as one JSON line."""
    table = Table("figure", "value", title=title, title_justify="left")
    for name, value in figures.items():
        table.add_row(name, json.dumps(value))
    Console().print(table)
    typer.echo(json.dumps(dict(figures)))
