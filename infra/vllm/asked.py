"""What a person asks for on the command line, the same for plan, args, units and serve.

A command that is decorated with `asks` takes a `facts.Wanted` first and gets all of these options for it. What an
option leaves open, the settings that somebody set (``DOCMIND_SERVE__...``, ``DOCMIND_VLLM__...``) say; what they leave
open, the profile; then the settings' and vLLM's defaults.
"""

import inspect
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from infra.errors import ConfigurationError
from infra.text.plain import short_line
from infra.vllm.facts import GIB, KvDtype, Wanted
from infra.vllm.gpus import how_many
from infra.vllm.profiles import PROFILES, profile

MAX_TOKENS = 16_777_216
"""Longest context that anybody may ask for; the settings have the same bound."""

_UNITS = {"k": 1_000, "K": 1 << 10, "m": 1_000_000, "M": 1 << 20}

_OPTIONS: dict[str, Any] = {
    "model": Annotated[str | None, typer.Option(help="Name or folder of the model. [default: DOCMIND_VLLM__MODEL]")],
    "gpu": Annotated[
        str | None, typer.Option(help='Name of the GPU, such as "RTX 4070" or "RTX 3090x2". [default: the one here]')
    ],
    "context": Annotated[
        str | None,
        typer.Option(
            help="Longest request in tokens (12288, 12K, 128K = 131,072), or auto for the longest that fits."
            " [default: DOCMIND_VLLM__CONTEXT_WINDOW]"
        ),
    ],
    "kv_cache_dtype": Annotated[
        str | None,
        typer.Option(help=f"{', '.join(get_args(KvDtype))}. [default: DOCMIND_VLLM__KV_CACHE_DTYPE]"),
    ],
    "profile": Annotated[str | None, typer.Option(help=f"{', '.join(PROFILES)}; what you give yourself wins.")],
    "utilization": Annotated[
        float | None, typer.Option(min=0.05, max=1, help="Part of each GPU's memory that vLLM may use. [default: 0.92]")
    ],
    "sequences": Annotated[int | None, typer.Option(min=1, max=65_536, help="Requests at once at most.")],
    "batched_tokens": Annotated[int | None, typer.Option(min=1, max=MAX_TOKENS, help="Tokens of one step at most.")],
    "tensor_parallel": Annotated[
        int | None, typer.Option(min=1, max=64, help="GPUs that share each layer. [default: all]")
    ],
    "pipeline_parallel": Annotated[
        int | None, typer.Option(min=1, max=64, help="Groups of GPUs that share the layers. [default: 1]")
    ],
    "offload_gib": Annotated[
        float | None, typer.Option(min=0, max=65_536, help="KV cache kept in main memory, in GiB over all GPUs.")
    ],
    "beside_gib": Annotated[
        float | None, typer.Option(min=0, max=1_024, help="GPU memory that other programs use, in GiB.")
    ],
    "eager": Annotated[bool | None, typer.Option("--eager/--cuda-graphs", help="Without CUDA graphs, or with them.")],
}


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` the options of this module in place of its first parameter, a `facts.Wanted`.

    The other parameters of ``command`` must be keywords with defaults; they stay as they are.
    """
    keyword = inspect.Parameter.KEYWORD_ONLY
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    shared = [inspect.Parameter(name, keyword, default=None, annotation=kind) for name, kind in _OPTIONS.items()]

    def call(**values: Any) -> None:
        command(wanted({name: values.pop(name) for name in _OPTIONS}), **values)

    call.__signature__ = inspect.Signature([*shared, *(p.replace(kind=keyword) for p in own)])
    call.__annotations__ = {p.name: p.annotation for p in (*shared, *own)}
    call.__name__, call.__doc__ = command.__name__, command.__doc__
    return call


def wanted(given: Mapping[str, Any]) -> Wanted:
    """Return what is wanted from ``given``: option names of this module, None where a person said nothing.

    Raises:
        ConfigurationError: a length, a type, a profile or a setting is not one.
    """
    said = {name: value for name, value in given.items() if value is not None}
    stated, defaults = _settings()
    name = str(said.pop("profile", "") or stated.pop("profile", ""))
    if "context" in said:
        said["context"] = tokens(str(said["context"]))
    if "beside_gib" in said:
        said["beside_bytes"] = round(float(said.pop("beside_gib")) * GIB)
    values: dict[str, Any] = {**defaults, **(profile(name).sets if name else {}), **stated, **said}
    if values["kv_cache_dtype"] not in get_args(KvDtype):
        known = ", ".join(get_args(KvDtype))
        raise ConfigurationError(f"--kv-cache-dtype {short_line(str(values['kv_cache_dtype']))!r}: vLLM knows {known}")
    if "tensor_parallel" not in values:
        values["tensor_parallel"] = max(1, how_many(values.get("gpu") or "") // values.get("pipeline_parallel", 1))
    return Wanted(**values, profile=name)


def tokens(text: str) -> int | None:
    """Return a length as vLLM reads it (``12288``, ``128k`` = 128,000, ``128K`` = 131,072); None for ``auto``.

    Raises:
        ConfigurationError: it is none, or out of bounds.
    """
    if text == "auto":
        return None
    digits, unit = (text[:-1], _UNITS[text[-1]]) if text[-1:] in _UNITS else (text, 1)
    size = int(digits) * unit if digits.isascii() and digits.isdigit() and len(digits) < len(str(MAX_TOKENS)) + 1 else 0
    if not 1 <= size <= MAX_TOKENS:
        raise ConfigurationError(
            f"--context {short_line(text)!r}: give tokens from 1 to {MAX_TOKENS:,}, such as 12288 or 128K, or auto"
        )
    return size


_SERVE = {
    "load": "model",
    "gpu": "gpu",
    "profile": "profile",
    "gpu_memory_utilization": "utilization",
    "max_num_seqs": "sequences",
    "max_num_batched_tokens": "batched_tokens",
    "tensor_parallel_size": "tensor_parallel",
    "pipeline_parallel_size": "pipeline_parallel",
    "kv_offloading_size": "offload_gib",
    "enforce_eager": "eager",
}
_VLLM = {"model": "model", "context_window": "context", "kv_cache_dtype": "kv_cache_dtype"}


DEFAULTS: dict[str, Any] = {
    "model": "Qwen/Qwen3-4B-Instruct-2507-FP8",
    "context": 131_072,
    "kv_cache_dtype": "fp8",
}
"""What the settings say where nobody set anything; a test compares them."""


def _settings() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the settings say because somebody set it, and what they say by default; `facts.Wanted`'s names.

    They are read only where there are any: that takes longer than a plan.
    """
    if not Path(".env").exists() and not any(name.upper().startswith("DOCMIND_") for name in os.environ):
        return {}, DEFAULTS
    settings = import_module("infra.settings").load_settings()
    stated: dict[str, Any] = {}
    for section, names in ((settings.vllm, _VLLM), (settings.serve, _SERVE)):
        for name in section.model_fields_set & set(names):
            if (value := getattr(section, name)) not in (None, ""):
                stated[names[name]] = value
    return stated, {ours: getattr(settings.vllm, name) for name, ours in _VLLM.items()}
