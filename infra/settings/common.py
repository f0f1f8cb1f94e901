"""What the sections of the settings have in common."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, HttpUrl, TypeAdapter

_URL = TypeAdapter(HttpUrl)


def _http_url(value: str) -> str:
    _URL.validate_python(value)
    return value.rstrip("/")


def words(value: object) -> object:
    """Split a comma-separated list, as an environment variable writes it."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


Url = Annotated[str, AfterValidator(_http_url)]


class Section(BaseModel):
    """One group of settings: ``DOCMIND_<SECTION>__<NAME>``."""

    model_config = ConfigDict(frozen=True, extra="forbid")
