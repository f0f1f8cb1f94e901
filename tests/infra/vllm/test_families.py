"""Layers told from a config.json: by its list, by its family's rule, and what a family does otherwise."""

from typing import Any

import pytest

from infra.errors import ConfigurationError
from infra.vllm.families import groups, kinds
from infra.vllm.fields import Fields
from infra.vllm.models import _max_context
from infra.vllm.states import state_bytes
from infra.vllm.weights import count

BASE: dict[str, Any] = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 512,
}


def config(**changes: Any) -> Fields:
    return Fields({**BASE, **changes}, "config.json")


@pytest.mark.parametrize(
    ("changes", "letters"),
    [
        ({"model_type": "gemma2", "sliding_window": 4}, "sfsfsf"),
        ({"model_type": "gemma3_text", "sliding_window": 4}, "sssssf"),
        ({"model_type": "gemma3_text", "sliding_window": 4, "sliding_window_pattern": 3}, "ssfssf"),
        ({"model_type": "gemma4_text", "sliding_window": 4, "num_hidden_layers": 7}, "sssssff"),
        ({"model_type": "qwen3_next"}, "lllfll"),
        ({"model_type": "qwen3_next", "full_attention_interval": 2}, "lflflf"),
        ({"model_type": "jamba", "attn_layer_period": 3, "attn_layer_offset": 1}, "mfmmfm"),
        ({"model_type": "llama4_text", "attention_chunk_size": 4}, "cccfcc"),
        ({"model_type": "llama4_text", "no_rope_layers": [0, 1, 1, 1, 1, 1]}, "fccccc"),
        ({"model_type": "nemotron_h", "hybrid_override_pattern": "M*-EM*"}, "mfnnmf"),
        ({"model_type": "kimi_linear", "linear_attn_config": {"kda_layers": [1, 2, 3, 5]}}, "lllflf"),
        ({"layer_types": ["sliding_attention", "full_attention"] * 3}, "sfsfsf"),
        ({"model_type": "mistral", "sliding_window": 4}, "ssssss"),
        ({"model_type": "qwen2", "sliding_window": 4, "use_sliding_window": False}, "ffffff"),
        ({"model_type": "qwen3", "sliding_window": None, "layer_types": ["full_attention"] * 6}, "ffffff"),
    ],
)
def test_each_layers_kind_is_told_as_the_models_own_configuration_does(changes: dict[str, Any], letters: str) -> None:
    assert "".join(kind[0] for kind in kinds(config(**changes))) == letters


def test_layers_that_share_another_ones_keys_take_no_memory() -> None:
    found = groups(config(model_type="gemma3n_text", sliding_window=4, num_kv_shared_layers=2), "bfloat16")
    assert {group.kind: group.layers for group in found} == {"sliding": 4}


def test_a_layer_with_attention_and_a_state_counts_as_both() -> None:
    parts = {"mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 16}
    found = groups(config(model_type="falcon_h1", **parts), "bfloat16")
    assert {group.kind: group.layers for group in found} == {"full": 6, "mamba": 6}


def test_cohere_sees_one_token_more_than_its_window_says() -> None:
    found = groups(config(model_type="cohere2", sliding_window=512, num_hidden_layers=4), "bfloat16")
    assert {group.kind: group.window for group in found} == {"sliding": 513, "full": None}


def test_gemma_4_has_wider_heads_in_its_full_layers() -> None:
    found = groups(config(model_type="gemma4_text", sliding_window=4, head_dim=32, global_head_dim=64), "bfloat16")
    assert {group.kind: group.head_dim_k for group in found} == {"sliding": 32, "full": 64}


def test_compressed_attention_keeps_one_vector_whatever_the_heads() -> None:
    found = groups(config(model_type="deepseek_v3", kv_lora_rank=512, qk_rope_head_dim=64), "bfloat16")
    assert [(g.kind, g.layers, g.kv_heads, g.head_dim_k, g.head_dim_v, g.latent) for g in found] == [
        ("mla", 6, 1, 576, 0, 512)
    ]


def test_states_are_kept_in_the_type_that_the_model_states() -> None:
    parts = {"mamba_num_heads": 4, "mamba_head_dim": 8, "ssm_state_size": 16, "conv_kernel": 4, "n_groups": 2}
    convolution, recurrent = (4 * 8 + 2 * 2 * 16) * 3, 4 * 8 * 16
    granite = config(model_type="granitemoehybrid", **parts)
    nemotron = config(model_type="nemotron_h", **parts)
    stated = config(model_type="nemotron_h", mamba_ssm_cache_dtype="bfloat16", **parts)
    assert state_bytes(granite, "mamba", "bfloat16") == 2 * (convolution + recurrent)
    assert state_bytes(nemotron, "mamba", "bfloat16") == 2 * convolution + 4 * recurrent
    assert state_bytes(stated, "mamba", "bfloat16") == 2 * (convolution + recurrent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compress_ratios": [1]}, "DeepSeek-V4's compressed attention is not planned for"),
        ({"layer_types": ["linear_attention"] * 6, "model_type": "new"}, "linear attention of new is not known here"),
        ({"layer_types": ["retention"] * 6}, "layers of type 'retention' are not known here"),
    ],
)
def test_a_layout_that_is_not_known_is_refused_rather_than_guessed(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        groups(config(**changes), "bfloat16")


def test_the_first_layers_of_a_mixture_may_be_dense() -> None:
    mixture = {"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
    every = count(config(model_type="glm4_moe", **mixture))
    later = count(config(model_type="glm4_moe", first_k_dense_replace=2, **mixture))
    expert = 3 * 256 * 64
    assert every.experts == 6 * 8 * expert
    assert later.experts == 4 * 8 * expert
    assert later.linear - every.linear == 2 * (3 * 256 * 512 - 256 * 8)


def test_gemma_3_states_its_context_already_scaled() -> None:
    scaled = {"max_position_embeddings": 131_072, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}
    assert _max_context(config(model_type="gemma3_text", **scaled)) == 131_072
    assert _max_context(config(model_type="llama", **scaled)) == 8 * 131_072
