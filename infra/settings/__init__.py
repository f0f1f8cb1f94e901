"""Settings: read once at a door from the environment and ``.env``, checked, then frozen.

Every variable starts with ``DOCMIND_``; nesting is written ``__`` (``DOCMIND_VLLM__CONTEXT_WINDOW=131072``). The
defaults describe the card's server: vLLM on loopback port 8000 with Qwen3-4B-Instruct-2507-FP8, an FP8 KV cache and
128K context.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_data_path
from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from infra.errors import ConfigurationError
from infra.settings.cache import CacheSettings
from infra.settings.common import words
from infra.settings.documents import IngestSettings, RerankerSettings, RetrievalSettings
from infra.settings.servers import (
    BackendKind,
    BackendName,
    EngineSettings,
    LlamaCppSettings,
    OllamaSettings,
    OpenAISettings,
    ServeSettings,
    VllmSettings,
)
from infra.settings.stores import EmbeddingKind, EmbeddingSettings, QdrantSettings
from infra.settings.work import AgentSettings, BudgetSettings, CallSettings, ModelSettings, SupervisorMode

PREFIX = "DOCMIND_"

__all__ = [
    "PREFIX",
    "AgentSettings",
    "BackendKind",
    "BackendName",
    "BudgetSettings",
    "CacheSettings",
    "CallSettings",
    "EmbeddingKind",
    "EmbeddingSettings",
    "EngineSettings",
    "IngestSettings",
    "LlamaCppSettings",
    "ModelSettings",
    "OllamaSettings",
    "OpenAISettings",
    "QdrantSettings",
    "RerankerSettings",
    "RetrievalSettings",
    "ServeSettings",
    "Settings",
    "SupervisorMode",
    "VllmSettings",
    "load_settings",
]


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
    fallbacks: Annotated[tuple[BackendKind, ...], NoDecode, BeforeValidator(words)] = Field(
        default=(), description="where calls go when the chosen back end is down, such as ollama,engine"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="WARNING", description="what is logged to stderr"
    )
    max_question_chars: int = Field(default=20_000, ge=100, le=1_000_000, description="longer questions are refused")
    log_json: bool = Field(default=False, description="one JSON object a log record")
    vllm: VllmSettings = VllmSettings()
    serve: ServeSettings = ServeSettings()
    llamacpp: LlamaCppSettings = LlamaCppSettings()
    ollama: OllamaSettings = OllamaSettings()
    openai: OpenAISettings = OpenAISettings()
    engine: EngineSettings = EngineSettings()
    calls: CallSettings = CallSettings()
    models: ModelSettings = ModelSettings()
    agents: AgentSettings = AgentSettings()
    budget: BudgetSettings = BudgetSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    qdrant: QdrantSettings = QdrantSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    reranker: RerankerSettings = RerankerSettings()
    ingest: IngestSettings = IngestSettings()
    cache: CacheSettings = CacheSettings()

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
    except SettingsError as error:  # a section where one of its parts is meant, such as DOCMIND_QDRANT
        hint = f"a section is set part by part, such as {PREFIX}QDRANT__URL"
        raise ConfigurationError(f"the environment cannot be read: {error}; {hint}") from error


def _explain(item: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    name = PREFIX + "__".join(str(part) for part in item["loc"]).upper()
    secret = any(word in name for word in ("KEY", "SECRET", "PASSWORD"))
    shown = "***" if secret else re.sub(r"//.*@", "//***@", repr(item["input"]))
    return f"{name}={shown}: {item['msg'].removeprefix('Value error, ')}"
