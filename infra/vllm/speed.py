"""Ceilings of speed that the hardware sets: predicted, and above what any server reaches.

Decoding reads the active weights and the request's KV cache once for every token, so memory bandwidth bounds it (the
roofline model, Williams et al. 2009). Reading a prompt computes two operations a weight and token, and attention over
what came before. Servers reach about half to four fifths of either.
"""

from dataclasses import dataclass

from infra.vllm.facts import GpuFacts, ModelFacts, Wanted
from infra.vllm.layouts import element_bytes, token_elements

_FP8_METHODS = ("fp8", "fbgemm_fp8", "modelopt", "compressed-tensors")
_MLA_PREFILL_WIDTH = 320
"""Elements of key and value a head while a prompt is read: compressed attention is computed uncompressed then."""


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Predicted upper bounds, tokens a second; None where the GPU's speed is not known.

    Attributes:
        decode_short: of one request near its beginning.
        decode_long: of one request at ``context`` tokens.
        decode_together: of ``sequences`` requests at ``context`` tokens each, all together.
        prefill: of a prompt of ``context`` tokens.
        context: tokens of the long request.
        sequences: requests of `decode_together`.
    """

    decode_short: float | None
    decode_long: float | None
    decode_together: float | None
    prefill: float | None
    context: int
    sequences: int


def ceilings(model: ModelFacts, gpu: GpuFacts, wanted: Wanted, context: int, sequences: int) -> Ceilings:
    """Return the bounds for requests of ``context`` tokens, ``sequences`` of them at once."""
    ranks = wanted.tensor_parallel
    bandwidth = gpu.bandwidth_bytes_s * ranks
    read = kv_read_bytes(model, wanted.kv_cache_dtype, context, ranks)

    def decode(requests: int, kv_bytes: int) -> float | None:
        moved = active_bytes(model, requests) + requests * kv_bytes
        return requests * bandwidth / moved if bandwidth else None

    return Ceilings(
        decode_short=decode(1, 0),
        decode_long=decode(1, read),
        decode_together=decode(sequences, read),
        prefill=_prefill(model, gpu, ranks, context),
        context=context,
        sequences=sequences,
    )


def kv_read_bytes(model: ModelFacts, kv_dtype: str, context: int, tensor_parallel: int = 1) -> int:
    """Return the bytes of keys, values and states that one token at ``context`` tokens reads, over all GPUs."""
    element = element_bytes(kv_dtype, model)
    total = 0
    for group in model.groups:
        seen = min(context, group.window) if group.window else context
        total += group.layers * (seen * token_elements(group, tensor_parallel) * element + group.state_bytes)
    return total


def active_bytes(model: ModelFacts, requests: int) -> int:
    """Return the bytes of weights that a step of ``requests`` tokens reads; each brings experts of its own."""
    if not model.experts:
        return model.active_bytes
    idle_share = 1 - model.experts_active / model.experts
    experts = (model.params - model.active_params) / idle_share if idle_share else 0
    part = min(1.0, experts / model.params) * model.weight_bytes
    touched = 1 - idle_share**requests
    return round(model.active_bytes + part * (touched - model.experts_active / model.experts))


def _prefill(model: ModelFacts, gpu: GpuFacts, ranks: int, context: int) -> float | None:
    eight_bits = model.weight_bits == 8 and model.quantization in _FP8_METHODS and gpu.fp8_weights  # noqa: PLR2004
    speed = (gpu.fp8_flops if eight_bits and gpu.fp8_flops else gpu.fp16_flops) * ranks
    if not speed:
        return None
    plain_speed = (gpu.fp16_flops or gpu.fp8_flops) * ranks
    attention = 0
    for group in model.groups:
        seen = min(context, group.window) if group.window else context
        width = _MLA_PREFILL_WIDTH if group.kind == "mla" else group.head_dim_k + group.head_dim_v
        attention += group.layers * model.heads * width * seen  # two operations, over half of the prompt on average
    return 1 / (2 * model.active_params / speed + attention / plain_speed)
