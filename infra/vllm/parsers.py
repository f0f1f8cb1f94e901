"""Which of vLLM's parsers read a model's tool calls and its reasoning, by the model's family.

Sources: vLLM's pages https://docs.vllm.ai/en/latest/features/tool_calling/ and
https://docs.vllm.ai/en/latest/features/reasoning_outputs/ ; for Qwen3 and 3.5 the model cards of the checkpoints; that
hermes reads no call of Qwen2.5-Coder: https://github.com/hanXen/vllm-qwen2.5-coder-tool-parser . Whether a version has
a parser is for `infra.vllm.options` to say.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parsers:
    """Names for ``--tool-call-parser`` and ``--reasoning-parser``; empty for none."""

    tool_calls: str = ""
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class _Family:
    architecture: str
    name: str
    parsers: Parsers


_FAMILIES = (  # the first that fits; a model's name is compared without its owner and in small letters
    _Family(r"Qwen3_5", r"", Parsers("qwen3_coder", "qwen3")),
    _Family(r"Qwen3", r"coder", Parsers("qwen3_coder")),
    _Family(r"Qwen3", r"instruct", Parsers("hermes")),
    _Family(r"Qwen3", r"thinking|^qwen3-\d", Parsers("hermes", "qwen3")),
    _Family(r"Qwen3", r"", Parsers("hermes")),
    _Family(r"Qwen2", r"qwq", Parsers("hermes", "deepseek_r1")),
    _Family(r"Qwen2", r"coder", Parsers()),
    _Family(r"Qwen2|Llama", r"deepseek-r1", Parsers("", "deepseek_r1")),
    _Family(r"Qwen2|Llama|Mistral", r"hermes", Parsers("hermes")),
    _Family(r"Qwen2", r"", Parsers("hermes")),
    _Family(r"Llama4", r"", Parsers("llama4_pythonic")),
    _Family(r"Llama", r"llama-?3", Parsers("llama3_json")),
    _Family(r"Mistral|Mixtral", r"", Parsers("mistral")),
    _Family(r"GptOss", r"", Parsers("openai", "openai_gptoss")),
    _Family(r"MiniMaxM2", r"", Parsers("minimax_m2", "minimax_m2_append_think")),
    _Family(r"Glm4Moe", r"", Parsers("glm45", "glm45")),
    _Family(r"DeepseekV3", r"v3\.1", Parsers("deepseek_v31", "deepseek_v3")),
    _Family(r"DeepseekV3", r"r1", Parsers("deepseek_v3", "deepseek_r1")),
    _Family(r"DeepseekV3", r"k2", Parsers("kimi_k2")),
    _Family(r"DeepseekV3", r"", Parsers("deepseek_v3")),
    _Family(r"Granite", r"", Parsers("granite")),
    _Family(r"Phi", r"phi-4-mini", Parsers("phi4_mini_json")),
)

_NAMED = (  # the architecture that a name stands for, where the model's own files are not here
    (r"deepseek-r1-distill-qwen|qwen-?2|^qwq", "Qwen2"),
    (r"qwen-?3\.5", "Qwen3_5"),
    (r"qwen-?3", "Qwen3"),
    (r"llama-?4", "Llama4"),
    (r"llama", "Llama"),
    (r"mistral|mixtral", "Mistral"),
    (r"gpt-oss", "GptOss"),
    (r"minimax-m2", "MiniMaxM2"),
    (r"glm-4\.[56]", "Glm4Moe"),
    (r"deepseek-(v3|r1)|kimi-k2", "DeepseekV3"),
    (r"granite", "Granite"),
    (r"phi-4-mini", "Phi"),
)


def parsers_for(model: str, architecture: str = "") -> Parsers:
    """Return the parsers of a model's family; empty names where the family is not known.

    Args:
        model: its name or folder.
        architecture: first entry of its ``architectures``; empty where its files are not here.
    """
    name = re.split(r"[/\\]", model.rstrip("/\\"))[-1].lower()
    built = architecture or next((known for pattern, known in _NAMED if re.search(pattern, name)), "")
    for family in _FAMILIES:
        if re.match(family.architecture, built) and re.search(family.name, name):
            return family.parsers
    return Parsers()
