"""GPUs by name and from the driver; the machine; without a driver nothing fails."""

import ctypes
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra.errors import ConfigurationError
from infra.vllm import gpus, machine, nvml
from infra.vllm.facts import GIB
from infra.vllm.gpus import TABLE, gpu, how_many, installed, kv_types

ROWS = json.loads(TABLE.read_text(encoding="utf-8"))["gpus"]

LIBRARY = """
#include <string.h>
#include <stdio.h>
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory;
typedef struct { unsigned gpu, memory; } rates;
int nvmlInit_v2(void) { return %(start)d; }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { strcpy(text, "575.57.08"); return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 3; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = (void *)(long)(index + 1); return 0; }
int nvmlDeviceGetName(void *handle, char *text, unsigned size) {
    strcpy(text, (long)handle == 3 ? "Odd\\nCard" : "NVIDIA GeForce RTX 4090"); return 0; }
int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) { *major = 8; *minor = 9; return 0; }
int nvmlDeviceGetMemoryInfo_v2(void *handle, memory *m) {
    m->total = 25757220864ULL; m->reserved = 364904448ULL; m->used = 1000000000ULL * (long)handle; return 0; }
int nvmlDeviceGetMemoryBusWidth(void *handle, unsigned *bits) { *bits = 384; return 0; }
int nvmlDeviceGetMaxClockInfo(void *handle, int kind, unsigned *mhz) { *mhz = 10501; return 0; }
int nvmlDeviceGetUtilizationRates(void *handle, rates *r) { r->gpu = 37; return 0; }
"""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_row_of_the_table_is_plausible_and_names_its_source(row: dict[str, object]) -> None:
    facts = gpu(str(row["name"]))
    assert facts.source.startswith("https://")
    assert 9 * GIB < facts.vram_bytes < 144 * GIB
    assert 200e9 < facts.bandwidth_bytes_s < 5e12
    assert 20e12 < facts.fp16_flops < 1e15
    assert facts.fp8_weights == (facts.fp8_flops > 0) == (facts.capability >= (8, 9))
    assert facts.fp8_flops in (0, pytest.approx(2 * facts.fp16_flops, rel=0.03))


def test_the_cards_people_have_are_in_the_table() -> None:
    named = ["3060", "3080", "3090", "4070", "4070Ti", "4080", "4090", "5070", "5070ti", "5080", "5090"]
    named += ["A10", "A4000", "A5000", "L4", "T4", "L40S", "H100", "H200"]
    assert [gpu(name).count for name in named] == [1] * len(named)
    assert gpu("RTX 4060 Ti 16GB").vram_bytes < gpu("A100 80GB").vram_bytes


@pytest.mark.parametrize("text", ["RTX 3090x2", "NVIDIA GeForce RTX 3090 x2", "3090 X2", "rtx3090×2"])
def test_several_gpus_are_written_behind_the_name(text: str) -> None:
    facts = gpu(text)
    assert (facts.name, facts.count, how_many(text)) == ("RTX 3090", 2, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Voodoo 2", "no GPU 'Voodoo 2' is known; --gpu knows RTX 3060, RTX 3080"),
        ("", "no GPU '' is known"),
        ("RTX 4090x0", "from 1 to 64 GPUs"),
        ("RTX 4090x999", "from 1 to 64 GPUs"),
    ],
)
def test_an_unknown_gpu_is_answered_with_the_names_there_are(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        gpu(text)


@pytest.mark.parametrize(
    ("capability", "fp8"),
    [((7, 5), False), ((8, 0), True), ((8, 6), True), ((8, 9), True), ((9, 0), True), ((12, 0), True)],
)
def test_fp8_keys_and_values_need_ampere(capability: tuple[int, int], fp8: bool) -> None:
    assert ("fp8_e5m2" in kv_types(capability)) is fp8
    assert "auto" in kv_types(capability)


def test_without_a_driver_there_are_no_gpus_and_a_name_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "_LIBRARY", "libnothing-of-this-name.so.1")
    assert installed() == ()
    with pytest.raises(ConfigurationError, match=r'no NVIDIA GPU answers on this machine; .* --gpu "RTX 4070"'):
        gpus.here(None)
    assert gpus.here("RTX 4070").name == "RTX 4070"


Driver = Callable[[int], None]
"""Puts the library in place; it answers this when it is started, 0 for success."""


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Stand in for NVIDIA's library: a real one, compiled, that answers as its manual says."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")

    def build(start: int) -> None:
        source, library = tmp_path / "nvml.c", tmp_path / f"libnvml{start}.so"
        source.write_text(LIBRARY % {"start": start}, encoding="utf-8")
        subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", library, source], check=True)
        monkeypatch.setattr(nvml, "_LIBRARY", str(library))

    return build


def test_the_driver_says_what_is_here(driver: Driver) -> None:
    driver(0)
    known, odd = installed()
    assert (known.name, known.count, known.capability, known.driver) == ("RTX 4090", 2, (8, 9), "575.57.08")
    assert known.vram_bytes == 25_757_220_864 - 364_904_448
    assert (known.in_use_bytes, known.source) == (2_000_000_000, "NVML")
    assert known.bandwidth_bytes_s == 1_008_096_000_000  # the maker says 1,008 GB/s
    assert known.fp16_flops == gpu("RTX 4090").fp16_flops
    assert (odd.name, odd.count, odd.fp16_flops) == ("Odd Card", 1, 0)
    assert nvml.devices()[0].busy == 0.37
    assert gpus.here(None).name == "RTX 4090"


def test_a_driver_that_does_not_start_is_as_none(driver: Driver) -> None:
    driver(9)
    assert nvml.devices() == ()


def test_the_machine_says_its_cores_and_memory() -> None:
    here = machine.here()
    assert here.cpu_cores >= 1
    assert here.ram_bytes >= here.ram_free_bytes > 0


def test_a_system_that_says_nothing_of_its_memory_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "_MEMINFO", tmp_path / "missing")
    monkeypatch.setattr(machine, "os", SimpleNamespace(cpu_count=lambda: 3))
    here = machine.here()
    assert (here.cpu_cores, here.ram_bytes, here.ram_free_bytes) == (3, 0, 0)


def test_the_memory_structure_is_the_size_the_driver_checks() -> None:
    assert ctypes.sizeof(nvml._MemoryV2) == 40
