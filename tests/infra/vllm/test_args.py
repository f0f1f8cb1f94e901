"""The door that prints the command, and the installed vLLM that it asks."""

import json
import shlex
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from graph.cli import main as docmind
from infra.errors import ConfigurationError
from infra.settings import load_settings
from infra.vllm import command as commands
from infra.vllm.args import app
from infra.vllm.asking import verdicts
from infra.vllm.choice import Vllm
from infra.vllm.command import Added, Refused, command_for
from infra.vllm.facts import Wanted
from infra.vllm.gpus import gpu
from infra.vllm.writing import Written, write_files
from tests.infra.vllm.serving import HERE, QWEN, command

PARSER = '#!/bin/sh\nexec "{python}" -c \'{code}\' "$@"\n'


@pytest.fixture(autouse=True)
def _nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "find_vllm", lambda serve: None)


def fake_python(folder: Path, code: str) -> Path:
    """A program that stands in for a Python with vLLM: it runs ``code`` whatever it is asked."""
    path = folder / "python"
    path.write_text(PARSER.format(python=sys.executable, code=code), encoding="utf-8")
    path.chmod(0o755)
    return path


# --- the installed vLLM


def test_an_installed_vllm_is_asked_and_its_word_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = (
        'import json, sys\nfor line in sys.stdin: print(json.dumps("" if "3" in json.loads(line) else "no such thing"))'
    )
    python = fake_python(tmp_path, said.replace('\\"', '"'))
    monkeypatch.setattr(commands, "find_vllm", lambda serve: Vllm(python, "0.32.0", cpu=True))
    wanted, settings = Wanted(QWEN, "RTX 4090", 8_192, "fp8"), load_settings()
    assert command_for(wanted, settings, Added(["--seed", "3"])).asked
    with pytest.raises(Refused, match=r"vLLM 0\.32\.0 itself refuses the command: no such thing"):
        command_for(wanted, settings)
    other = command_for(wanted, settings, Added(version="0.33.0"))
    assert not other.asked
    assert "vLLM 0.32.0 is installed, and the command is for 0.33.0: it was not asked" in other.warnings
    assert not command_for(wanted, settings, Added(ask=False)).asked


def test_one_that_cannot_be_asked_is_a_warning_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = fake_python(tmp_path, "raise SystemExit(1)")
    monkeypatch.setattr(commands, "find_vllm", lambda serve: Vllm(python, "0.32.0", cpu=True))
    command_line = command_for(Wanted(QWEN, "RTX 4090", 8_192, "fp8"), load_settings())
    assert not command_line.asked
    assert command_line.warnings[-1].startswith(f"vLLM of {python} cannot be asked for its arguments")


