"""What the kit knows of a model, a GPU and a machine, and what a person asks for: values; nothing is read or decided.

Who makes them: ``models.model(name_or_folder) -> ModelFacts``, ``gpus.gpu("RTX 4090x2") -> GpuFacts``,
``gpus.installed() -> GpuFacts | None``, ``machine.here() -> Machine``; ``asked`` and ``profiles`` make a `Wanted`.
Sizes are bytes (GiB = 2**30 where a name says gib), lengths are tokens, speeds are per second.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

GIB = 1 << 30

LayerKind = Literal["full", "sliding", "chunked", "mla", "mamba", "linear"]
"""How a layer remembers.

full: keys and values of every token; sliding: of the last ``window`` tokens; chunked: of the current chunk of
``window`` tokens; mla: one compressed vector of every token; mamba, linear: a state of fixed size a sequence.
"""

KvDtype = Literal["auto", "fp8", "fp8_e4m3", "fp8_e5m2", "bfloat16", "float16"]
"""vLLM's ``--kv-cache-dtype``; ``fp8`` is ``fp8_e4m3``, ``auto`` is the model's type or what its checkpoint states."""

Target = Literal["vllm", "ollama", "llamacpp"]
"""The server that a plan is for."""


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """Layers of one kind and shape, wherever they stand in the model.

    Attributes:
        kind: how they remember.
        layers: how many there are, 1 or more.
        kv_heads: key-value heads a layer over all GPUs; 1 for mla, 0 for a state.
        head_dim_k: elements of a head's key; of the whole compressed vector for mla; 0 for a state.
        head_dim_v: elements of a head's value; 0 for mla, which has none apart, and for a state.
        window: tokens that a sliding or chunked layer looks back, else None.
        latent: for mla, elements of the vector that are compressed (``kv_lora_rank``); the others carry the position.
        state_bytes: for mamba and linear, bytes of the state a sequence and layer over all GPUs, as vLLM keeps it.
        checkpoints: states a sequence that are kept beside the running ones while prefixes are cached (Mamba 2: 1).
    """

    kind: LayerKind
    layers: int
    kv_heads: int = 0
    head_dim_k: int = 0
    head_dim_v: int = 0
    window: int | None = None
    latent: int | None = None
    state_bytes: int = 0
    checkpoints: int = 0


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model as its files, or the built-in table, describe it.

    Attributes:
        name: as the person wrote it, such as ``Qwen/Qwen3-4B-Instruct-2507-FP8``.
        folder: where its files are, None if only the table knows it.
        architecture: first entry of ``architectures``, such as ``Qwen3ForCausalLM``.
        groups: its layers; their sum is `layers`.
        hidden: width of the residual stream.
        heads: query heads of an attention layer, 0 without attention.
        vocab: rows of the embedding.
        intermediate: width of the feed-forward step that one token passes, of its experts together if there are any.
        params: weights in all.
        active_params: weights that one token's forward pass reads; fewer than ``params`` for a mixture of experts.
        weight_bytes: size of the weights as the checkpoint stores them.
        padding_bytes: what vLLM's kernels take more for them, because they round widths up (MXFP4).
        active_bytes: bytes of the weights that one token's forward pass reads from memory.
        weights_known: ``exact`` (from the files), ``table`` (a published figure) or ``estimate`` (from the shapes).
        dtype: type that activations and an ``auto`` KV cache have: ``bfloat16``, ``float16`` or ``float32``.
        quantization: method as the checkpoint states it (``fp8``, ``compressed-tensors``, ``awq``, ``gptq``,
            ``modelopt``, ``mxfp4`` ...), None for plain weights.
        weight_bits: bits of a quantized weight, 16 or 32 for plain ones.
        kv_dtype: KV-cache type that the checkpoint asks for, None where it says nothing.
        max_context: tokens that the model's own files allow.
        rope: how positions beyond the trained ones are reached (``yarn x4 from 32,768``), empty for none.
        experts: experts of a layer, 0 for a dense model.
        experts_active: experts that a token passes.
        source: where the figures come from: a folder, or the public address of the model's configuration.
        notes: what a person should know of these figures, a line each.
    """

    name: str
    folder: Path | None
    architecture: str
    groups: tuple[LayerGroup, ...]
    hidden: int
    heads: int
    vocab: int
    intermediate: int
    params: int
    active_params: int
    weight_bytes: int
    padding_bytes: int
    active_bytes: int
    weights_known: Literal["exact", "table", "estimate"]
    dtype: str
    quantization: str | None
    weight_bits: int
    kv_dtype: str | None
    max_context: int
    rope: str
    experts: int
    experts_active: int
    source: str
    notes: tuple[str, ...] = ()

    @property
    def layers(self) -> int:
        """Layers in all."""
        return sum(group.layers for group in self.groups)


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """One kind of GPU, and how many of it.

    Attributes:
        name: such as ``RTX 4090``.
        count: how many of them, 1 or more; every other figure is of one.
        vram_bytes: memory that CUDA reports as total.
        capability: compute capability, such as ``(8, 9)``.
        bandwidth_bytes_s: memory bandwidth, 0 if nobody knows it.
        fp16_flops: dense FP16 or BF16 tensor operations a second with FP32 accumulation, 0 if unknown.
        fp8_flops: the same in FP8, 0 where the hardware has none or nobody knows it.
        fp8_weights: whether FP8 weights are computed in FP8 (from 8.9 on); vLLM keeps them as weight-only FP8 below.
        kv_types: values of ``--kv-cache-dtype`` that vLLM runs on it.
        in_use_bytes: memory in use by others when it was asked, 0 where nothing was asked.
        driver: version of its driver, empty where nothing was asked.
        source: ``NVML`` or the address of the maker's page.
    """

    name: str
    count: int
    vram_bytes: int
    capability: tuple[int, int]
    bandwidth_bytes_s: int
    fp16_flops: int
    fp8_flops: int
    fp8_weights: bool
    kv_types: frozenset[str]
    in_use_bytes: int
    driver: str
    source: str


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine at hand.

    Attributes:
        gpus: one entry for each kind of GPU, empty without any.
        cpu_cores: cores that this process may use.
        ram_bytes: main memory in all, 0 if the system does not say.
        ram_free_bytes: main memory that can be had without swapping, 0 if the system does not say.
    """

    gpus: tuple[GpuFacts, ...]
    cpu_cores: int
    ram_bytes: int
    ram_free_bytes: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks of the server, before anything is decided.

    Attributes:
        model: name or folder.
        gpu: name with an optional count (``RTX 3090x2``), None for the one installed.
        context: longest request in tokens, prompt and reply; None for the longest that fits.
        kv_cache_dtype: type of the KV cache.
        utilization: part of each GPU's memory that vLLM may use (``--gpu-memory-utilization``), in (0, 1].
        sequences: requests served at once at most (``--max-num-seqs``), None for vLLM's default.
        batched_tokens: tokens of one step at most (``--max-num-batched-tokens``), None for vLLM's default.
        tensor_parallel: GPUs that share each layer.
        pipeline_parallel: groups of GPUs that share the layers.
        offload_gib: KV cache kept in main memory, in GiB over all ranks (``--kv-offloading-size``).
        beside_bytes: memory of the GPU that other programs use: desktop, embedder, reranker.
        eager: whether CUDA graphs are off (``--enforce-eager``).
        profile: name of the profile these come from, empty for none.
    """

    model: str
    gpu: str | None = None
    context: int | None = None
    kv_cache_dtype: KvDtype = "auto"
    utilization: float = 0.92
    sequences: int | None = None
    batched_tokens: int | None = None
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    offload_gib: float = 0.0
    beside_bytes: int = 0
    eager: bool = False
    profile: str = ""
