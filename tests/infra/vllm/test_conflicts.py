"""What cannot work is refused before it is launched, each with its reason in one line."""

from dataclasses import replace
from typing import Any

import pytest

from infra.vllm.compose import compose
from infra.vllm.conflicts import conflicts
from infra.vllm.gpus import gpu
from infra.vllm.plan import plan, refused_type
from tests.infra.vllm.serving import QWEN, reasons, second_looks, subject, unknown_model

AWQ = "Qwen/Qwen2.5-7B-Instruct-AWQ"
PLAIN = "Qwen/Qwen3-4B"


def test_the_card_s_own_command_has_no_conflict() -> None:
    assert reasons(context=131_072) == ()


@pytest.mark.parametrize(
    ("extra", "given", "said"),
    [
        ("", {"kv_cache_dtype": "fp8_e5m2"}, "vLLM refuses it with an FP8 checkpoint"),
        ("--quantization fp8", {"model": AWQ}, "is quantized with awq; leave the option out"),
        ("-q gptq_marlin", {"model": AWQ}, "is quantized with awq"),
        ("--quantization awq", {"model": PLAIN}, "is not quantized; leave the option out"),
        ("", {"on": "T4"}, "(capability 7.5) runs auto, float16"),
        ("--kv-cache-dtype bfloat16", {"on": "T4"}, "(capability 7.5) runs auto, float16"),
        ("--attention-backend TRITON_ATTN", {"on": "RTX 3060"}, "FLASHINFER does"),
        ("--attention-backend FLASH_ATTN", {"on": "RTX 4090"}, "FLASHINFER does"),
        ("", {"context": 262_145}, "takes 262,144 tokens; set DOCMIND_VLLM__CONTEXT_WINDOW or --context"),
        ("--max-model-len 1M", {}, "--max-model-len 1048576: "),
        ("--tool-call-parser qwen3", {}, "takes hermes (Qwen3's own), qwen3_coder"),
        ("--reasoning-parser qwen_3", {}, "vLLM 0.32.0 has no such parser; DOCMIND_SERVE__REASONING_PARSER"),
        ("", {"batched_tokens": 2, "sequences": 8}, "fewer than the 8 requests at once"),
        ("--no-enable-chunked-prefill", {"batched_tokens": 512}, "one step must hold 8,192 tokens"),
        ("--gpu-memory-utilization 1.2", {}, "above 0 and at most 1"),
        ("--gpu-memory-utilization 0", {}, "above 0 and at most 1"),
        ("--gpu-memory-utilization nan", {}, "above 0 and at most 1"),
        ("", {"offload_gib": 80.0}, "80 GiB of KV cache do not fit in the 64.0 GiB of main memory"),
        ("", {"on": "RTX 4090x3", "tensor_parallel": 3}, "does not divide the 32 attention heads"),
        ("", {"on": "RTX 4090x2", "tensor_parallel": 4}, "4 GPUs needed, there are 2 (RTX 4090)"),
        ("", {"tensor_parallel": 2}, "2 GPUs needed, there is 1 (RTX 4090)"),
        ("", {"on": "RTX 4090x7", "model": AWQ, "tensor_parallel": 7}, "the 4 key-value heads of"),
        ("", {"on": "T4", "model": "openai/gpt-oss-20b", "kv_cache_dtype": "auto"}, "capability 8.0, T4 has 7.5"),
        ("-pp 37", {"on": "RTX 4090x37"}, "has 36 layers"),
        ("-tp 0", {}, "are 1 or more"),
        ("--attention-backend FLASH_ATTN", {"on": "H200", "model": PLAIN, "kv_cache_dtype": "fp8_e5m2"}, "FLASHINFER"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(extra: str, given: dict[str, Any], said: str) -> None:
    found = reasons(extra, **given)
    assert len(found) == 1
    assert said in found[0]
    assert found[0].startswith(("--", "attention backend"))
    assert "\n" not in found[0]


@pytest.mark.parametrize(
    ("extra", "given"),
    [
        ("", {"kv_cache_dtype": "fp8_e5m2", "model": AWQ}),
        ("--quantization awq_marlin", {"model": AWQ}),
        ("--quantization fp8", {"model": PLAIN}),
        ("--quantization fp8", {}),
        ("", {"on": "RTX 3060"}),
        ("", {"on": "T4", "kv_cache_dtype": "auto"}),
        ("--attention-backend FLASH_ATTN", {"on": "H200"}),
        ("--attention-backend FLASH_ATTN", {"kv_cache_dtype": "auto"}),
        ("--attention-backend FLASH_ATTN", {"on": None}),
        ("--tool-call-parser mine --tool-parser-plugin mine.py", {}),
        ("", {"on": "RTX 4090x8", "tensor_parallel": 8}),
        ("", {"on": "RTX 4090x16", "tensor_parallel": 16}),
        ("", {"offload_gib": 64.0}),
        ("-pp 36", {"on": "RTX 4090x36"}),
        ("", {"batched_tokens": 8, "sequences": 8}),
        ("--gpu-memory-utilization 1", {}),
        ("--no-enable-chunked-prefill", {"batched_tokens": 8_192}),
        ("", {"context": 262_144}),
        ("", {"on": None, "kv_cache_dtype": "fp8"}),
    ],
)
def test_what_works_is_let_through(extra: str, given: dict[str, Any]) -> None:
    assert reasons(extra, **given) == ()


def test_vllm_s_own_switch_lets_a_longer_context_through() -> None:
    assert reasons(context=300_000, environment={"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}) == ()


def test_with_fields_of_the_config_overridden_the_files_limit_is_not_held_against_it() -> None:
    yarn = '{"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}'
    assert reasons(f"--hf-overrides '{yarn}'", context=300_000) == ()


@pytest.mark.parametrize("method", ["quark", "compressed-tensors", "modelopt"])
def test_what_is_refused_of_a_kv_type_the_plan_refuses_as_well(method: str) -> None:
    about = subject(kv_cache_dtype="fp8_e5m2")
    assert about.model is not None
    checkpoint = replace(about.model, quantization=method, kv_dtype="fp8")
    about = replace(about, model=checkpoint)
    assert len(conflicts(about, compose(about))) == 1
    assert "e5m2" in refused_type("fp8_e5m2", checkpoint, gpu("RTX 4090"))
    plain = replace(checkpoint, kv_dtype=None)
    assert bool(refused_type("fp8_e5m2", plain, gpu("RTX 4090"))) == (method == "quark")


def test_an_fp8_cache_that_the_checkpoint_asks_for_needs_a_card_that_reads_it() -> None:
    about = subject(on="T4", kv_cache_dtype="auto")
    assert about.model is not None
    about = replace(about, model=replace(about.model, quantization="compressed-tensors", kv_dtype="fp8"))
    assert about.model is not None
    assert "--kv-cache-dtype fp8: T4" in conflicts(about, compose(about))[0]
    found = plan(about.model, gpu("T4"), about.wanted)
    assert "--kv-cache-dtype auto: T4" in found.problems[0]


def test_of_an_unknown_model_nothing_is_guessed() -> None:
    about = unknown_model(subject("--quantization gptq", context=10_000_000))
    assert conflicts(about, compose(about)) == ()


def test_tool_calls_without_a_parser_are_refused() -> None:
    about = unknown_model(subject("--enable-auto-tool-choice"))
    about = replace(about, wanted=replace(about.wanted, model="somebody/something"))
    assert conflicts(about, compose(about)) == (
        "--enable-auto-tool-choice: it needs --tool-call-parser (DOCMIND_SERVE__TOOL_CALL_PARSER)",
    )


def test_several_reasons_are_all_said() -> None:
    assert len(reasons("--quantization gptq --tool-call-parser qwen3", kv_cache_dtype="fp8_e5m2")) == 3


def test_an_open_door_without_a_key_is_warned_of() -> None:
    assert second_looks() == ()
    assert "set DOCMIND_VLLM__API_KEY" in second_looks(serve={"host": "0.0.0.0"})[0]
    assert "the key guards /v1 only" in second_looks(serve={"host": "192.0.2.1"}, key="k")[0]
    assert [second_looks(serve={"host": host}) for host in ("localhost", "::1", "127.0.0.2")] == [()] * 3
    assert "list of processes" in second_looks("--api-key k")[0]
    assert "code of the model's author" in second_looks("--trust-remote-code")[0]


def test_a_card_without_fp8_and_a_needed_package_are_said() -> None:
    found = second_looks(on="RTX 3060")
    assert f"{QWEN}: RTX 3060 computes no FP8" in found[0]
    assert "flashinfer-python" in found[1]
