"""The comparison of tokens: what every arm is asked, how calls and savings are counted, and the last line."""

import asyncio
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from graph.bench.__main__ import app, main
from graph.bench.answers import Gold
from graph.bench.tokens import AT_ONCE, DECODE, Options, questions
from graph.bench.tokens_arms import ARMS, Swap, chosen, swapped
from graph.bench.tokens_figures import Row, figures_of, gold_rate, on_path
from graph.bench.tokens_stock import PROMPTS, Form, Notebook, Stock
from infra.engine.tokenizer import encode
from infra.llm.ledger import Call, Scope
from infra.resources import Resources
from infra.settings import Settings
from tests.graph import evaluation
from tests.graph.evaluation import COMPOUND, LOOKUP, plots, small, written
from tools.evidence import Finding, Passage, Signal

QUESTIONS = {
    **{name: evaluation.QUESTIONS[name] for name in ("1", "2")},
    "3": {"question": "Who sang?", "answer": "Insufficient information", "evidence": "N/A", "type": "Null"},
}
FLOORS = Path(__file__).parents[2]
FAST = ["--prefill", "1e9", "--decode", "1e9"]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return written(tmp_path, QUESTIONS)


def call(
    started: float = 0.0, seconds: float = 1.0, *, prompt: int = 100, cached: int = 0, agent: str = "router"
) -> Call:
    return Call(
        scope=Scope("q", "t", "router"),
        backend="engine",
        model="m",
        prompt_tokens=prompt,
        completion_tokens=10,
        cached_tokens=cached,
        seconds=seconds,
        attempts=(),
        outcome="ok",
        counted_tokens=prompt,
        started=started,
    )


def row(name: str, *calls: Call, cites: str = "") -> Row:
    gold = Gold(name, LOOKUP, "It leaks", "single", frozenset({"20260105_1100"}))
    citations = [{"doc": f"{cites}.txt"}] if cites else []
    return Row(gold, {"answer": "", "citations": citations}, calls, 1.0)


