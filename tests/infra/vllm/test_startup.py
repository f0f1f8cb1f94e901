"""The phases of a start-up, from real logs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.vllm.startup import PHASES, WORDS, Figures, Phase, Startup

RECORDED = Path(__file__).parents[2] / "recorded" / "vllm"


def read(name: str) -> tuple[list[Phase], Figures]:
    startup = Startup()
    lines = (RECORDED / f"{name}.log").read_text(encoding="utf-8").splitlines()
    begun: list[Phase] = [phase for line in lines if (phase := startup.feed(line)) is not None]
    return begun, startup.figures


def test_a_start_on_a_cpu_goes_through_its_phases_once():
    begun, figures = read("up_on_a_cpu")
    assert begun == ["model", "weights", "kv_cache", "server", "up"]
    assert figures == Figures("0.32.0", None, None, 131_072, 4_096, 32.0)


def test_a_start_on_a_gpu_says_what_the_weights_and_the_cache_take():
    begun, figures = read("up_on_gpus")
    assert begun == ["weights", "profile", "kv_cache"]
    assert figures == Figures(None, 1.1201, 18.83, 176_240, 8_192, 21.51)


def test_graphs_are_a_phase_of_their_own():
    begun, _ = read("memory_gone_at_graph_capture")
    assert begun == ["graphs"]


def test_workers_that_print_the_same_begin_nothing_anew():
    startup = Startup()
    line = "(Worker_TP{n} pid=1) INFO 05-06 20:59:59 [gpu_model_runner.py:4879] Model loading took 12.66 GiB memory"
    assert [startup.feed(line.format(n=n)) for n in range(3)] == ["profile", None, None]
    assert startup.feed("Loading safetensors checkpoint shards:  56% Completed | 5/9") is None
    assert startup.phase == "profile"


def test_progress_lines_hold_the_figures():
    figures = Figures("0.32.0", 4.1, 9.0, 131_072, 131_072, 1.0)
    assert figures.told("profile") == "weights 4.10 GiB"
    assert figures.told("kv_cache") == "KV cache 131,072 tokens = 1.00 x 131,072"
    assert figures.told("up") == "vLLM 0.32.0, KV cache 131,072 tokens = 1.00 x 131,072"
    assert Figures(kv_gib=9.0).told("kv_cache") == "9.00 GiB"
    assert [Figures().told(phase) for phase in PHASES] == [""] * len(PHASES)


def test_every_phase_has_words():
    assert list(WORDS) == list(PHASES)


@pytest.mark.parametrize("line", ["KV cache size: ,,, tokens", "Model loading took 1.2.3 GiB", "took" * 100_000, "\0"])
def test_a_line_that_only_looks_like_one_says_nothing(line: str):
    startup = Startup()
    startup.feed(line)
    assert startup.figures == Figures()


@given(st.lists(st.text(max_size=200), max_size=20))
def test_phases_only_go_forward_whatever_is_printed(lines: list[str]):
    startup = Startup()
    places = [PHASES.index(startup.phase) for line in lines if startup.feed(line) or True]
    assert places == sorted(places)
