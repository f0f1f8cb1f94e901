"""What a person asks for: lengths, and whose word wins."""

import pytest

from infra.errors import ConfigurationError
from infra.vllm.asked import tokens, wanted


@pytest.mark.parametrize(
    ("text", "expected"), [("auto", None), ("12288", 12_288), ("128k", 128_000), ("128K", 131_072), ("1M", 1 << 20)]
)
def test_a_length_is_read_as_vllm_reads_it(text: str, expected: int | None) -> None:
    assert tokens(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "12.5", "99999999", "١٢", "128KK", "K"])
def test_what_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="give tokens from 1 to 16,777,216"):
        tokens(text)


def test_the_defaults_are_the_settings_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCMIND_LOG_JSON", "false")  # so that the settings are read
    from_settings = wanted({})
    monkeypatch.delenv("DOCMIND_LOG_JSON")
    assert wanted({}) == from_settings


def test_what_is_given_wins_over_settings_profile_and_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wanted({"profile": "12gb-long", "sequences": 3}).sequences == 3
    monkeypatch.setenv("DOCMIND_SERVE__MAX_NUM_SEQS", "5")
    monkeypatch.setenv("DOCMIND_VLLM__CONTEXT_WINDOW", "4096")
    assert wanted({"profile": "12gb-long"}).sequences == 5
    assert wanted({"profile": "12gb-long"}).context == 4_096
    assert wanted({"gpu": "RTX 3090x4", "pipeline_parallel": 2}).tensor_parallel == 2
    with pytest.raises(ConfigurationError, match="there is no profile 'x'; --profile knows 12gb-long"):
        wanted({"profile": "x"})
    with pytest.raises(ConfigurationError, match="--kv-cache-dtype 'q8_0': vLLM knows auto, fp8"):
        wanted({"kv_cache_dtype": "q8_0"})
