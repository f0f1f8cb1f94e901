"""vLLM: model and window from ``/v1/models`` (``max_model_len``, ``root``), version from ``/version``.

No endpoint says whether it takes tools or holds a reply to a schema (that depends on the flags it was started with), so
these abilities stay unknown until a call shows them. Source: vLLM 0.32, ``entrypoints/openai/models/serving.py`` and
``entrypoints/serve``.

Its tokenizer is looked for on this machine, and only read: the folder of the settings; the folder the server loaded
from, when both run here; the Hugging Face cache (`infra.hub`). Nothing is downloaded.
"""

from pathlib import Path

import httpx2

from infra.hub import snapshot
from infra.llm.endpoint import Backend
from infra.llm.servers.common import TOKENIZER_FILE, Listing, Version, chosen, tokenizer_folder
from infra.llm.servers.probe import Probe
from infra.settings import Settings

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def find(probe: Probe, settings: Settings, model: str) -> Backend:
    """Ask a vLLM server for its model, window and version; see `infra.llm.servers`."""
    ours = settings.vllm
    listing = probe.get(f"{probe.base_url}/models", Listing)
    version = probe.told(f"{probe.root_url}/version", Version)
    name, note = chosen(probe, listing.names(), ours.model, model)
    served = listing.of(name)
    told = served.window or ours.context_window
    own = tokenizer_folder(ours.tokenizer, probe.setting("TOKENIZER")) if not model else None
    return Backend(
        name="vllm",
        model=name,
        engine=f"vllm {version.version}" if version else "vllm",
        context_window=min(told, ours.context_window),
        base_url=probe.base_url,
        tokenizer=own or _beside(probe.base_url, served.root) or cached(served.root) or cached(name),
        note=note,
        window_option="vLLM's --max-model-len" if told < ours.context_window else "",
    )


def cached(name: str | None) -> Path | None:
    """Return the folder of a model's main revision in the Hugging Face cache, where it holds a tokenizer."""
    folder = snapshot(name) if name else None
    return _with_tokenizer(folder) if folder else None


def _beside(base_url: str, root: str | None) -> Path | None:
    """Return the folder that a server on this machine loaded its model from."""
    if not root or httpx2.URL(base_url).host not in _LOOPBACK or not Path(root).is_absolute():
        return None
    return _with_tokenizer(Path(root))


def _with_tokenizer(folder: Path) -> Path | None:
    try:
        return folder if (folder / TOKENIZER_FILE).is_file() else None
    except (OSError, ValueError):  # a path that this system cannot have
        return None
