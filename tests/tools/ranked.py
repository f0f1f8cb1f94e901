"""Ranked passages for tests."""

from infra.store.records import StoredPassage
from tools.ranking import Ranked


def stored(name: str, text: str = "", *, ordinal: int = 0, header: str = "", section: str = "") -> StoredPassage:
    """A passage named ``document.number``."""
    text = text or f"Text of {name}."
    return StoredPassage(name, name.split(".")[0], f"{name}.txt", ordinal, 0, len(text), text, header, name, section)


def ranked(name: str, score: float, coverage: float = 0.5) -> Ranked:
    return Ranked(stored(name), f"window of {name}", score, coverage)


def names(found: list[Ranked]) -> list[str]:
    return [item.passage.id for item in found]
