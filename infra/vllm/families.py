"""From a model's config.json to its layers as the KV cache sees them. Pure; checked against vLLM 0.32 layer by layer.

Layers are told from ``layer_types`` where it is there. Where it is not, from the rule by which the model's own
configuration class fills it in (transformers 5), which is what vLLM then reads.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from infra.errors import ConfigurationError
from infra.vllm.facts import LayerGroup
from infra.vllm.fields import MAX_LAYERS, Fields
from infra.vllm.states import MAMBA1_MODELS, state_bytes

MLA_MODELS = frozenset(
    {
        "deepseek_v2",
        "deepseek_v3",
        "glm4_moe_lite",
        "kimi_k2",
        "kimi_linear",
        "longcat_flash",
        "pangu_ultra_moe",
    }
)
"""Model types that vLLM runs with compressed attention where ``kv_lora_rank`` is set (its ``is_deepseek_mla``)."""

NOT_COMPARED = frozenset({"kimi_linear", "qwen3_5_text", "qwen3_5_moe_text"})
"""Model types laid out by vLLM's rules that vLLM itself could not be asked about without a GPU."""

UNKNOWN = {
    "compress_ratios": "DeepSeek-V4's compressed attention",
    "index_topk": "sparse attention with an index of its own",
    "rwkv_version": "RWKV",
}
"""Fields of layouts that are not computed here; a wrong figure would be worse than none."""

_NAMES = {
    "full_attention": "full",
    "attention": "full",
    "sliding_attention": "sliding",
    "chunked_attention": "chunked",
    "linear_attention": "linear",
    "mamba": "mamba",
    "mamba2": "mamba",
    "conv": "linear",
    "hybrid": "both",
    "moe": "none",
    "mlp": "none",
}
_LETTERS = {"M": "mamba", "*": "full", "-": "none", "E": "none"}


def groups(config: Fields, dtype: str) -> tuple[LayerGroup, ...]:
    """Return the model's layers by kind and shape; ``dtype`` is the type of its activations.

    Raises:
        ConfigurationError: a field is missing or wrong, or the layout is not one of those known here.
    """
    for name, what in UNKNOWN.items():
        if config.has(name):
            raise ConfigurationError(
                f"{config.where}: {what} is not planned for; `vllm serve` itself says what it needs"
            )
    counted = Counter(_group(config, kind, dtype) for kind in _stored(config))
    return tuple(replace(group, layers=many) for group, many in counted.items())


def kinds(config: Fields) -> list[str]:
    """Return each layer's kind, in order: a `facts.LayerKind`, ``both`` (attention and state), or ``none``."""
    layers = config.size("num_hidden_layers", "n_layer", "num_layers", least=1)
    if layers > MAX_LAYERS:
        raise ConfigurationError(f"{config.where}: {layers:,} layers, {MAX_LAYERS:,} are allowed")
    listed = config.items("layer_types") or config.items("layers_block_type")
    if listed is not None:
        return _level(config, [_named(config, entry) for entry in listed][:layers])
    if pattern := config.words("hybrid_override_pattern"):
        return [_LETTERS.get(letter, "none") for letter in pattern]
    if rule := _RULES.get(config.words("model_type")):
        return [rule(config, index) for index in range(layers)]
    return [_plain(config)] * layers


def _level(config: Fields, listed: list[str]) -> list[str]:
    """Treat all layers as sliding ones where they are of one kind and the model has a window, as vLLM does."""
    return [_plain(config)] * len(listed) if set(listed) == {"full"} else listed


def _plain(config: Fields) -> str:
    return "sliding" if config.flag("use_sliding_window", default=True) and _window(config) else "full"


def _named(config: Fields, entry: object) -> str:
    if not isinstance(entry, str) or entry not in _NAMES:
        raise ConfigurationError(
            f"{config.where}: layers of type {Fields({'x': entry}, '').words('x')!r} are not known here; "
            "`vllm serve` itself says what they need"
        )
    return _NAMES[entry]


def _mamba(_config: Fields, _index: int) -> str:
    return "mamba"


def _both(_config: Fields, _index: int) -> str:
    return "both"


def _every(pattern: int, often: str, last: str) -> Callable[[Fields, int], str]:
    return lambda _config, index: often if (index + 1) % pattern else last


def _patterned(name: str, pattern: int, often: str, last: str) -> Callable[[Fields, int], str]:
    return lambda config, index: often if (index + 1) % config.size(name, default=pattern, least=1) else last


