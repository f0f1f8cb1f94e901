"""Does it fit: what of a model, a context and a KV cache a GPU holds. Pure arithmetic.

Every figure is predicted, from facts (`models`, `gpus`) by vLLM's own rules (`layouts`, `memory`). Nothing is run.
"""

from dataclasses import dataclass, replace

from infra.errors import ConfigurationError
from infra.vllm.facts import GIB, GpuFacts, KvDtype, ModelFacts, Wanted
from infra.vllm.layouts import Layout, Serving, lay_out, token_bytes
from infra.vllm.memory import CONTEXT_BYTES, Part, Step, parts, step_of
from infra.vllm.quantization import LEAST_CAPABILITY, brings_fp8_scales
from infra.vllm.speed import Ceilings, ceilings

MAX_CONTEXT = 1 << 24

LENGTHS = (4_096, 8_192, 16_384, 32_768, 65_536, 131_072, 262_144)
"""Lengths for which a plan says how many requests fit at once."""


@dataclass(frozen=True, slots=True)
class KvRow:
    """The KV cache in one type.

    Attributes:
        kv_dtype: value of ``--kv-cache-dtype``.
        token_bytes: bytes of each further token, over all GPUs.
        request_bytes: what one request of the planned context takes on one GPU, in whole blocks.
        longest: tokens of the longest request that fits, 0 for none.
        concurrent: requests of the planned context that fit at once.
        saving: part of the 16-bit cache that it saves, in [0, 1).
        refused: why vLLM does not run it here, empty if it does.
    """

    kv_dtype: KvDtype
    token_bytes: int
    request_bytes: int
    longest: int
    concurrent: float
    saving: float
    refused: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What was found for a wish; sizes are of one GPU.

    Attributes:
        wanted: the wish.
        model: facts of the model.
        gpu: facts of the GPU.
        step: the largest step of the server.
        parts: what the share goes to beside the KV cache.
        budget_bytes: vLLM's share, ``utilization`` of the memory.
        available_bytes: what of it is left for the KV cache; negative if the rest alone is too much.
        context: tokens planned for: those wanted, else the longest that fit.
        request_bytes: KV cache of one request of that length.
        longest: the longest request that fits, at most what the model allows.
        concurrent: requests of ``context`` tokens at once.
        at_length: the same for common lengths up to the model's.
        kv: the KV cache in each type.
        speed: predicted ceilings.
        offload_tokens: tokens whose keys and values the main memory keeps on top.
        problems: why it does not fit or would be refused, one line each; empty when it fits.
    """

    wanted: Wanted
    model: ModelFacts
    gpu: GpuFacts
    step: Step
    parts: tuple[Part, ...]
    budget_bytes: int
    available_bytes: int
    context: int
    request_bytes: int
    longest: int
    concurrent: float
    at_length: tuple[tuple[int, float], ...]
    kv: tuple[KvRow, ...]
    speed: Ceilings
    offload_tokens: int
    problems: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether vLLM would start with this wish, as far as memory and types go."""
        return not self.problems

    @property
    def kv_dtype(self) -> str:
        """The type that the KV cache will have: ``auto`` is the checkpoint's word, else the model's type."""
        chosen = self.wanted.kv_cache_dtype
        return (self.model.kv_dtype or self.model.dtype) if chosen == "auto" else chosen

    @property
    def error_bytes(self) -> int:
        """How far off the space for the KV cache may be: the parts' errors together, as independent ones."""
        return round(sum(part.error_bytes**2 for part in self.parts) ** 0.5)


def plan(model: ModelFacts, gpu: GpuFacts, wanted: Wanted) -> Plan:
    """Return what fits of ``wanted``.

    Raises:
        ConfigurationError: the wish cannot be planned: more GPUs than there are, or heads that they cannot share.
    """
    check_parallel(model, gpu, wanted)
    step, used = step_of(wanted, gpu), parts(model, gpu, wanted)
    budget = round(gpu.vram_bytes * wanted.utilization)
    available = budget - sum(part.size_bytes for part in used)
    layout = lay_out(model, serving(wanted, wanted.kv_cache_dtype))
    longest = layout.longest(available, model.max_context, step.in_flight)
    context = wanted.context or max(longest, 1)
    together = layout.concurrent(max(available, 0), context, step.in_flight)
    request = layout.request_bytes(context, step.in_flight)
    return Plan(
        wanted=wanted,
        model=model,
        gpu=gpu,
        step=step,
        parts=used,
        budget_bytes=budget,
        available_bytes=available,
        context=context,
        request_bytes=request,
        longest=longest,
        concurrent=together,
        at_length=tuple(_at_lengths(layout, available, model.max_context, step)),
        kv=tuple(_row(kv_dtype, model, gpu, wanted, context) for kv_dtype in kv_types(model, gpu)),
        speed=ceilings(model, gpu, wanted, context, max(1, min(step.sequences, int(together)))),
        offload_tokens=_offloaded(model, wanted),
        problems=tuple(_problems(model, gpu, wanted, (longest, request, available))),
    )


def kv_types(model: ModelFacts, gpu: GpuFacts) -> tuple[KvDtype, ...]:
    """Return the types of the KV cache that a plan shows beside each other: 16 bits, and both kinds of FP8."""
    plain: KvDtype = "float16" if model.dtype == "float16" or "bfloat16" not in gpu.kv_types else "bfloat16"
    return plain, "fp8_e4m3", "fp8_e5m2"


