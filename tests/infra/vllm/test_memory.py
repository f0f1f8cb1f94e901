"""What a GPU's memory goes to, against public logs; and the ceilings of speed."""

from dataclasses import replace
from typing import Any

import pytest

from infra.vllm.facts import GIB, LayerGroup, Wanted
from infra.vllm.gpus import gpu
from infra.vllm.memory import FLASHINFER_BYTES, capture_sizes, parts, step_of
from infra.vllm.models import model
from infra.vllm.plan import plan
from infra.vllm.speed import active_bytes, ceilings, kv_read_bytes
from infra.vllm.targets import cache_bytes

QWEN = model("Qwen/Qwen3-4B-Instruct-2507-FP8")


def activations(name: str, card: str, **wishes: Any) -> float:
    found = parts(model(name), gpu(card), Wanted(name, card, **wishes))
    return next(part.size_bytes for part in found if part.name == "activations") / GIB


@pytest.mark.parametrize(
    ("name", "card", "wishes", "gib"),
    [
        # "PyTorch activation peak memory 1.26GiB": https://github.com/vllm-project/vllm/pull/10511
        ("meta-llama/Llama-3.1-8B", "H100", {"batched_tokens": 8_192, "sequences": 256}, 1.26),
        # "PyTorch activation peak memory takes 1.42GiB": https://github.com/vllm-project/vllm/issues/13882
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", "RTX 4070", {"batched_tokens": 4_096, "sequences": 256}, 1.42),
        # 0.95 of 79.11 GiB less 65.97 of weights and 1.71 for the KV cache: https://github.com/vllm-project/vllm/issues/27508
        ("openai/gpt-oss-120b", "H100", {"batched_tokens": 1_024, "sequences": 1_024}, 7.47),
    ],
)
def test_activations_meet_public_logs_within_six_percent(
    name: str, card: str, wishes: dict[str, Any], gib: float
) -> None:
    assert activations(name, card, **wishes) == pytest.approx(gib, rel=0.06)


def test_gpt_oss_120b_fails_on_an_h100_by_as_much_as_a_public_log_says() -> None:
    name = "openai/gpt-oss-120b"
    found = plan(model(name), gpu("H100"), Wanted(name, utilization=0.9, eager=True))
    assert found.available_bytes / GIB == pytest.approx(
        -2.14, abs=0.6
    )  # https://github.com/vllm-project/vllm/issues/23278
    assert not found.fits


@pytest.mark.parametrize(("sequences", "sizes"), [(1, 2), (2, 3), (4, 4), (16, 7), (256, 51), (1_024, 51)])
def test_cuda_graphs_are_captured_for_the_sizes_that_vllm_takes(sequences: int, sizes: int) -> None:
    assert capture_sizes(sequences) == sizes


def test_steps_are_vllms_defaults_for_the_card() -> None:
    wish = Wanted("m")
    assert (step_of(wish, gpu("RTX 4090")).tokens, step_of(wish, gpu("RTX 4090")).sequences) == (2_048, 256)
    assert (step_of(wish, gpu("H100")).tokens, step_of(wish, gpu("H100")).sequences) == (8_192, 1_024)
    assert step_of(wish, gpu("A100 80GB")).tokens == 2_048
    assert step_of(replace(wish, pipeline_parallel=2), gpu("RTX 4090")).in_flight == 3 * 2_048


@pytest.mark.parametrize(
    ("card", "kv_dtype", "taken"),
    [
        ("RTX 3060", "fp8", True),
        ("RTX 5070", "fp8_e4m3", True),
        ("H100", "fp8", False),
        ("H100", "fp8_e5m2", True),
        ("RTX 3060", "bfloat16", False),
    ],
)
def test_flashinfer_takes_its_work_space_where_it_reads_the_cache(card: str, kv_dtype: Any, taken: bool) -> None:
    found = parts(QWEN, gpu(card), Wanted(QWEN.name, kv_cache_dtype=kv_dtype))
    assert (found[-1].size_bytes > FLASHINFER_BYTES) is taken


def test_several_gpus_share_the_weights_and_pay_for_their_links() -> None:
    one = parts(QWEN, gpu("RTX 3090"), Wanted(QWEN.name))
    two = parts(QWEN, gpu("RTX 3090x2"), Wanted(QWEN.name, tensor_parallel=2))
    assert two[0].size_bytes == -(-one[0].size_bytes // 2)
    assert two[-1].size_bytes > one[-1].size_bytes


def test_sliding_layers_read_and_keep_their_window_only() -> None:
    facts = replace(QWEN, groups=(LayerGroup("sliding", 1, 1, 64, 64, window=512),))
    assert kv_read_bytes(facts, "bfloat16", 100_000) == 512 * 128 * 2
    assert cache_bytes(facts, 16, 100_000) == (512 + 512) * 128 * 2


def test_fp8_weights_are_computed_in_fp8_where_the_hardware_can() -> None:
    plain = model("Qwen/Qwen3-4B-Instruct-2507")
    wish = Wanted(QWEN.name)
    ada, ampere = gpu("RTX 4090"), gpu("RTX 3090")
    fast, slow = (ceilings(facts, ada, wish, 1, 1).prefill or 0 for facts in (QWEN, plain))
    assert fast == pytest.approx(2 * slow, rel=0.01)
    assert ceilings(QWEN, ampere, wish, 1, 1).prefill == ceilings(plain, ampere, wish, 1, 1).prefill


def test_decoding_is_bound_by_reading_weights_and_cache() -> None:
    card, wish = gpu("RTX 4090"), Wanted(QWEN.name, kv_cache_dtype="fp8")
    speed = ceilings(QWEN, card, wish, 131_072, 1)
    assert kv_read_bytes(QWEN, "fp8", 131_072) == 131_072 * 73_728
    assert speed.decode_short == pytest.approx(1_008e9 / QWEN.active_bytes, rel=0.001)
    assert speed.decode_long == pytest.approx(1_008e9 / (QWEN.active_bytes + 131_072 * 73_728), rel=0.001)
    assert speed.decode_long == speed.decode_together


def test_an_unknown_bandwidth_gives_no_ceiling() -> None:
    card = replace(gpu("RTX 4090"), bandwidth_bytes_s=0, fp16_flops=0, fp8_flops=0)
    speed = ceilings(QWEN, card, Wanted(QWEN.name), 4_096, 1)
    assert (speed.decode_short, speed.decode_long, speed.decode_together, speed.prefill) == (None, None, None, None)


def test_requests_together_read_more_experts_and_never_more_than_all() -> None:
    facts = model("Qwen/Qwen3-Coder-30B-A3B-Instruct")
    assert active_bytes(facts, 1) == pytest.approx(facts.active_bytes, rel=0.001)
    assert active_bytes(facts, 1) < active_bytes(facts, 8) < active_bytes(facts, 1_000) <= facts.weight_bytes


def test_of_several_pipeline_stages_the_fullest_is_counted() -> None:
    """Of four stages with 20 of 80 layers each, the first has the whole embedding on top, the last the output head."""
    llama = model("meta-llama/Llama-3.3-70B-Instruct")
    card = gpu("RTX 4090x8")
    weights = parts(llama, card, Wanted(llama.name, pipeline_parallel=4, tensor_parallel=2))[0].size_bytes
    end = llama.vocab * llama.hidden * 2
    assert weights == pytest.approx(((llama.weight_bytes - 2 * end) / 4 + end) / 2, abs=2)
    assert weights > llama.weight_bytes / 8 + 0.4 * GIB
