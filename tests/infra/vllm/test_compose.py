"""One command from settings, a wish and facts: as words, as a shell line, as files."""

import itertools
import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.errors import ConfigurationError
from infra.settings import load_settings
from infra.vllm import command as commands
from infra.vllm.command import Added, Refused, command_for
from infra.vllm.compose import Composed, compose
from infra.vllm.facts import Wanted
from infra.vllm.models import known, model
from infra.vllm.options import options_for, versions
from infra.vllm.parsers import parsers_for
from infra.vllm.profiles import PROFILES
from infra.vllm.words import read_words
from tests.infra.vllm.serving import QWEN, SMALL, command, subject

AWQ = "Qwen/Qwen2.5-7B-Instruct-AWQ"


@pytest.fixture(autouse=True)
def _nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "find_vllm", lambda serve: None)


def as_words(composed: Composed, folder: Path) -> list[str]:
    """The words that vLLM makes of a ``--config`` file (`FlexibleArgumentParser.load_config_file`)."""
    file = folder / "vllm.yaml"
    file.write_text(composed.config_yaml(), encoding="utf-8")
    words: list[str] = []
    for key, value in yaml.safe_load(file.read_text(encoding="utf-8")).items():
        if isinstance(value, bool):
            words.append(f"--{key}" if value else f"--no-{key}")
        else:
            words += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
    return words


def test_the_card_s_own_server() -> None:
    composed = command(context=131_072, sequences=2)
    assert composed.line == (
        f"vllm serve {QWEN} --host 127.0.0.1 --port 8000 --max-model-len 131072 --kv-cache-dtype fp8"
        " --gpu-memory-utilization 0.92 --max-num-seqs 2 --enable-auto-tool-choice --tool-call-parser hermes"
        " --enable-prefix-caching --enable-prompt-tokens-details"
    )
    assert [line for line in composed.warnings if "DocMind asks" in line] == []
    assert composed.environment == {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }


@pytest.mark.parametrize("version", versions())
def test_for_every_version_each_option_and_variable_is_one_of_its_own(version: str) -> None:
    options = options_for(version)
    context = 8_192 if options.options["--max-model-len"].value == "size" else None
    for on, name in itertools.product(("RTX 3060x2", "H200x2", None), (QWEN, "openai/gpt-oss-20b", AWQ)):
        composed = command(on=on, version=version, model=name, context=context, tensor_parallel=2, eager=True)
        assert read_words(composed.words[2:], options) == composed.given
        assert {each for each in composed.environment if each.startswith("VLLM_")} <= options.environment


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_makes_a_command(profile: str, tmp_path: Path) -> None:
    wish: dict[str, Any] = dict(PROFILES[profile].sets)
    command_line = command(**wish)
    assert shlex.split(command_line.line) == ["vllm", *command_line.words]
    assert as_words(command_line, tmp_path) == ["--model", QWEN, *command_line.words[2:]]


def test_a_person_s_own_options_win_over_settings_and_the_wish() -> None:
    composed = command(
        "--max_num_seqs 9 --no-enable-prefix-caching --compilation-config.mode 3",
        sequences=2,
        serve={"extra_args": "--max-num-seqs 5 --seed 7"},
    )
    assert composed.value("--max-num-seqs") == "9"
    assert composed.value("--seed") == "7"
    assert composed.value("--compilation-config") == "3"
    assert not composed.on("--enable-prefix-caching")
    assert [word for word in composed.words if word.endswith("max-num-seqs")] == ["--max-num-seqs"]


def test_the_config_file_says_the_same(tmp_path: Path) -> None:
    composed = command("--no-async-scheduling --api-key a b --chat-template 'a: \"b\" # c' --seed=-1 --revision 007")
    assert as_words(composed, tmp_path) == [
        word
        for each in composed.given
        for word in (("--model", QWEN, *each.words) if each.key == "--host" else (each.name, *each.values))
    ]


def test_a_key_is_in_the_environment_and_in_no_word() -> None:
    composed = command(key="s3cret")
    assert composed.environment["VLLM_API_KEY"] == "s3cret"
    assert "s3cret" not in composed.line + composed.config_yaml()
    assert "VLLM_API_KEY=s3cret\n" in composed.env_file()


