"""Does every quote stand verbatim at its offsets? Checked against the files themselves, not against the index.

For text files (``.txt``, ``.md``) the document is read from disk and decoded; for other formats the text that was
extracted at ingestion is what offsets count in, and it is taken from the index.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import ConfigurationError
from infra.resources import Resources
from infra.settings import Settings

PLAIN = frozenset({".txt", ".md"})


@dataclass(frozen=True, slots=True)
class Wrong:
    """A quote that does not stand where its citation says."""

    id: str
    doc: str
    start: int
    end: int
    quote: str


def run(settings: Settings, answers: Path, docs: Sequence[Path]) -> dict[str, Any]:
    """Check every citation of ``answers`` (JSON lines as the command line writes them) under the roots ``docs``."""
    texts = _Texts(settings, docs)
    checked = 0
    wrong: list[Wrong] = []
    for answer in _read(answers):
        for c in answer.get("citations", []):
            checked += 1
            text = texts.of(c["doc"])
            if text is None or text[c["start"] : c["end"]] != c["quote"] or not c["quote"]:
                wrong.append(Wrong(str(answer.get("id", "")), c["doc"], c["start"], c["end"], c["quote"]))
    listed = [f"{w.id}: {w.doc} ({w.start}-{w.end})" for w in wrong[:20]]
    return {"quotes": checked, "verbatim": checked - len(wrong), "wrong": listed}


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"--answers {path}: {error}") from error


class _Texts:
    """Documents by the name that citations give them."""

    def __init__(self, settings: Settings, docs: Sequence[Path]) -> None:
        self._settings = settings
        self._roots = [path.resolve() for path in docs]
        self._known: dict[str, str | None] = {}

    def of(self, doc: str) -> str | None:
        """Return the document's text, or None when there is no such document."""
        if doc not in self._known:
            file = self._roots[0] / doc if len(self._roots) == 1 else None
            plain = file is not None and file.suffix in PLAIN and file.is_file()
            read = _decoded(file) if plain and file else None
            self._known[doc] = read if read is not None else self._extracted(doc)
        return self._known[doc]

    def _extracted(self, doc: str) -> str | None:
        index, _ = Resources(self._settings).index()
        try:
            return index.text_named(doc, [str(root) for root in self._roots])
        finally:
            index.close()


def _decoded(file: Path) -> str | None:
    """Return a UTF-8 file's text, line ends made one; None for another encoding, which ingestion has to detect."""
    try:
        return file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        return None
