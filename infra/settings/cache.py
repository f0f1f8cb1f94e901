"""Settings of what is kept of work that was done before."""

from pydantic import Field

from infra.settings.common import Section


class CacheSettings(Section):
    """Work that is not done twice: answers, identical model calls, identical searches while no document changes."""

    enabled: bool = Field(default=True, description="whether anything is kept; of calls, whatever their temperature")
    answers: bool = Field(default=True, description="whether an answer is given again while the documents support it")
    answers_max: int = Field(default=10_000, ge=1, le=1_000_000, description="beyond that the longest unused go")
    answers_max_mb: float = Field(default=256.0, ge=1, le=65_536, description="likewise, in megabytes")
    answers_max_age_days: float = Field(default=30.0, gt=0, le=3_650, description="older answers are not given again")
    verify: bool = Field(
        default=True, description="whether the model is asked, in one short call, if two like questions are the same"
    )
    audit_share: float = Field(
        default=0.01, ge=0, le=1, description="share of hits that are answered anew, to be compared"
    )
    calls_max_mb: float = Field(
        default=256.0, ge=1, le=65_536, description="replies and searches kept; beyond that the longest unused go"
    )
    calls_max_age_hours: float = Field(default=168.0, gt=0, le=87_600, description="older replies are not used again")
