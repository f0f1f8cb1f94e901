"""A small LiHuaWorld that the benches are run over: its records, its questions, and what they draw."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra import resources
from tests.infra.cache.house import quick
from tests.tools.words import WordEmbedder

COMPOUND = "Did Ann call the plumber about the boiler before she sold the green piano to Bob?"
LOOKUP = "What did Ann say about the boiler in the cellar?"
RECORDS = {
    "20260105_1100": "Ann: The old boiler in the cellar leaks water. I will call the plumber about the boiler.",
    "20260106_0900": "Ann: I sold the green piano to Bob.",
    "20260107_0900": "Ann: The roses bloom early this year.",
}
QUESTIONS = {
    "1": {"question": COMPOUND, "answer": "Yes", "evidence": "20260105_11:00<and>20260106_09:00", "type": "Multi"},
    "2": {"question": LOOKUP, "answer": "It leaks", "evidence": "20260105_11:00", "type": "Single"},
    "3": {"question": "What did Ann sell to Bob?", "answer": "A piano", "evidence": "20260106_09:00", "type": "Single"},
    "4": {"question": "Which roses bloom early?", "answer": "All", "evidence": "20260107_09:00", "type": "Single"},
}


def small(patch: pytest.MonkeyPatch) -> None:
    """Make ingestion quick and embeddings those of words."""
    quick(patch)
    patch.setattr(resources, "open_embedder", lambda _: WordEmbedder())


def written(folder: Path, questions: Mapping[str, Mapping[str, Any]] = QUESTIONS) -> Path:
    """Write the records and ``questions`` below ``folder``; return what ``--data`` is given."""
    world = folder / "data" / "lihua_world"
    (world / "records").mkdir(parents=True)
    for name, text in RECORDS.items():
        (world / "records" / f"{name}.txt").write_text(f"Time: {name}\n{text}\n", encoding="utf-8")
    (world / "questions.json").write_text(json.dumps(questions), encoding="utf-8")
    return folder / "data"


def plots(folder: Path) -> list[str]:
    """Return the names of the files in ``folder``; each must be a PNG."""
    files = sorted(folder.iterdir())
    assert all(file.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") for file in files)
    return [file.name for file in files]
