"""How the embedded store's cost grows with what it holds.

Gives `run`. An index of synthetic documents is grown to each size in turn and measured there: a hybrid query (200
windows by meaning, 200 by words with their document frequencies, fused to passages), the same limited to a folder of
1 % and to one of a quarter of all, memory, and how fast documents are stored. At the largest size eight threads read
while one writes. Words follow Zipf's law over 100,000 different ones, so that a query of eight words holds both
frequent and rare ones; vectors are random, which costs an exact search what any others do. Embedding is not part of
it. Times are wall clock in milliseconds, with the processor time of the whole process beside it: on a machine that is
busy with other work, the latter is the measure. What a million windows cost is predicted by a straight line through
the sizes measured.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.bench.report import quantiles
from infra.settings import Settings
from infra.store.index import Index
from infra.store.records import Chunk, Document, Entry, Span, digest_of, embedded_text
from infra.store.roots import scope_id
from infra.text.terms import terms
from tools.fusion import fuse

SIZES = (10_000, 30_000, 100_000)
PREDICTED = 1_000_000
QUERIES = 100
READERS = 8
WRITTEN = 40
"""Documents changed while the threads read."""

DIMENSION = 384
LISTED = 200
CHUNKS_A_DOCUMENT = 20
WORDS_A_CHUNK = 48
WORDS_A_QUERY = 8
DOCUMENTS_AT_ONCE = 50

_ROOT = "/synthetic"
_VOCABULARY = 100_000
_SHARES = 1 / (np.arange(_VOCABULARY) + 3.7)
_CUMULATED = np.cumsum(_SHARES / _SHARES.sum())
_SYLLABLES = [c + v for c in "bdfgklmnprst" for v in "aeiou"]


class RandomEmbedder:
    """A vector for each text, the same in every run, at no cost worth counting."""

    model_id = "random/384"
    dimension = DIMENSION

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """L2-normalised vectors, shape (texts, 384)."""
        rows = np.empty((len(texts), DIMENSION), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            seed = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
            row[:] = np.random.default_rng(seed).standard_normal(DIMENSION, dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The same for questions."""
        return self.embed(texts)


