"""The answer cache beside stock GPTCache: hits on rephrased questions, and hits that are wrong.

Gives `run`, `tables` and `draw`. Both caches are the real ones, with the same embedding model, in the same run. Pairs
(a file's, and rephrasings and hard negatives made of the evaluation sets' questions) are asked each alone: ``b`` where
only ``a`` is kept. Of a set of questions all are kept, and each is asked of the others: a hit on one with another gold
answer is wrong. banking77's labels put different questions under one intent and near-duplicates under two, so that its
figures are a lower bound. Stock GPTCache is measured at its default threshold and over all of them. Speed is not
measured here.
"""

import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.progress import Progress

from graph.bench.cache_aims import aims
from graph.bench.cache_ours import Noting, Ours
from graph.bench.cache_sets import BANKING, Labelled, Pair, generated, read_labelled, read_pairs
from graph.bench.cache_trials import (
    Advance,
    Figures,
    Rooms,
    Trial,
    ask_others,
    ask_pairs,
    at_hit_rate,
    by_kind,
    curve,
    figures,
)
from graph.bench.plots import curves
from infra.errors import ConfigurationError
from infra.settings import Settings
from infra.store.embeddings import MiniLM, word_pieces
from infra.store.embeddings_open import open_embedder

PAIRS, GENERATED, DOCUMENTS = "pairs", "generated", "documents"
SYSTEMS = OURS, STOCK = "ours", "stock"

SEED = 77
"""Held out: the gates were made with other ones."""

PER_KIND = 320
"""Of 16 kinds of hard negatives: more than 5,000."""

IN_MEMORY = Path("/dev/shm")
LEAST_FREE_BYTES = 2_000_000_000

TOP = ("hit_rate", "wrong_among_hits", "wrong_hits", "hits", "asked", "wanted", "near_rate", "not_kept")


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked, and how.

    Attributes:
        pairs: a file of pairs.
        data: the folder of the evaluation data.
        seed: of the generated pairs.
        per_kind: generated pairs of each kind.
        least_cosine: the cache's bound for candidates; None: its own.
        stock: whether stock GPTCache is measured, too.
    """

    pairs: Path | None = None
    data: Path | None = None
    seed: int = SEED
    per_kind: int = PER_KIND
    least_cosine: float | None = None
    stock: bool = True


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures, and all trials by system, then by what was asked, to draw from."""

    figures: Figures
    trials: Mapping[str, Mapping[str, Sequence[Trial]]]


@dataclass(frozen=True, slots=True)
class _Asked:
    pairs: dict[str, list[Pair]] = field(default_factory=dict[str, list[Pair]])
    sets: list[Labelled] = field(default_factory=list[Labelled])

    @property
    def steps(self) -> int:
        return sum(map(len, self.pairs.values())) + 2 * sum(len(one.gold) for one in self.sets)


Open = Callable[[Path, bool], Any]


def run(options: Options, settings: Settings, console: Console | None = None) -> Measured:
    """Measure; takes some minutes with the evaluation data.

    Raises:
        ConfigurationError: nothing to ask is given, it cannot be read, or a package is missing.
        StoreError: the cache turned itself off.
    """
    asked = _asked(options)
    model = open_embedder(settings)
    pieces = word_pieces(settings.data_dir) if isinstance(model, MiniLM) else None
    embedder = Noting(model)
    systems: dict[str, Open] = {
        OURS: lambda folder, others: Ours(
            folder, embedder, pieces, others_only=others, least_cosine=options.least_cosine
        )
    }
    if options.stock:
        from graph.bench.cache_stock import Stock  # noqa: PLC0415 - only who measures it needs its packages

        systems[STOCK] = lambda folder, others: Stock(folder, embedder.vector, embedder.dimension, others_only=others)
    trials: dict[str, dict[str, list[Trial]]] = {}
    with Progress(console=console, transient=True, disable=console is None) as progress:
        tasks = {name: progress.add_task(name, total=asked.steps) for name in systems}
        for name, opened in systems.items():
            trials[name] = _trials(asked, opened, lambda name=name: progress.advance(tasks[name]))
    return Measured(_figures(trials, asked), trials)


