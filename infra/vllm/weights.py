"""How many weights a model has and which of them a token reads: from its config.json by the shapes of its matrices.

Norms, biases and other vectors are left out: together they are less than 0.1 % of a model. Prediction layers beyond the
model's own (multi-token prediction) are not counted, as vLLM loads them only where they are asked for.
"""

from dataclasses import dataclass

from infra.vllm.families import MLA_MODELS, kinds
from infra.vllm.fields import Fields
from infra.vllm.states import MAMBA1_MODELS

_UNGATED = frozenset(
    {"nemotron", "nemotron_h", "gpt2", "opt", "falcon", "starcoder2", "phi", "gpt_neox", "bloom", "mpt"}
)
"""Model types whose feed-forward step has two matrices; the others have a gate as well, three."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Elements of a model's matrices by the part they play.

    Attributes:
        embedding: the input embedding, of which a token reads one row.
        head: the output head, 0 where it is the embedding itself.
        linear: matrices that every token passes.
        experts: matrices of all experts.
        experts_active: matrices of the experts that one token passes.
    """

    embedding: int
    head: int
    linear: int
    experts: int
    experts_active: int

    @property
    def total(self) -> int:
        """Elements in all."""
        return self.embedding + self.head + self.linear + self.experts

    @property
    def active(self) -> int:
        """Elements that one token's forward pass reads."""
        return (self.head or self.embedding) + self.linear + self.experts_active


@dataclass(frozen=True, slots=True)
class Mixture:
    """Experts of a layer, how many a token passes, elements of one, and of what all tokens pass beside them."""

    experts: int
    active: int
    expert: int
    shared: int


def count(config: Fields) -> Weights:
    """Return the elements of the model that ``config`` describes.

    Raises:
        ConfigurationError: a field is missing or wrong.
    """
    hidden, vocab = config.size("hidden_size", "n_embd", least=1), config.size("vocab_size", least=1)
    tied = config.flag("tie_word_embeddings", default=config.words("model_type") in ("gemma2", "gemma3_text"))
    mixture = experts_of(config)
    linear = experts = active = 0
    for index, kind in enumerate(kinds(config)):
        linear += _mixer(config, kind, hidden)
        if not _has_feed_forward(config, index, kind):
            continue
        if mixture and _sparse(config, index):
            linear += mixture.shared + hidden * mixture.experts
            experts += mixture.experts * mixture.expert
            active += mixture.active * mixture.expert
        else:
            linear += _feed_forward(config, config.size("intermediate_size", "ffn_dim", "n_inner", default=4 * hidden))
    return Weights(vocab * hidden, 0 if tied else vocab * hidden, linear, experts, active)


def experts_of(config: Fields) -> Mixture | None:
    """Return the mixture of experts of a layer, None for a dense model."""
    experts = config.size("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts", default=0)
    if experts < 2:  # noqa: PLR2004 - one expert is a dense layer
        return None
    active = config.size("num_experts_per_tok", "num_experts_per_token", "moe_topk", "top_k_experts", default=1)
    width = config.size("moe_intermediate_size", "expert_ffn_hidden_size", "intermediate_size", least=1)
    shared = config.size("shared_expert_intermediate_size", "shared_intermediate_size", default=0)
    shared = shared or width * config.size("n_shared_experts", "num_shared_experts", default=0)
    shared_elements = _feed_forward(config, shared) if shared else 0
    return Mixture(experts, min(active, experts), _feed_forward(config, width), shared_elements)


def _feed_forward(config: Fields, width: int) -> int:
    hidden = config.size("hidden_size", "n_embd", least=1)
    return (2 if config.words("model_type") in _UNGATED else 3) * hidden * width


def _has_feed_forward(config: Fields, index: int, kind: str) -> bool:
    """Whether the layer has one: in Nemotron-H only those that are nothing else, in Mamba none."""
    family = config.words("model_type")
    if family == "nemotron_h":
        return config.words("hybrid_override_pattern")[index : index + 1] in ("-", "E") or kind == "none"
    return family not in ("mamba", "mamba2", "falcon_mamba")


