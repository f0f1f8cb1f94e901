"""The same model on Ollama and llama.cpp: their own KV-cache types, names and options. Predicted.

Both keep the KV cache of the whole window from the start and read weights from GGUF files. Bytes of a type: its block
of 32 elements in ``ggml-common.h`` of llama.cpp. Ollama knows three types (``OLLAMA_KV_CACHE_TYPE``), all of which need
flash attention but ``f16``.
"""

from dataclasses import dataclass

from infra.vllm.facts import GpuFacts, ModelFacts, Target
from infra.vllm.memory import CONTEXT_BYTES, MIB

GGUF_BITS = {"Q4_K_M": 4.89, "Q5_K_M": 5.70, "Q6_K": 6.56, "Q8_0": 8.5, "F16": 16.0}
"""Bits of a weight on average: what llama.cpp's ``quantize`` states for Llama-3.1-8B (its README)."""

TYPE_BITS: dict[Target, dict[str, float]] = {
    "ollama": {"f16": 16, "q8_0": 8.5, "q4_0": 4.5},
    "llamacpp": {
        "f32": 32,
        "f16": 16,
        "bf16": 16,
        "q8_0": 8.5,
        "q5_1": 6,
        "q5_0": 5.5,
        "q4_1": 5,
        "q4_0": 4.5,
        "iq4_nl": 4.5,
    },
}
"""Bits of one element of the KV cache, with its share of the block's scale."""

_COMPUTE_BYTES = 300 * MIB
_BATCH = 512
"""llama.cpp's physical batch (``--ubatch-size``), of which its work space holds the logits."""


@dataclass(frozen=True, slots=True)
class TargetRow:
    """The KV cache in one of a server's types.

    Attributes:
        kv_dtype: the type's name there.
        token_bytes: bytes of each token of the window in full-attention layers.
        request_bytes: the KV cache of the whole window.
        saving: part of the f16 cache that it saves.
        longest: tokens of the longest window that fits on the GPU, 0 for none.
    """

    kv_dtype: str
    token_bytes: float
    request_bytes: int
    saving: float
    longest: int


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """What fits on one GPU with Ollama or llama.cpp; see `TargetRow` for its KV cache.

    Attributes:
        target: the server.
        file_type: the GGUF type that is planned for.
        weight_bytes: size of the weights in it.
        work_bytes: CUDA context and work space.
        context: the window.
        rows: the KV cache in each type.
        command: how to set it there, with the first type that fits (else the smallest).
    """

    target: Target
    file_type: str
    weight_bytes: int
    work_bytes: int
    context: int
    rows: tuple[TargetRow, ...]
    command: str


def target_plan(target: Target, model: ModelFacts, gpu: GpuFacts, context: int | None, beside_bytes: int) -> TargetPlan:
    """Return what fits with ``target`` (not vLLM), for weights of about the checkpoint's own size."""
    file_type = "Q4_K_M" if model.weight_bits < 8 else "Q8_0" if model.weight_bits == 8 else "F16"  # noqa: PLR2004
    weights = round(model.params * GGUF_BITS[file_type] / 8)
    work = CONTEXT_BYTES + _COMPUTE_BYTES + 4 * _BATCH * model.vocab
    free = gpu.vram_bytes * gpu.count - weights - work * gpu.count - max(beside_bytes, gpu.in_use_bytes)
    types = TYPE_BITS[target]
    longest = {name: _longest(model, bits, free) for name, bits in types.items()}
    length = context or max(min(longest.values()), 1)
    rows = tuple(
        TargetRow(name, _slope(model) * bits / 8, cache_bytes(model, bits, length), 1 - bits / 16, longest[name])
        for name, bits in types.items()
    )
    chosen = next((row for row in rows if row.kv_dtype != "f32" and row.longest >= length), rows[-1])
    return TargetPlan(target, file_type, weights, work, length, rows, _command(target, chosen.kv_dtype, length))


def cache_bytes(model: ModelFacts, bits: float, context: int) -> int:
    """Return the KV cache of a window of ``context`` tokens over all GPUs; sliding layers hold theirs and a batch."""
    total = 0.0
    for group in model.groups:
        width = group.kv_heads * (group.head_dim_k + group.head_dim_v)
        held = min(context, group.window + _BATCH) if group.window else context
        total += group.layers * (held * width * bits / 8 + group.state_bytes)
    return round(total)


def _slope(model: ModelFacts) -> int:
    return sum(g.layers * g.kv_heads * (g.head_dim_k + g.head_dim_v) for g in model.groups if g.kind in ("full", "mla"))


def _longest(model: ModelFacts, bits: float, free: int) -> int:
    low, high = 0, model.max_context
    while low < high:
        middle = (low + high + 1) // 2
        if cache_bytes(model, bits, middle) <= free:
            low = middle
        else:
            high = middle - 1
    return low


def _command(target: Target, kv_dtype: str, context: int) -> str:
    if target == "ollama":
        return f"OLLAMA_FLASH_ATTENTION=1 OLLAMA_KV_CACHE_TYPE={kv_dtype} OLLAMA_CONTEXT_LENGTH={context} ollama serve"
    types = f"--cache-type-k {kv_dtype} --cache-type-v {kv_dtype}"
    return f"llama-server -m MODEL.gguf -c {context} -ngl 99 -fa on --jinja {types}"
