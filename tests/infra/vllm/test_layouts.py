"""The KV cache in bytes: what vLLM printed, what vLLM computes, and what holds for every model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import ConfigurationError
from infra.vllm.facts import GIB, LayerGroup
from infra.vllm.layouts import Serving, element_bytes, lay_out, token_bytes
from infra.vllm.models import model
from infra.vllm.speed import kv_read_bytes

RECORDED = json.loads((Path(__file__).parents[2] / "recorded" / "vllm_kv_specs.json").read_text(encoding="utf-8"))
QWEN = model("Qwen/Qwen3-4B-Instruct-2507-FP8")


@pytest.mark.parametrize(
    ("name", "tokens", "printed_gib", "gpus", "in_flight"),
    [
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", 262_144, 24.0, 1, 2_048),
        ("openai/gpt-oss-120b", 131_072, 4.54, 1, 1_024),  # --max-num-batched-tokens 1024: vllm issue 27508
        ("MiniMaxAI/MiniMax-M2", 196_608, 23.25, 2, 2_048),
        ("meta-llama/Llama-3.1-8B", 31_232, 3.81, 1, 2_048),
        ("meta-llama/Llama-3.1-8B", 23_648, 2.89, 1, 2_048),
    ],
)
def test_the_golden_set_is_met_within_one_percent(
    name: str, tokens: int, printed_gib: float, gpus: int, in_flight: int
) -> None:
    layout = lay_out(model(name), Serving(tensor_parallel=gpus))
    assert layout.request_bytes(tokens, in_flight) / GIB == pytest.approx(printed_gib, rel=0.01)


def test_heads_that_the_gpus_cannot_share_out_are_held_by_each() -> None:
    assert [token_bytes(QWEN, "fp8", gpus) for gpus in (1, 8, 16)] == [73_728, 73_728, 2 * 73_728]
    assert kv_read_bytes(QWEN, "fp8", 1_000, 16) == 2 * 1_000 * 73_728


@pytest.mark.parametrize(("kv_dtype", "each", "gib"), [("auto", 147_456, 18.0), ("fp8", 73_728, 9.0)])
def test_qwen3_4b_takes_what_the_requirements_say(kv_dtype: str, each: int, gib: float) -> None:
    assert token_bytes(QWEN, kv_dtype) == each
    assert lay_out(QWEN, Serving(kv_dtype)).request_bytes(131_072, 2_048) == gib * GIB


@pytest.mark.parametrize("case", RECORDED["specs"])
def test_every_family_is_laid_out_as_vllm_does_it(tmp_path: Path, case: str) -> None:
    name, kv_dtype = case.split(":")
    told = RECORDED["specs"][case]
    (tmp_path / "config.json").write_text(json.dumps(RECORDED["models"][name]), encoding="utf-8")

    layout = lay_out(model(str(tmp_path)), Serving(kv_dtype, block_tokens=told["block_tokens"]))

    assert layout.block_bytes == told["block_bytes"]
    assert sorted(page.layers for page in layout.tables) == sorted(layers for _, layers in told["tables"])
    ours = {length: layout.request_bytes(int(length), told["in_flight"]) for length in told["requests"]}
    assert ours == told["requests"]


def test_all_kinds_of_layers_are_among_the_recorded_models() -> None:
    classes = {kind for told in RECORDED["specs"].values() for kind, _ in told["tables"]}
    assert classes == {
        "ChunkedLocalAttentionSpec",
        "FullAttentionSpec",
        "MLAAttentionSpec",
        "MambaSpec",
        "SlidingWindowSpec",
    }


def test_two_gpus_halve_keys_and_values_until_each_has_one_head() -> None:
    whole = lay_out(QWEN, Serving()).block_bytes
    assert lay_out(QWEN, Serving(tensor_parallel=2)).block_bytes == whole // 2
    assert lay_out(QWEN, Serving(tensor_parallel=8)).block_bytes == whole // 8
    assert lay_out(QWEN, Serving(tensor_parallel=16)).block_bytes == whole // 8
    assert lay_out(QWEN, Serving(pipeline_parallel=2)).block_bytes == whole // 2


@pytest.mark.parametrize(
    ("full", "sliding", "tables"), [(10, 20, [10, 10, 10]), (12, 13, [12, 13]), (10, 15, [10, 7, 8])]
)
def test_kinds_of_nearly_as_many_layers_are_not_split(full: int, sliding: int, tables: list[int]) -> None:
    groups = (LayerGroup("full", full, 8, 128, 128), LayerGroup("sliding", sliding, 8, 128, 128, window=512))
    layout = lay_out(replace(QWEN, groups=groups), Serving())
    assert sorted(page.layers for page in layout.tables) == sorted(tables)


def test_compressed_attention_is_on_every_gpu_whole() -> None:
    group = LayerGroup("mla", 8, kv_heads=1, head_dim_k=576, latent=512)
    facts = replace(QWEN, groups=(group,))
    assert lay_out(facts, Serving(tensor_parallel=8)) == lay_out(facts, Serving())
    assert token_bytes(facts, "auto") == 8 * 576 * 2
    assert token_bytes(facts, "auto", 4) == 4 * 8 * 576 * 2  # each GPU holds it whole


def test_pages_of_compressed_attention_that_cannot_be_made_equal_are_refused() -> None:
    groups = (LayerGroup("mla", 4, 1, 576, latent=512), LayerGroup("sliding", 4, 3, 128, 128, window=512))
    with pytest.raises(ConfigurationError, match="cannot lay out its compressed attention"):
        lay_out(replace(QWEN, groups=groups), Serving())


def test_auto_is_the_checkpoints_word_else_the_models_type() -> None:
    assert element_bytes("auto", QWEN) == 2
    assert element_bytes("auto", replace(QWEN, kv_dtype="fp8")) == 1
    assert element_bytes("auto", replace(QWEN, dtype="float32")) == 4


LAYERS = st.integers(1, 64)
GROUPS = st.lists(
    st.one_of(
        st.builds(LayerGroup, st.just("full"), LAYERS, st.integers(1, 16), st.sampled_from([64, 128]), st.just(128)),
        st.builds(
            LayerGroup,
            st.just("sliding"),
            LAYERS,
            st.integers(1, 16),
            st.just(128),
            st.just(128),
            window=st.integers(1, 8_192),
        ),
        st.builds(LayerGroup, st.just("mamba"), LAYERS, state_bytes=st.integers(1, 1 << 22), checkpoints=st.just(1)),
    ),
    min_size=1,
    max_size=3,
)


@given(GROUPS, st.integers(1, 300_000), st.integers(0, 100_000), st.integers(0, 64 << 30))
def test_a_longer_request_never_takes_less_and_the_longest_is_the_longest(
    groups: list[LayerGroup], length: int, more: int, available: int
) -> None:
    layout = lay_out(replace(QWEN, groups=tuple(groups)), Serving())
    assert layout.request_bytes(length, 2_048) <= layout.request_bytes(length + more, 2_048)

    longest = layout.longest(available, 300_000, 2_048)
    assert longest == 0 or layout.request_bytes(longest, 2_048) <= available
    assert longest == 300_000 or layout.request_bytes(longest + 1, 2_048) > available
    if longest:
        assert layout.concurrent(available, longest, 2_048) >= 1


@given(GROUPS, st.integers(1, 300_000))
def test_no_request_takes_less_than_its_layers_hold(groups: list[LayerGroup], length: int) -> None:
    held = 0
    for group in groups:
        seen = min(length, group.window) if group.window else length
        held += group.layers * (seen * group.kv_heads * (group.head_dim_k + group.head_dim_v) * 2 + group.state_bytes)
    assert lay_out(replace(QWEN, groups=tuple(groups)), Serving()).request_bytes(length, 2_048) >= held
