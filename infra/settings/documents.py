"""Settings of documents: reading, searching, where they are kept and what embeds them."""

from pydantic import Field

from infra.settings.common import Section


class RetrievalSettings(Section):
    """What a search brings back."""

    top_k: int = Field(default=6, ge=1, le=50, description="passages a search brings back")
    max_evidence: int = Field(default=10, ge=1, le=100, description="passages an answer may rest on, after merging")
    max_documents: int = Field(default=2, ge=1, le=20, description="documents an answer may cite; at least one a part")


class IngestSettings(Section):
    """What may be read."""

    max_file_mb: float = Field(default=100.0, gt=0, description="larger files are reported, not read")
    file_seconds: float = Field(default=60.0, gt=0, description="time one file may take to be read")
    reader_memory_mb: int = Field(default=1024, ge=256, description="memory that reading one file may take")
