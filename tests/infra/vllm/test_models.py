"""A model's facts: from a folder, from the Hugging Face cache, from the table; and from files that lie."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import ConfigurationError
from infra.vllm import files
from infra.vllm.fields import Fields
from infra.vllm.models import TABLE, known, model
from infra.vllm.quantization import quantization_of
from infra.vllm.weights import count

SMALL: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 100,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
    "dtype": "bfloat16",
}


def folder(path: Path, tensors: dict[str, list[int]] | None = None, **changes: Any) -> Path:
    """Write a model: its config, and a safetensors file with bfloat16 tensors of these shapes."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps({**SMALL, **changes}), encoding="utf-8")
    if tensors:
        safetensors(path / "model.safetensors", tensors)
    return path


def safetensors(path: Path, tensors: dict[str, list[int]]) -> None:
    start = 0
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for name, shape in tensors.items():
        size = 2
        for length in shape:
            size *= length
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, start + size]}
        start += size
    data = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(data)) + data)


@pytest.mark.parametrize(
    "row", json.loads(TABLE.read_text(encoding="utf-8"))["models"], ids=lambda row: row["names"][0]
)
def test_the_tables_weights_are_counted_to_a_tenth_of_a_percent(row: dict[str, Any]) -> None:
    facts = model(row["names"][0])
    assert facts.source.startswith("https://huggingface.co/")
    assert row["source"].endswith("/config.json")
    if "params" in row:
        assert facts.params == pytest.approx(row["params"], rel=0.001)
    assert 0 < facts.active_params <= facts.params
    assert 0 < facts.active_bytes <= facts.weight_bytes


@pytest.mark.parametrize(
    ("name", "active"),
    [("openai/gpt-oss-20b", 3.6e9), ("openai/gpt-oss-120b", 5.1e9), ("MiniMaxAI/MiniMax-M2", 10e9)],
)
def test_active_weights_are_what_the_makers_publish(name: str, active: float) -> None:
    assert model(name).active_params == pytest.approx(active, rel=0.05)


def test_gpt_oss_loads_as_large_as_a_public_log_says() -> None:
    facts = model("openai/gpt-oss-120b")  # vllm issue 23278: "Model loading took 65.9651 GiB"
    assert (facts.weight_bytes + facts.padding_bytes) / (1 << 30) == pytest.approx(65.9651, rel=0.005)


def test_a_model_with_four_bits_loads_as_large_as_a_public_log_says() -> None:
    facts = model("Qwen/Qwen2.5-7B-Instruct-AWQ")  # vllm issue 13882: "Loading model weights took 5.2032 GB"
    assert facts.weight_bytes / (1 << 30) == pytest.approx(5.2032, rel=0.01)


def test_qwen3_4b_in_fp8_weighs_four_gib() -> None:
    facts = model("Qwen3-4B-Instruct-2507-FP8")
    assert facts.weight_bytes / (1 << 30) == pytest.approx(4.1, abs=0.05)
    assert (facts.quantization, facts.weight_bits, facts.max_context) == ("fp8", 8, 262_144)


def test_every_model_that_the_source_documents_name_is_in_the_table() -> None:
    named = ["Qwen3-4B-Instruct-2507-FP8", "Qwen3-4B-Instruct-2507-AWQ", "Qwen/Qwen2.5-7B-Instruct-AWQ", "Qwen3-14B"]
    assert [model(name).layers for name in named] == [36, 36, 28, 40]
    assert len(set(known())) == len(known())


def test_an_unknown_name_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(
        ConfigurationError, match=r"no files of the model 'x/y' are here .* Qwen/Qwen3-4B-Instruct-2507"
    ):
        model("x/y")


def test_a_folders_weights_are_its_tensors(tmp_path: Path) -> None:
    tensors = {"model.embed_tokens.weight": [100, 64], "lm_head.weight": [100, 64], "model.layers.0.x.weight": [64, 64]}
    facts = model(str(folder(tmp_path / "m", tensors)))
    assert facts.weight_bytes == 2 * (2 * 6_400 + 4_096)
    assert facts.active_bytes == 2 * (6_400 + 4_096)  # one row of the embedding only
    assert (facts.weights_known, facts.folder, facts.source) == ("exact", tmp_path / "m", str(tmp_path / "m"))


def test_only_the_active_experts_are_read_and_prediction_layers_are_not_loaded(tmp_path: Path) -> None:
    tensors = {f"model.layers.0.mlp.experts.{n}.up_proj.weight": [64, 64] for n in range(4)}
    tensors |= {"mtp.layers.0.x.weight": [64, 64], "visual.x.weight": [64, 64], "model.norm.weight": [64]}
    path = folder(tmp_path, tensors, num_experts=4, num_experts_per_tok=1, moe_intermediate_size=64)
    facts = model(str(path))
    assert facts.weight_bytes == 2 * (5 * 4_096 + 64)
    assert facts.active_bytes == 2 * (4_096 + 64)


def test_without_weight_files_the_index_says_how_large_they_are(tmp_path: Path) -> None:
    index = {"metadata": {"total_size": 123_456}, "weight_map": {"a": "model-00001-of-00001.safetensors"}}
    (folder(tmp_path) / files.INDEX).write_text(json.dumps(index), encoding="utf-8")
    assert (model(str(tmp_path)).weight_bytes, model(str(tmp_path)).weights_known) == (123_456, "exact")


def test_without_either_the_shapes_say_it_and_a_note_says_so(tmp_path: Path) -> None:
    facts = model(str(folder(tmp_path)))
    assert facts.weights_known == "estimate"
    assert facts.weight_bytes == 2 * facts.params
    assert facts.notes == ("The weights' size is estimated from their shapes; no weight files are here.",)