def _asked(options: Options) -> _Asked:
    if options.pairs is None and options.data is None:
        raise ConfigurationError(
            'nothing to ask: give --pairs FILE.jsonl (lines of {"a", "b", "same"}) or --data DIR (the evaluation data)'
        )
    asked = _Asked()
    if options.pairs is not None:
        asked.pairs[PAIRS] = read_pairs(options.pairs)
    if options.data is not None:
        asked.sets.extend(read_labelled(options.data))
        asked.pairs[GENERATED] = generated(options.data, options.seed, options.per_kind)
    return asked


def _trials(asked: _Asked, opened: Open, advance: Advance) -> dict[str, list[Trial]]:
    found: dict[str, list[Trial]] = {}
    with _rooms(opened, others=False) as rooms:
        for name, pairs in asked.pairs.items():
            found[name] = ask_pairs(rooms, pairs, advance)
    with _rooms(opened, others=True) as rooms:
        for labelled in asked.sets:
            found[labelled.name] = ask_others(rooms, labelled, advance)
    return found


@contextmanager
def _rooms(opened: Open, *, others: bool) -> Generator[Rooms]:
    """A cache in a temporary folder, in memory where there is room: both wait for the disk at each write otherwise."""
    in_memory = IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > LEAST_FREE_BYTES
    with (
        TemporaryDirectory(prefix="docmind-bench-", dir=IN_MEMORY if in_memory else None) as folder,
        closing(opened(Path(folder), others)) as rooms,
    ):
        yield rooms


def _figures(trials: Mapping[str, Mapping[str, Sequence[Trial]]], asked: _Asked) -> Figures:
    details = {name: _beside({system: found[name] for system, found in trials.items()}) for name in trials[OURS]}
    sets = [one.name for one in asked.sets if one.name != BANKING]
    documents = {system: [trial for name in sets for trial in found[name]] for system, found in trials.items()}
    if sets:
        wrong = [_wrong(name, trial) for name in sets for trial in trials[OURS][name] if _is_wrong(trial)]
        details[DOCUMENTS] = {**_beside(documents), "wrong": wrong}
    first = next(iter([*asked.pairs, *details]))
    top = {system: {name: details[first][system][name] for name in TOP} for system in trials}
    if STOCK in trials:
        top[STOCK]["at_our_hit_rate"] = details[first][STOCK]["at_our_hit_rate"]
    return {**top, "measured_on": first, "details": details, "aims": aims(details)}


def _beside(trials: Mapping[str, Sequence[Trial]]) -> Figures:
    """The figures of each system; of stock, also at the threshold that gives our hit rate."""
    rows = {system: {**figures(found), "by_kind": by_kind(found)} for system, found in trials.items()}
    if STOCK in trials:
        hits = sum(trial.reply.hit and trial.counted for trial in trials[OURS])
        rows[STOCK]["at_our_hit_rate"] = at_hit_rate(trials[STOCK], hits)
    return rows


def _is_wrong(trial: Trial) -> bool:
    return trial.reply.hit and not trial.right


def _wrong(name: str, trial: Trial) -> Figures:
    return {"set": name, "asked": trial.asked, "kept": trial.reply.candidate, "reason": trial.reply.reason}


def draw(measured: Measured, folder: Path) -> list[Path]:
    """Draw the wrong share among hits over the hit rate, for pairs and banking77; return the files."""
    files: list[Path] = []
    for name in (PAIRS, GENERATED, BANKING):
        ours = measured.trials[OURS].get(name)
        stock = measured.trials.get(STOCK, {}).get(name)
        if not ours:
            continue
        rows = {system: measured.figures["details"][name][system] for system in measured.trials}
        points = {system: (row["hit_rate"], row["wrong_among_hits"]) for system, row in rows.items()}
        names = {OURS: "DocMind", STOCK: "stock GPTCache, default threshold"}
        files.append(
            curves(
                folder / f"cache_{name}.png",
                f"Answer cache on {name}: wrong share among hits over hit rate",
                ("hit rate, share of the questions that should hit", "wrong hits, share of all hits"),
                {"stock GPTCache over its thresholds": curve(stock)} if stock else {},
                {names[system]: point for system, point in points.items()},
            )
        )
    return files
