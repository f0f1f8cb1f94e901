"""Doors of two measurements: ``overhead`` (what a question takes beside its model) and ``load`` (many at once)."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from graph.bench import load as load_bench
from graph.bench import memory as memory_bench
from graph.bench import overhead as overhead_bench
from graph.bench import overhead_report, parallel, plots
from infra.settings import Settings, load_settings
from infra.telemetry import set_up_logging

TABLE_WIDTH = 160
"""Columns of a table that goes into a file."""

Data = Annotated[Path, typer.Option(help="The folder of the evaluation data, or its folder lihua_world.")]
Out = Annotated[Path | None, typer.Option(help="Draw plots (PNG) into this folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print nothing but the line of JSON.")]


def overhead(
    data: Data,
    questions: Annotated[int, typer.Option(min=1, help="How many; half of them compound.")] = overhead_bench.QUESTIONS,
    out: Out = None,
    memory: Annotated[
        int, typer.Option(min=0, help="Then ask so many with the caches off and on, and see whether memory grows.")
    ] = 0,
    apart: Annotated[
        int, typer.Option(min=0, help="Compound questions of each kind asked with sub-questions side by side or not.")
    ] = parallel.QUESTIONS,
    *,
    only_json: Json = False,
) -> None:
    """Time what a question takes beside its model calls and searches, beside the stock supervisor in the same run.

    By turns: ours, ours with a checkpointer (as --thread), ours with the answer cache on, and langgraph-supervisor as
    its README teaches it. "overhead" is the time in which no model call and no search was under way: a call lasts from
    its request to the last byte of its reply. "strict" takes off only the engine's own work, so that the client's
    reading of a reply that comes all at once counts too; "said" is what the answer itself says (seconds.overhead),
    where the guard's work goes with the model; "loop cpu" is the event loop's processor time. The steps are given
    without model calls; retrieval has its search in it. The engine runs in process with no speeds set.

    Then compound questions with 3 hand-offs at once and with 1, with a search that takes 0, 50 and 200 ms more. With
    --memory 2000 (some minutes) the growth of the process. The index is kept under DOCMIND_DATA_DIR. The last line is
    JSON: "reached" stands beside "aims".
    """
    if out:
        plots.check(out)
    settings, console = _settings(), Console(stderr=True)
    figures = overhead_bench.run(overhead_bench.Options(data, questions), settings, console)
    if apart:
        figures["parallel"] = parallel.run(data, settings, console, questions=apart)
    if memory:
        figures["memory"] = memory_bench.run(data, settings, console, questions=memory)
    if not only_json:
        overhead_report.tables(figures, _console())
    _end(figures, overhead_report.draw(figures, out) if out else ())


def load(  # noqa: PLR0913 - the command's options
    data: Data,
    concurrency: Annotated[
        str, typer.Option(help="Questions worked on at once: numbers from 1 to 128, with commas between.")
    ] = ",".join(map(str, load_bench.CONCURRENCY)),
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Questions of a step: so many times those at once.")] = (
        load_bench.ROUNDS
    ),
    prefill: Annotated[float, typer.Option(min=1, help="The engine's prefill tokens/s.")] = load_bench.PREFILL,
    decode: Annotated[float, typer.Option(min=1, help="The engine's decode tokens/s of each reply.")] = (
        load_bench.DECODE
    ),
    out: Out = None,
    *,
    one_card: Annotated[
        bool, typer.Option("--one-card/--room-for-all", help="Whether prompts share the prefill speed.")
    ] = True,
    only_json: Json = False,
) -> None:
    """Answer many questions at once over a port, and send the same requests again with nothing between them.

    The embedded engine is served on a loopback port by a process of its own, anew for each run so that its prefix cache
    is empty, with speeds set. On one card the prompts that are there together share the prefill speed, and replies are
    written side by side; with room for all no request slows another down. Each step asks its questions through one
    session, as many at once as it says, and records the model calls as they go out; then a bare client sends them
    again, as many questions at once, the calls of each in their order. "of replay" is our throughput beside its.
    "busy" is the mean number of requests at the endpoint, as a share of the questions at once; "all at once" the share
    of time in which there were as many requests as questions. "cores" are processor seconds a second of our process and
    of the engine's: both, and whatever else runs, share the machine's. "ceiling" is how many questions a second one
    core can serve by the processor time that ours took a question: Python hardly uses more than one.

    The index is kept under DOCMIND_DATA_DIR. Takes some minutes, on one card up to half an hour. The last line is JSON.
    """
    if out:
        plots.check(out)
    steps = load_bench.steps_of(concurrency)
    options = load_bench.Options(data, steps, rounds, prefill, decode, one_card)
    figures = load_bench.run(options, _settings(), Console(stderr=True))
    if not only_json:
        load_bench.table(figures, _console())
    _end(figures, [load_bench.draw(figures, out)] if out else ())


def _settings() -> Settings:
    settings = load_settings()
    set_up_logging(settings)
    return settings


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=TABLE_WIDTH)


def _end(figures: dict[str, Any], drawn: Iterable[Path]) -> None:
    for file in drawn:
        typer.echo(f"plot: {file}", err=True)
    typer.echo(json.dumps(figures))
