"""Models in the user's Hugging Face cache: read only, nothing is downloaded, and huggingface_hub is not needed.

Its layout is https://huggingface.co/docs/huggingface_hub/guides/manage-cache.
"""

import os
import re
from pathlib import Path

_REPOSITORY = re.compile(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)
_REVISION = re.compile(r"[0-9a-f]{40}")
_MAX_REF_BYTES = 64


def snapshot(name: str) -> Path | None:
    """Return the folder of a model's main revision (``Owner/Name``), where the cache has it; it may hold any file."""
    if not _REPOSITORY.fullmatch(name):
        return None
    folder = hub_folder() / f"models--{name.replace('/', '--')}"
    try:
        with (folder / "refs" / "main").open("rb") as ref:
            revision = ref.read(_MAX_REF_BYTES).decode("ascii", "replace").strip()
    except OSError:  # not in the cache
        return None
    return folder / "snapshots" / revision if _REVISION.fullmatch(revision) else None


def hub_folder() -> Path:
    """Return the Hugging Face cache, found as huggingface_hub's ``constants`` does."""
    if hub := os.environ.get("HF_HUB_CACHE"):
        return Path(hub).expanduser()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return Path(os.environ.get("HF_HOME") or cache / "huggingface").expanduser() / "hub"
