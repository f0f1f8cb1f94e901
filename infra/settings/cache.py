"""Settings of what is kept of work that was done before."""

from pydantic import Field

from infra.settings.common import Section


class CacheSettings(Section):
    """Work that is not done twice: identical model calls, and identical searches while no document changes."""

    enabled: bool = Field(default=True, description="whatever a call's temperature: an identical one is not made again")
    calls_max_mb: float = Field(
        default=256.0, ge=1, le=65_536, description="replies and searches kept; beyond that the longest unused go"
    )
    calls_max_age_hours: float = Field(default=168.0, gt=0, le=87_600, description="older replies are not used again")
