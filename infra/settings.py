"""Settings: read once at a door from the environment and ``.env``, checked, then frozen.

Every variable starts with ``DOCMIND_``; nesting is written ``__`` (``DOCMIND_VLLM__CONTEXT_WINDOW=131072``). The
defaults describe the card's server: vLLM on loopback port 8000 with Qwen3-4B-Instruct-2507-FP8, an FP8 KV cache and
128K context.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_data_path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, SecretStr, TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.errors import ConfigurationError

PREFIX = "DOCMIND_"

BackendName = Literal["auto", "vllm", "engine"]
SupervisorMode = Literal["policy", "llm"]

_URL = TypeAdapter(HttpUrl)


def _http_url(value: str) -> str:
    _URL.validate_python(value)
    return value.rstrip("/")


Url = Annotated[str, AfterValidator(_http_url)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VllmSettings(_Section):
    """The vLLM server, as the client sees it."""

    base_url: Url = Field(default="http://127.0.0.1:8000/v1", description="where the server's OpenAI API answers")
    api_key: SecretStr = Field(default=SecretStr("EMPTY"), description="the server's --api-key, if it has one")
    model: str = Field(default="Qwen/Qwen3-4B-Instruct-2507-FP8", min_length=1, description="the served model's name")
    kv_cache_dtype: Literal["auto", "fp8", "fp8_e4m3", "fp8_e5m2", "bfloat16"] = Field(
        default="fp8", description="type of the KV cache the server runs with"
    )
    context_window: int = Field(
        default=131_072, ge=512, le=16_777_216, description="tokens; the server's own figure wins if smaller"
    )
    connect_seconds: float = Field(default=5.0, gt=0, le=60, description="time to open a connection")
    call_seconds: float = Field(
        default=120.0, gt=0, le=3600, description="time without a byte before a call is given up"
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


class AgentSettings(_Section):
    """How the five agents work together."""

    supervisor: SupervisorMode = Field(
        default="policy", description="who chooses the next step: the policy, or the model"
    )
    parallel_tools: bool = Field(default=True, description="whether independent hand-offs run at the same time")
    max_parallel_calls: int = Field(default=3, ge=1, le=8, description="hand-offs at once, at most")
    max_rounds: int = Field(default=2, ge=1, le=4, description="drafts an answer may take")
    recursion_limit: int = Field(default=60, ge=20, le=500, description="graph steps of one question, at most")


class BudgetSettings(_Section):
    """Token budgets. Output of a call = min(reserve, window - prompt - margin)."""

    reserve_tokens: int = Field(
        default=3_000, ge=16, le=65_536, description="output tokens kept free for one call, at most"
    )
    margin_tokens: int = Field(default=128, ge=0, le=8_192, description="tokens never used, against miscounting")
    question_tokens: int = Field(
        default=120_000, ge=1_000, description="prompt and output tokens of one question, all calls"
    )
    question_calls: int = Field(default=32, ge=1, le=1_000, description="model calls of one question")


class RetrievalSettings(_Section):
    """What a search brings back."""

    top_k: int = Field(default=6, ge=1, le=50, description="passages a search brings back")
    max_evidence: int = Field(default=10, ge=1, le=100, description="passages an answer may rest on, after merging")
    max_documents: int = Field(default=2, ge=1, le=20, description="documents an answer may cite")


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
    backend: BackendName = Field(default="auto", description="auto: vLLM when it answers, else the embedded engine")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="WARNING", description="what is logged to stderr"
    )
    max_question_chars: int = Field(default=20_000, ge=100, le=1_000_000, description="longer questions are refused")
    vllm: VllmSettings = VllmSettings()
    engine: EngineSettings = EngineSettings()
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
    return f"{name}={item['input']!r}: {item['msg']}"
