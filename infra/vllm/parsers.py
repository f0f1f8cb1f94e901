"""Which of vLLM's parsers read a model's tool calls and its reasoning, by the model's family.

Sources: vLLM's pages https://docs.vllm.ai/en/latest/features/tool_calling/ and
https://docs.vllm.ai/en/latest/features/reasoning_outputs/ ; for Qwen3 the model cards of the Instruct, Thinking and
Coder checkpoints. Whether a version has a parser is for `infra.vllm.options` to say.
"""

import re
from dataclasses import dataclass

from infra.vllm.facts import ModelFacts


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
    _Family(r"Qwen3", r"coder", Parsers("qwen3_coder")),
    _Family(r"Qwen3", r"instruct", Parsers("hermes")),
    _Family(r"Qwen3", r"thinking|^qwen3-\d", Parsers("hermes", "qwen3")),
    _Family(r"Qwen3", r"", Parsers("hermes")),
    _Family(r"Qwen2", r"qwq", Parsers("hermes", "deepseek_r1")),
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


def parsers_for(model: ModelFacts) -> Parsers:
    """Return the parsers of the model's family; empty names where the family is not known."""
    name = re.split(r"[/\\]", model.name.rstrip("/\\"))[-1].lower()
    for family in _FAMILIES:
        if re.match(family.architecture, model.architecture) and re.search(family.name, name):
            return family.parsers
    return Parsers()
