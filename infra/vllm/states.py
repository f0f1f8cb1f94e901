"""Bytes of the state that a Mamba or linear-attention layer keeps for a sequence, by the shapes of vLLM 0.32.

Source: vLLM's ``mamba_utils.py`` (``MambaStateShapeCalculator``, ``MambaStateDtypeCalculator``) and its model files.
A state is a short window of the convolution, and the recurrent state itself.
"""

from infra.errors import ConfigurationError
from infra.vllm.fields import Fields

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of an element of the types that activations and states have."""

MAMBA1_MODELS = frozenset({"mamba", "falcon_mamba", "jamba"})
"""Model types with Mamba's first form; the others have its second."""

_FLOAT32_MODELS = ("nemotron_h", "nemotron_h_puzzle")


def state_bytes(config: Fields, kind: str, dtype: str) -> int:
    """Return bytes a sequence and layer over all GPUs; ``dtype`` is the type of the activations.

    Raises:
        ConfigurationError: the shapes are missing, or the family is not one of those known here.
    """
    family = config.words("model_type")
    if kind == "linear":
        convolution, recurrent = _linear(config, family)
    elif family in MAMBA1_MODELS:
        convolution, recurrent = _mamba1(config, family)
    else:
        convolution, recurrent = _mamba2(config)
    return convolution * BYTES[dtype] + recurrent * BYTES[_recurrent_dtype(config, family, dtype)]


def _recurrent_dtype(config: Fields, family: str, dtype: str) -> str:
    """Return the type of the recurrent state: the model's own word for it, else that of the activations."""
    if family == "kimi_linear":
        return "float32"
    if family in _FLOAT32_MODELS:
        stated = config.words("mamba_ssm_cache_dtype") or "float32"
    else:
        stated = config.words("mamba_ssm_dtype") if family.startswith("qwen3_5") else ""
    return stated if stated in BYTES else dtype


def _mamba1(config: Fields, family: str) -> tuple[int, int]:
    if family == "jamba":
        width = config.size("mamba_expand", default=2) * config.size("hidden_size", least=1)
        state, kernel = config.size("mamba_d_state", default=16), config.size("mamba_d_conv", default=4, least=1)
    else:
        width = config.size("intermediate_size", least=1)
        state, kernel = config.size("state_size", default=16), config.size("conv_kernel", default=4, least=1)
    return width * (kernel - 1), width * state


def _mamba2(config: Fields) -> tuple[int, int]:
    heads = config.size("mamba_num_heads", "mamba_n_heads", "n_mamba_heads", "num_heads", least=1)
    width = config.size("mamba_head_dim", "mamba_d_head", "mamba_headdim", "head_dim", least=1)
    state = config.size("ssm_state_size", "mamba_d_state", "state_size", least=1)
    kernel = config.size("conv_kernel", "mamba_d_conv", default=4, least=1)
    spread = config.size("n_groups", "mamba_n_groups", "mamba_ngroups", default=1)
    return (heads * width + 2 * spread * state) * (kernel - 1), heads * width * state


def _linear(config: Fields, family: str) -> tuple[int, int]:
    if family.startswith("lfm2"):
        width = config.size("conv_dim", "hidden_size", least=1)
        return width * (config.size("conv_L_cache", least=1) - 1), 0
    if family == "kimi_linear":
        linear = config.part("linear_attn_config") or config
        heads, width = linear.size("num_heads", least=1), linear.size("head_dim", least=1)
        kernel = linear.size("short_conv_kernel_size", default=4, least=1)
        return 3 * heads * width * (kernel - 1), heads * width * width
    if not config.has("linear_num_value_heads"):
        raise ConfigurationError(
            f"{config.where}: linear attention of {family or 'an unnamed model'} is not known here"
        )
    keys = config.size("linear_num_key_heads", least=1) * config.size("linear_key_head_dim", least=1)
    values = config.size("linear_num_value_heads", least=1) * config.size("linear_value_head_dim", least=1)
    kernel = config.size("linear_conv_kernel_dim", default=4, least=1)
    return (2 * keys + values) * (kernel - 1), values * config.size("linear_key_head_dim", least=1)