def run(sizes: Sequence[int] = SIZES, *, queries: int = QUERIES) -> dict[str, Any]:
    """Measure the embedded store at each of ``sizes`` (chunks, growing), in a temporary folder.

    Returns:
        For each size its figures, for the largest those of reading while writing, and the prediction.
    """
    figures: dict[str, Any] = {}
    with TemporaryDirectory() as folder, Index.open(Settings(data_dir=Path(folder)), RandomEmbedder()) as index:
        index.library.set_roots([_ROOT])
        stored = 0
        for size in sizes:
            started = time.perf_counter()
            for first in range(stored, size // CHUNKS_A_DOCUMENT, DOCUMENTS_AT_ONCE):
                last = min(first + DOCUMENTS_AT_ONCE, size // CHUNKS_A_DOCUMENT)
                index.change([_entry(number) for number in range(first, last)])
            index.settle()
            rate = (size // CHUNKS_A_DOCUMENT - stored) * CHUNKS_A_DOCUMENT / (time.perf_counter() - started)
            stored = size // CHUNKS_A_DOCUMENT
            figures[f"{size}"] = {"stored_a_second": round(rate), **_measured(index, queries), **_memory()}
        figures["reading_while_writing"] = _busy(index, stored)
    return figures | {f"predicted_{PREDICTED}": _predicted(figures, sizes)}


def _measured(index: Index, queries: int) -> dict[str, Any]:
    places = {"all": None, "filtered_1_percent": ["/synthetic/q0/f0"], "filtered_25_percent": ["/synthetic/q0"]}
    return {name: _times(index, queries, roots) for name, roots in places.items()}


def _times(index: Index, queries: int, roots: list[str] | None) -> dict[str, float]:
    wall, processor = list[float](), list[float]()
    for number in range(-5, queries):  # the first ones bring files into memory
        vector, words = _question(number)
        started, used = time.perf_counter(), time.process_time()
        _ask(index, vector, words, roots)
        if number >= 0:
            wall.append(1_000 * (time.perf_counter() - started))
            processor.append(1_000 * (time.process_time() - used))
    return quantiles(wall) | {f"processor_{name}": value for name, value in quantiles(processor).items()}


def _question(number: int) -> tuple[NDArray[np.float32], list[str]]:
    text = " ".join(_words(10**9 + number, WORDS_A_QUERY))
    return RandomEmbedder().embed([text])[0], list(dict.fromkeys(terms(text)))


def _ask(index: Index, vector: NDArray[np.float32], words: Sequence[str], roots: list[str] | None) -> int:
    return len(fuse(index.dense(vector, LISTED, roots), index.sparse(words, LISTED, roots), limit=LISTED))


def _busy(index: Index, documents: int) -> dict[str, Any]:
    """Read in eight threads while one changes documents; then look for every change."""
    done = Event()
    versions = range(10**6, 10**6 + WRITTEN)

    def read(number: int) -> list[float]:
        times = list[float]()
        while not (done.is_set() and times):
            vector, words = _question(number)
            started = time.perf_counter()
            _ask(index, vector, words, None)
            times.append(1_000 * (time.perf_counter() - started))
        return times

    with ThreadPoolExecutor(READERS) as pool:
        readers = [pool.submit(read, number) for number in range(READERS)]
        try:
            for version in versions:
                index.change([_entry(version % documents, version)])
        finally:
            done.set()
        errors = sum(reader.exception() is not None for reader in readers)
        times = [one for reader in readers if reader.exception() is None for one in reader.result()]
    index.settle()
    lost = sum(not _is_found(index, _entry(version % documents, version)) for version in versions)
    lost += abs(index.counts().windows - documents * CHUNKS_A_DOCUMENT)
    return {"errors": errors, "lost": lost, "reads": len(times), **quantiles(times)}


def _is_found(index: Index, entry: Entry) -> bool:
    """Whether the last window of a document is nearest to its own vector."""
    chunk, span = entry.chunks[-1], entry.spans[-1]
    vector = RandomEmbedder().embed([embedded_text(chunk.header, entry.document.text[span.start : span.end])])[0]
    return [hit.window_id for hit in index.dense(vector, 1)] == [span.id]


def _predicted(figures: dict[str, Any], sizes: Sequence[int]) -> dict[str, float]:
    """What the line through the sizes measured says, in the units measured; nothing for one size alone."""
    readings: dict[str, Callable[[dict[str, Any]], float]] = {
        "processor_p50": lambda one: one["all"]["processor_p50"],
        "filtered_25_percent_processor_p50": lambda one: one["filtered_25_percent"]["processor_p50"],
        "memory_mb": lambda one: one["memory_mb"],
    }
    if len(sizes) == 1:
        return {}
    found: dict[str, float] = {}
    for name, reading in readings.items():
        slope, start = np.polyfit(np.array(sizes), np.array([reading(figures[f"{size}"]) for size in sizes]), 1)
        found[name] = round(float(slope * PREDICTED + start), 1)
    return found


def _memory() -> dict[str, float]:
    """What the process holds now, files in memory included, and its own part of that; MB (Linux only)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return {"memory_mb": 0.0, "own_memory_mb": 0.0}
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return {
        name: round(int(lines[field].split()[0]) / 1024, 1)
        for name, field in (("memory_mb", "VmRSS"), ("own_memory_mb", "RssAnon"))
    }


def _words(seed: int, count: int) -> list[str]:
    ranks = np.searchsorted(_CUMULATED, np.random.default_rng(seed).random(count))
    return [_word(int(min(rank, _VOCABULARY - 1))) for rank in ranks]


def _word(rank: int) -> str:
    """The word of this rank: at least three syllables, so that none is a stop word."""
    syllables = list[str]()
    for _ in range(3):
        rank, place = divmod(rank, len(_SYLLABLES))
        syllables.append(_SYLLABLES[place])
    return "".join(syllables)


def _entry(number: int, version: int = 0) -> Entry:
    """A document of 20 chunks of one window each, in one of a hundred folders, each in one of four."""
    path = f"{_ROOT}/q{number % 4}/f{number % 100}/d{number}.txt"
    identity = scope_id(path)
    texts = [" ".join(_words(seed, WORDS_A_CHUNK)) for seed in _seeds(version or number)]
    chunks, spans = list[Chunk](), list[Span]()
    start = 0
    for ordinal, text in enumerate(texts):
        name = digest_of(identity, f"{ordinal}", text)
        window = f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:]}"
        end = start + len(text)
        chunks.append(Chunk(name, identity, ordinal, start, end, "", digest_of(text)))
        spans.append(Span(window, name, start, end, digest_of(text)))
        start = end + 1
    text = "\n".join(texts)
    document = Document(identity, _ROOT, path, digest_of(text), len(text), 1, "v1", f"d{number}", text)
    return Entry(document, tuple(chunks), tuple(spans))


def _seeds(number: int) -> Iterator[int]:
    return iter(range(number * CHUNKS_A_DOCUMENT, (number + 1) * CHUNKS_A_DOCUMENT))
