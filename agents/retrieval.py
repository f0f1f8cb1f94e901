"""Retrieval: the passages for one sub-question, with the signal whether the documents hold an answer."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from tools.evidence import Finding

BRIDGE_PASSAGES = 1
BRIDGE_CHARS = 400


class Searcher(Protocol):
    """What retrieval needs of a search: blocking, thread-safe."""

    def search(
        self, query: str, *, k: int | None = None, roots: Sequence[str] | None = None, context: str = ""
    ) -> Finding:
        """Return the passages that fit best; ``context`` is searched with the query, but not judged by the signal."""
        ...


async def retrieve(
    question: str, needed: Sequence[Finding], searcher: Searcher, *, roots: Sequence[str] | None = None
) -> Finding:
    """Search for ``question``, off the event loop.

    A sub-question that needs another's answer is searched together with the head of what was found for it: the
    model-free bridge from "the person who ..." to that person's name.
    """
    return await asyncio.to_thread(searcher.search, question, roots=roots, context=bridge(needed))


def bridge(needed: Sequence[Finding]) -> str:
    """Return the head of what was found for the sub-questions that one needs."""
    return "\n".join(p.text[:BRIDGE_CHARS] for f in needed for p in f.passages[:BRIDGE_PASSAGES])
