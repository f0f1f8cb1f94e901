"""The bench of the answer cache: what it asks of both caches, and how it counts what they say."""

import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from graph.bench import cache as cache_bench
from graph.bench.__main__ import app, main
from graph.bench.cache import Options, draw, run
from graph.bench.cache_ours import Noting, Ours
from graph.bench.cache_sets import Labelled, Pair, read_labelled, read_pairs
from graph.bench.cache_trials import Reply, Trial, ask_others, ask_pairs, at_hit_rate, by_kind, curve, figures
from infra.errors import ConfigurationError, StoreError
from infra.settings import load_settings
from tests.infra.cache.house import quick
from tests.tools.words import WordEmbedder

needs_faiss = pytest.mark.skipif(find_spec("faiss") is None, reason="stock GPTCache needs faiss-cpu")

PAIRS = [
    {"a": "When was the museum opened?", "b": "when was the museum opened", "same": True, "kind": "case"},
    {"a": "When was the museum opened?", "b": "Could you tell me when the museum was opened?", "same": True},
    {"a": "How tall is the tower in 2022?", "b": "How tall is the tower in 2023?", "same": False, "kind": "number"},
    {"a": "When does my contract end?", "b": "When does my contract end?", "same": True},
]
LIHUA = {
    "1": {"question": "Did Ann call?", "answer": "Yes", "evidence": "20260105_11:00", "type": "Single"},
    "2": {"question": "Did Bob call?", "answer": "Yes", "evidence": "20260106_11:00", "type": "Single"},
    "3": {"question": "Who sang?", "answer": "Insufficient information", "evidence": "N/A", "type": "Null"},
    "4": {"question": "Who danced?", "answer": "Insufficient information", "evidence": "N/A", "type": "Null"},
    "5": {"question": "did ann call", "answer": "Yes", "evidence": "20260105_11:00", "type": "Single"},
}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    monkeypatch.setattr(cache_bench, "open_embedder", lambda _: WordEmbedder())


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(map(json.dumps, PAIRS)) + "\n\n", encoding="utf-8")
    return file


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "lihua_world").mkdir(parents=True)
    (tmp_path / "data" / "lihua_world" / "questions.json").write_text(json.dumps(LIHUA), encoding="utf-8")
    (tmp_path / "data" / "banking77").mkdir()
    rows = (
        "text,category\nHow do I locate a card?,arrival\nhow do I locate a card,arrival\nHow do I lock a card?,lock\n"
    )
    (tmp_path / "data" / "banking77" / "test.csv").write_text(rows, encoding="utf-8")
    return tmp_path / "data"


@pytest.fixture
def others(tmp_path: Path) -> Iterator[Ours]:
    rooms = Ours(tmp_path / "ours", Noting(WordEmbedder()), None, others_only=True)
    yield rooms
    rooms.close()


def trial(score: float, *, same: bool, hit: bool = True, kind: str = "", near: bool = False) -> Trial:
    return Trial("b", Reply(hit, "a", score, near), counted=same, right=same, kind=kind)


def test_nothing_to_ask_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "cache"])
    with pytest.raises(SystemExit) as done:
        main()
    said = 'nothing to ask: give --pairs FILE.jsonl (lines of {"a", "b", "same"}) or --data DIR (the evaluation data)'
    assert (done.value.code, capsys.readouterr().err) == (2, f"docmind: {said}\n")


