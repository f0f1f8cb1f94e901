"""The command ``python -m graph.bench latency``."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from graph.bench import latency as bench
from graph.bench import latency_report as report
from graph.bench import plots
from infra.settings import load_settings
from infra.telemetry import set_up_logging

TABLE_WIDTH = 160
"""Columns of a table that goes into a file."""


def latency(
    data: Annotated[Path, typer.Option(help="The folder of the evaluation data, or its folder lihua_world.")],
    questions: Annotated[int, typer.Option(min=1, help="How many are asked at each size.")] = bench.QUESTIONS,
    size: Annotated[list[int] | None, typer.Option(min=1, help="Tokens of evidence; may be given again.")] = None,
    out: Annotated[Path | None, typer.Option(help="Draw a plot (PNG) into this folder.")] = None,
    prefill: Annotated[float, typer.Option(min=1, help="The engine's prefill tokens/s.")] = bench.PREFILL,
    decode: Annotated[float, typer.Option(min=1, help="The engine's decode tokens/s.")] = bench.DECODE,
) -> None:
    """Time look-ups end to end and until the first sentence is shown, by size of the evidence.

    The embedded engine is served on a loopback port by a process of its own, with these speeds and its prefix cache on,
    and asked as a vLLM server, one question at a time. "first useful": the first sentence is shown; "first character":
    the first one of its text has come. "prefill" is the time to the first tokens, "decode" that of the others,
    "overhead" what is neither of them nor retrieval. The index is kept under DOCMIND_DATA_DIR. Takes minutes. The last
    line is JSON.
    """
    if out:
        plots.check(out)
    options = bench.Options(data, questions, tuple(size or bench.SIZES), prefill, decode)
    settings = load_settings()
    set_up_logging(settings)
    figures = bench.run(options, settings, Console(stderr=True))
    console = Console()
    report.tables(figures, console if console.is_terminal else Console(width=TABLE_WIDTH))
    for file in report.draw(figures, out) if out else ():
        typer.echo(f"plot: {file}", err=True)
    typer.echo(json.dumps(figures))
