"""What NVIDIA's driver says of its GPUs, through ``libnvidia-ml.so.1`` and ctypes: no package, no program is started.

Where the library is missing, does not start, or a call fails, there is simply nothing: a machine without a GPU is an
ordinary one. Source of the calls: NVML's reference manual; each returns 0 for success.
"""

import ctypes
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from infra.text.plain import one_line

_LIBRARY = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
_NAME_BYTES = 96
_MEMORY_CLOCK = 2
_TRANSFERS_A_CLOCK = 2
"""Of the clock that NVML states, on GDDR as on HBM: 384 bits at 10,501 MHz are the RTX 4090's 1,008 GB/s."""


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class _MemoryV2(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_uint),
        ("total", ctypes.c_ulonglong),
        ("reserved", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


class _Utilization(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU as its driver describes it at this moment.

    Attributes:
        name: as the driver writes it, on one line.
        vram_bytes: memory that programs can have: the total less what the driver keeps for itself.
        in_use_bytes: what programs have of it.
        capability: compute capability.
        bandwidth_bytes_s: memory bandwidth from bus width and clock, 0 if the driver does not say.
        busy: part of the last moments in which a kernel ran, in [0, 1]; None if the driver does not say.
        driver: version of the driver.
    """

    name: str
    vram_bytes: int
    in_use_bytes: int
    capability: tuple[int, int]
    bandwidth_bytes_s: int
    busy: float | None
    driver: str


def devices() -> tuple[Device, ...]:
    """Return the GPUs of this machine in the driver's order; none where there is no driver."""
    with _library() as library:
        if library is None:
            return ()
        count = ctypes.c_uint()
        if library.nvmlDeviceGetCount_v2(ctypes.byref(count)):
            return ()
        driver = _text(library.nvmlSystemGetDriverVersion)
        found = [_device(library, index, driver) for index in range(min(count.value, 64))]
    return tuple(device for device in found if device)


@contextmanager
def _library() -> Generator[ctypes.CDLL | None]:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        yield None
        return
    if library.nvmlInit_v2():
        yield None
        return
    try:
        yield library
    finally:
        library.nvmlShutdown()


def _device(library: ctypes.CDLL, index: int, driver: str) -> Device | None:
    handle = ctypes.c_void_p()
    if library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)):
        return None
    memory = _memory(library, handle)
    major, minor = ctypes.c_int(), ctypes.c_int()
    if memory is None or library.nvmlDeviceGetCudaComputeCapability(handle, ctypes.byref(major), ctypes.byref(minor)):
        return None
    return Device(
        name=_text(lambda buffer, size: library.nvmlDeviceGetName(handle, buffer, size)),
        vram_bytes=memory[0],
        in_use_bytes=memory[1],
        capability=(major.value, minor.value),
        bandwidth_bytes_s=_bandwidth(library, handle),
        busy=_busy(library, handle),
        driver=driver,
    )


def _memory(library: ctypes.CDLL, handle: ctypes.c_void_p) -> tuple[int, int] | None:
    """Return usable and used bytes; older drivers do not tell what they keep for themselves."""
    newer = _MemoryV2(version=ctypes.sizeof(_MemoryV2) | 2 << 24)
    if hasattr(library, "nvmlDeviceGetMemoryInfo_v2") and not library.nvmlDeviceGetMemoryInfo_v2(
        handle, ctypes.byref(newer)
    ):
        return newer.total - newer.reserved, newer.used
    older = _Memory()
    return None if library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(older)) else (older.total, older.used)


def _bandwidth(library: ctypes.CDLL, handle: ctypes.c_void_p) -> int:
    bits, megahertz = ctypes.c_uint(), ctypes.c_uint()
    if library.nvmlDeviceGetMemoryBusWidth(handle, ctypes.byref(bits)):
        return 0
    if library.nvmlDeviceGetMaxClockInfo(handle, _MEMORY_CLOCK, ctypes.byref(megahertz)):
        return 0
    return bits.value // 8 * megahertz.value * 1_000_000 * _TRANSFERS_A_CLOCK


def _busy(library: ctypes.CDLL, handle: ctypes.c_void_p) -> float | None:
    rates = _Utilization()
    return None if library.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(rates)) else rates.gpu / 100


def _text(call: Callable[[object, int], int]) -> str:
    buffer = ctypes.create_string_buffer(_NAME_BYTES)
    return "" if call(buffer, _NAME_BYTES) else one_line(buffer.value.decode(errors="replace"))
