"""The option lists of several versions, and words checked against them."""

import json
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import ConfigurationError
from infra.vllm.options import LISTS, gone, options_for, versions
from infra.vllm.removed import NEVER, REPLACED
from infra.vllm.words import Given, read_words, refused_variables, size

NOW = options_for("0.32.0")


def refusal(words: str, version: str = "0.32.0") -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_words(shlex.split(words), options_for(version))
    return str(caught.value)


def read(words: str, version: str = "0.32.0") -> list[str]:
    return [word for each in read_words(shlex.split(words), options_for(version)) for word in each.words]


def test_at_least_three_versions_are_known_and_each_says_how_it_was_read() -> None:
    assert {"0.10.2", "0.32.0", "0.33.0"} <= set(versions())
    for version in versions():
        facts = json.loads((LISTS / f"{version}.json").read_text(encoding="utf-8"))
        assert facts["version"] == version == options_for(version).version
        assert "parser" in facts["read"]
        assert len(facts["options"]) > 150


def test_the_newest_version_is_the_default_and_a_later_one_is_taken_for_it() -> None:
    assert options_for().version == versions()[-1]
    assert options_for("9.0").version == versions()[-1]
    assert options_for("0.32.7").version == "0.32.0"


@pytest.mark.parametrize("version", ["0.4.2", "1", "0.x.1", "latest"])
def test_a_version_too_old_or_none_is_refused(version: str) -> None:
    if version == "1":
        assert options_for(version).version == versions()[-1]
        return
    with pytest.raises(ConfigurationError, match="vLLM"):
        options_for(version)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--swap-space 2", "--kv-offloading-size"),
        ("--num-scheduler-steps 10", "--async-scheduling"),
        ("--max-num-prefills 16", "never was one; --max-num-batched-tokens"),
        ("--max-seq-len-to-capture 8192", "--max-cudagraph-capture-size"),
        ("--calculate-kv-scales", "scales come from the checkpoint"),
        ("--rope-scaling '{}'", "--hf-overrides"),
        ("--guided-decoding-backend xgrammar", "--structured-outputs-config"),
        ("--disable-log-requests", "--enable-log-requests"),
        ("--cuda-graph-sizes 8", "--cudagraph-capture-sizes"),
    ],
)
def test_a_removed_option_is_refused_with_what_replaced_it(words: str, said: str) -> None:
    message = refusal(words)
    assert message.startswith(f"{words.split()[0]} is no option of vLLM 0.32.0: ")
    assert said in message
    assert "\n" not in message


def test_an_old_version_still_takes_what_it_had() -> None:
    assert read("--swap-space 2 --max-seq-len-to-capture 8192", "0.10.2") == [
        "--swap-space",
        "2",
        "--max-seq-len-to-capture",
        "8192",
    ]
    assert "first known in vLLM" in refusal("--attention-backend FLASHINFER", "0.10.2")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--disable-log-stats false", "to have it off, leave it out"),
        ("--enforce-eager=false", "leave it out or write --no-enforce-eager"),
        ("--max-num-seqs many", "a whole number is needed"),
        ("--max-model-len 12.5K", "a whole number is needed"),
        ("--gpu-memory-utilization high", "a number is needed"),
        ("--kv-cache-dtype fp9", "vLLM takes auto, bfloat16"),
        ("--tool-call-parser", "needs a value"),
        ("--port", "needs a value"),
        ("--max-model 4", "write out --max-model-len"),
        ("--max-nun-seqs 4", "did you mean --max-num-seqs?"),
        ("false", "belongs to no option"),
        ("--model x", "DOCMIND_SERVE__LOAD"),
        ("--config x.yaml", "write its options out"),
    ],
)
def test_what_the_parser_would_refuse_or_misread_is_refused(words: str, said: str) -> None:
    assert said in refusal(words)


def test_short_names_underscores_and_dotted_names_are_written_out() -> None:
    assert read(
        "-tp 2 --kv_offloading_size=32 --compilation-config.mode 3 -O3 --seed=-1 --no-enable-prefix-caching"
    ) == [
        "--tensor-parallel-size",
        "2",
        "--kv-offloading-size",
        "32",
        "--compilation-config.mode",
        "3",
        "--optimization-level",
        "3",
        "--seed=-1",
        "--no-enable-prefix-caching",
    ]


def test_an_option_with_several_values_takes_them_all() -> None:
    assert read_words(["--api-key", "a", "b", "--port", "8001"], NOW) == (
        Given("--api-key", "--api-key", ("a", "b")),
        Given("--port", "--port", ("8001",)),
    )


def test_the_longest_context_is_a_length_where_the_version_knows_it() -> None:
    assert read("--max-model-len auto") == ["--max-model-len", "auto"]
    assert read("--max-model-len -1") == ["--max-model-len=-1"]
    assert "a whole number is needed" in refusal("--max-model-len auto", "0.10.2")
    assert "a whole number is needed" in refusal("--max-num-seqs auto")


def test_no_more_words_than_a_person_writes_are_read() -> None:
    assert len(read_words(["--seed=1"] * 1_000, NOW)) == 1_000
    with pytest.raises(ConfigurationError, match="1,001 words"):
        read_words(["--seed=1"] * 1_001, NOW)


def test_variables_that_are_gone_are_named_with_what_replaced_them() -> None:
    found = refused_variables(["VLLM_USE_V1", "VLLM_ATTENTION_BACKEND", "VLLM_USE_CUDNN_PREFILL", "PATH"], NOW)
    assert [line.split(" is no variable of vLLM 0.32.0: ")[0] for line in found] == [
        "VLLM_USE_V1",
        "VLLM_ATTENTION_BACKEND",
        "VLLM_USE_CUDNN_PREFILL",
    ]
    assert "there is only V1" in found[0]
    assert "write --attention-backend NAME" in found[1]
    assert refused_variables(["VLLM_USE_V1", "VLLM_ATTENTION_BACKEND"], options_for("0.10.2")) == []


@pytest.mark.parametrize("name", sorted(REPLACED))
def test_what_is_called_gone_is_gone_in_a_version_we_know(name: str) -> None:
    lacking = [now for now in map(options_for, versions()) if name not in now.names and name not in now.environment]
    assert lacking
    assert REPLACED[name] in gone(name, lacking[-1])


@pytest.mark.parametrize("version", ["0.32.0", "0.33.0"])
def test_what_switches_a_flag_off_is_known_by_both_of_its_names(version: str) -> None:
    options = options_for(version)
    words = ["--no-enable-prefix-caching", "--no-async-scheduling"]
    assert [each.key for each in read_words(words, options)] == ["--enable-prefix-caching", "--async-scheduling"]
    if version == "0.33.0":
        assert read_words(["--disable-prefix-caching"], options) == (
            Given("--enable-prefix-caching", "--disable-prefix-caching"),
        )


def test_what_never_was_is_in_no_list() -> None:
    assert [name for name in NEVER for version in versions() if name in options_for(version).names] == []


def test_what_is_advised_is_there() -> None:
    newest = options_for()
    advised = {word.rstrip(".;:,") for advice in REPLACED.values() for word in advice.split() if word.startswith("--")}
    assert {word for word in advised if word.partition(".")[0] not in newest.names} == set()


def test_a_length_is_read_as_vllm_reads_it() -> None:
    assert [size(text) for text in ("131072", "128k", "128K", "25.6k", "1G", "1.5K", "x", "")] == [
        131_072,
        128_000,
        131_072,
        25_600,
        1 << 30,
        None,
        None,
        None,
    ]


@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_words_are_read_or_refused_in_one_line(words: list[str]) -> None:
    try:
        said = read_words(words, NOW)
    except ConfigurationError as error:
        said, message = None, str(error)
    else:
        message = ""
    assert len(message.splitlines()) == (said is None)
    assert said is None or read_words([word for each in said for word in each.words], NOW) == said


def test_no_list_names_a_folder_of_a_machine() -> None:
    for path in LISTS.glob("*.json"):
        assert str(Path.home()) not in path.read_text(encoding="utf-8")