def test_each_pair_is_asked_alone_and_the_last_line_is_json(pairs: Path) -> None:
    done = CliRunner().invoke(app, ["cache", "--pairs", str(pairs), "--no-stock"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["measured_on"] == "pairs"
    assert found["ours"] == {
        "hit_rate": 0.6667,
        "wrong_among_hits": 0.0,
        "wrong_hits": 0,
        "hits": 2,
        "asked": 4,
        "wanted": 3,
        "near_rate": 0.0,
        "not_kept": 1,
    }
    assert "by kind" in done.stdout


@needs_faiss
def test_stock_gptcache_takes_another_year_for_the_same(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    measured = run(Options(pairs=pairs), load_settings())
    stock = measured.figures["stock"]
    assert (stock["hit_rate"], stock["wrong_hits"], stock["wrong_among_hits"]) == (1.0, 1, 0.25)
    assert stock["at_our_hit_rate"]["hit_rate"] >= measured.figures["ours"]["hit_rate"]
    assert list(place.iterdir()) == []
    (plot,) = draw(measured, tmp_path)
    assert plot.name == "cache_pairs.png"
    assert plot.read_bytes().startswith(b"\x89PNG")


@needs_faiss
def test_stock_decides_at_its_default_threshold(tmp_path: Path) -> None:
    from graph.bench.cache_stock import THRESHOLD, Stock  # noqa: PLC0415 - skipped without its packages

    texts = {"kept": [1.0, 0.0], "within": [0.61, 0.7924], "beyond": [0.59, 0.8074], "apart": [0.0, 1.0]}
    stock = Stock(tmp_path, lambda text: np.array(texts[text], np.float32), 2)
    assert stock.put("one", "kept")
    said = {text: stock.get("one", text) for text in texts}
    assert {text: reply.hit for text, reply in said.items()} == {
        "kept": True,
        "within": True,
        "beyond": False,
        "apart": False,
    }
    assert all(reply.hit == (reply.score >= 4 * THRESHOLD) for reply in said.values())
    assert stock.get("two", "kept") == Reply(hit=False, candidate="", score=0.0)
    stock.close()


@needs_faiss
def test_stock_never_gives_a_question_its_own_entry_when_others_are_asked_for(tmp_path: Path) -> None:
    from graph.bench.cache_stock import Stock  # noqa: PLC0415 - skipped without its packages

    stock = Stock(tmp_path, lambda text: WordEmbedder().embed([text])[0], 64, others_only=True)
    trials = ask_others(stock, Labelled("set", {"who sang": "1", "who sang?": "1", "what rained": "2"}), lambda: None)
    assert [one.reply.candidate for one in trials[:2]] == ["who sang?", "who sang"]
    assert [one.reply.hit for one in trials] == [True, True, False]
    stock.close()


def test_without_faiss_one_line_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graph.bench.cache_stock import Stock  # noqa: PLC0415 - makes nothing of faiss yet

    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.delitem(sys.modules, "gptcache.manager.vector_data.faiss", raising=False)
    with pytest.raises(ConfigurationError) as refused:
        Stock(tmp_path, lambda _: np.ones(2, np.float32), 2)
    assert str(refused.value) == (
        "stock GPTCache needs faiss-cpu and SQLAlchemy: pip install 'docmind[bench]', or leave it out with --no-stock"
    )


def test_a_question_of_a_set_never_meets_its_own_entry(others: Ours) -> None:
    gold = {"Who sang?": "Ann", "who sang": "Ann", "Who danced on Monday?": "Bob"}
    trials = ask_others(others, Labelled("set", gold), lambda: None)
    assert [(one.reply.hit, one.reply.candidate) for one in trials[:2]] == [(True, "who sang"), (True, "Who sang?")]
    assert (trials[2].reply.hit, trials[0].right) == (False, True)


def test_a_hit_on_a_question_with_another_gold_answer_is_wrong(others: Ours) -> None:
    trials = ask_others(others, Labelled("set", {"Who sang?": "Ann", "who sang": "Bob"}), lambda: None)
    assert figures(trials)["wrong_hits"] == 2


def test_a_cache_that_is_off_is_not_measured(others: Ours, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("no disk")

    monkeypatch.setattr(others._cache._gates, "unfit", broken)
    with pytest.raises(StoreError, match="the answer cache cannot be measured: the cache failed: no disk"):
        others.get("room", "Who sang?")


def test_documents_and_labels_are_read_and_every_wrong_hit_is_listed(data: Path) -> None:
    measured = run(Options(data=data, per_kind=2, stock=False), load_settings())
    found = measured.figures
    assert found["measured_on"] == "generated"
    assert found["details"]["documents"]["ours"]["hits"] == 2
    assert found["details"]["documents"]["wrong"] == []
    assert found["details"]["banking77"]["ours"]["hit_rate"] == 0.6667
    assert found["aims"]["wrong hits among questions over documents"] == {"figure": 0, "at_most": 2, "met": True}


def test_another_yes_is_another_answer_and_what_has_none_shares_none(data: Path) -> None:
    gold = read_labelled(data)[0].gold
    assert gold["Did Ann call?"] == gold["did ann call"]
    assert len(set(gold.values())) == 4


def test_data_that_is_not_there_or_damaged_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds none of lihua_world, anthropic_docs, xquad_en, banking77; "):
        read_labelled(tmp_path)
    (data / "lihua_world" / "questions.json").write_text('{"1": {}}', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"questions.json cannot be read: 'question'"):
        read_labelled(data)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "holds no pairs; give lines of"),
        ('{"a": "x", "b": "y", "same": true}\n{"a": "x", "b": "y"}', "line 2: same: Field required; needed: "),
        ('{"a": "x", "b": "y", "same": 1}', "line 1: same: Input should be a valid boolean"),
        ("not json", "line 1: the line: Invalid JSON"),
    ],
)
def test_a_line_that_is_no_pair_is_named(lines: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text(lines, encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        read_pairs(file)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_of_pairs_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_pairs(tmp_path / "none.jsonl")


def test_an_answer_is_kept_once_for_all_pairs_that_begin_with_it() -> None:
    class Counting:
        def __init__(self) -> None:
            self.put_in: list[tuple[str, str]] = []

        def put(self, room: str, question: str) -> bool:
            self.put_in.append((room, question))
            return True

        def get(self, room: str, question: str) -> Reply:
            return Reply(hit=False, candidate="", score=0.0)

    rooms = Counting()
    steps: list[int] = []
    ask_pairs(rooms, [Pair(a="a", b=b, same=True) for b in "bc"], lambda: steps.append(1))
    assert (rooms.put_in, len(steps)) == ([("a", "a")], 2)


def test_hits_are_counted_among_the_wanted_and_wrong_ones_among_all_hits() -> None:
    trials = [
        trial(0.9, same=True),
        trial(0.8, same=True, hit=False, near=True),
        trial(0.9, same=False),
        trial(0.9, same=False, hit=False),
    ]
    found = figures(trials)
    wanted = {"hit_rate": 0.5, "wrong_hits": 1, "wrong_among_hits": 0.5, "near_rate": 0.5, "wanted": 2, "asked": 4}
    assert {name: found[name] for name in wanted} == wanted


def test_a_kind_with_both_labels_is_counted_apart() -> None:
    trials = [trial(1, same=True, kind="swap"), trial(1, same=False, kind="swap"), trial(1, same=True, kind="case")]
    assert list(by_kind(trials)) == ["swap (same)", "swap (different)", "case"]


def test_at_our_hit_rate_the_highest_threshold_that_reaches_it_is_taken() -> None:
    trials = [trial(0.9, same=True), trial(0.8, same=True), trial(0.85, same=False), trial(0.7, same=False)]
    assert at_hit_rate(trials, 1) == {"score": 0.9, "hit_rate": 0.5, "wrong_hits": 0, "wrong_among_hits": 0.0}
    assert at_hit_rate(trials, 2) == {"score": 0.8, "hit_rate": 1.0, "wrong_hits": 1, "wrong_among_hits": 0.3333}
    assert (at_hit_rate(trials, 0), at_hit_rate(trials, 3)) == (None, None)


@given(st.lists(st.tuples(st.floats(0, 4), st.booleans()), max_size=40))
def test_over_the_thresholds_the_hit_rate_only_grows(scored: list[tuple[float, bool]]) -> None:
    rates = [rate for rate, _ in curve([trial(score, same=same) for score, same in scored])]
    assert rates == sorted(rates)
    assert not rates or rates[-1] == 1.0