def serving(wanted: Wanted, kv_dtype: str) -> Serving:
    """Return how the model is served, as its KV-cache layout needs it."""
    return Serving(kv_dtype, wanted.tensor_parallel, wanted.pipeline_parallel)


def free_utilization(gpu: GpuFacts, beside_bytes: int) -> float:
    """Return the largest utilization that leaves room for the CUDA context and for other programs, in hundredths."""
    free = gpu.vram_bytes - CONTEXT_BYTES - max(beside_bytes, gpu.in_use_bytes)
    return max(0, int(100 * free / gpu.vram_bytes)) / 100


def check_parallel(model: ModelFacts, gpu: GpuFacts, wanted: Wanted) -> None:
    """Refuse GPUs that are not there, and heads that they cannot share evenly.

    Raises:
        ConfigurationError: with the numbers, and the option that decides.
    """
    ranks = wanted.tensor_parallel * wanted.pipeline_parallel
    if ranks > gpu.count:
        raise ConfigurationError(
            f"{ranks} GPUs are asked for (--tensor-parallel times --pipeline-parallel), {gpu.count} of {gpu.name} are"
            f" here; plan for more with --gpu '{gpu.name}x{ranks}'"
        )
    if model.heads % wanted.tensor_parallel:
        raise ConfigurationError(
            f"{model.name} has {model.heads} attention heads, which {wanted.tensor_parallel} GPUs cannot share evenly;"
            " --tensor-parallel must divide them"
        )


def _at_lengths(layout: Layout, available: int, limit: int, step: Step) -> list[tuple[int, float]]:
    lengths = [length for length in LENGTHS if length <= limit] or [limit]
    return [(length, layout.concurrent(max(available, 0), length, step.in_flight)) for length in lengths]


def _row(kv_dtype: KvDtype, model: ModelFacts, gpu: GpuFacts, wanted: Wanted, context: int) -> KvRow:
    step = step_of(wanted, gpu)
    asked = replace(wanted, kv_cache_dtype=kv_dtype)
    layout = lay_out(model, serving(wanted, kv_dtype))
    available = round(gpu.vram_bytes * wanted.utilization) - sum(p.size_bytes for p in parts(model, gpu, asked))
    token = token_bytes(model, kv_dtype, wanted.tensor_parallel)
    plain = token_bytes(model, "bfloat16", wanted.tensor_parallel)
    return KvRow(
        kv_dtype=kv_dtype,
        token_bytes=token,
        request_bytes=layout.request_bytes(context, step.in_flight),
        longest=layout.longest(available, model.max_context, step.in_flight),
        concurrent=layout.concurrent(max(available, 0), context, step.in_flight),
        saving=1 - token / plain if plain else 0.0,
        refused=refused_type(kv_dtype, model, gpu),
    )


def refused_type(kv_dtype: str, model: ModelFacts, gpu: GpuFacts) -> str:
    """Return why vLLM does not run this KV-cache type with the model on the GPU, empty if it does."""
    if (model.kv_dtype or "auto" if kv_dtype == "auto" else kv_dtype) not in gpu.kv_types:
        return f"{gpu.name} (compute capability {gpu.capability[0]}.{gpu.capability[1]}) has no kernels for it in vLLM"
    if kv_dtype == "fp8_e5m2" and brings_fp8_scales(model.quantization, model.kv_dtype):
        return "vLLM refuses e5m2 with an FP8 checkpoint; fp8 (e4m3) works"
    return ""


def _offloaded(model: ModelFacts, wanted: Wanted) -> int:
    each = token_bytes(model, wanted.kv_cache_dtype, wanted.tensor_parallel)
    return int(wanted.offload_gib * GIB / each) if each else 0


def _problems(model: ModelFacts, gpu: GpuFacts, wanted: Wanted, found: tuple[int, int, int]) -> list[str]:
    """Return what stands in the way; ``found``: the longest request, the bytes wanted for one, the bytes there are."""
    longest, request, available = found
    problems: list[str] = []
    if why := refused_type(wanted.kv_cache_dtype, model, gpu):
        problems.append(f"--kv-cache-dtype {wanted.kv_cache_dtype}: {why}.")
    if gpu.capability < (least := LEAST_CAPABILITY.get(model.quantization or "", (0, 0))):
        problems.append(
            f"{model.quantization} weights need compute capability {least[0]}.{least[1]}; {gpu.name} has"
            f" {gpu.capability[0]}.{gpu.capability[1]}."
        )
    if wanted.context and wanted.context > model.max_context:
        problems.append(f"{wanted.context:,} tokens are more than the {model.max_context:,} that {model.name} allows.")
    if wanted.utilization > (most := free_utilization(gpu, wanted.beside_bytes)):
        problems.append(
            f"--gpu-memory-utilization {wanted.utilization:g} leaves too little beside vLLM's part for the CUDA context"
            f" and other programs; {most:g} is the most."
        )
    if available <= 0:
        problems.append(
            f"Weights and work space alone need {-available / GIB:.1f} GiB more than vLLM's share of the GPU."
        )
    elif (wanted.context or 1) > longest and (wanted.context or 1) <= model.max_context:
        problems.append(
            f"{wanted.context or 1:,} tokens do not fit: one request needs {request / GIB:.2f} GiB of KV cache,"
            f" {available / GIB:.2f} GiB are left; {longest:,} tokens fit."
        )
    return problems
