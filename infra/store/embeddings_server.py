"""Texts to vectors by a server: any OpenAI-compatible ``/v1/embeddings``, such as vLLM, Ollama, llama.cpp or TEI.

Texts go sorted by length, in batches, a bounded number of batches at once. Every answer is checked: one vector a text,
by its ``index``, of the model's dimension, finite, not zero; it is normalised here. vLLM is asked to cut what is longer
than the model's window; other servers refuse such a text, and it is halved until it is taken. Late interaction is not
offered: servers give no token vectors. Blocking, thread-safe.

Sources: vLLM 0.32 ``entrypoints/pooling`` (``truncate_prompt_tokens``, refused above ``max_model_len``); Ollama refuses
longer texts with 400 since 0.13.5 (https://github.com/ollama/ollama/issues/14186).
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from loguru import logger
from pydantic import BaseModel, Field

from infra.errors import BackendError, BackendUnavailable, ConfigurationError
from infra.settings import EmbeddingSettings
from infra.store.asking import Address, JsonServer, Refusal
from infra.store.embeddings import Vectors
from infra.store.embeddings_kept import PROBE, Kept, KeptModels, normalised

BATCH_CHARS = 400_000
"""Characters of one request, however many texts that are."""
CHARS_A_TOKEN = 4
SHORTEST_CHARS = 64
"""A text of this length that is refused is not refused for its length."""
_NOT_FOUND = 404
_TOO_LONG = (400, 413, 422)
MAX_NAMED = 8


class _Served(BaseModel):
    id: str = Field(min_length=1, max_length=1_024)
    owned_by: str = ""
    max_model_len: int | None = Field(default=None, gt=0)


class _Listing(BaseModel):
    data: list[_Served]


class _Row(BaseModel):
    index: int
    embedding: list[float]


class _Reply(BaseModel):
    data: list[_Row]


class ServerEmbedder:
    """``Embedder`` over a server; made by `open_server`."""

    def __init__(self, settings: EmbeddingSettings, server: JsonServer, kept: Kept) -> None:
        self._settings = settings
        self._server = server
        self._kept = kept
        self._pool = ThreadPoolExecutor(settings.in_flight, thread_name_prefix="embedding")

    @property
    def model_id(self) -> str:
        """Name of the model on its server, with a digest of the prefixes."""
        return self._kept.model_id(self._settings)

    @property
    def dimension(self) -> int:
        """Length of every vector."""
        return self._kept.dimension

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One L2-normalised row a text, shape (len(texts), dimension), in the order of ``texts``.

        Raises:
            BackendError: the server cannot be reached, refuses, or answers what cannot be used.
        """
        return self._embedded([self._settings.document_prefix + text for text in texts])

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """One L2-normalised row a question; see `embed`."""
        return self._embedded([self._settings.query_prefix + text for text in texts])

    def close(self) -> None:
        """Close the connections; what is asked afterwards fails. Otherwise they go with the embedder."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._server.close()

    def _embedded(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        sent = [self._sendable(text) for text in texts]
        batches = list(_batches(sent, self._settings.batch_texts))
        if len(batches) == 1:
            vectors[batches[0]] = self._asked([sent[place] for place in batches[0]])
            return vectors
        running = [(places, self._pool.submit(self._asked, [sent[place] for place in places])) for places in batches]
        try:
            for places, future in running:
                vectors[places] = future.result()
        finally:
            for _, future in running:
                future.cancel()
        return vectors

    def _sendable(self, text: str) -> str:
        """A text as servers take it: not empty, without halves of characters, of a length one need not try."""
        whole = text.encode("utf-8", "replace").decode("utf-8")
        limit = self._settings.max_tokens
        if limit is not None and not self._kept.cuts:
            whole = whole[: limit * CHARS_A_TOKEN]
        return whole if whole.strip() else "."

    def _asked(self, texts: Sequence[str]) -> Vectors:
        """Ask for one batch; what is refused for its length is asked for in parts."""
        try:
            return ask(self._server, self._kept, texts)
        except Refusal as refusal:
            if refusal.status not in _TOO_LONG or (len(texts) == 1 and len(texts[0]) <= SHORTEST_CHARS):
                raise
        if len(texts) == 1:
            half = len(texts[0]) // 2
            logger.warning("the embedding server refuses a text of {} characters: cut to {}", len(texts[0]), half)
            return self._asked([texts[0][:half]])
        middle = len(texts) // 2
        return np.concatenate([self._asked(texts[:middle]), self._asked(texts[middle:])])


def open_server(settings: EmbeddingSettings, data_dir: Path) -> ServerEmbedder:
    """Reach the server of the settings and learn what its model is; one that is down must have been met before.

    Raises:
        BackendError: it cannot be reached and was not met before, refuses, or gives no usable vectors.
        ConfigurationError: the model must be named, or is not served.
        StoreError: the data directory cannot be read or written.
    """
    address = Address(
        "the embedding server", "DOCMIND_EMBEDDING", settings.base_url, settings.api_key, settings.timeout_seconds
    )
    server, models = JsonServer(address), KeptModels(data_dir)
    try:
        kept = models.meet(settings, _met(server, settings))
    except BackendUnavailable as error:
        before = models.recall(settings, settings.model)
        if before is None:
            raise
        logger.warning("{}; going on with what is known of {}", error, before.model)
        kept = before
    return ServerEmbedder(settings, server, kept)


def ask(server: JsonServer, kept: Kept, texts: Sequence[str]) -> Vectors:
    """Return the vectors of one batch.

    Raises:
        BackendError: the server cannot be reached, refuses, or answers what cannot be used.
    """
    body: dict[str, Any] = {"model": kept.model, "input": list(texts), "encoding_format": "float"}
    if kept.cuts and kept.window:
        body |= {"truncate_prompt_tokens": kept.window}
    rows = server.post("/embeddings", body, _Reply).data
    try:
        return _vectors_of(rows, len(texts), kept.dimension)
    except ValueError as error:
        who = f"{server.address.what} at {server.address.base_url}"
        raise BackendError(
            f"{who} answered what cannot be used: {error}; check that DOCMIND_EMBEDDING__MODEL is an embedding model"
        ) from error


def _vectors_of(rows: Sequence[_Row], wanted: int, dimension: int) -> Vectors:
    """Return the vectors in the order of the texts; ValueError where they are not what was asked for."""
    found = {row.index: row.embedding for row in rows}
    if len(rows) != wanted or set(found) != set(range(wanted)):
        raise ValueError(f"{len(found)} vectors for {wanted} texts")
    lengths = {len(row) for row in found.values()}
    if len(lengths) != 1 or 0 in lengths or dimension not in (0, *lengths):
        raise ValueError(f"vectors of {sorted(lengths)} numbers" + (f" in place of {dimension}" if dimension else ""))
    return normalised(np.array([found[place] for place in range(wanted)], dtype=np.float64))


def _met(server: JsonServer, settings: EmbeddingSettings) -> Kept:
    """Ask for the model's name, its window and the probe's vector."""
    served = _chosen(server, settings)
    told = [tokens for tokens in (served.max_model_len, settings.max_tokens) if tokens]
    cuts = served.max_model_len is not None
    # its dimension is not known yet: 0 takes any
    met = Kept.model_construct(model=served.id, dimension=0, window=min(told, default=None), cuts=cuts, probe=[])
    probe = ask(server, met, [settings.document_prefix + PROBE])[0]
    return Kept(model=met.model, dimension=len(probe), window=met.window, cuts=cuts, probe=probe.tolist())


def _chosen(server: JsonServer, settings: EmbeddingSettings) -> _Served:
    try:
        listed = server.get("/models", _Listing).data
    except Refusal as refusal:
        if refusal.status == _NOT_FOUND and settings.model:
            return _Served(id=settings.model)  # TEI has no list of models
        raise
    named = {served.id: served for served in listed}
    for name in (settings.model, f"{settings.model}:latest"):  # as Ollama lists a model without a tag
        if name in named:
            return named[name].model_copy(update={"id": settings.model})
    if len(listed) == 1 and not settings.model:
        return listed[0]
    there = ", ".join([*named][:MAX_NAMED]) or "nothing"
    what = f"DOCMIND_EMBEDDING__MODEL={settings.model!r} is not served" if settings.model else "name a model"
    hint = "" if settings.model else " in DOCMIND_EMBEDDING__MODEL"
    raise ConfigurationError(f"{what}{hint}: {server.address.base_url} serves {there}")


def _batches(texts: Sequence[str], most: int) -> Iterator[list[int]]:
    """Places of texts of about one length together, the longest first, so that the last batches end soon."""
    batch: list[int] = []
    chars = 0
    for place in sorted(range(len(texts)), key=lambda place: -len(texts[place])):
        if batch and (len(batch) == most or chars + len(texts[place]) > BATCH_CHARS):
            yield batch
            batch, chars = [], 0
        batch.append(place)
        chars += len(texts[place])
    if batch:
        yield batch
