"""What one GPU's memory goes to before the KV cache gets the rest; each figure says how it is known.

vLLM runs the model once on as many tokens as a step may have and takes from its share of the memory (``utilization``)
what that used; the rest is the KV cache (``determine_available_memory`` in vLLM 0.32). What the driver holds for the
process itself (the CUDA context) lies outside of the share, but has to find room beside it.
"""

from dataclasses import dataclass
from typing import Literal

from infra.vllm.facts import GIB, GpuFacts, ModelFacts, Wanted
from infra.vllm.states import BYTES

Known = Literal["exact", "table", "estimate", "given"]

MIB = 1 << 20
CONTEXT_BYTES = 450 * MIB
"""The CUDA context of one process with PyTorch's kernels; 0.3 to 0.6 GiB by driver and GPU."""

OVERHEAD_BYTES = 200 * MIB
"""Libraries' own memory and what the allocator cannot use. Public logs: 0.03 to 0.33 GiB."""

FLASHINFER_BYTES = 394 * MIB
"""FlashInfer's work space (``VLLM_FLASHINFER_WORKSPACE_BUFFER_SIZE``), taken where it reads the KV cache."""

SAMPLER_BYTES = 38
"""Bytes for each request and word of the vocabulary that sampling holds at its peak: nine and a half copies of the
logits in 32 bits. Fitted to public logs, which it meets within 6 % (tests/infra/vllm/test_memory.py)."""

GRAPH_BYTES_A_LAYER = 300_000
"""Memory of one captured CUDA graph a layer; public logs lie within half and double."""


@dataclass(frozen=True, slots=True)
class Part:
    """One use of a GPU's memory.

    Attributes:
        name: what it is.
        size_bytes: predicted size on one GPU.
        known: how the figure is known.
        error_bytes: how far off it may be.
        why: where it comes from.
    """

    name: str
    size_bytes: int
    known: Known
    error_bytes: int
    why: str


@dataclass(frozen=True, slots=True)
class Step:
    """The largest step of the server.

    Attributes:
        tokens: ``--max-num-batched-tokens``.
        sequences: ``--max-num-seqs``.
        in_flight: tokens that are scheduled and not settled; two steps overlap.
    """

    tokens: int
    sequences: int
    in_flight: int


def step_of(wanted: Wanted, gpu: GpuFacts) -> Step:
    """Return the step that is wanted, filled with vLLM 0.32's defaults for the GPU (``get_batch_defaults``)."""
    large = gpu.vram_bytes >= 70 * GIB and "a100" not in gpu.name.lower()
    tokens = wanted.batched_tokens or (8_192 if large else 2_048)
    sequences = wanted.sequences or (1_024 if large else 256)
    return Step(max(tokens, sequences), sequences, max(tokens, sequences) * (wanted.pipeline_parallel + 1))


def uses_flashinfer(kv_dtype: str, gpu: GpuFacts) -> bool:
    """Whether vLLM reads this KV cache with FlashInfer: FP8 below 9.0 and on consumer Blackwell, e5m2 everywhere."""
    return kv_dtype.startswith("fp8") and (gpu.capability[0] != 9 or kv_dtype == "fp8_e5m2")  # noqa: PLR2004 - Hopper


def parts(model: ModelFacts, gpu: GpuFacts, wanted: Wanted) -> tuple[Part, ...]:
    """Return what one GPU's share goes to beside the KV cache."""
    step = step_of(wanted, gpu)
    return (
        _weights(model, wanted),
        _activations(model, step, wanted.tensor_parallel),
        _graphs(model, step, wanted),
        _overhead(model, gpu, wanted),
    )


def capture_sizes(sequences: int) -> int:
    """Return for how many batch sizes vLLM captures CUDA graphs; the largest is twice the requests, 512 at most."""
    largest = min(2 * sequences, 512)
    sizes = [1, 2, 4, *range(8, 256, 8), *range(256, largest + 1, 16)]
    return sum(1 for size in sizes if size <= largest)


def _weights(model: ModelFacts, wanted: Wanted) -> Part:
    """Return the share of one GPU of the fullest pipeline stage: most layers, and the embedding or the output head."""
    size, stages = model.weight_bytes + model.padding_bytes, wanted.pipeline_parallel
    if stages > 1:
        end = min(model.vocab * model.hidden * BYTES[model.dtype], size // 2)
        size = (size - 2 * end) * -(-model.layers // stages) // model.layers + end
    size = -(-size // wanted.tensor_parallel)
    share = {"exact": 0.01, "table": 0.02, "estimate": 0.08}[model.weights_known]
    if model.weights_known == "estimate" and model.weight_bits >= 8:  # noqa: PLR2004 - bits
        share = 0.02  # whole matrices are counted to a tenth of a percent; what else a checkpoint keeps differs
    why = {"exact": "the files' own sizes", "table": "the published size", "estimate": "the shapes of its matrices"}
    more = (
        f", and {model.padding_bytes / GIB:.1f} GiB by which the kernels round widths up" if model.padding_bytes else ""
    )
    return Part("weights", size, model.weights_known, round(share * size), why[model.weights_known] + more)


def _activations(model: ModelFacts, step: Step, tensor_parallel: int) -> Part:
    """Return the larger of what the layers and what sampling hold at their peak."""
    element = BYTES[model.dtype]
    wide = 3 * model.intermediate + (model.experts_active * model.hidden if model.experts else 0)
    layers = step.tokens * element * (2 * model.hidden + wide // tensor_parallel)
    rows = min(step.tokens, step.sequences)
    sampling = rows * model.vocab * (SAMPLER_BYTES + element)
    what = f"sampling for {rows} requests" if sampling > layers else f"a step of {step.tokens:,} tokens"
    size = max(layers, sampling)
    return Part("activations", size, "estimate", round(0.25 * size), f"the peak of {what}")


def _graphs(model: ModelFacts, step: Step, wanted: Wanted) -> Part:
    if wanted.eager:
        return Part("CUDA graphs", 0, "exact", 0, "none are captured (--enforce-eager)")
    many = capture_sizes(step.sequences)
    size = -(-many * model.layers * GRAPH_BYTES_A_LAYER // wanted.pipeline_parallel)
    return Part("CUDA graphs", size, "estimate", size, f"{many} batch sizes, {model.layers} layers")


def _overhead(model: ModelFacts, gpu: GpuFacts, wanted: Wanted) -> Part:
    chosen = model.kv_dtype or "auto" if wanted.kv_cache_dtype == "auto" else wanted.kv_cache_dtype
    flashinfer = uses_flashinfer(chosen, gpu)
    links = OVERHEAD_BYTES if wanted.tensor_parallel * wanted.pipeline_parallel > 1 else 0
    size = OVERHEAD_BYTES + links + (FLASHINFER_BYTES if flashinfer else 0)
    why = "libraries" + (", FlashInfer's work space" if flashinfer else "") + (", links to other GPUs" if links else "")
    return Part("runtime", size, "estimate", 200 * MIB, why)
