"""Does it fit: the plan's parts against public logs, its verdicts, and the single change that helps."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import ConfigurationError
from infra.vllm.asked import wanted
from infra.vllm.facts import GIB, Wanted
from infra.vllm.gpus import gpu, table
from infra.vllm.models import known, model
from infra.vllm.plan import Plan, free_utilization, plan
from infra.vllm.plan_show import verdict
from infra.vllm.profiles import PROFILES
from infra.vllm.remedies import remedies
from infra.vllm.targets import target_plan

QWEN = model("Qwen/Qwen3-4B-Instruct-2507-FP8")


def planned(card: str, name: str = QWEN.name, **wishes: Any) -> Plan:
    return plan(model(name), gpu(card), Wanted(name, card, **wishes))


def test_128k_on_16_gb_fits_as_the_requirements_say() -> None:
    wish = wanted({"gpu": "RTX 4080", "profile": "128k-16gb"})
    found = plan(QWEN, gpu("RTX 4080"), wish)
    assert found.fits
    assert found.request_bytes == 9 * GIB
    assert found.parts[0].size_bytes / GIB == pytest.approx(4.1, abs=0.05)
    assert "The embedder and the reranker run on the CPU" in verdict(found, ())[-1]


def test_128k_on_12_gb_does_not_fit_and_what_makes_it_fit_is_said() -> None:
    found = planned("RTX 4070", context=131_072, kv_cache_dtype="fp8", sequences=2, eager=True)
    assert not found.fits
    assert "131,072 tokens do not fit: one request needs 9.00 GiB of KV cache" in found.problems[0]
    changes = [cure.change for cure in remedies(found)]
    assert changes == ["use 2 GPUs: --gpu 'RTX 4070x2'", f"shorten the context: --context {found.longest}"]
    said = verdict(found, remedies(found))
    assert said[0].startswith("Does not fit, predicted: 131,072 tokens")
    assert said[1].startswith("The single change that makes it fit: use 2 GPUs")


@pytest.mark.parametrize(
    ("card", "wishes", "change"),
    [
        ("RTX 4080", {"kv_cache_dtype": "bfloat16", "context": 90_000, "sequences": 2}, "--kv-cache-dtype fp8"),
        (
            "RTX 4080",
            {"kv_cache_dtype": "fp8", "context": 131_072, "sequences": 2, "utilization": 0.8},
            "--utilization 0.97",
        ),
        (
            "RTX 4080",
            {"kv_cache_dtype": "fp8", "context": 131_072, "beside_bytes": 2 * GIB, "sequences": 2},
            "to the CPU",
        ),
        ("RTX 4080", {"kv_cache_dtype": "fp8", "context": 131_072}, "--sequences 2"),
        ("RTX 3060", {"kv_cache_dtype": "fp8_e5m2", "context": 8_192, "sequences": 2}, "--kv-cache-dtype fp8"),
        ("RTX 4080", {"kv_cache_dtype": "fp8", "context": 300_000, "sequences": 2}, "--context"),
    ],
)
def test_the_mildest_change_comes_first_and_works(card: str, wishes: dict[str, Any], change: str) -> None:
    found = planned(card, **wishes)
    assert not found.fits
    cures = remedies(found)
    assert change in cures[0].change
    assert all(cure.plan.fits for cure in cures)


def test_doing_without_cuda_graphs_is_advised_where_they_are_what_is_too_much() -> None:
    wishes: dict[str, Any] = {"kv_cache_dtype": "fp8", "sequences": 2, "utilization": 0.96}
    found = planned("RTX 4070", context=planned("RTX 4070", **wishes).longest + 16, **wishes)
    assert remedies(found)[0].change == "do without CUDA graphs, which slows decoding: --eager"


def test_a_model_that_is_too_large_is_advised_to_be_quantized() -> None:
    found = planned("RTX 4090", "Qwen/Qwen3-14B", context=8_192, kv_cache_dtype="fp8", sequences=2)
    changes = " ".join(cure.change for cure in remedies(found))
    assert "AWQ or GPTQ with 4 bits" in changes
    assert "use 2 GPUs" in changes


def test_nothing_alone_helps_where_nothing_can() -> None:
    found = planned("RTX 3060", "meta-llama/Llama-3.3-70B-Instruct", context=8_192)
    assert remedies(found) == ()
    assert "No single change makes it fit" in verdict(found, ())[-2]


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (
            {"tensor_parallel": 2},
            "2 GPUs are asked for .* 1 of RTX 4090 are here; plan for more with --gpu 'RTX 4090x2'",
        ),
        ({"tensor_parallel": 3, "card": "RTX 4090x3"}, "32 attention heads, which 3 GPUs cannot share evenly"),
    ],
)
def test_gpus_that_are_not_there_or_cannot_share_are_refused(wishes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        planned(str(wishes.pop("card", "RTX 4090")), **wishes)


def test_off_loading_keeps_more_prefixes_and_no_longer_request() -> None:
    plain, more = planned("RTX 4090"), planned("RTX 4090", offload_gib=32.0)
    assert more.longest == plain.longest
    assert more.offload_tokens == 32 * GIB // 147_456


def test_fp8_stands_beside_16_bits_and_says_what_it_saves() -> None:
    rows = {row.kv_dtype: row for row in planned("RTX 4090", context=32_768).kv}
    assert [rows[name].token_bytes for name in ("bfloat16", "fp8_e4m3", "fp8_e5m2")] == [147_456, 73_728, 73_728]
    assert (rows["bfloat16"].saving, rows["fp8_e4m3"].saving) == (0.0, 0.5)
    assert rows["fp8_e4m3"].longest > 1.8 * rows["bfloat16"].longest
    assert "refuses e5m2 with an FP8 checkpoint" in rows["fp8_e5m2"].refused
    turing = planned("T4", context=4_096, sequences=2)
    assert [row.kv_dtype for row in turing.kv] == ["float16", "fp8_e4m3", "fp8_e5m2"]
    assert "no kernels for it" in turing.kv[1].refused
    assert "vLLM needs --dtype half" in verdict(turing, ())[-1]


def test_every_profile_fits_the_card_it_is_named_for() -> None:
    cards = {"12gb-long": "RTX 3060", "12gb-balanced": "RTX 4070", "128k-16gb": "RTX 5080", "throughput": "RTX 4090"}
    assert set(cards) == set(PROFILES)
    for name, card in cards.items():
        found = plan(QWEN, gpu(card), wanted({"gpu": card, "profile": name}))
        assert found.fits, (name, found.problems)
        assert found.concurrent >= (found.wanted.sequences or 1) or name in ("128k-16gb", "throughput")


def test_the_settings_of_the_12_gb_profiles_are_those_of_the_requirements() -> None:
    long, balanced = (wanted({"profile": name}) for name in ("12gb-long", "12gb-balanced"))
    assert (long.context, long.sequences, long.utilization) == (12_288, 2, 0.88)
    assert (balanced.context, balanced.sequences) == (8_192, 6)


@pytest.mark.parametrize(("target", "types"), [("ollama", 3), ("llamacpp", 9)])
def test_other_servers_have_their_own_types_and_names(target: Any, types: int) -> None:
    found = target_plan(target, QWEN, gpu("RTX 4090"), 32_768, 0)
    rows = {row.kv_dtype: row for row in found.rows}
    assert len(rows) == types
    assert rows["f16"].request_bytes == 32_768 * 147_456
    assert rows["q8_0"].request_bytes == 32_768 * 147_456 * 8.5 / 16
    assert rows["q4_0"].longest >= rows["q8_0"].longest >= rows["f16"].longest > 0
    assert ("OLLAMA_KV_CACHE_TYPE=f16" in found.command) == (target == "ollama")


@given(st.sampled_from(known()), st.sampled_from(table()), st.integers(1, 300_000), st.floats(0.3, 1.0))
def test_a_plan_that_fits_has_room_and_one_that_does_not_says_why(
    name: str, card: Any, context: int, utilization: float
) -> None:
    found = plan(model(name), card, Wanted(name, context=context, utilization=utilization))
    assert found.fits == (not found.problems)
    if found.fits:
        assert found.request_bytes <= found.available_bytes
        assert found.concurrent >= 1
        assert context <= found.longest
        assert utilization <= free_utilization(found.gpu, 0)
    assert sum(part.size_bytes for part in found.parts) + found.available_bytes == found.budget_bytes


def test_every_profile_model_and_card_is_planned_in_words() -> None:
    for name, card, profile in product(("Qwen/Qwen3-4B", "openai/gpt-oss-20b"), ("RTX 3060", "H200"), PROFILES):
        found = plan(model(name), gpu(card), wanted({"gpu": card, "profile": profile, "model": name}))
        assert "predicted" in verdict(found, remedies(found))[0]


def test_weights_that_the_card_cannot_compute_with_do_not_fit_however_many_cards_there_are() -> None:
    found = plan(model("openai/gpt-oss-20b"), gpu("T4x2"), Wanted("x", context=4_096, sequences=2, tensor_parallel=2))
    assert found.problems == ("mxfp4 weights need compute capability 8.0; T4 has 7.5.",)