def test_flashinfer_is_asked_for_where_nothing_else_reads_the_cache() -> None:
    assert command(on="RTX 3060").value("--attention-backend") == "FLASHINFER"
    assert command(on="RTX 3060", version="0.10.2").environment["VLLM_ATTENTION_BACKEND"] == "FLASHINFER"
    assert command(on="RTX 3060", kv_cache_dtype="auto").value("--attention-backend") == ""
    assert command(on="RTX 4090").value("--attention-backend") == ""
    assert command(serve={"attention_backend": "TRITON_ATTN"}).value("--attention-backend") == "TRITON_ATTN"


def test_off_loading_names_its_backend_and_is_refused_where_there_is_none() -> None:
    composed = command(offload_gib=12.5)
    assert (composed.value("--kv-offloading-size"), composed.value("--kv-offloading-backend")) == ("12.5", "native")
    with pytest.raises(ConfigurationError, match=r"--kv-offloading-size is no option of vLLM 0\.10\.2: first"):
        command(offload_gib=12.5, version="0.10.2")


def test_the_longest_context_is_left_to_vllm_where_it_can() -> None:
    assert command(context=None).value("--max-model-len") == "auto"
    with pytest.raises(ConfigurationError, match="give --context a number"):
        command(context=None, version="0.10.2")


@pytest.mark.parametrize("version", versions())
def test_what_docmind_needs_is_asked_of_every_version(version: str) -> None:
    composed = command(version=version)
    assert composed.on("--enable-prefix-caching")
    assert composed.on("--enable-prompt-tokens-details")
    assert "--enable-log-requests" in options_for(version).names  # off by default: no prompt stands in the log


def test_what_nobody_asks_for_is_left_to_vllm() -> None:
    words = set(command(kv_cache_dtype="auto").words)
    sizes = {"--kv-cache-dtype", "--max-num-seqs", "--max-num-batched-tokens", "--kv-offloading-size"}
    assert words & (sizes | {"--tensor-parallel-size", "--pipeline-parallel-size", "--enforce-eager"}) == set()


def test_what_is_asked_for_is_said() -> None:
    composed = command(
        on="RTX 4090x8",
        model="Qwen/Qwen3-4B",
        sequences=3,
        batched_tokens=512,
        tensor_parallel=4,
        pipeline_parallel=2,
        eager=True,
        utilization=0.9,
    )
    said = {each.key: each.values for each in composed.given}
    assert said["--max-num-seqs"] == ("3",)
    assert said["--max-num-batched-tokens"] == ("512",)
    assert (said["--tensor-parallel-size"], said["--pipeline-parallel-size"]) == (("4",), ("2",))
    assert said["--gpu-memory-utilization"] == ("0.9",)
    assert said["--reasoning-parser"] == ("qwen3",)
    assert composed.on("--enforce-eager")


def test_a_model_may_be_fetched_only_where_the_settings_say_so() -> None:
    composed = command(serve={"download": True})
    assert composed.environment == {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    assert [line for line in composed.warnings if "may fetch it" in line] == []


def test_the_served_name_is_what_docmind_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCMIND_SERVE__LOAD", AWQ)
    settings = load_settings()
    wanted = Wanted(AWQ, "RTX 4090", 8_192)
    assert command_for(wanted, settings).composed.value("--served-model-name") == QWEN
    other = command_for(Wanted("Qwen/Qwen3-4B", "RTX 4090", 8_192), settings)
    assert other.composed.value("--served-model-name") == ""
    assert "set DOCMIND_VLLM__MODEL to 'Qwen/Qwen3-4B'" in other.warnings[0]


@pytest.mark.parametrize(
    ("name", "parsers"),
    [
        (QWEN, ("hermes", "")),
        ("Qwen/Qwen3-4B-Thinking-2507", ("hermes", "qwen3")),
        ("Qwen/Qwen3-4B", ("hermes", "qwen3")),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", ("qwen3_coder", "")),
        (AWQ, ("hermes", "")),
        ("openai/gpt-oss-20b", ("openai", "openai_gptoss")),
        ("meta-llama/Llama-3.1-8B-Instruct", ("llama3_json", "")),
        ("mistralai/Mistral-7B-Instruct-v0.3", ("mistral", "")),
    ],
)
def test_the_parsers_follow_the_model_s_family(name: str, parsers: tuple[str, str]) -> None:
    found = parsers_for(name, model(name).architecture)
    assert (found.tool_calls, found.reasoning) == parsers
    assert parsers_for(name) == found


@pytest.mark.parametrize(
    ("name", "parsers"),
    [
        ("Qwen/Qwen3-8B-AWQ", ("hermes", "qwen3")),
        ("Qwen/Qwen3.5-35B-A3B", ("qwen3_coder", "qwen3")),
        ("Qwen/Qwen2.5-Coder-7B-Instruct", ("", "")),
        ("Qwen/QwQ-32B", ("hermes", "deepseek_r1")),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", ("", "deepseek_r1")),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", ("", "deepseek_r1")),
        ("NousResearch/Hermes-3-Llama-3.1-8B", ("hermes", "")),
        ("moonshotai/Kimi-K2-Instruct", ("kimi_k2", "")),
        ("/models/tiny", ("", "")),
    ],
)
def test_a_name_alone_tells_the_family_where_no_files_are_here(name: str, parsers: tuple[str, str]) -> None:
    found = parsers_for(name)
    assert (found.tool_calls, found.reasoning) == parsers


