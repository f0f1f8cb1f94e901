"""What is known of a model: from its own files (a folder, or the Hugging Face cache), else from the built-in table.

Nothing is fetched. The table (``data/models.json``) holds the parts of public ``config.json`` files that a plan needs,
each with its address, and is read by the same code as a folder.
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from infra.errors import ConfigurationError
from infra.text.plain import one_line, short_line
from infra.vllm import files
from infra.vllm.facts import ModelFacts
from infra.vllm.families import NOT_COMPARED, groups
from infra.vllm.fields import Fields
from infra.vllm.quantization import Quantization, quantization_of
from infra.vllm.states import BYTES
from infra.vllm.weights import Weights, count, experts_of

TABLE = Path(__file__).parent / "data" / "models.json"

_TEXT = ("text_config", "llm_config", "language_config", "thinker_config")
_LENGTHS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_sequence_length",
)
_NOT_LOADED = re.compile(r"^(mtp\.|model\.mtp)|\.nextn\b")
_EXPERT = re.compile(r"\.experts?\.|\.experts\b|block_sparse_moe\.experts")
_EMBEDDING = re.compile(r"(embed_tokens|embeddings|wte|word_embeddings)\.weight$")
_HEAD = re.compile(r"(^|\.)lm_head\.weight$")
_OTHER_SENSES = re.compile(r"^(model\.)?(visual|vision|multi_modal|mm_|audio|embed_vision|embed_audio)")


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of a model's weights: all, and those that one token's forward pass reads; how they are known."""

    total: int
    active: int
    known: str


def model(name: str) -> ModelFacts:
    """Return what is known of the model of this name, or in this folder.

    Raises:
        ConfigurationError: nothing is here of it and the table does not know it, or its files are broken.
    """
    if folder := files.folder_of(name):
        config = Fields(files.config_of(folder), str(folder / files.CONFIG))
        return _facts(name, config, folder, {"source": str(folder)})
    if row := _row(name):
        return _facts(name, Fields(row["config"], f"the built-in table's {name}"), None, row)
    known = ", ".join(row["names"][0] for row in _table())
    raise ConfigurationError(
        f"no files of the model {short_line(name, 100)!r} are here (a folder with config.json, or the Hugging "
        f"Face cache), and the built-in table does not know it; --model takes a folder, or one of {known}"
    )


def known() -> tuple[str, ...]:
    """Return the first name of each model of the built-in table."""
    return tuple(row["names"][0] for row in _table())


@lru_cache(maxsize=1)
def _table() -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(TABLE.read_text(encoding="utf-8"))["models"])


def _row(name: str) -> dict[str, Any] | None:
    wanted = name.lower().rsplit("/", maxsplit=1)[-1]
    return next((row for row in _table() if wanted in {n.lower().rsplit("/", 1)[-1] for n in row["names"]}), None)


def _facts(name: str, outer: Fields, folder: Path | None, row: dict[str, Any]) -> ModelFacts:
    config = next((part for key in _TEXT if (part := outer.part(key))), outer)
    dtype = _dtype(config) or _dtype(outer) or "bfloat16"
    quantization = quantization_of(outer) or quantization_of(config)
    weights, mixture = count(config), experts_of(config)
    plain = _estimated(weights, quantization, BYTES[dtype])
    sizes = (_measured(folder, config, plain) if folder else None) or _scaled(
        plain, row.get("weight_bytes", 0), "table"
    )
    return ModelFacts(
        name=one_line(name),
        folder=folder,
        architecture=_architecture(outer),
        groups=groups(config, dtype),
        hidden=config.size("hidden_size", "n_embd", least=1),
        heads=config.size("num_attention_heads", "n_head", default=0),
        vocab=config.size("vocab_size", least=1),
        intermediate=_widest(config),
        params=weights.total,
        active_params=weights.active,
        weight_bytes=sizes.total,
        padding_bytes=_padding(config, quantization, weights),
        active_bytes=sizes.active,
        weights_known=sizes.known,  # type: ignore[arg-type]
        dtype=dtype,
        quantization=quantization.method if quantization else None,
        weight_bits=quantization.bits if quantization else 8 * BYTES[dtype],
        kv_dtype=quantization.kv_dtype if quantization else None,
        max_context=_max_context(config),
        rope=_rope(config),
        experts=mixture.experts if mixture else 0,
        experts_active=mixture.active if mixture else 0,
        source=row["source"],
        notes=_notes(outer, config, sizes),
    )


def _architecture(config: Fields) -> str:
    named = config.items("architectures") or [""]
    return Fields({"name": named[0]}, config.where).words("name")


def _dtype(config: Fields) -> str:
    stated = config.words("dtype") or config.words("torch_dtype")
    return stated if stated in BYTES else ""


