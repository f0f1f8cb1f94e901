"""What the doctor reads off a running server: does it answer, which model, which window, which KV cache.

Gives `Line`, one finding with its cure, `Case`, what all checks share, and the checks that need no reply of the model;
those that do are in `infra.vllm.doctor_trials`. A line passes only where the server showed the thing itself; what it
does not show is ``unknown``. Every answer is a stranger's: bounded by `infra.vllm.wire`, checked against a shape, shown
on one line. Source: vLLM 0.32, ``entrypoints/openai``, ``entrypoints/serve``, and ``config/cache.py``
(``metrics_info``: the labels of ``vllm:cache_config_info``).
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal, get_args

from infra.errors import ConfigurationError
from infra.llm.servers.common import Listing, Served, Version
from infra.settings import Settings
from infra.text.plain import short_line
from infra.vllm import models
from infra.vllm.exposition import Metrics, read_metrics
from infra.vllm.facts import KvDtype
from infra.vllm.layouts import token_bytes
from infra.vllm.wire import Answer, Server

Verdict = Literal["pass", "fail", "unknown"]
QUICK_SECONDS = 10.0
CHAT_SECONDS = 120.0
LEAST_FREE_BYTES = 1 << 30
_REFUSED_KEY = (401, 403)
_SAME_TYPE = {"fp8": "fp8_e4m3"}
"""vLLM's ``fp8`` is e4m3."""
_TOO_MANY_BYTES = 1.5
_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Line:
    """One finding.

    Attributes:
        check: what was looked at.
        verdict: ``unknown`` where the server does not show it.
        found: what was there.
        cure: the flag, the setting or the command that helps; empty where nothing has to be done.
    """

    check: str
    verdict: Verdict
    found: str
    cure: str = ""


@dataclass(slots=True)
class Case:
    """What the checks share.

    Attributes:
        server: that is asked.
        settings: as they are set.
        served: the model that is asked for: the settings', else the only one there; None: none can be.
    """

    server: Server
    settings: Settings
    served: Served | None = None

    def chat(self, content: str, **more: Any) -> Answer:
        """Ask for one reply to one message."""
        return self.server.post("/v1/chat/completions", self.body(content) | more, seconds=CHAT_SECONDS)

    def body(self, content: str) -> dict[str, Any]:
        """Return the request for a reply to one message."""
        model = self.served.id if self.served else ""
        return {"model": model, "messages": [{"role": "user", "content": content}], "temperature": 0}

    def metrics(self) -> Metrics:
        """Return the server's metrics; none where it gives none."""
        return read_metrics(self.server.get("/metrics", seconds=QUICK_SECONDS).body)


def told(answer: Answer) -> str:
    """Return what a server answered where it should have answered otherwise."""
    words = f" ({answer.words})" if answer.words else ""
    return f"answered {answer.status}{words}" if answer.status else f"no answer{words}"


def data_folder(case: Case) -> Line:
    """Look whether DocMind's own data can be written."""
    folder = case.settings.data_dir.expanduser()
    there = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        cure = "set DOCMIND_DATA_DIR to a folder that you can write to"
        return Line("data folder", "fail", f"{there} cannot be written", cure)
    free = shutil.disk_usage(there).free
    found = f"{folder}, {free / 2**30:,.1f} GiB free"
    if free < LEAST_FREE_BYTES:
        return Line("data folder", "fail", found, "make room, or set DOCMIND_DATA_DIR to another disk")
    return Line("data folder", "pass", found)


def health(case: Case) -> Line:
    """Ask ``/health``."""
    answer = case.server.get("/health", seconds=QUICK_SECONDS)
    if answer.ok:
        return Line("health", "pass", f"{case.server.root_url} answers")
    cure = "start it with docmind serve, or set DOCMIND_VLLM__BASE_URL to where it is"
    return Line("health", "fail", f"{case.server.root_url}: {told(answer)}", cure)


def version(case: Case) -> Line:
    """Ask ``/version``."""
    answer = case.server.get("/version", seconds=QUICK_SECONDS)
    found = answer.read(Version)
    if found is None:
        cure = "if this is no vLLM, name its kind in DOCMIND_BACKEND"
        return Line("version", "unknown", f"/version: {told(answer)}", cure)
    return Line("version", "pass", short_line(found.version))


