"""The bench ``overhead``: what is taken off, what memory's slope is, that side by side finds the same, and one run."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from graph.bench import memory, overhead, parallel
from graph.bench.__main__ import app, main
from graph.bench.answers import Gold
from graph.bench.overhead_figures import AIMS, ARMS, Row, figures_of, kept
from graph.bench.watch import COMPLETIONS
from graph.session import Ask, Session, prepare
from infra.engine.core import Engine
from infra.engine.exchange import Answer, Request
from infra.measure.spans import Span
from infra.resources import Resources
from infra.settings import Settings
from tests.graph.evaluation import COMPOUND, LOOKUP, RECORDS, plots, small, written

PARTS = "What did Ann say about the boiler? What did Ann sell to Bob? Which roses bloom early?"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return written(tmp_path)


def row(text: str = LOOKUP, *, steps: Sequence[tuple[str, Span]] = (), said: float | None = 0.05) -> Row:
    """A second from end to end: two calls of which one is streamed, and a search that overlaps one of them."""
    return Row(
        gold=Gold("q", text, "", "single", frozenset()),
        answer={} if said is None else {"seconds": {"overhead": said}},
        whole=Span(10.0, 11.0),
        loop_cpu_seconds=0.02,
        calls=[Span(10.1, 10.4), Span(10.5, 10.6)],
        work=[Span(10.1, 10.2), Span(10.3, 10.35)],
        searches=[Span(10.35, 10.5)],
        steps=steps,
    )


def test_overhead_is_the_time_in_which_no_call_and_no_search_was_under_way() -> None:
    assert row().milliseconds == pytest.approx(
        {"overhead": 500.0, "strict": 700.0, "said": 50.0, "loop_cpu": 20.0, "total": 1000.0}
    )
    assert "said" not in row(said=None).milliseconds


def test_a_step_is_told_without_model_calls_and_with_its_search() -> None:
    steps = [("retrieval", Span(10.3, 10.5)), ("supervisor", Span(10.7, 10.8)), ("supervisor", Span(10.8, 11.0))]
    cached = row(steps=[("recall", Span(10.0, 10.05)), ("router", Span(10.0, 11.0))])
    figures = figures_of({"ours": [row(steps=steps)], "ours_thread": [], "ours_cache": [cached], "stock": [row()]})
    found = {name: (round(step["p50"]), step["visits"]) for name, step in figures["steps"].items()}
    assert found == {"recall": (50, 1), "retrieval": (100, 1), "supervisor": (150, 2)}
    assert figures["reached"] == {"lookup_ms": 500.0, "lookup_thread_ms": 0.0, "of_stock": 1.0, "step_p95_ms": 195.0}


def test_look_ups_and_compound_questions_are_told_apart() -> None:
    rows = [row(), row(COMPOUND), row(COMPOUND)]
    figures = figures_of(dict.fromkeys(ARMS, rows))
    assert figures["questions"] == {"compound": 2, "lookup": 1}
    assert {kind: found["answers"] for kind, found in figures["arms"]["stock"].items()} == {"compound": 2, "lookup": 1}


def test_memory_grows_by_the_slope_of_a_line_through_all_looks() -> None:
    figures = memory.growth([(200, 300.0), (400, 301.0), (600, 302.0), (800, 303.0)])
    assert (figures["per_thousand_mb"], figures["first_mb"], figures["last_mb"]) == (5.0, 300.0, 303.0)
    assert memory.growth([(200, 300.0)])["per_thousand_mb"] == 0.0
    assert memory.growth([(200, 300.0), (400, 300.0)])["per_thousand_mb"] == 0.0
    assert memory.resident_mib() > 10


def test_what_is_saved_side_by_side_is_the_median_over_the_questions() -> None:
    figures = parallel.figures_of([(1.0, 2.0, True), (1.0, 4.0, True), (3.0, 3.0, False)])
    assert figures == {"questions": 3, "together_s": 1.0, "apart_s": 3.0, "saved": 0.5, "same": 0.6667}


def test_questions_of_several_parts_are_made_of_whole_look_ups() -> None:
    texts = ["What leaks in the cellar?", "Who sold the piano to Bob?", "Not a question.", "Which roses bloom early?"]
    (made,) = parallel.compound(texts, 3, 5)
    assert sorted(made.replace("? ", "?|").split("|")) == sorted(text for text in texts if text.endswith("?"))


def test_each_arm_begins_as_often_for_each_kind_of_question() -> None:
    gold = [Gold(str(n), "?", "", "multi" if n < 4 else "single", frozenset()) for n in range(8)]
    firsts = Counter((one.kind, order[0]) for one, order in overhead.turns(gold, "abcd"))
    assert firsts == {(kind, arm): 1 for kind in ("multi", "single") for arm in "abcd"}
    assert [one.id for one, _ in overhead.turns(gold[:5], "ab")] == ["0", "2", "1", "3", "4"]
    assert all(sorted(order) == [*"abcd"] for _, order in overhead.turns(gold, "abcd"))


def test_every_way_of_answering_is_timed_and_the_last_line_is_json(data: Path, tmp_path: Path, data_dir: Path) -> None:
    out = tmp_path / "plots"
    asked = ["overhead", "--data", str(data), "--questions", "2", "--out", str(out), "--apart", "1", "--memory", "2"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["questions"] == {"compound": 1, "lookup": 1}
    assert set(figures["arms"]) == set(ARMS)
    for name in ("ours", "ours_thread", "ours_cache", "stock"):
        for kind in ("compound", "lookup"):
            found = figures["arms"][name][kind]
            assert found["answers"] == 1
            assert 0 < found["overhead"]["p50"] <= found["strict"]["p50"] <= found["total"]["p50"]
    assert {"receive", "recall", "router", "retrieval", "compress", "supervisor", "deliver"} <= set(figures["steps"])
    assert figures["steps"]["retrieval"]["visits"] == 3
    assert (set(figures["reached"]), figures["aims"]) == (set(AIMS), AIMS)
    assert all(row["same"] == 1.0 for row in figures["parallel"]["rows"])
    assert figures["memory"]["off"]["questions"] == figures["memory"]["on"]["questions"] == 2
    assert [file.name for file in (data_dir / "evaluation").iterdir()] == ["tokens"]
    assert not [*data_dir.rglob("threads.sqlite3*")]
    assert "ours, answered from the cache" in done.stdout
    assert "Look-ups (1), milliseconds: p50 / p95" in done.stdout
    assert plots(out) == ["overhead.png", "overhead_steps.png"]


@pytest.mark.usefixtures("data_dir")
def test_only_the_line_of_json_is_printed_where_it_is_asked_for(data: Path) -> None:
    asked = ["overhead", "--data", str(data), "--questions", "1", "--apart", "0", "--json"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    assert set(json.loads(done.stdout)) >= {"arms", "steps", "aims", "reached"}


def test_the_command_explains_itself_and_names_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert " overhead " in CliRunner().invoke(app, ["--help"]).output
    assert "overhead [OPTIONS]" in CliRunner().invoke(app, ["overhead", "--help"]).output
    monkeypatch.setattr(sys, "argv", ["bench", "overhead", "--data", str(tmp_path)])
    with pytest.raises(SystemExit) as done:
        main()
    said = capsys.readouterr().err
    assert (done.value.code, said.count("\n")) == (2, 1)
    assert "holds no questions.json; give the folder lihua_world" in said


def test_what_is_found_side_by_side_is_merged_once_into_the_same_evidence(
    data: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts: list[Any] = []
    handle = Engine.handle

    def noted(engine: Engine, request: Request) -> Answer:
        if request.path == COMPLETIONS:
            prompts.append(json.loads(request.body)["messages"])
        return handle(engine, request)

    monkeypatch.setattr(Engine, "handle", noted)
    told = {at_once: asyncio.run(_answered(data, data_dir, at_once)) for at_once in (3, 1)}
    together, apart = prompts[: len(prompts) // 2], prompts[len(prompts) // 2 :]
    assert together == apart
    assert told[3]["citations"] == told[1]["citations"]
    assert len(told[3]["plan"]["steps"]) == 3
    drafted = next(str(messages) for messages in together if "piano to Bob." in str(messages))
    assert all(drafted.count(text) == 1 for text in RECORDS.values())


async def _answered(data: Path, data_dir: Path, at_once: int) -> dict[str, Any]:
    settings = overhead.plain(Settings(data_dir=data_dir))
    agents = settings.agents.model_copy(update={"max_parallel_calls": at_once})
    live = Resources(settings.model_copy(update={"agents": agents}))
    console = Console(quiet=True)
    roots = await asyncio.to_thread(prepare, live, [data / "lihua_world" / "records"], console)
    async with Session(live, console, keep_threads=False) as session:
        return await session.ask(Ask(PARTS, roots))


def test_an_answer_from_the_cache_is_told_by_what_it_says() -> None:
    assert not kept(row())
    assert kept(Row(row().gold, {"cache": {"answer": "hit"}}, Span(0, 1), 0.0, [], [], [], []))
