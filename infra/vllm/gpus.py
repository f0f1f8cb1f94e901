"""What is known of a GPU: of the ones here from NVIDIA's driver library, of any other by name from the built-in table.

The table (``data/gpus.json``) names the source of its figures; ``vram_mib`` is the memory that CUDA reports as total,
a little less than what is printed on the box.
"""

import json
import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from infra.errors import ConfigurationError
from infra.text.plain import short_line
from infra.vllm import nvml
from infra.vllm.facts import GIB, GpuFacts

TABLE = Path(__file__).parent / "data" / "gpus.json"
MAX_GPUS = 64

_MANY = re.compile(r"\s*[x×]\s*(\d{1,3})\s*$", re.IGNORECASE)
_NOISE = re.compile(r"nvidia|geforce|tesla|gpu|graphics|[^a-z0-9]")


def gpu(text: str) -> GpuFacts:
    """Return the GPU of this name, such as ``RTX 4070``, ``NVIDIA GeForce RTX 3090 x2`` or ``4090x2``.

    Raises:
        ConfigurationError: no GPU of the table has this name; the message lists those there are.
    """
    name, count = _MANY.sub("", text), how_many(text)
    wanted = _key(name)
    for facts in table():
        if wanted and wanted in {_key(facts.name), _key(facts.name).removeprefix("rtx")}:
            return replace(facts, count=count)
    known = ", ".join(facts.name for facts in table())
    raise ConfigurationError(f"no GPU {short_line(name, 60)!r} is known; --gpu knows {known}, each also as NAMExN")


def how_many(text: str) -> int:
    """Return the N of ``NAMExN``, 1 without it.

    Raises:
        ConfigurationError: it is not from 1 to 64.
    """
    found = _MANY.search(text)
    count = int(found.group(1)) if found else 1
    if not 1 <= count <= MAX_GPUS:
        raise ConfigurationError(f"--gpu {short_line(text, 60)!r}: from 1 to {MAX_GPUS} GPUs are planned for")
    return count


def installed() -> tuple[GpuFacts, ...]:
    """Return the GPUs of this machine, one entry a kind; none where there is no driver, or it does not answer."""
    found: dict[str, GpuFacts] = {}
    for device in nvml.devices():
        facts = _measured(device)
        same = found.get(facts.name)
        in_use = max(facts.in_use_bytes, same.in_use_bytes) if same else facts.in_use_bytes
        found[facts.name] = replace(facts, count=same.count + 1 if same else 1, in_use_bytes=in_use)
    return tuple(found.values())


def here(name: str | None) -> GpuFacts:
    """Return the GPU that is meant: the one of this name, or without one the kind this machine has most memory of.

    Raises:
        ConfigurationError: no name was given and no GPU answers here.
    """
    if name is not None:
        return gpu(name)
    if found := installed():
        return max(found, key=lambda facts: facts.count * facts.vram_bytes)
    raise ConfigurationError('no NVIDIA GPU answers on this machine; name one to plan for, such as --gpu "RTX 4070"')


@lru_cache(maxsize=1)
def table() -> tuple[GpuFacts, ...]:
    """Return the built-in table, one GPU each."""
    return tuple(_listed(row) for row in json.loads(TABLE.read_text(encoding="utf-8"))["gpus"])


def _listed(row: dict[str, Any]) -> GpuFacts:
    capability = (int(row["capability"][0]), int(row["capability"][1]))
    return GpuFacts(
        name=row["name"],
        count=1,
        vram_bytes=row["vram_mib"] << 20,
        capability=capability,
        bandwidth_bytes_s=round(row["bandwidth_gb_s"] * 1e9),
        fp16_flops=round(row["fp16_tflops"] * 1e12),
        fp8_flops=round(row["fp8_tflops"] * 1e12),
        fp8_weights=capability >= (8, 9),
        kv_types=kv_types(capability),
        in_use_bytes=0,
        driver="",
        source=row["source"],
    )


def kv_types(capability: tuple[int, int]) -> frozenset[str]:
    """Return the values of ``--kv-cache-dtype`` that vLLM runs on a GPU of this compute capability.

    FlashInfer reads FP8, FlashAttention from 9.0 on and e4m3 only, Triton from 8.9 on. BF16 needs 8.0.
    Source: ``validate_configuration`` of vLLM 0.32 and 0.33, asked with the capability faked.
    """
    plain = {"auto", "float16"}
    if capability >= (8, 0):
        plain |= {"bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2"}
    return frozenset(plain)


def _measured(device: nvml.Device) -> GpuFacts:
    """Return what the driver says, with speeds from the table where it has this GPU."""
    known = next((facts for facts in table() if _key(facts.name) == _key(device.name)), None)
    return GpuFacts(
        name=known.name if known and abs(known.vram_bytes - device.vram_bytes) < GIB else short_line(device.name, 60),
        count=1,
        vram_bytes=device.vram_bytes,
        capability=device.capability,
        bandwidth_bytes_s=device.bandwidth_bytes_s or (known.bandwidth_bytes_s if known else 0),
        fp16_flops=known.fp16_flops if known else 0,
        fp8_flops=known.fp8_flops if known else 0,
        fp8_weights=device.capability >= (8, 9),
        kv_types=kv_types(device.capability),
        in_use_bytes=device.in_use_bytes,
        driver=device.driver,
        source="NVML",
    )


def _key(name: str) -> str:
    return _NOISE.sub("", name.lower())
