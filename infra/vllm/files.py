"""A model's own files: read only, of bounded size, whoever wrote them.

``config.json`` says how the model is built; the headers of its safetensors files, or their index, how large it is.
Format of a header: https://huggingface.co/docs/safetensors (eight bytes of length, then JSON).
"""

import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

from infra.errors import ConfigurationError
from infra.hub import snapshot
from infra.text.plain import short_line

MAX_CONFIG_BYTES = 1 << 20
MAX_INDEX_BYTES = 64 << 20
MAX_HEADER_BYTES = 32 << 20
"""The largest public models stay under 2 MiB a file; the library itself allows 100 MB."""

MAX_FILES = 1_024
MAX_TENSORS = 1_000_000

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor as its file's header describes it."""

    name: str
    size_bytes: int
    elements: int


def folder_of(name: str) -> Path | None:
    """Return the folder with a ``config.json`` that ``name`` means: a folder itself, or a model of the user's cache."""
    for folder in (Path(expanded(name)), snapshot(name)):
        try:
            if folder and (folder / CONFIG).is_file():
                return folder
        except (OSError, ValueError):  # a path that this system cannot have
            continue
    return None


def expanded(name: str) -> str:
    """Return a name that begins with ``~`` as a path in that home, as vLLM does not; any other as it is."""
    try:
        return str(Path(name).expanduser()) if name.startswith("~") else name
    except RuntimeError:  # nobody of that name
        return name


def config_of(folder: Path) -> dict[str, Any]:
    """Return the folder's ``config.json``.

    Raises:
        ConfigurationError: it cannot be read, is too large, or is no JSON object.
    """
    return _object(folder / CONFIG, MAX_CONFIG_BYTES)


def total_size(folder: Path) -> int:
    """Return the bytes of all weights as the index states them, 0 where there is no index or it says none.

    Raises:
        ConfigurationError: the index cannot be read.
    """
    path = folder / INDEX
    if not path.is_file():
        return 0
    metadata = _object(path, MAX_INDEX_BYTES).get("metadata")
    size = cast("dict[str, Any]", metadata).get("total_size") if isinstance(metadata, dict) else None
    return int(size) if isinstance(size, int | float) and 0 < size < 1 << 50 else 0


def tensors(folder: Path) -> Iterator[Tensor]:
    """Yield every tensor of the model's safetensors files; none where the files are not here.

    Where an index names files, only those count: some folders hold the same weights in a second form.

    Raises:
        ConfigurationError: a file is broken, or there are more than allowed.
    """
    seen = 0
    for path in _weight_files(folder):
        for tensor in _header(path):
            seen += 1
            if seen > MAX_TENSORS:
                raise ConfigurationError(f"{folder}: more than {MAX_TENSORS:,} tensors")
            yield tensor


def _weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files; none where one that the index names is missing."""
    index = folder / INDEX
    if index.is_file():
        named = _object(index, MAX_INDEX_BYTES).get("weight_map")
        values = cast("dict[str, Any]", named).values() if isinstance(named, dict) else ()
        names = sorted({value for value in values if isinstance(value, str)})
        if any(not re.fullmatch(r"[\w.-]+\.safetensors", name) for name in names):
            raise ConfigurationError(f"{index}: names a file that is no safetensors file beside it")
        files = [folder / name for name in names[: MAX_FILES + 1]]
    else:
        files = sorted(islice(folder.glob("model*.safetensors"), MAX_FILES + 1))
    if len(files) > MAX_FILES:
        raise ConfigurationError(f"{folder}: more than {MAX_FILES:,} files of weights")
    return files if all(path.is_file() for path in files) else []


def _header(path: Path) -> Iterator[Tensor]:
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MAX_HEADER_BYTES:
                raise ConfigurationError(f"{path}: a header of {length:,} bytes; {MAX_HEADER_BYTES:,} are allowed")
            described = json.loads(file.read(length))
        for name, facts in described.items():
            if name != "__metadata__":
                yield _tensor(name, facts)
    except (
        OSError,
        ArithmeticError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RecursionError,
        struct.error,
    ) as error:
        raise ConfigurationError(f"{path}: no safetensors file: {short_line(str(error), 80)}") from error


def _tensor(name: str, facts: dict[str, Any]) -> Tensor:
    start, end = facts["data_offsets"]
    elements = 1
    for length in facts["shape"][:16]:
        elements *= min(max(int(length), 0), 1 << 40)
    if not 0 <= start <= end < 1 << 50:
        raise ValueError(f"tensor {short_line(name, 40)} lies outside of its file")
    return Tensor(name, int(end - start), min(elements, 1 << 60))


def _object(path: Path, limit: int) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise ConfigurationError(f"{path} is larger than {limit:,} bytes")
        value = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} cannot be read: {short_line(str(error), 120)}") from error
    if not isinstance(value, dict):
        raise ConfigurationError(f"{path} holds no JSON object")
    return cast("dict[str, Any]", value)