@pytest.mark.parametrize("name", known())
def test_the_newest_version_has_the_parsers_of_every_model_of_the_table(name: str) -> None:
    found, newest = parsers_for(name, model(name).architecture), options_for()
    assert found.tool_calls in newest.tool_call_parsers
    assert not found.reasoning or found.reasoning in newest.reasoning_parsers


def test_without_a_known_family_there_is_a_warning_and_no_flag() -> None:
    composed = command(model=QWEN, version="0.10.2", serve={"tool_call_parser": ""})
    assert composed.on("--enable-auto-tool-choice")
    gone = command_for(Wanted("somebody/something", "RTX 4090", 8_192), load_settings())
    assert not gone.composed.on("--enable-auto-tool-choice")
    assert any("DOCMIND_SERVE__TOOL_CALL_PARSER names one" in line for line in gone.warnings)
    assert any(line.startswith("nothing is known of somebody/something") for line in gone.warnings)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no files of the model"):
        command_for(Wanted(str(tmp_path / "none"), "RTX 4090", 8_192), load_settings())


def test_a_variable_of_the_environment_that_says_nothing_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_USE_V1", "1")
    about = command_for(Wanted(QWEN, "RTX 4090", 8_192), load_settings())
    assert [line for line in about.warnings if line.startswith("in your environment: VLLM_USE_V1 is no variable")]


def test_what_is_predicted_not_to_fit_is_warned_of_and_not_refused() -> None:
    about = command_for(Wanted(QWEN, "RTX 4070", 131_072, "fp8"), load_settings())
    assert [line for line in about.warnings if line.startswith("predicted: 131,072 tokens do not fit: ")]
    fitting = command_for(Wanted(QWEN, "RTX 4070", 8_192, "fp8"), load_settings())
    assert [line for line in fitting.warnings if line.startswith("predicted")] == []


def test_another_machine_s_memory_can_be_named() -> None:
    wanted = Wanted(QWEN, "RTX 4090", 8_192, "fp8", offload_gib=3_000.0)
    with pytest.raises(Refused, match="do not fit in the"):
        command_for(wanted, load_settings(), Added(ram_gib=2_048))
    assert command_for(wanted, load_settings(), Added(ram_gib=4_096)).composed.value("--kv-offloading-size") == "3000"


@pytest.mark.parametrize("name", ["", "--trust-remote-code", "a\nb"])
def test_what_is_no_name_of_a_model_never_stands_in_a_command(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is no name of a model; see --model"):
        compose(replace(subject(), wanted=Wanted(name, context=8_192)))


def test_options_of_the_settings_that_are_no_words_are_said() -> None:
    with pytest.raises(ConfigurationError, match="DOCMIND_SERVE__EXTRA_ARGS cannot be read as words: No closing quot"):
        command(serve={"extra_args": "--seed '3"})


def test_a_variable_that_says_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="VLLM_USE_V1 is no variable"):
        command(environment={"VLLM_USE_V1": "1"})


def test_a_home_is_written_out_because_vllm_does_not_know_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text(json.dumps(SMALL), encoding="utf-8")
    composed = command(model="~/m", kv_cache_dtype="auto")
    assert composed.model == str(tmp_path / "m")
    assert composed.value("--served-model-name") == "~/m"


def test_a_home_of_nobody_is_a_name_like_any_other() -> None:
    with pytest.raises(ConfigurationError, match="no files of the model"):
        command(model="~nobody-of-that-name/m")
