"""`docmind top`: what is shown, what is kept, and how it ends."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial, partialmethod
from io import StringIO
from itertools import count

import pytest
from rich.console import Console
from typer.testing import CliRunner

from infra.settings import load_settings
from infra.store.performance import PerformanceLog
from infra.telemetry import PERFORMANCE_FILE
from infra.vllm import top as door
from infra.vllm.top import kept, rows, table
from infra.vllm.watch import OPERATION, Card, Sample, Watcher
from tests.loopback import Answered, Asked, serving

SAMPLE = Sample(
    timestamp="2026-01-01T00:00:00.000Z",
    seconds=2.0,
    up=True,
    said="",
    cards=(Card("RTX 4090", 12_000.0, 24_000.0, 50.0), Card("RTX 3090", 0.0, 24_000.0, None)),
    decode_tokens_per_second=123.45,
    prefill_tokens_per_second=2_000.0,
    ttft_p50_seconds=0.25,
    ttft_p95_seconds=0.5,
    kv_usage=0.5,
    prefix_hit_rate=0.875,
    running=2,
    waiting=1,
    preemptions=0,
)
URL = "http://127.0.0.1:8000"


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door.time, "sleep", lambda _: None)
    monkeypatch.setattr(PerformanceLog, "close", partialmethod(PerformanceLog.close, seconds=60.0))


def metrics() -> Callable[[Asked], Answered]:
    """A server that has written 100 tokens more at each look."""
    numbers = count(1)

    def answer(_: Asked) -> Answered:
        text = f"vllm:num_requests_running 1\nvllm:generation_tokens_total {100 * next(numbers)}\n"
        return Answered(text.encode(), headers={"content-type": "text/plain"})

    return answer


def test_every_figure_has_a_line_with_its_unit():
    assert dict(rows(SAMPLE, URL)) == {
        "server": f"{URL} at 2026-01-01T00:00:00.000Z",
        "RTX 4090": "███████████████░░░░░░░░░░░░░░░ 12.0 of 24.0 GB, 50 % busy",
        "RTX 3090": "░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ 0.0 of 24.0 GB",
        "KV cache": "███████████████░░░░░░░░░░░░░░░ 50.0 %",
        "tokens written": "123.5 a second",
        "prompt tokens taken in": "2,000.0 a second",
        "first token": "0.250 s p50, 0.500 s p95",
        "prefix hits": "87.5 % of the tokens",
        "requests": "2 running, 1 waiting",
        "preempted": "0",
    }


def test_what_is_not_known_is_a_dash():
    unknown = Sample("t", 0.0, up=True, said="", cards=())
    shown = dict(rows(unknown, URL))
    assert shown["GPU"] == "no NVIDIA driver answers on this machine"
    assert shown["KV cache"] == "-"
    assert shown["first token"] == "- p50, - p95"


def test_a_server_that_is_not_there_shows_why_and_the_gpus():
    gone = replace(SAMPLE, up=False, said="All connection\x1b attempts failed")
    assert [name for name, _ in rows(gone, URL)] == ["server", "RTX 4090", "RTX 3090"]
    assert rows(gone, URL)[0][1] == f"{URL}: All connection attempts failed"


def test_the_table_takes_names_for_text():
    console = Console(file=StringIO(), width=80)
    console.print(table(replace(SAMPLE, cards=(Card("[red]x[/red]", 1.0, 2.0, None),)), URL))
    assert "[red]x[/red]" in console.file.getvalue()  # type: ignore[attr-defined]


def test_every_look_is_kept_in_the_performance_log():
    settings = load_settings()
    assert len(list(kept(lambda: SAMPLE, settings, iter([None] * 3)))) == 3
    stored = PerformanceLog(settings.tenant_dir / PERFORMANCE_FILE).recent()
    assert [row.operation for row in stored] == [OPERATION] * 3
    assert stored[0].metrics["resources"]["vram_used"] == 12_000


def test_looks_come_an_interval_apart_and_late_ones_are_skipped(monkeypatch: pytest.MonkeyPatch):
    now, waits = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(door.time, "sleep", sleep)
    monkeypatch.setattr(door.time, "monotonic", lambda: now[0])
    ticks = door._ticks(2.0, None)
    next(ticks)
    next(ticks)
    now[0] += 5.0  # a look that took more than two intervals
    next(ticks)
    next(ticks)
    assert waits == [0.0, 2.0, 0.0, 1.0]


def test_once_looks_twice_and_prints_the_rate_in_between(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(door, "Watcher", partial(Watcher, clock=count(0.0, 2.0).__next__))
    with serving(metrics()) as loopback:
        result = CliRunner().invoke(door.app, ["--once", "--json", "--base-url", loopback.url])
        assert [asked.path for asked in loopback.requests] == ["/metrics", "/metrics"]
    told = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (told["seconds"], told["decode_tokens_per_second"]) == (2.0, 50.0)


def test_once_ends_with_one_where_nobody_answers():
    with serving(lambda _: Answered({"detail": "Not Found"}, 404)) as loopback:
        result = CliRunner().invoke(door.app, ["--once", "--base-url", loopback.url])
    assert result.exit_code == 1
    assert result.stdout.startswith(f"server                 {loopback.url}: Not Found\n")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_ctrl_c_ends_it_cleanly(monkeypatch: pytest.MonkeyPatch, options: list[str]):
    def twice(*_: object) -> Iterator[None]:
        yield None
        yield None
        raise KeyboardInterrupt

    monkeypatch.setattr(door, "_ticks", twice)
    with serving(metrics()) as loopback:
        result = CliRunner().invoke(door.app, ["--base-url", loopback.url, *options])
    assert result.exit_code == 0
    assert "Traceback" not in result.output
    if options:
        assert [json.loads(line)["up"] for line in result.stdout.splitlines()] == [True, True]
    else:
        assert "1 running, - waiting" in result.stdout


@pytest.mark.parametrize("interval", ["0.1", "3601", "x"])
def test_an_interval_that_is_too_short_or_too_long_is_refused(interval: str):
    assert CliRunner().invoke(door.app, ["--interval", interval]).exit_code == 2
