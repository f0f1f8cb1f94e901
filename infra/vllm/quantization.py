"""How a checkpoint says that its weights are quantized: the method by its own name, and the bits of a weight."""

from dataclasses import dataclass

from infra.vllm.fields import Fields

_DEFAULT_GROUP = 128
_SCALE_BITS = 16

_FP8_CHECKPOINTS = frozenset({"fp8", "fbgemm_fp8", "quark"})
_FP8_WITH_SCALES = frozenset({"compressed-tensors", "modelopt"})
"""Checkpoints that hold FP8 scales of the KV cache, always or where they state a type for it (`Attention.__init__`)."""

LEAST_CAPABILITY = {"mxfp4": (8, 0), "gpt_oss_mxfp4": (8, 0), "fbgemm_fp8": (8, 0)}
"""Compute capability that a method needs where it is more than vLLM itself does (its ``get_min_capability``)."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """What a checkpoint states.

    Attributes:
        method: as it states it (``quant_method``).
        bits: bits of a quantized weight, without its scales.
        stored_bits: bits it takes in memory, with its scales.
        experts_only: whether attention and the other matrices stay as they are (MXFP4).
        kv_dtype: KV-cache type it asks for, None where it says nothing.
    """

    method: str
    bits: int
    stored_bits: float
    experts_only: bool = False
    kv_dtype: str | None = None


def brings_fp8_scales(method: str | None, kv_dtype: str | None) -> bool:
    """Whether a checkpoint brings e4m3 scales of its KV cache, so that vLLM refuses fp8_e5m2 with it.

    Args:
        method: its quantization.
        kv_dtype: the KV-cache type that it states.
    """
    return method in _FP8_CHECKPOINTS or (method in _FP8_WITH_SCALES and bool(kv_dtype))


def quantization_of(config: Fields) -> Quantization | None:
    """Return what ``quantization_config`` says, None for plain weights."""
    stated = config.part("quantization_config") or config.part("compression_config")
    if stated is None or not (method := stated.words("quant_method") or _by_algorithm(stated)):
        return None
    if method.startswith("modelopt"):
        return _modelopt(stated, method)
    return _READERS.get(method, _grouped)(stated, method)


def _grouped(stated: Fields, method: str) -> Quantization:
    """AWQ, GPTQ and their like: integers of ``bits``, with a scale and a zero point for each group."""
    bits = stated.size("bits", "w_bit", default=16, least=1)
    group = _group(stated, "group_size") if stated.has("group_size") else _DEFAULT_GROUP
    return Quantization(method, bits, bits + ((_SCALE_BITS + bits) / group if group else 0))


def _fp8(stated: Fields, method: str) -> Quantization:
    return Quantization(method, 8, 8.0, kv_dtype=_scheme(stated))


def _mxfp4(_stated: Fields, method: str) -> Quantization:
    return Quantization(method, 4, 4.25, experts_only=True)


def _bitsandbytes(stated: Fields, method: str) -> Quantization:
    return Quantization(method, 8, 8.0) if stated.flag("load_in_8bit") else Quantization(method, 4, 4.5)


def _group(stated: Fields, name: str) -> int:
    """Return the weights that share a scale, 0 where a whole column does (-1 or nothing)."""
    return stated.size(name, default=0) if stated.values.get(name) != -1 else 0


def _by_algorithm(stated: Fields) -> str:
    return "modelopt" if stated.has("quant_algo") else ""


def _modelopt(stated: Fields, method: str) -> Quantization:
    inner = stated.part("quantization") or stated
    algorithm = inner.words("quant_algo").upper()
    cache = inner.words("kv_cache_quant_algo").upper()
    four = "NVFP4" in algorithm or algorithm.startswith("W4")
    bits = 4 if four else 8
    return Quantization(method, bits, 4.5 if four else 8.0, kv_dtype="fp8" if cache == "FP8" else _scheme(stated))


def _compressed(stated: Fields, method: str) -> Quantization:
    groups = stated.part("config_groups")
    first = next((part for name in groups.values if (part := groups.part(str(name)))), None) if groups else None
    weights = first.part("weights") if first else None
    if weights is None:
        return Quantization(method, 16, 16.0, kv_dtype=_scheme(stated))
    bits = weights.size("num_bits", default=8, least=1)
    group = _group(weights, "group_size")
    return Quantization(method, bits, bits + (_SCALE_BITS / group if group else 0), kv_dtype=_scheme(stated))


def _scheme(stated: Fields) -> str | None:
    """Return the type of the KV cache where the checkpoint brings scales for one."""
    scheme = stated.part("kv_cache_scheme")
    return "fp8" if scheme and scheme.size("num_bits", default=0) == 8 else None  # noqa: PLR2004 - bits


_READERS = {
    "fp8": _fp8,
    "fbgemm_fp8": _fp8,
    "mxfp4": _mxfp4,
    "compressed-tensors": _compressed,
    "bitsandbytes": _bitsandbytes,
}
