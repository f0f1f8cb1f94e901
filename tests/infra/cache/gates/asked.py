"""Readings for tests: token vectors from a small made-up model, in which chosen words mean the same."""

import re
from zlib import crc32

import numpy as np

from infra.cache.gates.reading import Reading, reading
from infra.cache.gates.verdict import Verdict, verdict

MEANT = {"purchase": "buy", "purchased": "buy", "bought": "buy", "buy": "buy", "automobile": "car"}
"""Words of the made-up model that have the same vector; all others are as good as unlike."""


def pieces(text: str) -> list[int]:
    found: list[str] = re.findall(r"\w+|[^\w\s]", text.lower())
    return [crc32(MEANT.get(piece, piece).encode()) for piece in found]


def read(question: str) -> Reading:
    rows = [np.random.default_rng(piece).standard_normal(64) for piece in pieces(question)]
    vectors = np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32).reshape(-1, 64)
    return reading(question, vectors, pieces)


def judged(asked: str, kept: str) -> Verdict:
    return verdict(read(asked), read(kept))
