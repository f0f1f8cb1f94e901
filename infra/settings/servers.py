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


class ServeSettings(Section):
    """How `docmind plan`, `args`, `units` and `serve` set the vLLM server up; most names are vLLM's own options."""

    python: Path | None = Field(
        default=None, description="the Python that has vLLM; not set: this one, else that of `vllm` on the PATH"
    )
    version: str = Field(
        default="",
        pattern=r"^(\d+(\.\d+){1,3})?$",
        description="vLLM version to write for; not set: the one installed, else the newest known",
    )
    load: str = Field(
        default="", description="what vLLM loads, a name or a folder; not set: the served model's name, VLLM__MODEL"
    )
    gpu: str = Field(default="", description="such as `RTX 4090` or `RTX 3090x2`; not set: the installed one")
    profile: str = Field(default="", description="a named set of choices, see `docmind plan --help`; settings win")
    host: str = Field(
        default="127.0.0.1",
        pattern=r"^[A-Za-z0-9.:_-]{1,253}$",
        description="address it listens on; its port is that of VLLM__BASE_URL",
    )
    gpu_memory_utilization: float | None = Field(
        default=None, gt=0, le=1, description="part of the GPU's memory it may use; not set: the profile's, else 0.92"
    )
    max_num_seqs: int | None = Field(
        default=None, ge=1, le=65_536, description="requests at once; not set: the profile's, else vLLM's"
    )
    max_num_batched_tokens: int | None = Field(
        default=None, ge=1, le=16_777_216, description="tokens of one step; not set: the profile's, else vLLM's"
    )
    tensor_parallel_size: int | None = Field(default=None, ge=1, le=1_024, description="GPUs that share each layer")
    pipeline_parallel_size: int | None = Field(default=None, ge=1, le=1_024, description="groups that share the layers")
    kv_offloading_size: float | None = Field(
        default=None, ge=0, le=65_536, description="GiB of main memory for the KV cache, over all ranks"
    )
    enforce_eager: bool | None = Field(default=None, description="no CUDA graphs: less memory, slower")
    attention_backend: str = Field(
        default="", pattern=r"^[A-Z0-9_]*$", description="such as FLASHINFER; not set: as the KV cache needs it"
    )
    tool_call_parser: str = Field(default="", pattern=r"^[\w.-]*$", description="not set: by the model's family")
    reasoning_parser: str = Field(default="", pattern=r"^[\w.-]*$", description="not set: by the model's family")
    download: bool = Field(default=False, description="whether vLLM may fetch a model that is not on this machine")
    extra_args: str = Field(
        default="", max_length=4_096, description="more options of vLLM's, as on its command line; they win"
    )
    replicas: int = Field(default=1, ge=1, le=64, description="servers behind the router that `units` writes")


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
        default=None, gt=0, description="set to model a server's decode speed, of each reply"
    )
    shared_prefill: bool = Field(
        default=False, description="whether prompts that come together share the prefill speed, as on one card"
    )
    prefix_cache: bool = Field(default=True, description="whether repeated prompt prefixes count as cached")
