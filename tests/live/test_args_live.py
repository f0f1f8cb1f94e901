"""Every composed command parses in the real vLLM; every bad one is refused by us and, where it looks, by vLLM.

Needs ``VLLM_DIR`` (`make live`), but no server: only vLLM's Python is run.
"""

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.errors import ConfigurationError
from infra.settings import ServeSettings, VllmSettings
from infra.vllm.asking import SCRIPT, verdicts
from infra.vllm.compose import Composed, Subject, compose
from infra.vllm.conflicts import conflicts
from infra.vllm.facts import GpuFacts, KvDtype, Wanted
from infra.vllm.gpus import gpu, table
from infra.vllm.models import known, model
from infra.vllm.options import LISTS, options_for
from infra.vllm.profiles import PROFILES

pytestmark = pytest.mark.live

VERSION = "0.32.0"
SECONDS = 300.0
KV_TYPES: tuple[KvDtype, ...] = ("auto", "fp8", "fp8_e5m2")


@pytest.fixture(scope="module")
def home() -> Path:
    folder = os.environ.get("VLLM_DIR")
    if not folder:
        pytest.fail("no vLLM: run `make live VLLM_DIR=/path/to/folder`")
    return Path(folder)


@pytest.fixture(scope="module")
def python(home: Path) -> Path:
    return home / "venv" / "bin" / "python"


def wishes(tiny: Path) -> Iterator[tuple[Wanted, GpuFacts | None]]:
    """The product of profiles (and none), models, GPUs (one, two and none) and types of the KV cache."""
    by_capability = {each.capability: each for each in table()}  # nothing else of a GPU is in a command
    gpus = [replace(each, count=count) for each in by_capability.values() for count in (1, 2)]
    sets = [dict(each.sets) for each in PROFILES.values()] + [{"offload_gib": 8.0}, {"context": None}]
    for given, name, card in itertools.product(sets, [*known(), str(tiny)], [*gpus, None]):
        spread = [{"tensor_parallel": 2}, {"pipeline_parallel": 2}] if card and card.count > 1 else [{}]
        for kv, parallel in itertools.product(KV_TYPES, spread):
            wish: dict[str, Any] = {"model": name, **given, "kv_cache_dtype": kv, **parallel}
            yield Wanted(**wish), card


def about(wanted: Wanted, card: GpuFacts | None, **serve: Any) -> Subject:
    facts = model(wanted.model)
    limit = min(wanted.context or facts.max_context, facts.max_context)
    wanted = replace(wanted, context=limit if wanted.context is not None else None)
    settings = VllmSettings(model=wanted.model)
    return Subject(wanted, ServeSettings(**serve), settings, options_for(VERSION), facts, card)


