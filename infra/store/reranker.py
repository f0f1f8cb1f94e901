"""A rerank model on a server: how well each text answers a question, by the model's own figure.

Speaks two forms: ``/rerank`` (Jina, Cohere, vLLM, llama.cpp, Infinity) and vLLM's ``/score``. One request has a bound
on its time, whatever the server does, and on the size of its answer. The only address contacted is the configured
one: no proxy of the environment, no redirect. Blocking: not for the thread of an event loop.
"""

import asyncio
import json
import math
from collections.abc import Sequence
from typing import Any

import httpx2

from infra.errors import BackendError
from infra.settings import RerankerSettings

MAX_BYTES = 4 * 2**20
_SHOWN = 200
_OK = 200


class RerankServer:
    """The configured server; thread-safe, holds no connection between requests."""

    def __init__(self, settings: RerankerSettings) -> None:
        """Ask the server of ``settings``, whose ``base_url`` must be set."""
        self._settings = settings
        self._url = f"{settings.base_url}/{settings.kind}"
        key = settings.api_key.get_secret_value()
        self._headers = {"Accept-Encoding": "identity", **({"Authorization": f"Bearer {key}"} if key else {})}
        self._verify = httpx2.create_ssl_context(trust_env=False) if self._url.startswith("https:") else False

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Return the model's score of each text, higher is better.

        Raises:
            BackendError: it cannot be reached, takes too long, or answers anything but one number a text.
        """
        model = {"model": self._settings.model} if self._settings.model else {}
        if self._settings.kind == "score":
            body = {**model, "text_1": question, "text_2": list(texts)}
        else:
            body = {**model, "query": question, "documents": list(texts), "top_n": len(texts)}
        try:
            return _read(asyncio.run(self._answer(body)), len(texts))
        except (httpx2.HTTPError, TimeoutError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise BackendError(
                f"the rerank server at {self._url} gave no scores ({type(error).__name__}: {str(error)[:_SHOWN]}); "
                "DOCMIND_RERANKER__BASE_URL, KIND, MODEL and TIMEOUT_SECONDS decide"
            ) from error

    async def _answer(self, body: dict[str, Any]) -> bytes:
        received = bytearray()
        transport = httpx2.AsyncHTTPTransport(verify=self._verify, trust_env=False)
        async with (
            asyncio.timeout(self._settings.timeout_seconds),
            httpx2.AsyncClient(transport=transport, headers=self._headers, timeout=None, trust_env=False) as client,
            client.stream("POST", self._url, json=body) as response,
        ):
            async for piece in response.aiter_raw():
                received += piece
                if len(received) > MAX_BYTES:
                    raise ValueError(f"more than {MAX_BYTES:,} bytes")
        if response.status_code != _OK:
            raise ValueError(f"HTTP {response.status_code}: {bytes(received[:_SHOWN]).decode('utf-8', 'replace')}")
        return bytes(received)


def _read(answer: bytes, wanted: int) -> list[float]:
    """The scores of an answer in the order of the texts."""
    data: Any = json.loads(answer)
    rows: Any = data["results"] if "results" in data else data["data"]
    found = {int(row["index"]): _score(row) for row in rows}
    if found.keys() != set(range(wanted)) or not all(map(math.isfinite, found.values())):
        raise ValueError(f"{len(found)} usable scores for {wanted} texts")
    return [found[place] for place in range(wanted)]


def _score(row: Any) -> float:  # noqa: ANN401 - JSON of a server
    return float(row["relevance_score"] if "relevance_score" in row else row["score"])
