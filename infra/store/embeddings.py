"""Texts to vectors: all-MiniLM-L6-v2 in fp32 on ONNX Runtime, on the CPU, with nothing fetched.

One pass of the model serves two needs: the pooled vector (search) and the token vectors (late interaction, alignment).
The file itself is made by ``infra.store.embeddings_convert``. Calls block; they may come from several threads.

Many texts go in batches, each on one core, as many at a time as there are cores: of two cores that gives an eighth more
texts a second than one batch on both, which wait for each other at every operation. A question is one batch, and all
cores share it. So there are two sessions, each loaded when it is first needed.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, runtime_checkable

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from infra.store.embeddings_convert import HIDDEN, prepare_minilm

MAX_TOKENS = 256
"""The length the model was tuned for (its sentence_bert_config.json); longer texts are cut."""
BATCH_TOKENS = 1_024
"""Padded tokens of one run. On a 2-core EPYC, 8 texts of 85 tokens at once give a quarter more a second than 32."""
MAX_THREADS = 8
"""Cores used unless told otherwise, where there are as many."""

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Turns texts into vectors; thread-safe, blocking."""

    @property
    def model_id(self) -> str:
        """Name of model and arithmetic, e.g. ``all-MiniLM-L6-v2/fp32``; vectors of different ids do not mix."""
        ...

    @property
    def dimension(self) -> int:
        """Length of every vector."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One L2-normalised row a text that is to be found, shape (len(texts), dimension); longer texts are cut."""
        ...

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """One row a question, likewise; some models put other words before questions than before what is found."""
        ...


@runtime_checkable
class TokenEmbedder(Embedder, Protocol):
    """An embedder that gives token vectors as well, for late interaction: MiniLM does; servers and folders do not.

    Whoever wants them asks with ``isinstance`` and goes without where it is not one.
    """

    def embed_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """Per text its token vectors, shape (tokens, dimension), rows L2-normalised, special tokens left out."""
        ...

    def embed_both(self, text: str) -> tuple[Vectors, Vectors]:
        """The vector of one text, shape (dimension,), and its token vectors, in one pass of the model."""
        ...


class MiniLM:
    """all-MiniLM-L6-v2; see ``TokenEmbedder``."""

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        """Use the converted model in ``folder`` on ``threads`` cores (1 or more; None: those there are, 8 at most)."""
        self._model = folder / "model.onnx"
        self._threads = threads or min(_cores(), MAX_THREADS)
        self._workers = ThreadPoolExecutor(self._threads, thread_name_prefix="docmind-embed")
        self._sessions: dict[int, Any] = {}
        self._loading = Lock()
        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()

    @property
    def model_id(self) -> str:
        """Name of model and arithmetic."""
        return "all-MiniLM-L6-v2/fp32"

    @property
    def dimension(self) -> int:
        """Length of every vector."""
        return HIDDEN

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One L2-normalised row a text, shape (len(texts), 384), in the order of ``texts``."""
        vectors = np.zeros((len(texts), HIDDEN), dtype=np.float32)
        for places, rows in self._run_all("pooled", texts):
            vectors[places] = rows
        return vectors

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """As `embed`, soonest for one text: the model itself makes no difference."""
        vectors = np.zeros((len(texts), HIDDEN), dtype=np.float32)
        for places, encodings in self._batches(texts):
            vectors[places] = self._run("pooled", encodings, self._threads)
        return vectors

    def embed_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """Per text its token vectors, rows L2-normalised, without the two special tokens at the ends."""
        found: dict[int, Vectors] = {}
        for places, rows in self._run_all("tokens", texts):
            found.update(zip(places, rows, strict=True))
        return [found[place] for place in range(len(texts))]

    def embed_both(self, text: str) -> tuple[Vectors, Vectors]:
        """The vector of one text and its token vectors, soonest, in one pass."""
        encodings: list[Encoding] = self._tokenizer.encode_batch([text])
        pooled, tokens = self._outputs(["pooled", "tokens"], encodings, self._threads)
        return pooled[0], _own_rows(tokens, encodings)[0]

    def _run_all(self, output: str, texts: Sequence[str]) -> Iterator[tuple[list[int], Sequence[Vectors]]]:
        """Every batch in a worker; the longest texts first, so that the last ones to end are short.

        Few batches wait at a time, so that a process that ends does not work through all of them first.
        """
        waiting: deque[tuple[list[int], Future[Sequence[Vectors]]]] = deque()
        for places, encodings in [*self._batches(texts)][::-1]:
            waiting.append((places, self._workers.submit(self._run, output, encodings, 1)))
            if len(waiting) > 2 * self._threads:
                done, rows = waiting.popleft()
                yield done, rows.result()
        for places, rows in waiting:
            yield places, rows.result()

    def _batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[Encoding]]]:
        encodings: list[Encoding] = self._tokenizer.encode_batch(list(texts))
        order = sorted(range(len(texts)), key=lambda place: len(encodings[place].ids))
        batch: list[int] = []
        for place in order:
            # sorted by length, so the newest text is the one all others are padded to
            if batch and len(encodings[place].ids) * (len(batch) + 1) > BATCH_TOKENS:
                yield batch, [encodings[p] for p in batch]
                batch = []
            batch.append(place)
        if batch:
            yield batch, [encodings[p] for p in batch]

    def _run(self, output: str, encodings: Sequence[Encoding], threads: int) -> Sequence[Vectors]:
        """One row a text; of its tokens, those that are its own."""
        rows = self._outputs([output], encodings, threads)[0]
        return list(rows) if output == "pooled" else _own_rows(rows, encodings)

    def _outputs(self, names: list[str], encodings: Sequence[Encoding], threads: int) -> list[Vectors]:
        shape = (len(encodings), max(len(e.ids) for e in encodings))
        ids, mask = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        return self._session(threads).run(names, {"input_ids": ids, "attention_mask": mask})

    def _session(self, threads: int) -> Any:  # noqa: ANN401 - onnxruntime is untyped
        with self._loading:
            if threads not in self._sessions:
                self._sessions[threads] = _session(self._model, threads)
            return self._sessions[threads]


def _own_rows(rows: Vectors, encodings: Sequence[Encoding]) -> list[Vectors]:
    """Per text the rows of its own tokens: neither those of padding nor the two at its ends."""
    return [row[1 : len(encoding.ids) - 1].copy() for row, encoding in zip(rows, encodings, strict=True)]


def _cores() -> int:
    """Those this process may use, where the system tells; else those there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _session(model: Path, threads: int) -> Any:  # noqa: ANN401 - onnxruntime is untyped
    runtime: Any = onnxruntime
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # threads that spin while they wait take three times the processor time of the work itself (20 ms for 6, measured)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return runtime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def open_minilm(data_dir: Path, *, threads: int | None = None) -> TokenEmbedder:
    """Return MiniLM, converting it once from the installed package into ``data_dir`` (about 2 s; later 0.2-0.5 s).

    Raises:
        ConfigurationError: the package with the weights is not installed or holds other weights.
        StoreError: the data directory cannot be written.
    """
    return MiniLM(prepare_minilm(data_dir), threads=threads)


def word_pieces(data_dir: Path) -> Callable[[str], list[int]]:
    """Return MiniLM's tokenizer: text to the numbers of its word pieces, all of them, without special tokens.

    Raises:
        ConfigurationError, StoreError: see `open_minilm`.
    """
    tokenizer: Any = Tokenizer.from_file(str(prepare_minilm(data_dir) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids
