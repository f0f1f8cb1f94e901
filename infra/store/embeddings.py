"""Texts to vectors: all-MiniLM-L6-v2 in fp32 on ONNX Runtime, on the CPU, with nothing fetched.

One pass of the model serves two needs: the pooled vector (search) and the token vectors (late interaction, alignment).
The file itself is made by ``infra.store.embeddings_convert``. Calls block; they may come from several threads.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
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
DEFAULT_THREADS = 2

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


class MiniLM:
    """all-MiniLM-L6-v2; see ``TokenEmbedder``."""

    def __init__(self, folder: Path, *, threads: int = DEFAULT_THREADS) -> None:
        """Load the converted model from ``folder``; ``threads`` is how many cores one call may use (1 or more)."""
        self._session = _session(folder / "model.onnx", threads)
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
        for places, encodings in self._batches(texts):
            vectors[places] = self._run("pooled", encodings)
        return vectors

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """As `embed`: the model makes no difference."""
        return self.embed(texts)

    def embed_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """Per text its token vectors, rows L2-normalised, without the two special tokens at the ends."""
        found: dict[int, Vectors] = {}
        for places, encodings in self._batches(texts):
            rows = self._run("tokens", encodings)
            for row, place, encoding in zip(rows, places, encodings, strict=True):
                found[place] = row[1 : len(encoding.ids) - 1].copy()
        return [found[place] for place in range(len(texts))]

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

    def _run(self, output: str, encodings: Sequence[Encoding]) -> Vectors:
        shape = (len(encodings), max(len(e.ids) for e in encodings))
        ids, mask = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        return self._session.run([output], {"input_ids": ids, "attention_mask": mask})[0]


def _session(model: Path, threads: int) -> Any:  # noqa: ANN401 - onnxruntime is untyped
    runtime: Any = onnxruntime
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return runtime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def open_minilm(data_dir: Path, *, threads: int = DEFAULT_THREADS) -> TokenEmbedder:
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
