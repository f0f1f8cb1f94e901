"""Ingestion of a folder, from nothing and again after small changes, beside the bare embedder and LlamaIndex.

Gives `run`. Every set of the evaluation data becomes a folder of files in a temporary directory; without data a corpus
is generated. Cold: folder after folder goes into an empty index, and so does the same text through the bare embedding
model (the same windows in one call, which sorts them by length) and through LlamaIndex's pipelines (see
``graph.bench.peers_ingest``). They take turns on each folder, in another order each time, so that the machine's noise
hits all alike. LlamaIndex's default nodes of 1,024 tokens are longer than MiniLM reads, so that it embeds only a part
of the text: ``embedded_share`` says how much, ``characters_per_second`` counts only that. Warm: the same files again,
all touched, one chunk changed, one file renamed. Imports come before; files carry old time stamps, which can be
trusted. Times are wall clock in seconds with the processor time of the whole process beside it.
"""

import os
import random
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.bench.sets import read_sets
from infra.settings import Settings
from infra.store.embeddings import MAX_TOKENS, Embedder, word_pieces
from infra.store.embeddings_open import open_embedder
from infra.store.index import Index
from tools.ingest import ingest
from tools.ingest_report import IngestReport

ROUNDS = 3
OLD_NS = 1_700_000_000 * 10**9
"""A modification time long past: a fresh one proves nothing."""

GENERATED_DOCUMENTS = 40
GENERATED_PARAGRAPHS = 10
_WORDS = """
about after again all also animal answer around ask back because before begin between both boat book bridge build call
carry change children city close come country cover cross different down draw early earth eat engine enough every family
farm few field find first follow food found garden give great ground grow hand head hear help high home horse house
important island keep kind know land large last late learn leave letter life light line list live long machine many mark
""".split()  # noqa: SIM905 - prose to look at
_SPECIAL_TOKENS = 2

Documents = Mapping[str, str]
Figures = dict[str, Any]
Timed = tuple[Sequence[str], Figures]
System = Callable[[], Timed]
"""Does the work; gives the texts embedded and what it took."""


class CountingEmbedder:
    """An embedder that notes what it was asked for; without one to ask it gives the same vector for all.

    Attributes:
        calls: calls for texts that are to be found.
        texts: the texts of these calls.
    """

    def __init__(self, model_id: str, dimension: int, embedder: Embedder | None = None) -> None:
        self.model_id = model_id
        self.dimension = dimension
        self._embedder = embedder
        self.calls = 0
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row a text, noted."""
        self.calls += 1
        self.texts += texts
        return self.embed_queries(texts)

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row a text."""
        if self._embedder:
            return self._embedder.embed(texts)
        return np.full((len(texts), self.dimension), self.dimension**-0.5, dtype=np.float32)


def run(settings: Settings, data: Path | None = None, *, rounds: int = ROUNDS) -> Figures:
    """Measure ingestion with the settings' embedding model; nothing but the model is kept in their data directory.

    Args:
        settings: the model, and the bounds of files.
        data: the folder of the evaluation data; None generates a corpus.
        rounds: how often everything is done from nothing.

    Returns:
        ``corpus``; ``cold``, a row for each system (sums over the folders, of the median of the rounds each);
        ``cold_of_bare``, throughput over that of the bare embedder; ``warm``, a row for each change.

    Raises:
        ConfigurationError: ``data`` holds no set, or the model's settings are wrong.
        StoreError: the data directory or the temporary one cannot be written.
    """
    with TemporaryDirectory() as temporary:
        bench = _Bench(settings, Path(temporary, "indexes"))
        corpora = {s.name: s.documents for s in read_sets(data)} if data else {"generated": _generated()}
        folders = {name: _written(corpus, Path(temporary, name)) for name, corpus in corpora.items()}
        cold = bench.cold(corpora, folders, rounds)
        files, characters = _size(corpora.values())
        largest = max(corpora, key=lambda name: _size([corpora[name]])[1])
        warm = bench.warm(folders[largest], corpora[largest])
    ours, bare = cold["docmind"], cold["bare_embedder"]
    return {
        "corpus": {"files": files, "characters": characters, "windows": ours["texts"], "rounds": rounds},
        "cold": cold,
        "cold_of_bare": {unit: round(bare[unit] / ours[unit], 3) for unit in ("seconds", "processor_seconds")},
        "warm": warm,
    }


