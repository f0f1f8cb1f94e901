"""Settings: what is wrong is one line that names the variable, and no line shows a secret."""

import pytest

from infra.errors import ConfigurationError
from infra.settings import PREFIX, load_settings

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "QDRANT__URL",
            f"http://me:{SECRET}/x@qdrant.example:6333",
            "'http://***@qdrant.example:6333': Input should be a valid URL, invalid port number",
        ),
        (
            "EMBEDDING__BASE_URL",
            f"http://me:{SECRET}@example/v1",
            "'http://***@example/v1': an address is shown to people, so it holds no name and no password; "
            "a key is set apart",
        ),
        ("VLLM__BASE_URL", f"ftp://{SECRET}@example", "'ftp://***@example': URL scheme should be 'http' or 'https'"),
        ("QDRANT__API_KEY", f"{SECRET}\nmore", "***: a key consists of ASCII letters, digits and signs"),
        ("RERANKER__API_KEY", f"{SECRET}é", "***: a key consists of ASCII letters, digits and signs"),
    ],
)
def test_a_bad_value_is_named_and_no_secret_is_shown(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert str(caught.value) == f"{PREFIX}{name}={message}"


def test_blanks_around_a_key_are_not_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}QDRANT__API_KEY", f" {SECRET}\n")
    settings = load_settings()
    assert settings.qdrant.api_key.get_secret_value() == SECRET
    assert SECRET not in repr(settings)


def test_a_section_that_is_set_as_a_whole_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}QDRANT", "http://127.0.0.1:6333")
    with pytest.raises(ConfigurationError, match=r'^the environment cannot be read: .*"qdrant".*DOCMIND_QDRANT__URL$'):
        load_settings()