@pytest.mark.usefixtures("data_dir")
def test_every_arm_answers_the_same_questions_and_the_last_line_is_json(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "plots"
    done = CliRunner().invoke(app, ["tokens", "--data", str(data), "--out", str(out), "--questions", "2", *FAST])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["questions"] == {"compound": 1, "lookup": 1}
    assert list(figures["arms"]) == [arm.name for arm in ARMS]
    calls = {name: (arm["compound"]["calls"], arm["lookup"]["calls"]) for name, arm in figures["arms"].items()}
    assert calls["stock"] == calls["stock_full_history"] == (16, 13)
    assert calls["stock_parallel"] == (18, 13)
    assert calls["stock_lean"] == (12, 10)
    assert calls["ours"] < calls["ours_llm"] < calls["stock_lean"]
    assert 16 <= figures["arms"]["stock_parallel"]["compound"]["calls_on_path"] <= 18
    assert {arm["lookup"]["gold_evidence"] for arm in figures["arms"].values()} == {1.0}
    assert set(figures["reduction"]) == {*figures["aims"], "compound", "lookup"}
    assert min(figures["reduction"][name] for name in figures["aims"]) > 0
    assert "(a2) the same, full_history" in done.stdout
    assert plots(out) == ["tokens.png", "tokens_savings.png", "tokens_seconds.png"]


@pytest.mark.usefixtures("data_dir")
def test_a_second_run_counts_the_same_tokens(data: Path) -> None:
    asked = ["tokens", "--data", str(data / "lihua_world"), "--arm", "ours", "--arm", "stock", *FAST]
    runs = [json.loads(CliRunner().invoke(app, asked).stdout.splitlines()[-1])["arms"] for _ in range(2)]
    for figures in runs:
        for kinds in figures.values():
            for measured in kinds.values():
                del measured["seconds"], measured["calls_on_path"]
    assert runs[0] == runs[1]


def test_the_command_explains_itself_and_names_the_arms_it_knows(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert " tokens " in CliRunner().invoke(app, ["--help"]).output
    assert "tokens [OPTIONS]" in CliRunner().invoke(app, ["tokens", "--help"]).output
    monkeypatch.setattr(sys, "argv", ["bench", "tokens", "--data", str(data), "--arm", "best"])
    with pytest.raises(SystemExit) as done:
        main()
    said = capsys.readouterr().err
    assert done.value.code == 2
    assert said.startswith("docmind: --arm best: there is none; known are stock, stock_full_history, ")
    assert said.count("\n") == 1


def test_questions_follow_each_other_where_no_speed_is_modelled() -> None:
    assert Options(Path(), 1, ARMS).together == AT_ONCE
    assert Options(Path(), 1, ARMS, 1e9, 1e9).together == 1
    assert Options(Path(), 1, ARMS, 1e9, DECODE).together == AT_ONCE
    assert Options(Path(), 1, ARMS, 1e9, 1e9, 4).together == 4


def test_half_of_the_questions_are_compound_and_all_have_an_answer() -> None:
    gold = [Gold(str(n), COMPOUND if n % 2 else LOOKUP, "", "single", frozenset({"a"})) for n in range(20)]
    gold += [Gold("none", LOOKUP, "", "null", frozenset())]
    asked = questions(gold, 8)
    assert (len(asked), sum(one.question == COMPOUND for one in asked)) == (8, 4)
    assert all(one.records for one in questions(gold, 100))


def test_stock_prompts_are_no_longer_than_ours() -> None:
    files = [*(FLOORS / "agents" / "prompts").glob("*.md"), FLOORS / "graph" / "prompts" / "supervisor.md"]
    ours = [file.read_text(encoding="utf-8") for file in files if file.stem in {*PROMPTS, "system"}]
    assert sum(len(encode(prompt)) for prompt in PROMPTS.values()) <= sum(len(encode(prompt)) for prompt in ours)


class MeetingSearcher:
    """A search that ends only when as many are made at the same time as are awaited."""

    def __init__(self, together: int) -> None:
        self.queries: list[str] = []
        self._barrier = Barrier(together, timeout=60)

    def search(
        self, query: str, *, k: int | None = None, roots: Sequence[str] | None = None, context: str = ""
    ) -> Finding:
        self.queries.append(query)
        self._barrier.wait()
        text = f"Ann: {query.rstrip('?')}."
        passage = Passage(query, f"{len(query)}.txt", 0, len(text), text, "", 1.0, "")
        return Finding(query, [passage], Signal(1.0, True, 1.0))


async def ask_stock(form: Form, searcher: MeetingSearcher) -> tuple[dict[str, Any], list[Call]]:
    opened = Resources(Settings(backend="engine"))
    calls: list[Call] = []
    opened.ledger.listen(calls.append)
    try:
        return await Stock(await opened.chat(), searcher, form).ask(COMPOUND, "1", []), calls
    finally:
        await opened.aclose()


@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize("form", [Form(), Form("full_history"), Form(lean=True), Form(parallel=True)])
def test_what_is_asked_for_side_by_side_really_runs_side_by_side(form: Form) -> None:
    searcher = MeetingSearcher(2)
    answer, calls = asyncio.run(ask_stock(form, searcher))
    assert len(searcher.queries) == 2
    assert len(answer["citations"]) == 2
    assert {made.outcome for made in calls} == {"ok"}


@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize("history", ["last_message", "full_history"])
def test_the_stock_supervisor_hands_over_in_order_and_ends_with_a_cited_answer(history: Any) -> None:
    searcher = MeetingSearcher(1)
    answer, calls = asyncio.run(ask_stock(Form(history), searcher))
    order = dict.fromkeys(made.scope.agent for made in calls)
    assert list(order) == ["supervisor", "router", "planner", "retrieval", "synthesizer", "validator"]
    assert "[E1]" in answer["answer"]
    assert answer["citations"]


def test_a_passage_keeps_its_mark_and_an_answer_cites_what_it_marks() -> None:
    passages = [Passage(name, f"{name}.txt", 0, 1, name, "", 1.0, "") for name in "abc"]
    notebook = Notebook([])
    notebook.evidence(passages[:2])
    assert [e.label for e in notebook.evidence(passages[1:])] == ["E2", "E3"]
    assert notebook.cited("One [E3, E9]. Two [E1] [E3].") == [passages[2], passages[0]]


def test_calls_that_run_side_by_side_are_one_step_of_the_path() -> None:
    assert on_path([call(0), call(1), call(1), call(1.5), call(2.5)]) == 3
    assert on_path([]) == 0


@given(st.lists(st.floats(0.01, 9), min_size=1, max_size=12))
def test_calls_that_follow_each_other_are_all_on_the_path(lengths: list[float]) -> None:
    starts = [sum(lengths[:n]) for n in range(len(lengths))]
    assert on_path(call(*place) for place in zip(starts, lengths, strict=True)) == len(lengths)


def test_reductions_are_medians_question_by_question() -> None:
    def costs(*prompts: int, cached: int = 0) -> list[Row]:
        return [row(str(n), call(prompt=p - 10, cached=cached)) for n, p in enumerate(prompts)]

    theirs = ("stock", "stock_full_history", "stock_lean", "stock_lean_full_history")
    rows = {name: costs(200, 1000, 1000) for name in theirs} | {"ours": costs(100, 100, 400, cached=50)}
    figures = figures_of(rows, chosen(list(rows)))
    found = figures["reduction"]
    assert found["total_vs_full_history"] == found["lookup"]["total_vs_full_history"] == 0.6
    assert found["uncached_vs_full_history"] == pytest.approx(1 - 40 / 190, abs=1e-4)
    assert figures["arms"]["ours"]["lookup"]["agents"] == {
        "router": {"calls": 1.0, "prompt": 190.0, "completion": 10.0, "uncached": 140.0}
    }
    assert figures_of({"ours": rows["ours"]}, chosen(["ours"]))["reduction"] == {}


def test_an_arm_without_a_saving_says_what_it_costs_more() -> None:
    rows = {"ours": [row("1", call(prompt=90))], "without_parallel_calls": [row("1", call(prompt=190))]}
    figures = figures_of(rows, chosen(list(rows)))
    assert figures["arms"]["without_parallel_calls"]["lookup"]["more_total"] == 1.0
    assert "more_total" not in figures["arms"]["ours"]["lookup"]


def test_the_gold_rate_counts_answers_that_cite_a_right_record() -> None:
    assert gold_rate([row("1", cites="20260105_1100"), row("2", cites="20260107_0900"), row("3")]) == 0.3333


def test_a_swap_stands_for_its_time_only() -> None:
    swap = Swap("graph.bench.tokens_figures", "COLUMNS", lambda before: (before, "more"))
    module: Any = import_module(swap.module)
    before = module.COLUMNS
    with swapped([swap, swap]):
        assert ((before, "more"), "more") == module.COLUMNS
    assert before == module.COLUMNS


def test_what_an_arm_is_compared_with_is_an_arm() -> None:
    names = [arm.name for arm in ARMS]
    assert len(set(names)) == len(names)
    assert {arm.beside for arm in ARMS} <= {"", *names}
