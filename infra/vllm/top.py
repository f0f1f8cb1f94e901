"""``docmind top``: what the running server does, refreshed in the terminal, and kept in the performance log.

Shows memory, speed, KV cache, prefix hits and queue (`infra.vllm.watch`). ``--once`` looks twice, an interval apart,
and prints the rates in between; ``--json`` prints one object a look. Every look becomes a row of the tenant's
``performance_logs``. Ctrl-C ends it with code 0. Exit code 1 with ``--once``: the server did not answer.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from infra.settings import Settings, load_settings
from infra.store.performance import PerformanceLog
from infra.telemetry import PERFORMANCE_FILE, set_up_logging
from infra.text.plain import one_line
from infra.vllm.watch import Sample, Watcher, record
from infra.vllm.wire import Server

MIN_INTERVAL_SECONDS, MAX_INTERVAL_SECONDS = 0.5, 3_600.0
_BAR = 30

app = typer.Typer(add_completion=False)


@app.command()
def top(
    base_url: Annotated[
        str | None, typer.Option(help="Where the server's OpenAI API answers. [default: DOCMIND_VLLM__BASE_URL]")
    ] = None,
    interval: Annotated[
        float, typer.Option(min=MIN_INTERVAL_SECONDS, max=MAX_INTERVAL_SECONDS, help="Seconds between two looks.")
    ] = 2.0,
    *,
    once: Annotated[bool, typer.Option("--once", help="Look twice, print what happened in between, and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a look.")] = False,
) -> None:
    """Watch a running vLLM server: memory, tokens a second, time to the first token, KV cache, prefix hits, queue."""
    settings = load_settings(vllm={"base_url": base_url} if base_url else None)
    set_up_logging(settings)
    with Server(settings.vllm.base_url, settings.vllm.api_key) as server:
        looks = kept(Watcher(server).sample, settings, _ticks(interval, 2 if once else None))
        try:
            if once:
                *_, last = looks
                typer.echo(json.dumps(asdict(last)) if as_json else _plain(last, server.root_url))
                raise typer.Exit(0 if last.up else 1)
            if as_json:
                for sample in looks:
                    typer.echo(json.dumps(asdict(sample)))
            else:
                _live(looks, server.root_url)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


def kept(look: Callable[[], Sample], settings: Settings, ticks: Iterator[None]) -> Iterator[Sample]:
    """Return one sample a tick, each written to the performance log."""
    with closing(PerformanceLog(settings.tenant_dir / PERFORMANCE_FILE)) as log:
        for _ in ticks:
            sample = look()
            log.add(record(sample))
            yield sample


def _ticks(interval: float, most: int | None) -> Iterator[None]:
    """Return a beat that does not drift; the first comes at once."""
    begun, done = time.monotonic(), 0
    while most is None or done < most:
        time.sleep(max(0.0, begun + done * interval - time.monotonic()))
        yield
        done = max(done + 1, int((time.monotonic() - begun) / interval))  # a look that took long skips beats


def _live(looks: Iterator[Sample], where: str) -> None:
    console = Console(file=sys.stdout)
    with Live(console=console, auto_refresh=False, screen=False) as live:
        for sample in looks:
            live.update(table(sample, where), refresh=True)


def _plain(sample: Sample, where: str) -> str:
    return "\n".join(f"{name:22} {value}" for name, value in rows(sample, where))


def table(sample: Sample, where: str) -> Table:
    """Return a sample as a table of two columns."""
    shown = Table(show_header=False, box=None, pad_edge=False)
    shown.add_column(style="dim", no_wrap=True)
    shown.add_column(no_wrap=True, overflow="ellipsis")
    for name, value in rows(sample, where):
        shown.add_row(Text(name), Text(value))
    return shown


def rows(sample: Sample, where: str) -> list[tuple[str, str]]:
    """Return what is shown of a sample: a name and its value a line; what is not known is a dash."""
    shown = [("server", f"{where} at {sample.timestamp}" if sample.up else f"{where}: {one_line(sample.said)}")]
    for card in sample.cards:
        part = card.vram_used_mb / card.vram_total_mb if card.vram_total_mb else 0.0
        used = f"{_bar(part)} {card.vram_used_mb / 1e3:.1f} of {card.vram_total_mb / 1e3:.1f} GB"
        busy = "" if card.busy_percent is None else f", {card.busy_percent:.0f} % busy"
        shown.append((one_line(card.name), used + busy))
    if not sample.cards:
        shown.append(("GPU", "no NVIDIA driver answers on this machine"))
    if not sample.up:
        return shown
    return [
        *shown,
        ("KV cache", "-" if sample.kv_usage is None else f"{_bar(sample.kv_usage)} {100 * sample.kv_usage:.1f} %"),
        ("tokens written", _of(sample.decode_tokens_per_second, "{:,.1f} a second")),
        ("prompt tokens taken in", _of(sample.prefill_tokens_per_second, "{:,.1f} a second")),
        (
            "first token",
            f"{_of(sample.ttft_p50_seconds, '{:.3f} s')} p50, {_of(sample.ttft_p95_seconds, '{:.3f} s')} p95",
        ),
        (
            "prefix hits",
            "-" if sample.prefix_hit_rate is None else f"{100 * sample.prefix_hit_rate:.1f} % of the tokens",
        ),
        ("requests", f"{_of(sample.running, '{:.0f}')} running, {_of(sample.waiting, '{:.0f}')} waiting"),
        ("preempted", _of(sample.preemptions, "{:.0f}")),
    ]


def _of(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _bar(part: float) -> str:
    full = round(_BAR * min(1.0, max(0.0, part)))
    return "█" * full + "░" * (_BAR - full)


if __name__ == "__main__":
    app()
