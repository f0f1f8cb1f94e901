"""A rerank model on a server: how well each text answers a question, by the model's own figure.

Speaks two forms: ``/rerank`` (Jina, Cohere, vLLM, llama.cpp, Infinity) and vLLM's ``/score``. A request is tried once
and bounded by ``infra.store.asking``: whoever reranks goes on without. Blocking and thread-safe.
"""

import math
from collections.abc import Sequence
from typing import Any

from pydantic import AliasChoices, BaseModel, Field

from infra.errors import BackendError
from infra.settings import RerankerSettings
from infra.store.asking import Address, JsonServer


class _Row(BaseModel):
    index: int
    score: float = Field(validation_alias=AliasChoices("relevance_score", "score"))


class _Answer(BaseModel):
    rows: list[_Row] = Field(validation_alias=AliasChoices("results", "data"))


class RerankServer:
    """The configured server."""

    def __init__(self, settings: RerankerSettings) -> None:
        """Ask the server of ``settings``, whose ``base_url`` must be set."""
        self._settings = settings
        self._server = JsonServer(
            Address(
                what="the rerank server",
                section="DOCMIND_RERANKER",
                base_url=settings.base_url or "",
                api_key=settings.api_key,
                timeout_seconds=settings.timeout_seconds,
            )
        )

    def close(self) -> None:
        """Close the connections; safe to call twice."""
        self._server.close()

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Return the model's score of each text, higher is better.

        Raises:
            BackendError: it cannot be reached, takes too long, or answers anything but one number a text.
        """
        body: dict[str, Any] = {"model": self._settings.model} if self._settings.model else {}
        if self._settings.kind == "score":
            body |= {"text_1": question, "text_2": list(texts)}
        else:
            body |= {"query": question, "documents": list(texts), "top_n": len(texts)}
        answer = self._server.post(f"/{self._settings.kind}", body, _Answer, tries=1)
        found = {row.index: row.score for row in answer.rows}
        if found.keys() != set(range(len(texts))) or not all(map(math.isfinite, found.values())):
            raise BackendError(
                f"the rerank server at {self._settings.base_url} gave {len(found)} scores for {len(texts)} texts; "
                "check DOCMIND_RERANKER__KIND and DOCMIND_RERANKER__MODEL"
            )
        return [found[place] for place in range(len(texts))]
