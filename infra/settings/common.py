"""What the sections of the settings have in common."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, HttpUrl, SecretStr, TypeAdapter

_URL = TypeAdapter(HttpUrl)


def _http_url(value: str) -> str:
    url = _URL.validate_python(value)
    if url.username or url.password:
        raise ValueError("an address is shown to people, so it holds no name and no password; a key is set apart")
    return value.rstrip("/")


def _sendable(key: SecretStr) -> SecretStr:
    """Leave blanks around a key out; refuse what no HTTP header carries: it would be shown when it is sent."""
    value = key.get_secret_value().strip()
    if not (value.isascii() and value.isprintable()):
        raise ValueError("a key consists of ASCII letters, digits and signs")
    return SecretStr(value)


def words(value: object) -> object:
    """Split a comma-separated list, as an environment variable writes it."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


Url = Annotated[str, AfterValidator(_http_url)]
ApiKey = Annotated[SecretStr, AfterValidator(_sendable)]


class Section(BaseModel):
    """One group of settings: ``DOCMIND_<SECTION>__<NAME>``."""

    model_config = ConfigDict(frozen=True, extra="forbid")