class _Bench:
    """Opens one index after the other, each in a folder of its own."""

    def __init__(self, settings: Settings, home: Path) -> None:
        # what is imported late elsewhere is imported here, before the clock runs: LlamaIndex, and what needs it
        import_module("tools.ingest_work")
        from graph.bench.peers_ingest import LLAMA_INGESTIONS  # noqa: PLC0415

        self._peers = LLAMA_INGESTIONS
        self._settings = settings
        self._home = home
        self._opened = 0
        self._embedder = open_embedder(settings)
        self._pieces = word_pieces(settings.data_dir) if settings.embedding.kind == "minilm" else None
        self._embedder.embed(["the first run brings the model into memory"])

    def cold(self, corpora: Mapping[str, Documents], folders: Mapping[str, Path], rounds: int) -> dict[str, Figures]:
        """Everything from nothing, folder by folder, each system in its turn."""
        rows: dict[str, Figures] = {}
        for place, (name, corpus) in enumerate(corpora.items()):
            systems = self._systems(folders[name])
            order = list(systems)
            spent: dict[str, list[Figures]] = {system: [] for system in order}
            texts: dict[str, Sequence[str]] = {}
            for number in range(rounds):
                turn = (number + place) % len(order)
                for system in [*order[turn:], *order[:turn]]:
                    texts[system], figures = systems[system]()
                    spent[system].append(figures)
            for system in order:
                _add(rows.setdefault(system, {}), spent[system], self._extent(corpus, texts[system]))
        return {system: _rates(row) for system, row in rows.items()}

    def _systems(self, folder: Path) -> dict[str, System]:
        dry = CountingEmbedder(self._embedder.model_id, self._embedder.dimension)
        self._ours(folder, dry)

        def bare() -> Timed:
            _, figures = _timed(lambda: self._embedder.embed(dry.texts))
            return dry.texts, figures

        def ours() -> Timed:
            return dry.texts, self._ours(folder, self._embedder)

        peers: dict[str, System] = {
            name: partial(_timed, partial(peer, folder, self._embedder)) for name, peer in self._peers.items()
        }
        return {"docmind": ours, "bare_embedder": bare, **peers}

    def _ours(self, folder: Path, embedder: Embedder) -> Figures:
        with self._index(embedder) as index:
            return _timed(lambda: self._ingest(index, embedder, folder))[1]

    def warm(self, folder: Path, corpus: Documents) -> dict[str, Figures]:
        """One change after the other in one folder, brought into one index; each beside the first ingestion."""
        counting = CountingEmbedder(self._embedder.model_id, self._embedder.dimension, self._embedder)
        name = max(corpus, key=lambda name: len(corpus[name]))
        file = folder / name
        changes: dict[str, Callable[[], object]] = {
            "first": lambda: None,
            "unchanged": lambda: None,
            "all_touched": lambda: [_date(folder / each, OLD_NS + 10**9) for each in corpus],
            "one_chunk_changed": lambda: _write(file, _edited(corpus[name]), OLD_NS + 2 * 10**9),
            "one_file_renamed": lambda: file.rename(file.with_name(f"renamed-{file.name}")),
        }
        rows: dict[str, Figures] = {}
        with self._index(counting) as index:
            for change, make in changes.items():
                make()
                calls, texts = counting.calls, len(counting.texts)
                report, figures = _timed(lambda: self._ingest(index, counting, folder))
                figures |= {"calls": counting.calls - calls, "windows": len(counting.texts) - texts}
                rows[change] = figures | {k: v for k, v in asdict(report).items() if k in _COUNTED and v}
                rows[change]["saved_share"] = round(1 - figures["seconds"] / rows["first"]["seconds"], 4)
        return rows

    def _ingest(self, index: Index, embedder: Embedder, folder: Path) -> IngestReport:
        return ingest(index, embedder, [folder], settings=self._settings.ingest)

    def _index(self, embedder: Embedder) -> Index:
        self._opened += 1
        data_dir = self._home / f"{self._opened}"
        return Index.open(self._settings.model_copy(update={"data_dir": data_dir}), embedder)

    def _extent(self, corpus: Documents, texts: Sequence[str]) -> Figures:
        """How many texts were embedded, and how many characters of the corpus the model read in them."""
        _, characters = _size([corpus])
        read = characters
        if self._pieces:
            room = MAX_TOKENS - _SPECIAL_TOKENS
            shares = [min(1.0, room / max(1, len(self._pieces(text)))) for text in texts]
            lengths = [len(text) for text in texts]
            read = characters * float(np.average(shares, weights=lengths)) if texts else 0
        return {"texts": len(texts), "characters": characters, "read": read}


_COUNTED = frozenset({"added", "changed", "moved", "removed", "unchanged", "embedded"})


def _timed(work: Callable[[], Any]) -> tuple[Any, Figures]:
    started, used = time.perf_counter(), time.process_time()
    found = work()
    spent = {"seconds": time.perf_counter() - started, "processor_seconds": time.process_time() - used}
    return found, {name: round(value, 4) for name, value in spent.items()}


def _add(row: Figures, spent: Sequence[Figures], extent: Figures) -> None:
    medians = {unit: median(each[unit] for each in spent) for unit in spent[0]}
    for name, value in (medians | extent).items():
        row[name] = row.get(name, 0) + value


def _rates(row: Figures) -> Figures:
    seconds, read = row["seconds"], row.pop("read")
    return {
        "seconds": round(seconds, 3),
        "processor_seconds": round(row["processor_seconds"], 3),
        "texts": row["texts"],
        "texts_per_second": round(row["texts"] / seconds, 1),
        "embedded_share": round(read / row["characters"], 3),
        "characters_per_second": round(read / seconds),
    }


def _size(corpora: Iterable[Documents]) -> tuple[int, int]:
    texts = [text for corpus in corpora for text in corpus.values()]
    return len(texts), sum(map(len, texts))


def _written(corpus: Documents, folder: Path) -> Path:
    for name, text in corpus.items():
        _write(folder / name, text, OLD_NS)
    return folder


def _write(file: Path, text: str, time_ns: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())
    _date(file, time_ns)


def _date(file: Path, time_ns: int) -> None:
    os.utime(file, ns=(time_ns, time_ns))


def _edited(text: str) -> str:
    """With one word in the middle replaced by another one of its length."""
    start = text.index(" ", len(text) // 2) + 1
    words = re.compile(r"[a-z]{4,}").search(text, start) or re.compile(r"\w").search(text, start)
    if words is None:
        return text + " edited"
    return f"{text[: words.start()]}{'q' * (words.end() - words.start())}{text[words.end() :]}"


def _generated() -> dict[str, str]:
    chance = random.Random(4)

    def paragraph() -> str:
        sentences = (" ".join(chance.choices(_WORDS, k=chance.randint(6, 24))) for _ in range(6))
        return " ".join(f"{sentence.capitalize()}." for sentence in sentences)

    return {
        f"{number % 4}/{number:03}.txt": "\n\n".join(paragraph() for _ in range(GENERATED_PARAGRAPHS))
        for number in range(GENERATED_DOCUMENTS)
    }
