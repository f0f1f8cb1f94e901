"""Which single change makes a plan fit: each change that there is, tried, the mildest first."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from infra.errors import ConfigurationError
from infra.vllm.facts import GIB, GpuFacts, ModelFacts, Wanted
from infra.vllm.plan import Plan, free_utilization, plan

FEW_SEQUENCES = 2
SMALL_STEP = 2_048

_SMALLER = (("FP8", "fp8", 8), ("AWQ or GPTQ with 4 bits", "awq", 4))
_STORED = {8: 1.0, 4: 4.156 / 8}
"""Bytes of a weight with its scales, in groups of 128."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change that makes it fit.

    Attributes:
        change: what to do, with the option to set.
        plan: what comes of it.
    """

    change: str
    plan: Plan


def remedies(found: Plan) -> tuple[Remedy, ...]:
    """Return the single changes that make ``found`` fit; none if it fits already, or if nothing alone helps."""
    if found.fits:
        return ()
    working: list[Remedy] = []
    for change, model, gpu, wanted in _changes(found):
        try:
            tried = plan(model, gpu, wanted)
        except ConfigurationError:  # such as heads that two GPUs cannot share
            continue
        if tried.fits:
            working.append(Remedy(change, tried))
    return tuple(working)


Change = tuple[str, ModelFacts, GpuFacts, Wanted]


def _changes(found: Plan) -> Iterator[Change]:
    model, gpu, wanted = found.model, found.gpu, found.wanted
    for change, asked in _wishes(found):
        yield change, model, gpu, asked
    for name, method, bits in _SMALLER:
        if model.weight_bits > bits:
            yield f"take the model quantized to {name}", _smaller(model, method, bits), gpu, wanted
    if gpu.count == wanted.tensor_parallel * wanted.pipeline_parallel:
        twice = replace(wanted, tensor_parallel=2 * wanted.tensor_parallel)
        change = f"use {2 * gpu.count} GPUs: --gpu '{gpu.name}x{2 * gpu.count}'"
        yield change, model, replace(gpu, count=2 * gpu.count), twice
    if 0 < found.longest < found.context:
        yield f"shorten the context: --context {found.longest}", model, gpu, replace(wanted, context=found.longest)


def _wishes(found: Plan) -> Iterator[tuple[str, Wanted]]:
    """Yield the changes of options, those that cost least first."""
    gpu, wanted = found.gpu, found.wanted
    if wanted.beside_bytes:
        change = f"move the embedder and the reranker to the CPU, which frees {wanted.beside_bytes / GIB:.1f} GiB"
        most = free_utilization(gpu, 0)
        yield f"{change}: --utilization {most:g} --beside-gib 0", replace(wanted, beside_bytes=0, utilization=most)
    if wanted.kv_cache_dtype != "fp8":
        yield "keep the KV cache in FP8: --kv-cache-dtype fp8", replace(wanted, kv_cache_dtype="fp8")
    if (most := free_utilization(gpu, wanted.beside_bytes)) != wanted.utilization:
        yield f"set vLLM's share: --utilization {most:g}", replace(wanted, utilization=most)
    if found.step.sequences > FEW_SEQUENCES:
        yield f"serve fewer requests at once: --sequences {FEW_SEQUENCES}", replace(wanted, sequences=FEW_SEQUENCES)
    if found.step.tokens > SMALL_STEP:
        yield f"take smaller steps: --batched-tokens {SMALL_STEP}", replace(wanted, batched_tokens=SMALL_STEP)
    if not wanted.eager:
        yield "do without CUDA graphs, which slows decoding: --eager", replace(wanted, eager=True)
    if found.wanted.context and found.wanted.context > found.model.max_context:
        limit = found.model.max_context
        yield f"stay within the model's context: --context {limit}", replace(wanted, context=limit)


def _smaller(model: ModelFacts, method: str, bits: int) -> ModelFacts:
    """Return the model as if its matrices had ``bits`` bits; embedding and output head stay as they are."""
    ends = 2 * model.vocab * model.hidden
    now = max(model.weight_bytes - 2 * ends, model.weight_bytes // 2)
    scale = _STORED[bits] / (model.weight_bits / 8)
    size = round(model.weight_bytes - now + now * scale)
    return replace(
        model,
        weight_bytes=size,
        padding_bytes=0,
        active_bytes=round(model.active_bytes * size / model.weight_bytes),
        weights_known="estimate",
        quantization=method,
        weight_bits=bits,
    )
