"""Reranking by a model of its own: the best passages in the order that it gives them.

The model is asked for a bounded number of passages; when it does not answer, the order stays as it was and the log says
why. Without a reranker nothing is asked.
"""

from collections.abc import Sequence
from typing import Protocol

from loguru import logger

from infra.errors import BackendError
from infra.store.records import embedded_text
from tools.ranking import Ranked


class Reranker(Protocol):
    """Scores texts against a question; blocking, thread-safe."""

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Return a score for each text, higher is better. Raises BackendError."""
        ...


def reranked(question: str, ranked: Sequence[Ranked], reranker: Reranker, *, top_n: int) -> list[Ranked]:
    """Return ``ranked`` with its first ``top_n`` in the order of the model; as it was when the model fails.

    Scores stay those of the search, so that the list's scores fall as before: the best score goes to the first.
    """
    head = list(ranked[:top_n])
    if len(head) < 2:  # noqa: PLR2004 - one passage has one order
        return list(ranked)
    try:
        scores = reranker.scores(question, [embedded_text(i.passage.header, i.passage.text) for i in head])
    except BackendError as error:
        logger.warning("passages stay in the order of the search: {}", error)
        return list(ranked)
    order = sorted(range(len(head)), key=lambda place: -scores[place])
    anew = [
        Ranked(head[place].passage, head[place].window_id, old.score, head[place].coverage)
        for place, old in zip(order, head, strict=True)
    ]
    return [*anew, *ranked[top_n:]]
