"""What the tests of the composer share: a wish, facts of a model and of a GPU, and the command for them."""

import shlex
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from infra.settings import ServeSettings, VllmSettings
from infra.vllm.compose import Composed, Subject, compose
from infra.vllm.conflicts import conflicts, warned
from infra.vllm.facts import GIB, Machine, Wanted
from infra.vllm.gpus import gpu
from infra.vllm.models import model
from infra.vllm.options import options_for

QWEN = "Qwen/Qwen3-4B-Instruct-2507-FP8"
SMALL = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1_024,
    "max_position_embeddings": 40_960,
}
"""A config.json with what every model says."""
HERE = Machine(gpus=(), cpu_cores=8, ram_bytes=64 * GIB, ram_free_bytes=32 * GIB)


def subject(
    extra: str = "",
    *,
    on: str | None = "RTX 4090",
    version: str = "0.32.0",
    serve: dict[str, Any] | None = None,
    key: str = "EMPTY",
    environment: dict[str, str] | None = None,
    **wish: Any,
) -> Subject:
    wished: dict[str, Any] = {"model": QWEN, "context": 8_192, "kv_cache_dtype": "fp8", **wish}
    wanted = Wanted(**wished)
    return Subject(
        wanted=wanted,
        serve=ServeSettings(**(serve or {})),
        vllm=VllmSettings(model=wanted.model, api_key=SecretStr(key)),
        options=options_for(version),
        model=model(wanted.model),
        gpu=gpu(on) if on else None,
        machine=HERE,
        extra=tuple(shlex.split(extra)),
        environment=environment or {},
    )


def command(extra: str = "", **given: Any) -> Composed:
    return compose(subject(extra, **given))


def reasons(extra: str = "", **given: Any) -> tuple[str, ...]:
    about = subject(extra, **given)
    return conflicts(about, compose(about))


def second_looks(extra: str = "", **given: Any) -> tuple[str, ...]:
    about = subject(extra, **given)
    return warned(about, compose(about))


def unknown_model(about: Subject) -> Subject:
    return replace(about, model=None)