def _sparse(config: Fields, index: int) -> bool:
    """Whether this layer's feed-forward step is the mixture of experts."""
    if config.words("model_type") == "nemotron_h":
        return config.words("hybrid_override_pattern")[index : index + 1] == "E"
    if index < config.size("first_k_dense_replace", default=0) or index in (config.items("mlp_only_layers") or []):
        return False
    if config.has("expert_layer_period"):
        period = config.size("expert_layer_period", least=1)
        return index % period == config.size("expert_layer_offset", default=0)
    step = config.size("decoder_sparse_step", "interleave_moe_layer_step", default=1, least=1)
    return (index + 1) % step == 0


def _mixer(config: Fields, kind: str, hidden: int) -> int:
    """Return the elements of attention, or of what stands in its place, in one layer."""
    if kind == "none":
        return 0
    state = _state_space(config, hidden) if kind in ("mamba", "both") else 0
    if kind == "mamba":
        return state
    return state + (_linear_attention(config, hidden) if kind == "linear" else _attention(config, hidden))


def _attention(config: Fields, hidden: int) -> int:
    heads = config.size("num_attention_heads", "n_head", least=1)
    if config.words("model_type") in MLA_MODELS and config.has("kv_lora_rank"):
        return _latent_attention(config, hidden, heads)
    groups = config.size("num_key_value_heads", "num_kv_heads", "n_head_kv", default=heads)
    width = config.size("head_dim", "hidden_size_per_head", default=0) or hidden // heads
    gate = 2 if config.words("model_type").startswith(("qwen3_next", "qwen3_5")) else 1
    return hidden * width * (heads * (gate + 1) + 2 * groups)


def _latent_attention(config: Fields, hidden: int, heads: int) -> int:
    latent, rope = config.size("kv_lora_rank", least=1), config.size("qk_rope_head_dim", default=0)
    plain, value = config.size("qk_nope_head_dim", default=0), config.size("v_head_dim", least=1)
    rank = config.size("q_lora_rank", default=0)
    query = rank * (hidden + heads * (plain + rope)) if rank else hidden * heads * (plain + rope)
    return query + hidden * (latent + rope) + latent * heads * (plain + value) + heads * value * hidden


def _linear_attention(config: Fields, hidden: int) -> int:
    if config.words("model_type").startswith("lfm2"):
        return 4 * hidden * config.size("conv_dim", "hidden_size", least=1)
    if not config.has("linear_num_value_heads"):
        linear = config.part("linear_attn_config") or config
        return 4 * hidden * linear.size("num_heads", default=0) * linear.size("head_dim", default=0)
    values = config.size("linear_num_value_heads") * config.size("linear_value_head_dim")
    keys = config.size("linear_num_key_heads") * config.size("linear_key_head_dim")
    return hidden * (2 * keys + 3 * values + 2 * config.size("linear_num_value_heads"))


def _state_space(config: Fields, hidden: int) -> int:
    if config.words("model_type") in MAMBA1_MODELS:
        expand = config.size("mamba_expand", "expand", default=2)
        width = config.size("intermediate_size", default=0) if not config.has("mamba_expand") else expand * hidden
        state = config.size("mamba_d_state", "state_size", default=16)
        rank = config.size("mamba_dt_rank", "time_step_rank", default=-(-hidden // 16))
        return width * (3 * hidden + 2 * rank + 2 * state)
    heads = config.size("mamba_num_heads", "mamba_n_heads", "n_mamba_heads", "num_heads", least=1)
    width = heads * config.size("mamba_head_dim", "mamba_d_head", "mamba_headdim", "head_dim", least=1)
    state = config.size("ssm_state_size", "mamba_d_state", "state_size", least=1)
    spread = config.size("n_groups", "mamba_n_groups", "mamba_ngroups", default=1)
    return hidden * (3 * width + 2 * spread * state + heads)
