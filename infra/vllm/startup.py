"""The phases of a vLLM server's start-up, read from its log.

Gives `Startup`: fed with lines, it says when a new phase begins and gathers the figures that vLLM prints on the way
(version, weights, KV cache). Pure: it starts, reads and waits for nothing. Phases only go forward, because every worker
prints the same lines. The lines are vLLM 0.32's, in ``v1/worker``, ``v1/core/kv_cache_utils.py``, ``v1/engine/core.py``
and ``entrypoints/launchers``; older versions word some of them otherwise, which the tests hold logs of.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

Phase = Literal["start", "model", "weights", "profile", "kv_cache", "graphs", "server", "up"]
PHASES: tuple[Phase, ...] = get_args(Phase)
"""In their order. ``up`` follows from ``/health``, or from the server's own line where nobody asks."""

WORDS: dict[Phase, str] = {
    "start": "starting Python and vLLM",
    "model": "resolving the model",
    "weights": "loading the weights",
    "profile": "profiling memory and compiling",
    "kv_cache": "reserving the KV cache",
    "graphs": "capturing CUDA graphs",
    "server": "opening the port",
    "up": "answering",
}
MAX_LINE_CHARS = 4_000

_BEGINS: tuple[tuple[Phase, re.Pattern[str]], ...] = (
    ("up", re.compile(r"Application startup complete")),
    (
        "server",
        re.compile(r"Starting vLLM (?:API )?server (?:\d+ )?on |Started server process|init engine \(pro"),
    ),
    ("graphs", re.compile(r"Capturing (?:the model for )?(?:CUDA|cuda)\s?graph|Capturing cudagraphs")),
    ("kv_cache", re.compile(r"(?:Available KV cache memory|KV cache size): ")),
    (
        "profile",
        re.compile(r"Model loading took|Loading model weights took|Warming up model|torch\.compile t(?:akes|ook)"),
    ),
    ("weights", re.compile(r"Starting to load model|Loading (?:safetensors|pt) checkpoint shards")),
    ("model", re.compile(r"vLLM API server version|Resolved architecture|Initializing an? (?:V1 )?LLM engine")),
)
_VERSION = re.compile(r"vLLM API server version v?(\d[\w.+-]{0,40})|\bversion\s+v?(\d+\.\d[\w.+-]{0,40})\s*$")
_WEIGHTS = re.compile(r"Model loading took ([\d.]{1,12}) Gi?B")
_AVAILABLE = re.compile(r"Available KV cache memory: ([\d.]{1,12}) GiB")
_KV_TOKENS = re.compile(r"KV cache size: ([\d,]{1,20}) tokens")
_CONCURRENCY = re.compile(r"Maximum concurrency for ([\d,]{1,20}) tokens per request: ([\d.]{1,12})x")


@dataclass(frozen=True, slots=True)
class Figures:
    """What the log said; None: it did not.

    Attributes:
        version: of vLLM.
        weights_gib: GPU memory that the weights take, a GPU.
        kv_gib: memory left for the KV cache, a GPU.
        kv_tokens: tokens that the KV cache holds.
        max_model_len: tokens of the longest request.
        concurrency: requests of that length at once.
    """

    version: str | None = None
    weights_gib: float | None = None
    kv_gib: float | None = None
    kv_tokens: int | None = None
    max_model_len: int | None = None
    concurrency: float | None = None

    def told(self, phase: Phase) -> str:
        """Return the figures that stand in a phase's progress line; empty for none."""
        if phase == "profile" and self.weights_gib is not None:
            return f"weights {self.weights_gib:.2f} GiB"
        if phase == "up":
            return ", ".join(part for part in (f"vLLM {self.version}" if self.version else "", self._kv()) if part)
        return self._kv() if phase == "kv_cache" else ""

    def _kv(self) -> str:
        if self.kv_tokens is None:
            return "" if self.kv_gib is None else f"{self.kv_gib:.2f} GiB"
        longest = f" = {self.concurrency:.2f} x {self.max_model_len:,}" if self.max_model_len else ""
        return f"KV cache {self.kv_tokens:,} tokens{longest}"


class Startup:
    """Where a start-up is."""

    def __init__(self) -> None:
        self.phase: Phase = "start"
        self.figures = Figures()

    def feed(self, line: str) -> Phase | None:
        """Take one line of the log; return the phase that begins with it, None where none does."""
        line = line[:MAX_LINE_CHARS]
        self._gather(line)
        for phase, pattern in _BEGINS:
            if PHASES.index(phase) <= PHASES.index(self.phase):
                return None
            if pattern.search(line):
                self.phase = phase
                return phase
        return None

    def _gather(self, line: str) -> None:
        of, found = self.figures, self._found
        length = _CONCURRENCY.search(line)
        self.figures = Figures(
            version=of.version or found(_VERSION, line),
            weights_gib=_number(found(_WEIGHTS, line)) or of.weights_gib,
            kv_gib=_number(found(_AVAILABLE, line)) or of.kv_gib,
            kv_tokens=_whole(found(_KV_TOKENS, line)) or of.kv_tokens,
            max_model_len=_whole(length[1]) if length else of.max_model_len,
            concurrency=_number(length[2]) if length else of.concurrency,
        )

    @staticmethod
    def _found(pattern: re.Pattern[str], line: str) -> str | None:
        match = pattern.search(line)
        return next((group for group in match.groups() if group), None) if match else None


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:  # several points: not a number of vLLM's
        return None


def _whole(text: str | None) -> int | None:
    digits = text.replace(",", "") if text else ""
    return int(digits) if digits else None