def model_and_window(case: Case) -> Iterator[Line]:
    """Compare ``/v1/models`` with the settings: key, name, window; the model that is asked for is chosen here."""
    ours = case.settings.vllm
    answer = case.server.get("/v1/models", seconds=QUICK_SECONDS)
    if answer.status in _REFUSED_KEY:
        cure = "set DOCMIND_VLLM__API_KEY to the server's --api-key"
        yield Line("key", "fail", f"refused with {answer.status}", cure)
        yield from (Line(name, "unknown", "not told without the key") for name in ("model", "window"))
        return
    listing = answer.read(Listing)
    if listing is None:
        found = f"/v1/models: {told(answer)}"
        yield from (Line(name, "unknown", found, "check DOCMIND_VLLM__BASE_URL") for name in ("key", "model", "window"))
        return
    yield _key(case)
    names = listing.names()
    case.served = listing.of(ours.model) if ours.model in names else listing.data[0] if len(names) == 1 else None
    yield _model(ours.model, names)
    yield _window(case.served, ours.context_window)


def _key(case: Case) -> Line:
    """Judge a key that was accepted: a server that takes any other as well checks none."""
    if not case.server.keyed:
        return Line("key", "pass", "none is set, none is wanted")
    other = case.server.get("/v1/models", seconds=QUICK_SECONDS, other_key=f"docmind-{token_hex(6)}")
    if other.status in _REFUSED_KEY:
        return Line("key", "pass", "accepted, and another is refused")
    if not other.ok:
        return Line("key", "unknown", f"accepted; another: {told(other)}")
    cure = "start with the key in VLLM_API_KEY, or leave DOCMIND_VLLM__API_KEY out"
    return Line("key", "fail", "the server takes any key, one is set", cure)


def _model(wanted: str, names: list[str]) -> Line:
    if wanted in names:
        return Line("model", "pass", short_line(wanted))
    found = f"{short_line(', '.join(names))} is served, {short_line(wanted)} is set"
    cure = f"set DOCMIND_VLLM__MODEL={short_line(names[0])}, or start with --served-model-name {short_line(wanted)}"
    return Line("model", "fail", found, cure)


def _window(served: Served | None, ours: int) -> Line:
    if served is None or served.window is None:
        return Line("window", "unknown", "not told")
    if served.window == ours:
        return Line("window", "pass", f"{ours:,} tokens, as set")
    cure = f"set DOCMIND_VLLM__CONTEXT_WINDOW={served.window}, or start with --max-model-len {ours}"
    return Line("window", "fail", f"{served.window:,} tokens, {ours:,} are set", cure)


def kv_type(case: Case) -> Line:
    """Compare the KV cache's type that runs (``vllm:cache_config_info``) with the one that is set.

    Where the server says how many bytes hold how many tokens, and its model is on this machine, the type must not only
    be named: a token may not take half as much again as the model's layers need in that type.
    """
    name, ours = "KV cache type", case.settings.vllm.kv_cache_dtype
    labels = case.metrics().labels("vllm:cache_config_info")
    runs = short_line(labels.get("cache_dtype", ""), 40)
    if not runs:
        return Line(name, "unknown", "/metrics does not say it", "start without --disable-log-stats")
    cure = f"start with --kv-cache-dtype {ours}"
    if ours != "auto" and _SAME_TYPE.get(runs, runs) != _SAME_TYPE.get(ours, ours):
        more = f", or set DOCMIND_VLLM__KV_CACHE_DTYPE={runs}" if runs in get_args(KvDtype) else ""
        return Line(name, "fail", f"{runs} runs, {ours} is set", cure + more)
    has, needs = _bytes_a_token(labels), _bytes_needed(case, runs)
    if has is None:
        return Line(name, "pass", f"{runs} runs, {ours} is set")
    found = f"{runs} runs with {has:,.0f} bytes a token, {ours} is set"
    if needs is not None and has > _TOO_MANY_BYTES * needs:
        return Line(
            name, "fail", f"{found}; {runs} needs {needs:,}", f"{cure}, and look at the log's attention back end"
        )
    return Line(name, "pass", found)


def _bytes_a_token(labels: Mapping[str, str]) -> float | None:
    """Return what a token takes, a GPU; None where the cache was not given its size in bytes."""
    sizes = [labels.get(name, "") for name in ("kv_cache_memory_bytes", "kv_cache_size_tokens")]
    if not all(text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text) for text in sizes):
        return None
    return int(sizes[0]) / int(sizes[1])


def _bytes_needed(case: Case, runs: str) -> int | None:
    """Return what a token should take, a GPU of as many as are set; None where that cannot be told."""
    root = case.served.root if case.served else None
    if not root or not Path(root).is_absolute():
        return None
    try:
        model = models.model(root)
    except ConfigurationError:  # its files are elsewhere, or of a kind that the kit does not know
        return None
    if any(group.kind not in ("full", "mla") for group in model.groups):
        return None  # vLLM's tokens are those of longest requests, of which windows and states take a part
    gpus = case.settings.serve.tensor_parallel_size or 1
    return token_bytes(model, runs, gpus) // gpus