def test_one_that_hangs_is_ended_in_time(tmp_path: Path) -> None:
    python = fake_python(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(ConfigurationError, match=r"did not judge its arguments in 0\.5 s; --no-ask skips it"):
        verdicts(python, [[QWEN]], seconds=0.5)


@pytest.mark.parametrize("code", ["print(1 +)", "pass", 'print("{")'])
def test_one_that_answers_nonsense_is_said(tmp_path: Path, code: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be asked for its arguments"):
        verdicts(fake_python(tmp_path, code), [[QWEN]])


def test_one_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="see DOCMIND_SERVE__PYTHON"):
        verdicts(tmp_path / "python", [[QWEN]])


def test_it_gets_no_key_and_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCMIND_VLLM__API_KEY", "s3cret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    code = "import json, os; print(json.dumps(str(sorted(os.environ.items()))))"
    said = verdicts(fake_python(tmp_path, code), [[QWEN]])[0]
    assert "s3cret" not in said
    assert "('CUDA_VISIBLE_DEVICES', '')" in said


# --- what is known, and what is not


def with_gpus(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(commands.machines, "here", lambda: replace(HERE, gpus=tuple(map(gpu, names))))


def test_the_gpu_with_most_memory_here_is_taken_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(monkeypatch, "RTX 3060", "RTX 4090")
    found = command_for(Wanted(QWEN, None, 8_192, "fp8"), load_settings())
    assert found.subject.gpu is not None
    assert found.subject.gpu.name == "RTX 4090"
    assert [line for line in found.warnings if "GPU" in line or "nothing is known" in line] == []


def test_without_a_gpu_it_is_said_what_was_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(monkeypatch)
    found = command_for(Wanted(QWEN, None, 8_192, "fp8_e4m3"), load_settings())
    assert any(
        line.startswith("no NVIDIA GPU answers here: what depends on it was not checked") for line in found.warnings
    )


def test_a_version_between_two_known_ones_is_said() -> None:
    wanted, said = (
        Wanted(QWEN, "RTX 4090", 8_192),
        "the options of vLLM 0.32.7 are not known; those of 0.32.0 were taken",
    )
    assert said in command_for(wanted, load_settings(), Added(version="0.32.7")).warnings
    known = command_for(wanted, load_settings(), Added(version="0.32.0"))
    assert [line for line in known.warnings if "are not known" in line] == []


# --- the door


def called(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(docmind, ["args", "--gpu", "RTX 4090", *words])
    return done.exit_code, done.stdout, done.stderr


def test_the_door_prints_the_command_and_warnings_apart() -> None:
    code, out, err = called("--context", "8K", "--vllm-version", "0.32.0", "--", "--seed", "3")
    assert code == 0
    assert out == command("--seed 3").line + "\n"
    assert "is not on this machine" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--", "--swap-space", "4"], "--kv-offloading-size N keeps"),
        (["--kv-cache-dtype", "fp8_e5m2"], "fp8 (= fp8_e4m3) works"),
        (["--env", "VLLM_ATTENTION_BACKEND=FLASHINFER"], "write --attention-backend NAME"),
        (["--env", "nothing"], "write NAME=VALUE"),
        (["--env", "a b=c"], "write NAME=VALUE"),
        (["--vllm-version", "0.1.0"], "DOCMIND_SERVE__VERSION goes from 0.10.1.1 on"),
        (["--gpu", "RTX 9999"], "--gpu knows"),
        (["--", "--tool-call-parser", "qwen3"], "hermes"),
    ],
)
def test_the_door_refuses_with_code_2_and_the_reason(words: list[str], said: str) -> None:
    code, out, err = called(*words)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_json_says_all_of_it_and_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCMIND_VLLM__API_KEY", "s3cret")
    code, out, _ = called("--json", "--vllm-version", "0.32.0", "--context", "8K")
    told = json.loads(out)
    assert (code, told["refused"], told["asked_vllm"], told["vllm_version"]) == (0, [], None, "0.32.0")
    assert told["environment"]["VLLM_API_KEY"] == "***"
    assert shlex.split(told["command"]) == told["words"]
    assert "s3cret" not in out
    code, out, _ = called("--json", "--kv-cache-dtype", "fp8_e5m2")
    assert code == 2
    assert "FP8 checkpoint" in json.loads(out)["refused"][0]


def test_the_files_are_written_once_and_the_variables_for_their_owner_alone(tmp_path: Path) -> None:
    variables, options = tmp_path / "vllm.env", tmp_path / "vllm.yaml"
    words = ["--env-file", str(variables), "--config-yaml", str(options), "--context", "8K"]
    assert called(*words)[0] == 0
    assert stat.S_IMODE(variables.stat().st_mode) == 0o600
    assert "HF_HUB_OFFLINE=1\n" in variables.read_text(encoding="utf-8")
    assert yaml.safe_load(options.read_text(encoding="utf-8"))["max-model-len"] == 8_192
    options.write_text("mine", encoding="utf-8")
    assert called(*words)[0] == 2
    assert options.read_text(encoding="utf-8") == "mine"
    assert called(*words, "--force")[0] == 0
    assert options.read_text(encoding="utf-8") != "mine"


def test_options_with_a_key_are_written_for_their_owner_alone(tmp_path: Path) -> None:
    options = tmp_path / "vllm.yaml"
    assert called("--config-yaml", str(options), "--context", "8K", "--", "--api-key", "hush")[0] == 0
    assert stat.S_IMODE(options.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written: No such file or directory"):
        write_files({tmp_path / "none" / "file": Written("")}, force=False)
    assert list(tmp_path.iterdir()) == []


def test_the_door_alone_is_the_same_command() -> None:
    done = CliRunner().invoke(app, ["--gpu", "RTX 4090", "--context", "8K", "--vllm-version", "0.32.0"])
    assert done.stdout == command().line + "\n"
