"""The planner's door: what it prints, its codes, and what it does not load."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from infra.vllm import gpus
from infra.vllm.__main__ import main
from infra.vllm.doors import DOORS
from infra.vllm.plan_show import app

ARGUMENTS = ["--model", "Qwen/Qwen3-4B-Instruct-2507-FP8", "--gpu", "RTX 4070", "--kv-cache-dtype", "fp8"]


def test_the_door_prints_a_bar_tables_and_a_verdict() -> None:
    done = CliRunner().invoke(app, [*ARGUMENTS, "--context", "12288"], env={"COLUMNS": "160"})
    assert done.exit_code == 0
    for words in ("All figures are predicted", "█ weights 4.11", "73,728", "Fits: 12,288 tokens, predicted"):
        assert words in done.output


def test_the_door_prints_one_json_object() -> None:
    done = CliRunner().invoke(app, [*ARGUMENTS, "--context", "128K", "--json"])
    value = json.loads(done.output)
    assert done.exit_code == 1
    assert (value["predicted"], value["fits"], value["context"]) == (True, False, 131_072)
    assert value["kv"][1]["token_bytes"] == 73_728
    assert value["remedies"][-1]["change"].startswith("shorten the context: --context")


def test_the_door_plans_for_ollama_and_refuses_a_third() -> None:
    done = CliRunner().invoke(app, [*ARGUMENTS, "--target", "ollama", "--context", "32K"], env={"COLUMNS": "160"})
    assert done.exit_code == 0
    assert "OLLAMA_KV_CACHE_TYPE=" in done.output
    assert CliRunner().invoke(app, [*ARGUMENTS, "--target", "x"]).exit_code == 2
    assert CliRunner().invoke(app, ["--gpu", "x"]).exit_code == 2


def test_a_plan_loads_neither_a_model_library_nor_an_agent() -> None:
    heavy = "langgraph langchain_core llama_index numpy torch openai httpx2 vllm"
    code = (
        "import sys; from typer.testing import CliRunner; from graph.cli import main;"
        f"done = CliRunner().invoke(main, ['plan', *{ARGUMENTS!r}]); assert done.exit_code == 1, done.output;"
        f"print(sorted(set('{heavy}'.split()) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_more_is_kept_in_main_memory_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "installed", lambda: (gpus.gpu("RTX 4090"),))
    done = CliRunner().invoke(app, ["--model", "Qwen/Qwen3-4B", "--offload-gib", "60000"])
    assert done.exit_code == 2
    assert "--offload-gib 60000 is more than the" in done.stderr


def test_the_kit_lists_its_doors_and_ends_wrong_use_with_one_line() -> None:
    listed = CliRunner().invoke(main, ["--help"]).output
    assert all(f" {name} " in listed for name in DOORS)
    for words in (["--context", "abc"], ["--profile", "x"], ["--gpu", "x"], ["--model", "nobody/nothing"]):
        done = CliRunner().invoke(main, ["plan", *ARGUMENTS, *words])
        assert done.exit_code == 2
        assert done.stderr.startswith("docmind: ")
        assert done.stderr.count("\n") == 1
