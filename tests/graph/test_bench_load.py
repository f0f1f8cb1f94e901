"""The bench ``load``: which steps it takes, what its figures are, and one small run over a port."""

import json
import os
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graph.bench.__main__ import app, main
from graph.bench.load import Worked, figures_of, replayed, steps_of
from graph.bench.load_engine import Served, served
from graph.bench.watch import COMPLETIONS
from infra.engine.protocol import MODEL_ID
from infra.errors import BackendUnavailable, ConfigurationError
from infra.measure.spans import Span
from infra.measure.wire import Sent
from tests.graph.evaluation import plots, small, written
from tests.loopback import Answered, Asked, serving


def sent(start: float, end: float, *, asker: str = "0", status: int = 200) -> Sent:
    return Sent(asker, "/v1/chat/completions", b"{}", status, Span(start, end))


def test_steps_are_numbers_with_commas_between() -> None:
    assert steps_of("1, 8,32") == [1, 8, 32]
    for text in ("", "1,,2", "0", "129", "many", "1;2", "-1"):
        with pytest.raises(ConfigurationError, match=r"--concurrency .*: give numbers from 1 to 128"):
            steps_of(text)


def test_throughput_is_told_beside_the_replays_and_how_busy_the_endpoint_was() -> None:
    ours = Worked(
        Span(0, 10), [Span(0, 5), Span(5, 10)], 0, [sent(0, 4), sent(2, 6), sent(8, 9)], ours_cpu=0.5, engine_cpu=2.0
    )
    again = Worked(Span(0, 8), [Span(0, 8)], 0, [sent(0, 4), sent(0, 4), sent(4, 8)], ours_cpu=0.1, engine_cpu=1.0)
    figures = figures_of(2, ours, again)
    assert (figures["questions"], figures["calls"], figures["errors"]) == (2, 3, 0)
    assert figures["of_replay"] == 0.8
    assert figures["ceiling_per_second"] == 4.0
    assert figures["ours"] == {
        "seconds": 10,
        "questions_per_second": 0.2,
        "latency_s": {"p50": 5.0, "p95": 5.0},
        "busy": 0.45,
        "all_at_once": 0.2222,
        "cores": 0.05,
        "engine_cores": 0.2,
    }
    assert (figures["replay"]["questions_per_second"], figures["replay"]["busy"]) == (0.25, 0.75)


async def test_the_replays_clock_starts_when_its_engine_was_warmed_by_what_warmed_ours() -> None:
    came: list[float] = []

    def answered(_: Asked) -> Answered:
        came.append(time.perf_counter())
        return Answered({})

    calls = [Sent(str(n), COMPLETIONS, str(n).encode(), 200, Span(n, n + 1)) for n in (3, 1, 2)]
    ours = Worked(Span(0, 9), [], 0, calls, ours_cpu=0.1, engine_cpu=0.1, warming=[b"8", b"9"])
    with serving(answered) as server:
        again = await replayed(ours, 1, Served(os.getpid(), f"{server.url}/v1"))
        assert server.bodies(COMPLETIONS) == [8, 9, 1, 2, 3]
    assert [sent.body for sent in again.sent] == [b"1", b"2", b"3"]
    assert came[1] < again.whole.start < came[2]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small(monkeypatch)
    return written(tmp_path)


@pytest.mark.prove
@pytest.mark.usefixtures("data_dir")
def test_questions_are_answered_over_a_port_and_their_calls_sent_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, opened = tmp_path / "plots", list[dict[str, bool]]()

    def noted(prefill: float, decode: float, **how: bool) -> AbstractContextManager[Served]:
        opened.append(how)
        return served(prefill, decode, **how)

    monkeypatch.setattr("graph.bench.load.served", noted)
    fast = ["--prefill", "1e9", "--decode", "1e9", "--rounds", "1", "--out", str(out)]
    done = CliRunner().invoke(app, ["load", "--data", str(data), "--concurrency", "2,4", *fast])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.splitlines()[-1])
    assert [row["at_once"] for row in figures["rows"]] == [2, 4]
    for row in figures["rows"]:
        assert (row["questions"], row["errors"]) == (8, 0)
        assert row["calls"] >= 8
        assert row["of_replay"] > 0
        assert 0 < row["ours"]["busy"] <= 1
        assert 0 < row["ours"]["latency_s"]["p50"] <= row["ours"]["latency_s"]["p95"]
    assert opened == [{"one_card": True}] * 4
    assert "at once on one card" in done.stdout
    assert len(plots(out)) == 1


@pytest.mark.prove
def test_the_engine_is_served_by_a_process_of_its_own_that_ends_with_the_block() -> None:
    with served(1e9, 1e9, one_card=True) as engine:
        assert "--shared-prefill" in Path(f"/proc/{engine.pid}/cmdline").read_text().split("\0")
        assert engine.base_url.startswith("http://127.0.0.1:")
        assert (engine.root_url, engine.model) == (engine.base_url.removesuffix("/v1"), MODEL_ID)
        assert engine.cpu_seconds() > 0
        pid = engine.pid
    assert not Path(f"/proc/{pid}").exists()


def test_the_engine_that_does_not_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graph.bench.load_engine.sys.executable", "/bin/false")
    with pytest.raises(BackendUnavailable, match="docmind engine"), served(1, 1):
        pass


def test_the_command_explains_itself_and_refuses_steps_that_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert " load " in CliRunner().invoke(app, ["--help"]).output
    assert "load [OPTIONS]" in CliRunner().invoke(app, ["load", "--help"]).output
    monkeypatch.setattr(sys, "argv", ["bench", "load", "--data", str(tmp_path), "--concurrency", "many"])
    with pytest.raises(SystemExit) as done:
        main()
    said = capsys.readouterr().err
    assert done.value.code == 2
    assert said == "docmind: --concurrency 'many': give numbers from 1 to 128 with commas, such as 1,8,32\n"
