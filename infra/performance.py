"""What a model call cost, as the specification's performance-metrics record (section 5), one record a call.

Gives `metrics_of` (a ledger entry → the record, a pure function), `measured` (the record as a row of
``performance_logs``) and `with_gpus`, which adds what the GPUs of this machine hold. What is not known is None:
processor load is not measured. The record holds names, counts and times, and no text of a question, a document, a reply
or an error.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from infra.llm.ledger import Call, Outcome
from infra.store.performance import Measured

OPERATION = "model_call"
MAX_NAME_CHARS = 200
MAX_TOKENS = 10**12
SHORTEST_SECONDS = 1e-6
_STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Inference:
    """Speeds in tokens a second, times in milliseconds, sizes in tokens.

    Attributes:
        decode_tokens_per_second: (reply tokens - 1) / (last request's time - time to its first token).
        prefill_tokens_per_second: prompt tokens not taken from the cache / time to the first token.
        time_to_first_token: of the last request.
        total_latency: first count to the end, waits between tries included.
        tokens_generated: as the server reported them.
        context_length: tokens of the prompt: as the server reported them, else as counted before it left.
    """

    decode_tokens_per_second: float | None
    prefill_tokens_per_second: float | None
    time_to_first_token: float | None
    total_latency: float
    tokens_generated: int | None
    context_length: int | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Megabytes (10^6 bytes) and percent; RAM is this process's own."""

    vram_used: float | None
    vram_total: float | None
    vram_max_threshold: float | None
    ram_used: float | None
    cpu_percent: float | None
    gpu_percent: float | None


@dataclass(frozen=True, slots=True)
class Gpus:
    """What the GPUs of this machine hold at one moment, together; ``gpu_percent`` is the busiest one's."""

    vram_used: float
    vram_total: float
    gpu_percent: float | None


@dataclass(frozen=True, slots=True)
class Errors:
    """Failed requests (for counts, too), or 1 for a call that failed without; calls' retries; back ends changed."""

    count: int
    retries: int
    fallbacks: int | None


@dataclass(frozen=True, slots=True)
class Facts:
    """Which call it was: beside the specification's fields."""

    backend: str
    model: str
    agent: str
    question_id: str
    outcome: Outcome
    tries: int
    prompt_tokens: int | None
    cached_tokens: int | None
    counted_tokens: int
    exact: bool
    dropped: int
    cut_tokens: int
    count_failures: int
    cached: bool


@dataclass(frozen=True, slots=True)
class Metrics:
    """One record; ``timestamp`` is the call's end, ISO 8601 in UTC."""

    timestamp: str
    inference: Inference
    resources: Usage
    errors: Errors
    call: Facts


def metrics_of(call: Call, ram_mb: float | None = None) -> Metrics:
    """Return the record of a call.

    Args:
        call: its ledger entry.
        ram_mb: what this process held when it ended.
    """
    ended = datetime.fromtimestamp(call.started + call.seconds, UTC)
    return Metrics(
        timestamp=ended.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        inference=_inference(call),
        resources=Usage(None, None, None, ram_mb, None, None),
        errors=Errors(
            count=len(call.failures) or int(call.outcome != "ok"),
            retries=max(0, call.tries - 1),
            fallbacks=None,
        ),
        call=_facts(call),
    )


def measured(call: Call) -> Measured:
    """Return the row of a call that ended just now."""
    metrics = metrics_of(call, ram_used_mb())
    tokens = _bounded(call.prompt_tokens) + _bounded(call.completion_tokens) if _reported(call) else None
    return Measured(OPERATION, metrics.inference.total_latency, tokens, metrics.timestamp, asdict(metrics))


def with_gpus(rows: Sequence[Measured], read: Callable[[], Gpus | None]) -> Sequence[Measured]:
    """Return rows with what the GPUs hold now, read once; rows that have it, and all without a GPU, as they are."""
    gpus = read()
    if gpus is None:
        return rows
    told = asdict(gpus)
    return [_with(row, told) if row.metrics["resources"]["vram_total"] is None else row for row in rows]


def _with(row: Measured, told: Mapping[str, float | None]) -> Measured:
    return replace(row, metrics={**row.metrics, "resources": {**row.metrics["resources"], **told}})


def ram_used_mb() -> float | None:
    """Return the resident memory of this process in MB; None where the system does not say (only Linux does)."""
    try:
        pages = int(_STATM.read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def _inference(call: Call) -> Inference:
    first = call.first_token_seconds
    after_first = call.attempts[-1].seconds - first if call.attempts and first is not None else None
    return Inference(
        decode_tokens_per_second=_rate(call.completion_tokens - 1, after_first),
        prefill_tokens_per_second=_rate(call.prompt_tokens - call.cached_tokens, first),
        time_to_first_token=None if first is None else round(first * 1000, 3),
        total_latency=round(call.seconds * 1000, 3),
        tokens_generated=_bounded(call.completion_tokens) if _reported(call) else None,
        context_length=_bounded(call.prompt_tokens or call.counted_tokens) or None,
    )


def _rate(tokens: int, seconds: float | None) -> float | None:
    """Return tokens a second; None where either is not known (0 tokens were not reported) or too short to measure."""
    if seconds is None or seconds < SHORTEST_SECONDS or tokens < 1:
        return None
    return round(_bounded(tokens) / seconds, 2)


def _facts(call: Call) -> Facts:
    reported = _reported(call)
    return Facts(
        backend=call.backend,
        model=call.model[:MAX_NAME_CHARS],
        agent=call.scope.agent[:MAX_NAME_CHARS],
        question_id=call.scope.question_id[:MAX_NAME_CHARS],
        outcome=call.outcome,
        tries=call.tries,
        prompt_tokens=_bounded(call.prompt_tokens) if reported else None,
        cached_tokens=_bounded(call.cached_tokens) if reported else None,
        counted_tokens=call.counted_tokens,
        exact=call.exact,
        dropped=len(call.dropped),
        cut_tokens=call.cut_tokens,
        count_failures=len(call.count_failures),
        cached=call.cached,
    )


def _bounded(tokens: int) -> int:
    """Return a figure of the server's that a database and a quotient can hold, whatever it claims."""
    return max(0, min(tokens, MAX_TOKENS))


def _reported(call: Call) -> bool:
    """Whether the server said what the call used: no prompt is empty."""
    return call.prompt_tokens > 0
