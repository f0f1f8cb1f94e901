"""Settings: read once at a door from the environment and ``.env``, checked, then frozen.

Every variable starts with ``DOCMIND_``; nesting is written ``__`` (``DOCMIND_VLLM__CONTEXT_WINDOW=131072``). The
defaults describe the card's server: vLLM on loopback port 8000 with Qwen3-4B-Instruct-2507-FP8, an FP8 KV cache and
128K context.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_data_path
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    TypeAdapter,
    ValidationError,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from infra.errors import ConfigurationError

PREFIX = "DOCMIND_"

BackendKind = Literal["vllm", "llamacpp", "ollama", "openai", "engine"]
BackendName = Literal["auto", "vllm", "llamacpp", "ollama", "openai", "engine"]
SupervisorMode = Literal["policy", "llm"]

_URL = TypeAdapter(HttpUrl)


def _http_url(value: str) -> str:
    _URL.validate_python(value)
    return value.rstrip("/")


def _words(value: object) -> object:
    """Split a comma-separated list, as an environment variable writes it."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


Url = Annotated[str, AfterValidator(_http_url)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VllmSettings(_Section):
    """The vLLM server, as the client sees it."""

    base_url: Url = Field(default="http://127.0.0.1:8000/v1", description="where the server's OpenAI API answers")
    api_key: SecretStr = Field(default=SecretStr("EMPTY"), description="the server's --api-key, if it has one")
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


class LlamaCppSettings(_Section):
    """llama.cpp's server; `auto` asks it when one of these is set."""

    base_url: Url = Field(default="http://127.0.0.1:8080/v1", description="where the server's OpenAI API answers")
    api_key: SecretStr = Field(default=SecretStr("EMPTY"), description="the server's --api-key, if it has one")
    model: str = Field(default="", description="the served model's name; not set: the one it serves")
    context_window: int = Field(
        default=131_072, ge=512, le=16_777_216, description="tokens; the server's own figure wins if smaller"
    )


class OllamaSettings(_Section):
    """Ollama; `auto` asks it when one of these is set."""

    base_url: Url = Field(default="http://127.0.0.1:11434/v1", description="where the server's OpenAI API answers")
    model: str = Field(default="", description="the model's name; not set: the one that is loaded, or the only one")
    context_window: int = Field(
        default=131_072, ge=512, le=16_777_216, description="tokens; the server's own figure wins if smaller"
    )


class OpenAISettings(_Section):
    """Any other server that speaks the OpenAI protocol; `auto` asks it when one of these is set."""

    base_url: Url = Field(default="http://127.0.0.1:1234/v1", description="where the server's OpenAI API answers")
    api_key: SecretStr = Field(default=SecretStr("EMPTY"), description="the key it wants, if any")
    model: str = Field(default="", description="the served model's name; not set: the only one it serves")
    tokenizer: Path | None = Field(
        default=None, description="folder with the model's tokenizer.json and chat template, for exact counts"
    )
    context_window: int = Field(
        default=8_192, ge=512, le=16_777_216, description="tokens; the server's own figure wins if smaller"
    )


class EngineSettings(_Section):
    """The embedded engine: answers by rules, no language model."""

    context_window: int = Field(default=32_768, ge=512, le=1_048_576, description="tokens it accepts")
    prefill_tokens_per_second: float | None = Field(
        default=None, gt=0, description="set to model a server's prefill speed"
    )
    decode_tokens_per_second: float | None = Field(
        default=None, gt=0, description="set to model a server's decode speed"
    )
    prefix_cache: bool = Field(default=True, description="whether repeated prompt prefixes count as cached")


class CallSettings(_Section):
    """Patience with a model server: times in seconds, tries, and when to stop asking."""

    connect_seconds: float = Field(default=5.0, gt=0, le=60, description="time to open a connection")
    first_token_seconds: float = Field(
        default=300.0, gt=0, le=3600, description="time until the first word of a reply; a long prompt needs long"
    )
    stall_seconds: float = Field(default=60.0, gt=0, le=3600, description="silence inside a reply")
    total_seconds: float = Field(default=900.0, gt=0, le=7200, description="one try of a call, from end to end")
    breaker_failures: int = Field(
        default=5, ge=1, le=100, description="failed tries in a row after which a server is left alone for a while"
    )
    breaker_seconds: float = Field(default=15.0, gt=0, le=3600, description="how long it is left alone")


class ModelSettings(_Section):
    """A model of its own for an agent: `backend:model` (ollama:qwen3:0.6b), `backend`, or a model's name."""

    router: str = Field(default="", description="not set: the run's")
    planner: str = Field(default="", description="not set: the run's")
    synthesizer: str = Field(default="", description="not set: the run's")
    validator: str = Field(default="", description="not set: the run's")
    supervisor: str = Field(default="", description="not set: the run's; used in llm mode")


class AgentSettings(_Section):
    """How the five agents work together."""

    supervisor: SupervisorMode = Field(
        default="policy", description="who chooses the next step: the policy, or the model"
    )
    parallel_tools: bool = Field(default=True, description="whether independent hand-offs run at the same time")
    max_parallel_calls: int = Field(default=3, ge=1, le=8, description="hand-offs at once, at most")
    max_rounds: int = Field(default=2, ge=1, le=4, description="drafts an answer may take")
    recursion_limit: int = Field(default=60, ge=49, le=500, description="graph steps of one question, at most")


class BudgetSettings(_Section):
    """Token budgets. Output of a call = min(reserve, window - prompt - margin)."""

    reserve_tokens: int = Field(
        default=3_000, ge=16, le=65_536, description="output tokens kept free for one call, at most"
    )
    margin_tokens: int = Field(default=128, ge=0, le=8_192, description="tokens never used, against miscounting")
    call_tokens: int | None = Field(default=None, ge=256, description="prompt and output tokens of one call")
    agent_tokens: int | None = Field(
        default=None, ge=256, description="prompt and output tokens of one agent on one question"
    )
    question_tokens: int = Field(
        default=120_000, ge=1_000, description="prompt and output tokens of one question, all calls"
    )
    question_calls: int = Field(default=32, ge=1, le=1_000, description="model calls of one question")
    thread_tokens: int | None = Field(
        default=None, ge=1_000, description="prompt and output tokens of one conversation while the program runs"
    )


class RetrievalSettings(_Section):
    """What a search brings back."""

    top_k: int = Field(default=6, ge=1, le=50, description="passages a search brings back")
    max_evidence: int = Field(default=10, ge=1, le=100, description="passages an answer may rest on, after merging")
    max_documents: int = Field(default=2, ge=1, le=20, description="documents an answer may cite; at least one a part")


class IngestSettings(_Section):
    """What may be read."""

    max_file_mb: float = Field(default=100.0, gt=0, description="larger files are reported, not read")
    file_seconds: float = Field(default=60.0, gt=0, description="time one file may take to be read")


class Settings(BaseSettings):
    """All settings of DocMind."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        frozen=True,
        extra="ignore",
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Field(default_factory=lambda: user_data_path("docmind"), description="where everything is kept")
    tenant: str = Field(
        default="default",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
        description="whose documents; tenants never mix",
    )
    backend: BackendName = Field(
        default="auto", description="auto: the first that answers of those set up, else the engine"
    )
    fallbacks: Annotated[tuple[BackendKind, ...], NoDecode, BeforeValidator(_words)] = Field(
        default=(), description="where calls go when the chosen back end is down, such as ollama,engine"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="WARNING", description="what is logged to stderr"
    )
    max_question_chars: int = Field(default=20_000, ge=100, le=1_000_000, description="longer questions are refused")
    log_json: bool = Field(default=False, description="one JSON object a log record")
    vllm: VllmSettings = VllmSettings()
    llamacpp: LlamaCppSettings = LlamaCppSettings()
    ollama: OllamaSettings = OllamaSettings()
    openai: OpenAISettings = OpenAISettings()
    engine: EngineSettings = EngineSettings()
    calls: CallSettings = CallSettings()
    models: ModelSettings = ModelSettings()
    agents: AgentSettings = AgentSettings()
    budget: BudgetSettings = BudgetSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    ingest: IngestSettings = IngestSettings()

    @property
    def tenant_dir(self) -> Path:
        """Where the tenant's documents, index and threads are kept."""
        return self.data_dir / "tenants" / self.tenant


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; ``overrides`` (a door's options, None = not given) win over the environment.

    Raises:
        ConfigurationError: one line a bad value: the variable, the value, what is allowed.
    """
    try:
        return Settings(**{key: value for key, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explain(item) for item in error.errors())) from error


def _explain(item: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    name = PREFIX + "__".join(str(part) for part in item["loc"]).upper()
    shown = "***" if any(word in name for word in ("KEY", "SECRET", "PASSWORD")) else repr(item["input"])
    return f"{name}={shown}: {item['msg']}"
