"""Files that the kit writes for a person: never over one that is there unless told to, and each whole or not at all."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Written:
    """A file's text; with ``secret`` its owner alone can read it, from its first byte on."""

    text: str
    secret: bool = False


def write_files(files: Mapping[Path, Written], *, force: bool) -> None:
    """Write ``files``; none of them where one is there and ``force`` is not set.

    Raises:
        ConfigurationError: one is there already, or cannot be written.
    """
    if not force and (there := [path for path in files if path.exists() or path.is_symlink()]):
        raise ConfigurationError(f"{there[0]} is there already; --force overwrites it")
    for path, file in files.items():
        _write(path, file)


def _write(path: Path, file: Written) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if file.secret else 0o644)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(file.text)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
