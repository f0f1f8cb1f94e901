"""The latency of a look-up over a port: what is timed, what counts, and the last line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agents.planner import single
from agents.synthesizer import PROMPT, Case, case_messages
from graph.bench.__main__ import app, main
from graph.bench.answers import Gold
from graph.bench.latency import TIMES, Asked, aims, counting, figures_of, questions, with_evidence, with_server
from infra.llm.ledger import Attempt, Call, Scope
from infra.settings import Settings
from tests.graph.evaluation import RECORDS, plots, small, written
from tools.evidence import Evidence, Passage

ASKED = ("What leaks in the cellar?", "Who bought the green piano?", "When do the roses bloom?")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small(monkeypatch)
    records = [f"{name[:11]}:{name[11:]}" for name in RECORDS]
    asked = {
        str(n): {"question": question, "answer": "so", "evidence": record, "type": "Single"}
        for n, (question, record) in enumerate(zip(ASKED, records, strict=True))
    }
    return written(tmp_path, asked)


@pytest.mark.usefixtures("data_dir")
def test_lookups_are_timed_over_a_port_and_the_last_line_is_json(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "plots"
    sizes = ["--size", "200", "--questions", "2", "--prefill", "5000", "--decode", "2000"]
    done = CliRunner().invoke(app, ["latency", "--data", str(data), "--out", str(out), *sizes])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.splitlines()[-1])
    row = figures["sizes"]["200"]
    assert (row["asked"], row["lookups"], row["shown_early"]) == (2, 2, 1.0)
    assert row["rounds"] == row["within"]["rounds"] == {"1": 2}
    assert row["routed_by_rules"] + row["routed_by_model"] == 2
    assert 0 < row["first_character"]["p50"] < row["first_useful"]["p50"] < row["end_to_end"]["p50"]
    assert 20 <= row["evidence_tokens"]["p50"] <= 200 == row["within"]["lookups"] * 100
    assert 8 <= row["first_claim_schema_tokens"]["p50"] <= 16 < row["first_claim_tokens"]["p50"]
    assert row["prefill"]["p50"] >= row["draft_uncached_tokens"]["p50"] / 5000
    assert "A look-up, seconds" in done.stdout
    assert plots(out) == ["latency.png"]


def test_a_folder_without_questions_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCMIND_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["bench", "latency", "--data", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        main()


def test_only_questions_with_one_right_record_are_asked() -> None:
    record = frozenset({"r"})
    gold = [
        Gold("1", "?", "", "single", record),
        Gold("2", "?", "", "multi", record),
        Gold("3", "?", "", "null", record),
    ]
    assert [g.id for g in questions(gold, 5)] == ["1"]


def test_the_server_is_asked_by_all_agents_and_the_evidence_bounded() -> None:
    settings = with_server(with_evidence(Settings(), 123), "http://127.0.0.1:1/v1")
    assert (settings.backend, settings.vllm.base_url, settings.fallbacks) == ("vllm", "http://127.0.0.1:1/v1", [])
    assert settings.retrieval.clear_tokens == 123


def asked(
    kind: str = "lookup", *, abstained: bool = False, sentence: float | None = 0.7, drafts: Sequence[int] = (400,)
) -> Asked:
    """Return a question with one call: 0.5 s to the first token, 0.4 s for the others."""
    call = Call(
        scope=Scope("q", "t", "synthesizer"),
        backend="vllm",
        model="m",
        prompt_tokens=600,
        completion_tokens=50,
        cached_tokens=200,
        seconds=0.95,
        attempts=(Attempt(0.9),),
        outcome="ok",
        counted_tokens=600,
        first_token_seconds=0.5,
    )
    answer: dict[str, Any] = {"route": {"kind": kind}, "abstained": abstained, "seconds": {"retrieval": 0.1}}
    return Asked(0.0, [call], 0.55, (60, 49), sentence, [*drafts], 1.2, answer)


def test_the_parts_of_a_question_add_up_to_its_time() -> None:
    times = asked().times
    assert times["prefill"] + times["decode"] + times["retrieval"] + times["overhead"] == pytest.approx(1.2)
    assert (times["prefill"], times["decode"]) == (0.5, pytest.approx(0.4))


def test_what_nobody_saw_before_the_end_is_of_use_at_the_end() -> None:
    assert (asked().times["first_useful"], asked(sentence=None).times["first_useful"]) == (0.7, 1.2)


def test_questions_that_abstain_without_a_draft_or_are_no_lookups_do_not_count() -> None:
    without = asked(abstained=True, drafts=())
    figures = figures_of([asked(), asked("compound"), without, asked(sentence=None, drafts=[401])], 400)
    assert (figures["asked"], figures["lookups"], figures["routed_by_rules"]) == (4, 2, 2)
    assert (figures["shown_early"], figures["draft_uncached_tokens"]["p50"]) == (0.5, 400)
    assert (figures["within"]["lookups"], figures["within"]["first_useful"]["p50"]) == (1, 0.7)
    assert set(TIMES) <= set(figures)


def test_an_abstention_after_its_drafts_counts() -> None:
    figures = figures_of([asked(), asked(abstained=True, drafts=[300, 300])], 400)
    assert (figures["lookups"], figures["abstained"], figures["rounds"]) == (2, 1, {"1": 1, "2": 1})


def test_the_evidence_of_several_rounds_is_that_of_the_first() -> None:
    row = asked(drafts=())
    prompts = counting(case_messages, lambda: row)
    for passages in (1, 6):
        prompts(PROMPT, Case("?", single("?"), [passage(n) for n in range(passages)]))
    first, second = row.drafts
    assert (row.evidence_tokens, first < 400 < second) == (first, True)
    within = figures_of([row, asked()], 400)["within"]
    assert (within["lookups"], within["rounds"]) == (2, {"1": 1, "2": 1})


def passage(number: int) -> Evidence:
    text = f"The boiler number {number} leaks. " + "word " * 100
    return Evidence(f"E{number}", Passage(f"p{number}", "d", 0, len(text), text, "h", 1.0, "x"))


@pytest.mark.parametrize(("size", "told"), [("200", 200), ("400", 400), ("800", None)])
def test_the_aims_are_those_of_small_evidence(size: str, told: int | None) -> None:
    row = {"lookups": 1, "end_to_end": {"p50": 1.5}, "first_useful": {"p50": 0.71}}
    found = aims({size: {"within": row}})
    assert found["evidence_tokens"] == told
    assert (found.get("end_to_end_reached"), found.get("first_useful_reached")) == (
        (True, False) if told else (None, None)
    )