def test_a_family_that_was_not_compared_with_vllm_says_so(tmp_path: Path) -> None:
    parts = {
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    }
    facts = model(str(folder(tmp_path, None, model_type="qwen3_5_text", **parts)))
    assert "was not compared with vLLM's own figures" in facts.notes[-1]


def test_a_model_of_the_hugging_face_cache_is_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / "models--some--model"
    revision = "a" * 40
    folder(home / "snapshots" / revision)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(revision, encoding="ascii")
    assert model("some/model").folder == home / "snapshots" / revision


def test_the_text_part_of_a_model_with_images_counts(tmp_path: Path) -> None:
    outer = {"architectures": ["Gemma3ForConditionalGeneration"], "text_config": SMALL, "vision_config": {}}
    tmp_path.joinpath("config.json").write_text(json.dumps(outer), encoding="utf-8")
    facts = model(str(tmp_path))
    assert (facts.architecture, facts.hidden) == ("Gemma3ForConditionalGeneration", 64)
    assert "images or sound" in facts.notes[-1]


@pytest.mark.parametrize(
    ("stated", "method", "bits", "kv_dtype"),
    [
        ({"quant_method": "fp8", "kv_cache_scheme": {"num_bits": 8}}, "fp8", 8, "fp8"),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "awq", 4, None),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, "gptq", 8, None),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 4}}}},
            None,
            4,
            None,
        ),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"}, "modelopt", 4, "fp8"),
        ({"quant_algo": "FP8"}, "modelopt", 8, None),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes", 4, None),
        ({"quant_method": "mxfp4"}, "mxfp4", 4, None),
    ],
)
def test_quantization_is_what_the_checkpoint_states(
    stated: dict[str, Any], method: str | None, bits: int, kv_dtype: str | None
) -> None:
    found = quantization_of(Fields({"quantization_config": stated}, "c"))
    assert found is not None
    assert (found.method, found.bits, found.kv_dtype) == (method or "compressed-tensors", bits, kv_dtype)
    assert bits <= found.stored_bits < bits + 1


@pytest.mark.parametrize(
    ("changes", "tokens", "rope"),
    [
        ({}, 4_096, ""),
        ({"rope_scaling": {"type": "linear", "factor": 4.0}}, 16_384, "linear x4"),
        (
            {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}},
            4_096,
            "yarn x4 from 1,024",
        ),
        ({"rope_parameters": {"rope_type": "default"}}, 4_096, ""),
        ({"model_max_length": 2_048}, 2_048, ""),
    ],
)
def test_the_models_context_is_what_vllm_derives(
    tmp_path: Path, changes: dict[str, Any], tokens: int, rope: str
) -> None:
    facts = model(str(folder(tmp_path, **changes)))
    assert (facts.max_context, facts.rope) == (tokens, rope)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[1]", "holds no JSON object"),
        ("[" * 100_000, "cannot be read"),
        ('{"hidden_size": 1e400}', "a whole number"),
        (json.dumps({**SMALL, "hidden_size": -1}), "hidden_size is -1, a whole number from 1"),
        (json.dumps({**SMALL, "hidden_size": 10**30}), "hidden_size is a huge number"),
        (json.dumps({**SMALL, "num_hidden_layers": 100_000}), "100,000 layers, 1,024 are allowed"),
        (json.dumps({**SMALL, "layer_types": ["full_attention"] * 2_000}), "2,000 entries"),
        (json.dumps({**SMALL, "layer_types": ["warp\u202edrive", "full_attention"]}), "type 'warpdrive' are not known"),
        (json.dumps({**SMALL, "vocab_size": None}), "does not say vocab_size"),
        (json.dumps({**SMALL, "index_topk": 2048}), "sparse attention with an index of its own is not planned for"),
        (json.dumps({**SMALL, "rope_scaling": {"type": "linear", "factor": "x"}}), "a positive number is needed"),
        (" " * (files.MAX_CONFIG_BYTES + 1), "is larger than"),
    ],
)
def test_a_config_that_lies_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message) as caught:
        model(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no safetensors file"),
        (struct.pack("<Q", 1 << 60), "a header of"),
        (struct.pack("<Q", 10) + b"not json..", "no safetensors file"),
        (struct.pack("<Q", 2) + b"[]", "no safetensors file"),
        (struct.pack("<Q", 9) + b'{"a": {}}', "no safetensors file"),
        (struct.pack("<Q", 50) + b'{"a": {"shape": [1e999], "data_offsets": [0, 1]}} ', "no safetensors file"),
        (struct.pack("<Q", 46) + b'{"a": {"shape": [1], "data_offsets": [9, 1]}} ', "outside of its file"),
    ],
)
def test_weight_files_that_lie_are_refused_in_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    (folder(tmp_path) / "model.safetensors").write_bytes(data)
    with pytest.raises(ConfigurationError, match=message):
        model(str(tmp_path))


def test_an_index_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "../../secret.safetensors"}}
    (folder(tmp_path) / files.INDEX).write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="names a file that is no safetensors file beside it"):
        model(str(tmp_path))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*SMALL, "layer_types", "quantization_config", "num_experts"]), JSON))
def test_any_config_gives_facts_or_our_error(changes: dict[str, Any]) -> None:
    config = Fields({**SMALL, **changes}, "config.json")
    said = ""
    try:
        weights, stated = count(config), quantization_of(config)
        assert weights.total >= weights.active >= 0
        assert stated is None or stated.bits >= 1
    except ConfigurationError as error:
        said = str(error)
    assert "\n" not in said