def _jamba(config: Fields, index: int) -> str:
    period = config.size("attn_layer_period", default=8, least=1)
    return "full" if index % period == config.size("attn_layer_offset", default=4) else "mamba"


def _llama4(config: Fields, index: int) -> str:
    rope = config.items("no_rope_layers")
    pattern = config.size("no_rope_layer_interval", default=4, least=1)
    local = bool(rope[index]) if rope and index < len(rope) else bool((index + 1) % pattern)
    return "chunked" if local else "full"


def _kimi(config: Fields, index: int) -> str:
    linear = config.part("linear_attn_config")
    return "linear" if linear and (index + 1) in (linear.items("kda_layers") or []) else "full"


def _gemma4(config: Fields, index: int) -> str:
    last = config.size("num_hidden_layers", least=1) - 1
    return "sliding" if (index + 1) % 6 and index != last else "full"


_RULES: dict[str, Callable[[Fields, int], str]] = {
    "gemma2": _every(2, "sliding", "full"),
    "gemma3_text": _patterned("sliding_window_pattern", 6, "sliding", "full"),
    "gemma3n_text": _every(5, "sliding", "full"),
    "gemma4_text": _gemma4,
    "gpt_oss": _every(2, "sliding", "full"),
    "cohere2": _patterned("sliding_window_pattern", 4, "sliding", "full"),
    "olmo3": _every(4, "sliding", "full"),
    "qwen3_next": _patterned("full_attention_interval", 4, "linear", "full"),
    "qwen3_5_text": _patterned("full_attention_interval", 4, "linear", "full"),
    "qwen3_5_moe_text": _patterned("full_attention_interval", 4, "linear", "full"),
    "llama4_text": _llama4,
    "jamba": _jamba,
    "kimi_linear": _kimi,
    "mamba": _mamba,
    "falcon_mamba": _mamba,
    "mamba2": _mamba,
    "falcon_h1": _both,
}


def _stored(config: Fields) -> list[str]:
    """Return the kinds of what is stored: a layer with attention and a state counts twice, shared ones not at all."""
    found = kinds(config)
    shared = config.size("num_kv_shared_layers", default=0)
    own = found[: len(found) - shared] if 0 < shared < len(found) else found
    both = own.count("both")
    return [kind for kind in own if kind not in ("both", "none")] + ["full"] * both + ["mamba"] * both


def _group(config: Fields, kind: str, dtype: str) -> LayerGroup:
    """Return one layer of this kind as a group of 1."""
    if kind in ("mamba", "linear"):
        second = kind == "mamba" and config.words("model_type") not in MAMBA1_MODELS
        return LayerGroup(kind, 1, state_bytes=state_bytes(config, kind, dtype), checkpoints=int(second))
    if latent := _latent(config):
        rope = config.size("qk_rope_head_dim", default=0)
        return LayerGroup("mla", 1, kv_heads=1, head_dim_k=latent + rope, latent=latent)
    heads, width = _heads(config, kind)
    value = config.size("v_head_dim", default=width) if config.words("model_type").startswith("mimo_v2") else width
    if kind == "full":
        return LayerGroup("full", 1, heads, width, value)
    window = config.size("attention_chunk_size", least=1) if kind == "chunked" else _window(config)
    return LayerGroup("chunked" if kind == "chunked" else "sliding", 1, heads, width, value, window=window)


def _latent(config: Fields) -> int:
    return config.size("kv_lora_rank", default=0) if config.words("model_type") in MLA_MODELS else 0


def _heads(config: Fields, kind: str) -> tuple[int, int]:
    """Return KV heads and head width of an attention layer."""
    queries = config.size("num_attention_heads", "n_head", least=1)
    heads = config.size("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num", default=queries)
    if kind == "full" and config.words("model_type").startswith("gemma4"):
        heads = config.size("num_global_key_value_heads", default=heads) if config.flag("attention_k_eq_v") else heads
        return heads, config.size("global_head_dim", default=512)
    hidden = config.size("hidden_size", "n_embd", least=1)
    return heads, config.size("head_dim", "hidden_size_per_head", default=0) or hidden // queries


def _window(config: Fields) -> int:
    default = 4_096 if config.words("model_type") in ("gemma2", "gemma3_text", "cohere2") else 0
    window = config.size("sliding_window", default=default)
    # Cohere's layers see one token more than their window says (commandr.py in vLLM).
    return window + 1 if window and config.words("model_type") == "cohere2" else window
