"""Known failures, each from a log that was written: quoted in a public thread, or provoked by us on the CPU build."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.vllm.failures import Diagnosis, FailureWatch, known, said
from infra.vllm.startup import MAX_LINE_CHARS, Startup

RECORDED = Path(__file__).parents[2] / "recorded" / "vllm"
LOG = "/data/vllm.log"

# log: which failure, what must stand in its cause, what in its cure
EXPECTED = {
    "weights_beyond_the_card": ("out_of_memory_weights", "139.72 GiB", "--tensor-parallel"),
    "memory_gone_at_graph_capture": ("out_of_memory_running", "44.53 GiB", "DOCMIND_SERVE__ENFORCE_EAGER=true"),
    "memory_gone_at_sampling": ("out_of_memory_sampling", "1024 requests", "DOCMIND_SERVE__MAX_NUM_SEQS"),
    "card_held_by_others": ("memory_taken_by_others", "31.44 of 47.38 GiB are free, vLLM wants 45.01", "below 0.95"),
    "no_memory_for_blocks": ("no_kv_memory", "nothing is left", "DOCMIND_SERVE__GPU_MEMORY_UTILIZATION"),
    "context_beyond_two_cards": (
        "context_too_long_for_memory",
        "262144 tokens of context need 24.0 GiB of KV cache, 3.18 GiB are left",
        "DOCMIND_VLLM__CONTEXT_WINDOW=34736",
    ),
    "context_beyond_card_without_estimate": ("context_too_long_for_memory_old", "1048576 tokens", "docmind plan"),
    "context_beyond_card_old": ("context_too_long_for_memory_old", "4096 tokens", "docmind plan"),
    "e4m3_on_volta": ("kv_type_needs_newer_gpu", "no e4m3", "FLASHINFER"),
    "no_backend_for_kv_type": ("kv_type_no_backend", "reads this KV cache type", "--kv-cache-dtype auto"),
    "e5m2_with_fp8_weights": ("e5m2_with_fp8_checkpoint", "e4m3", "DOCMIND_VLLM__KV_CACHE_DTYPE=fp8"),
    "fp8_weights_on_ampere": ("quantization_needs_newer_gpu", "fp8 weights need compute capability 90", "AWQ or GPTQ"),
    "bfloat16_on_turing": ("bfloat16_needs_newer_gpu", "Tesla T4 (compute capability 7.5)", "--dtype half"),
    "nvcc_not_found": ("no_nvcc", "finds no nvcc", "flashinfer-jit-cache"),
    "nvcc_not_in_shell": ("no_nvcc", "finds no nvcc", "flashinfer-jit-cache"),
    "flashinfer_not_installed": ("flashinfer_missing", "not installed", "flashinfer-python"),
    "driver_too_old": ("driver_too_old", "11040", "update the driver"),
    "driver_and_libraries_apart": ("driver_mismatch", "do not match the loaded driver", "restart the machine"),
    "cuda_runtime_missing": ("cuda_library_missing", "libcudart.so.12", "environment of their own"),
    "card_newer_than_build": ("gpu_not_built_for", "no code for this GPU", "RTX 50"),
    "no_gpu_found": ("no_device", "no GPU", "--gpus all"),
    "gated_model": ("gated_model", "gated", "DOCMIND_SERVE__LOAD"),
    "more_ranks_than_gpus": ("too_few_gpus", "more GPUs are asked for", "CUDA_VISIBLE_DEVICES"),
    "small_shared_memory": ("shared_memory", "/dev/shm", "--ipc=host"),
    "port_in_use": ("port_in_use", "another program listens", "DOCMIND_VLLM__BASE_URL"),
    "removed_flag": ("removed_option", "--swap-space 4", "DOCMIND_SERVE__EXTRA_ARGS"),
    "config_unknown": ("removed_option", "--kv-cache-dtpye fp8", "DOCMIND_SERVE__EXTRA_ARGS"),
    "bad_kv_dtype": ("unknown_kv_type", "q8_0", "--kv-cache-dtype auto, fp8"),
    "bad_dtype": ("unknown_dtype", "in no type fp8", "--kv-cache-dtype fp8"),
    "tool_parser": ("unknown_tool_parser", "no tool parser qwen3", "hermes"),
    "reasoning_parser": ("unknown_reasoning_parser", "qwen9", "DOCMIND_SERVE__REASONING_PARSER"),
    "model_not_found": ("model_not_here", "not on this machine", "DOCMIND_SERVE__DOWNLOAD=true"),
    "folder_not_found": ("model_folder_missing", "no such model folder", "config.json"),
    "context_beyond_model": (
        "context_beyond_model",
        "allow 40960 tokens, 10000000 are asked for",
        "DOCMIND_VLLM__CONTEXT_WINDOW",
    ),
    "wrong_quantization": ("wrong_quantization", "quantized with awq, --quantization asks for fp8", "leave --quant"),
    "e5m2_fp8_run": ("e5m2_with_fp8_checkpoint", "e4m3", "DOCMIND_VLLM__KV_CACHE_DTYPE=fp8"),
    "batched_tokens": ("batched_tokens_below_sequences", "4 tokens", "DOCMIND_SERVE__MAX_NUM_BATCHED_TOKENS"),
    "tensor_parallel": ("heads_not_divisible", "4 attention heads cannot be shared evenly by 3", "divides 4"),
    "context_beyond_kv_memory": ("context_too_long_for_memory", "4096 tokens", "DOCMIND_VLLM__CONTEXT_WINDOW=384"),
    "cut_weights": ("broken_weights", "cut or broken", "hf download"),
    "no_weights": ("no_weights", "no weights", "hf download"),
    "unknown_architecture": ("unknown_architecture", "architecture", "newer vLLM"),
    "chat_template": ("chat_template_missing", "--chat-template", "DOCMIND_SERVE__EXTRA_ARGS"),
    "too_much_kv": ("out_of_main_memory", "main memory", "--kv-cache-memory-bytes"),
    "engine_killed": ("engine_killed", "signal 9", "dmesg"),
    "engine_died": ("engine_died", "engine process ended", LOG),
}
UP = ("up_on_a_cpu", "up_on_gpus")


def diagnosed(*lines: str) -> Diagnosis:
    startup, watch = Startup(), FailureWatch()
    for line in lines:
        startup.feed(line)
        watch.feed(line, startup.phase)
    return watch.diagnosis(LOG)


def recorded(name: str) -> list[str]:
    """The lines of a log, without the first, which names its source."""
    return (RECORDED / f"{name}.log").read_text(encoding="utf-8").splitlines()[1:]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_known_failure_is_named_with_its_cure(name: str):
    found = diagnosed(*recorded(name))
    wanted, cause, cure = EXPECTED[name]
    assert (found.name, cause in found.cause, cure in found.cure) == (wanted, True, True), found
    assert "?" not in found.cause
    assert "\n" not in found.cause + found.cure


@pytest.mark.parametrize("name", UP)
def test_a_server_that_came_up_shows_no_failure(name: str):
    assert diagnosed(*recorded(name)) == Diagnosis(
        "unknown", "vLLM ended and said no reason", f"read the log: {LOG}", "", ""
    )


def test_every_log_names_where_it_was_written():
    for path in RECORDED.glob("*.log"):
        head = path.read_text(encoding="utf-8").partition("\n")[0]
        assert re.match(r"# (https://github\.com/[\w.-]+/[\w.-]+/(issues|pull)/\d+|own run: .+)$", head), path.name
        assert path.stem in EXPECTED or path.stem in UP


def test_every_failure_names_the_source_of_one_of_its_logs():
    shown = {name: (RECORDED / f"{name}.log").read_text(encoding="utf-8").partition("\n")[0] for name in EXPECTED}
    for entry in known():
        heads = [head for name, head in shown.items() if EXPECTED[name][0] == entry.name]
        assert any(head.startswith(f"# {entry.source}") for head in heads), (entry.name, heads)


def test_no_failure_is_known_that_no_log_shows():
    assert {failure for failure, _, _ in EXPECTED.values()} == {entry.name for entry in known()}


def test_the_cause_wins_over_what_follows_from_it_in_any_order():
    cause = recorded("flashinfer_not_installed")
    assert diagnosed(*cause).name == diagnosed(*reversed(cause)).name == "flashinfer_missing"


def test_the_same_words_mean_another_thing_in_another_phase():
    line = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 9 GiB"
    assert diagnosed("Starting to load model x...", line).name == "out_of_memory_weights"
    assert diagnosed("Model loading took 4.1 GiB memory and 9 seconds", line).name == "out_of_memory_running"


def test_an_unknown_failure_shows_the_last_error_and_where_the_log_is():
    found = diagnosed(
        "(EngineCore pid=7) ERROR 05-10 16:00:15 [core.py:470] ValueError: first",
        "(EngineCore pid=7) ERROR 05-10 16:00:15 [core.py:470] LookupError: the moon is \x1b[31mnot\x1b[0m full",
        "(APIServer pid=1)     sys.exit(main())",
    )
    assert found.cause == "vLLM ended: LookupError: the moon is not full"
    assert found.cure == f"read the log: {LOG}"


def test_an_engine_that_died_shows_the_error_before_it():
    found = diagnosed(
        "(EngineCore pid=7) ERROR 05-10 16:00:15 [core.py:470] LookupError: the moon",
        "(APIServer pid=1) RuntimeError: Engine core initialization failed. Failed core proc(s): {}",
    )
    assert (found.name, found.cause) == ("engine_died", "vLLM's engine process ended: LookupError: the moon")


def test_a_line_tells_whether_the_engine_is_gone():
    watch = FailureWatch()
    assert watch.feed("ERROR 10-25 13:12:42 [core.py:708] EngineCore failed to start.", "profile")
    assert not watch.feed("ValueError: No available memory for the cache blocks.", "profile")


def test_the_words_of_a_line_stand_behind_its_process_time_and_place():
    assert said("(EngineCore_DP0 pid=556790) torch.OutOfMemoryError: x") == "torch.OutOfMemoryError: x"
    assert said("(Worker pid=1) (Worker_TP1 pid=2) ERROR 03-05 09:56:09 [multiproc_executor.py:880] a") == "a"
    assert said("INFO 05-26 07:50:26 [v1/executor/abstract.py:1004] rank 0") == "rank 0"
    assert len(said("x" * 1_000_000)) == MAX_LINE_CHARS


@given(st.lists(st.text(max_size=300), max_size=10))
def test_no_log_breaks_the_diagnosis(lines: list[str]):
    found = diagnosed(*lines)
    assert found.cause
    assert found.cure
    assert "\n" not in found.cause + found.cure


def test_long_and_nested_lines_are_read_in_little_time():
    for piece in ("(", "max seq len (1), (", "ERROR 01-01 01:01:01 [", "/dev/shm ", "a." * 50, "kv_cache_dtype "):
        diagnosed(*[piece * 5_000] * 20)


@pytest.mark.parametrize(
    "warning",
    [
        "FlashInfer All Reduce is disabled because flashinfer is not available",
        "FlashInfer is not installed; skipping its kernels.",
        "FlashInfer is not available. Falling back to the PyTorch-native implementation of top-p & top-k sampling.",
    ],
)
def test_a_warning_of_what_vllm_does_without_is_not_the_cause(warning: str):
    """The words of vLLM 0.32's own warnings; the last one's of 0.10's."""
    watch = FailureWatch()
    watch.feed(f"(EngineCore pid=7) WARNING 11-21 20:15:24 [cuda.py:12] {warning}", "model")
    watch.feed("RuntimeError: the moon", "weights")
    assert watch.diagnosis("LOG").cause == "vLLM ended: RuntimeError: the moon"


def test_a_coloured_log_is_read_as_well():
    watch = FailureWatch()
    watch.feed("\x1b[0;36m(EngineCore pid=7)\x1b[0;0m ERROR 11-21 20:15:24 [core.py:1] RuntimeError: the moon", "model")
    assert watch.diagnosis("LOG").cause == "vLLM ended: RuntimeError: the moon"