def _widest(config: Fields) -> int:
    """Return the width of one token's feed-forward step: of its experts together, if there are any."""
    dense = config.size("intermediate_size", "ffn_dim", default=4 * config.size("hidden_size", "n_embd", least=1))
    mixture = experts_of(config)
    if mixture is None:
        return dense
    return max(1, mixture.active * mixture.expert // (3 * config.size("hidden_size", least=1)))


def _max_context(config: Fields) -> int:
    """Return the tokens that vLLM derives: positions, times the factor of those ways to scale that need it."""
    stated = [config.size(name, least=1) for name in _LENGTHS if config.has(name)]
    positions = min(stated) if stated else 2_048
    scaling = _scaling(config)
    if scaling and _rope_type(scaling) in ("linear", "dynamic") and "gemma3" not in config.words("model_type"):
        return int(positions * scaling.number("factor", 1.0))
    return positions


def _scaling(config: Fields) -> Fields | None:
    return config.part("rope_parameters") or config.part("rope_scaling")


def _rope_type(scaling: Fields) -> str:
    return scaling.words("rope_type") or scaling.words("type")


def _rope(config: Fields) -> str:
    scaling = _scaling(config)
    if scaling is None or _rope_type(scaling) in ("", "default"):
        return ""
    trained = scaling.size("original_max_position_embeddings", default=0)
    after = f" from {trained:,}" if trained else ""
    return f"{_rope_type(scaling)} x{scaling.number('factor', 1.0):g}{after}"


def _estimated(weights: Weights, quantization: Quantization | None, plain: int) -> Sizes:
    """Return the bytes that the shapes come to; embedding and head stay plain in every method's usual form."""
    stored = quantization.stored_bits / 8 if quantization else float(plain)
    dense = float(plain) if quantization and quantization.experts_only else stored
    ends = (weights.embedding + weights.head) * plain
    total = ends + weights.linear * dense + weights.experts * stored
    head = (weights.head or weights.embedding) * plain
    active = head + weights.linear * dense + weights.experts_active * stored
    return Sizes(round(total), round(active), "estimate")


def _padding(config: Fields, quantization: Quantization | None, weights: Weights) -> int:
    """Return what the MXFP4 kernels for most GPUs (Marlin) add: widths rounded up to 256 and 128.

    Source: ``mxfp4_round_up_hidden_size_and_intermediate_size`` in vLLM. It explains a public figure: gpt-oss-120b,
    stored in 60.8 GiB, loads as 65.97 GiB (https://github.com/vllm-project/vllm/issues/23278).
    """
    if quantization is None or not quantization.experts_only:
        return 0
    hidden, width = (
        config.size("hidden_size", least=1),
        config.size("moe_intermediate_size", "intermediate_size", least=1),
    )
    grown = (-(-hidden // 256) * 256) * (-(-width // 128) * 128) / (hidden * width)
    return round(weights.experts * quantization.stored_bits / 8 * (grown - 1))


def _scaled(sizes: Sizes, total: int, known: str) -> Sizes:
    """Return ``total`` bytes with as large a part active as in ``sizes``; ``sizes`` themselves if there is no total."""
    return Sizes(total, round(sizes.active * total / sizes.total), known) if total else sizes


def _measured(folder: Path, config: Fields, plain: Sizes) -> Sizes | None:
    """Return the bytes that the files state: tensor by tensor, else the index's sum, else nothing."""
    total = embedding = head = experts = rest = 0
    for tensor in files.tensors(folder):
        if _NOT_LOADED.search(tensor.name):
            continue
        total += tensor.size_bytes
        if _EXPERT.search(tensor.name) and "shared" not in tensor.name:
            experts += tensor.size_bytes
        elif _EMBEDDING.search(tensor.name) and not _OTHER_SENSES.search(tensor.name):
            embedding += tensor.size_bytes
        elif _HEAD.search(tensor.name):
            head += tensor.size_bytes
        elif _OTHER_SENSES.search(tensor.name):
            rest += tensor.size_bytes
    if not total:
        return _scaled(plain, stated, "exact") if (stated := files.total_size(folder)) else None
    mixture = experts_of(config)
    idle = experts - (experts * mixture.active // mixture.experts if mixture else experts)
    # An output head that is the embedding is read whole; one of its own leaves only a row of the embedding to be read.
    return Sizes(total, total - idle - rest - (embedding if head else 0), "exact")


def _notes(outer: Fields, config: Fields, sizes: Sizes) -> tuple[str, ...]:
    notes: list[str] = []
    if sizes.known == "estimate":
        notes.append("The weights' size is estimated from their shapes; no weight files are here.")
    if (family := config.words("model_type")) in NOT_COMPARED:
        notes.append(f"The KV cache of {family} follows vLLM's rules, and was not compared with vLLM's own figures.")
    if outer is not config and (outer.has("vision_config") or outer.has("audio_config")):
        notes.append("The parts for images or sound are in the weights only as far as their files are here.")
    return tuple(notes)
