"""Settings of what embeds documents, and of where their vectors are kept."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr

from infra.settings.common import ApiKey, Section, Url

EmbeddingKind = Literal["minilm", "server", "sentence-transformers"]


class EmbeddingSettings(Section):
    """What turns texts into vectors; another model, or other prefixes, rebuild the index by themselves."""

    kind: EmbeddingKind = Field(
        default="minilm", description="the embedded model, an OpenAI-compatible server, or a local folder"
    )
    base_url: Url = Field(default="http://127.0.0.1:8001/v1", description="where the server's /embeddings answers")
    api_key: ApiKey = Field(default=SecretStr(""), description="the server's key, if it wants one")
    model: str = Field(
        default="",
        description="the served model's name (not set: the only one); for sentence-transformers its folder",
    )
    query_prefix: str = Field(default="", max_length=1_000, description="put before questions, if the model wants it")
    document_prefix: str = Field(default="", max_length=1_000, description="put before what is found, likewise")
    max_tokens: int | None = Field(
        default=None, ge=16, le=1_048_576, description="longer texts are cut; not set: the model's own window"
    )
    batch_texts: int = Field(default=64, ge=1, le=2_048, description="texts of one request to the server")
    in_flight: int = Field(default=4, ge=1, le=64, description="requests to the server at once")
    timeout_seconds: float = Field(default=120.0, gt=0, le=3600, description="one request, from end to end")


class QdrantSettings(Section):
    """A Qdrant server or cluster for the vectors, in place of the embedded store."""

    url: Annotated[Url | None, BeforeValidator(lambda value: value or None)] = Field(
        default=None, description="such as http://127.0.0.1:6333; not set: the embedded store"
    )
    api_key: ApiKey = Field(default=SecretStr(""), description="the server's key, if it wants one")
    timeout_seconds: float = Field(default=30.0, ge=1, le=3600, description="one request")
    collection_prefix: str = Field(
        default="docmind", pattern=r"^[A-Za-z0-9_]{1,64}$", description="how the names of our collections begin"
    )
    shard_number: int | None = Field(default=None, ge=1, le=1_024, description="shards of a new collection")
    replication_factor: int | None = Field(default=None, ge=1, le=64, description="copies of each shard")
    write_consistency_factor: int | None = Field(
        default=None, ge=1, le=64, description="copies that must have taken a write"
    )
    on_disk: bool = Field(default=False, description="vectors of a new collection stay on the server's disk")