def test_the_list_kept_is_what_the_real_parser_prints(python: Path) -> None:
    done = subprocess.run([python, SCRIPT, "list"], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert json.loads(done.stdout) == json.loads((LISTS / f"{VERSION}.json").read_text(encoding="utf-8"))


def test_every_command_the_composer_makes_parses_in_the_real_vllm(home: Path, python: Path) -> None:
    made: dict[tuple[str, ...], Composed] = {}
    refused = 0
    for wanted, card in wishes(home / "tiny"):
        subject = about(wanted, card)
        composed = compose(subject)
        if conflicts(subject, composed):
            refused += 1
        else:
            made[composed.words] = composed
    assert len(made) > 500
    assert refused > 100
    print(f"{len(made)} commands, {refused} wishes refused")  # noqa: T201 - what was measured
    said = verdicts(python, [words[1:] for words in made], seconds=SECONDS)
    assert [(line, word) for line, word in zip(made, said, strict=True) if word] == []


def test_every_config_file_parses_in_the_real_vllm(home: Path, python: Path, tmp_path: Path) -> None:
    files: list[list[str]] = []
    for name, given in PROFILES.items():
        wish: dict[str, Any] = {"model": str(home / "tiny"), **given.sets}
        composed = compose(about(Wanted(**wish), gpu("RTX 3060")))
        file = tmp_path / f"{name}.yaml"
        file.write_text(composed.config_yaml(), encoding="utf-8")
        files.append(["--config", str(file)])
    assert verdicts(python, files, seconds=SECONDS) == [""] * len(files)


ONLY_OURS: dict[str, dict[str, Any]] = {
    "fp8_e5m2 with an FP8 checkpoint": {"quantization": "fp8", "wish": {"kv_cache_dtype": "fp8_e5m2"}},
    "no such hardware": {"on": "T4", "wish": {"kv_cache_dtype": "fp8"}},
    "a backend without FP8": {
        "on": "RTX 4090",
        "wish": {"kv_cache_dtype": "fp8"},
        "extra": ["--attention-backend", "FLASH_ATTN"],
    },
    "more GPUs than there are": {"on": "RTX 4090", "wish": {"tensor_parallel": 2}},
}
"""What no vLLM can see before its GPU is there: its own checks run in the worker."""

BAD: dict[str, dict[str, Any]] = {
    "a quantization that is not the checkpoint's": {"quantization": "awq", "extra": ["--quantization", "fp8"]},
    "a context beyond the model's": {"wish": {"context": 50_000}},
    "an unknown tool parser": {"extra": ["--tool-call-parser", "qwen3"]},
    "an unknown reasoning parser": {"extra": ["--reasoning-parser", "qwen_3"]},
    "batched tokens below sequences": {"wish": {"batched_tokens": 2, "sequences": 8}},
    "a part of the memory above one": {"extra": ["--gpu-memory-utilization", "1.2"]},
    "no part of the memory": {"extra": ["--gpu-memory-utilization", "0"]},
    "heads that do not share": {"on": "RTX 4090x3", "wish": {"tensor_parallel": 3}},
    "a removed option": {"extra": ["--swap-space", "4"]},
    "one more": {"extra": ["--num-scheduler-steps", "10"]},
    "a third": {"extra": ["--max-seq-len-to-capture", "8192"]},
    "a fourth": {"extra": ["--calculate-kv-scales"]},
    "a fifth": {"extra": ["--rope-scaling", "{}"]},
    "one that never was": {"extra": ["--max-num-prefills", "16"]},
    "a value behind a flag": {"extra": ["--disable-log-stats", "false"]},
    "a value behind another": {"extra": ["--enforce-eager", "false"]},
    "a type of no KV cache": {"extra": ["--kv-cache-dtype", "fp9"]},
}


def bad(home: Path, tmp_path: Path, case: dict[str, Any]) -> tuple[list[str], str]:
    """Return the words that vLLM would be given, and what we say to them."""
    folder = tmp_path / "model"
    shutil.copytree(home / "tiny", folder, ignore=shutil.ignore_patterns("*.safetensors"), dirs_exist_ok=True)
    if "quantization" in case:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        stated = {"quant_method": case["quantization"], "bits": 4, "group_size": 128, "zero_point": True}
        fp8 = {"quant_method": "fp8", "activation_scheme": "dynamic"}
        config["quantization_config"] = fp8 if case["quantization"] == "fp8" else stated
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    wish: dict[str, Any] = {"model": str(folder), "context": 4_096, **case.get("wish", {})}
    wanted = Wanted(**wish)
    subject = Subject(
        wanted,
        ServeSettings(),
        VllmSettings(model=wanted.model),
        options_for(VERSION),
        model(wanted.model),
        gpu(case["on"]) if "on" in case else None,
    )
    words = [*compose(subject).words[1:], *case.get("extra", [])]
    try:
        with_extra = replace(subject, extra=tuple(case.get("extra", ())))
        return words, "\n".join(conflicts(with_extra, compose(with_extra)))
    except ConfigurationError as error:
        return words, str(error)


@pytest.mark.parametrize("name", [*BAD, *ONLY_OURS])
def test_every_bad_combination_is_refused_by_us(name: str, home: Path, tmp_path: Path) -> None:
    words, said = bad(home, tmp_path, (BAD | ONLY_OURS)[name])
    assert words
    assert len(said.splitlines()) == 1, said


def test_and_by_vllm_where_it_looks(home: Path, python: Path, tmp_path: Path) -> None:
    lines = [bad(home, tmp_path / str(number), case)[0] for number, case in enumerate(BAD.values())]
    good = bad(home, tmp_path / "good", {})[0]
    said = dict(zip([*BAD, "good"], verdicts(python, [*lines, good], engine=True, seconds=SECONDS), strict=True))
    assert said.pop("good") == ""
    assert [name for name, word in said.items() if not word] == []
