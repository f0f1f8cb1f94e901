"""Settings of the servers that run language models, one section a kind."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from infra.settings.common import ApiKey, Section, Url

BackendKind = Literal["vllm", "llamacpp", "ollama", "openai", "engine"]
BackendName = Literal["auto", "vllm", "llamacpp", "ollama", "openai", "engine"]


class VllmSettings(Section):
    """The vLLM server, as the client sees it."""

    base_url: Url = Field(default="http://127.0.0.1:8000/v1", description="where the server's OpenAI API answers")
    api_key: ApiKey = Field(default=SecretStr("EMPTY"), description="the server's --api-key, if it has one")
    model: str = Field(default="Qwen/Qwen3-4B-Instruct-2507-FP8", min_length=1, description="the served model's name")
    tokenizer: Path | None = Field(
        default=None,
        description="folder with the model's tokenizer.json and chat template, if it is not found by itself",
    )
    kv_cache_dtype: Literal["auto", "fp8", "fp8_e4m3", "fp8_e5m2", "bfloat16"] = Field(
        default="fp8", description="type of the KV cache the server runs with"
    )
    context_window: int = Field(
        default=131_072, ge=512, le=16_777_216, description="tokens; the server's own figure wins if smaller"
    )


class LlamaCppSettings(Section):
    """llama.cpp's server; `auto` asks it when one of these is set."""

    base_url: Url = Field(default="http://127.0.0.1:8080/v1", description="where the server's OpenAI API answers")
    api_key: ApiKey = Field(default=SecretStr("EMPTY"), description="the server's --api-key, if it has one")
    model: str = Field(default="", description="the served model's name; not set: the one it serves")
    context_window: int = Field(
        default=131_072, ge=512, le=16_777_216, description="tokens; the server's own figure wins if smaller"
    )


class OllamaSettings(Section):
    """Ollama; `auto` asks it when one of these is set."""

    base_url: Url = Field(default="http://127.0.0.1:11434/v1", description="where the server's OpenAI API answers")
    model: str = Field(default="", description="the model's name; not set: the one that is loaded, or the only one")
    context_window: int = Field(
        default=131_072, ge=512, le=16_777_216, description="tokens; the server's own figure wins if smaller"
    )


class OpenAISettings(Section):
    """Any other server that speaks the OpenAI protocol; `auto` asks it when one of these is set."""

    base_url: Url = Field(default="http://127.0.0.1:1234/v1", description="where the server's OpenAI API answers")
    api_key: ApiKey = Field(default=SecretStr("EMPTY"), description="the key it wants, if any")
    model: str = Field(default="", description="the served model's name; not set: the only one it serves")
    tokenizer: Path | None = Field(
        default=None, description="folder with the model's tokenizer.json and chat template, for exact counts"
    )
    context_window: int = Field(
        default=8_192, ge=512, le=16_777_216, description="tokens; the server's own figure wins if smaller"
    )


class EngineSettings(Section):
    """The embedded engine: answers by rules, no language model."""

    context_window: int = Field(default=32_768, ge=512, le=1_048_576, description="tokens it accepts")
    prefill_tokens_per_second: float | None = Field(
        default=None, gt=0, description="set to model a server's prefill speed"
    )
    decode_tokens_per_second: float | None = Field(
        default=None, gt=0, description="set to model a server's decode speed"
    )
    prefix_cache: bool = Field(default=True, description="whether repeated prompt prefixes count as cached")
