"""Settings of documents: reading, searching, where they are kept and what embeds them."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr

from infra.settings.common import ApiKey, Section, Url


class RetrievalSettings(Section):
    """What a search brings back."""

    top_k: int = Field(default=6, ge=1, le=50, description="passages a search brings back")
    max_evidence: int = Field(default=10, ge=1, le=100, description="passages an answer may rest on, after merging")
    max_documents: int = Field(default=2, ge=1, le=20, description="documents an answer may cite; at least one a part")
    clear_tokens: int = Field(
        default=400,
        ge=0,
        le=10_000,
        description="evidence shown for a part of a question; beyond that only what lies near the best; 0: all",
    )
    late_interaction: bool = Field(
        default=False, description="compare the best passages with the question token by token; a third of a second"
    )
    link_graph: Literal["auto", "on", "off"] = Field(
        default="auto", description="follow names from passage to passage; auto: for questions of several parts"
    )


class RerankerSettings(Section):
    """A server with a rerank model, such as vLLM with BGE-reranker; asked for the best passages of a search."""

    base_url: Annotated[Url | None, BeforeValidator(lambda value: value or None)] = Field(
        default=None, description="such as http://127.0.0.1:8002/v1; not set: nothing is reranked"
    )
    kind: Literal["rerank", "score"] = Field(
        default="rerank", description="rerank: the form of Jina, Cohere and vLLM; score: vLLM's own"
    )
    api_key: ApiKey = Field(default=SecretStr(""), description="the server's key, if it wants one")
    model: str = Field(default="", description="the served model's name, if the server wants it")
    top_n: int = Field(default=20, ge=2, le=100, description="passages of a search that are reranked")
    timeout_seconds: float = Field(default=5.0, gt=0, le=300, description="one request, from end to end")


class IngestSettings(Section):
    """What may be read."""

    max_file_mb: float = Field(default=100.0, gt=0, description="larger files are reported, not read")
    file_seconds: float = Field(default=60.0, gt=0, description="time one file may take to be read")
    reader_memory_mb: int = Field(default=1024, ge=256, description="memory that reading one file may take")
