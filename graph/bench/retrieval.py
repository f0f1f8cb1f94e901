"""Retrieval over the evaluation sets: DocMind with its defaults and with everything on, beside its peers.

Every set goes through the real ingestion as files and through the real search; the same settings serve all sets. An
index is kept in the data directory, so that a second run embeds nothing anew. Times are wall clock in milliseconds a
question, its embedding included, with the processor time of the whole process beside it: on a machine that is busy with
other work, the latter is the measure.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from graph.bench.peers import PEERS
from graph.bench.plots import bars
from graph.bench.recall import abstention, scores
from graph.bench.report import quantiles, share
from graph.bench.sets import EvaluationSet, Place, read_sets
from infra.settings import Settings
from infra.store.embeddings import Embedder
from infra.store.embeddings_open import open_embedder
from infra.store.index import Index
from tools.evidence import Finding
from tools.ingest import ingest
from tools.search import CANDIDATES, Retriever, open_retriever

CUTOFFS = {"lihua_world": (1, 5, 10), "anthropic_docs": (3, 5, 10)}
PASSAGES = CANDIDATES
"""Passages asked for: as many as a search with the default settings reads, so that their order is the default one."""

ALL_ON: dict[str, Any] = {"late_interaction": True, "link_graph": "on"}

AIMS: dict[str, dict[str, tuple[float, float]]] = {
    "lihua_world": {
        "single_recall@1": (0.82, 0.84),
        "single_recall@5": (0.955, 0.97),
        "single_recall@10": (0.98, 0.985),
        "multi_recall@5": (0.80, 0.84),
        "multi_all_gold@5": (0.62, 0.68),
        "auc": (0.88, 0.90),
        "auc_length_matched": (0.84, 0.86),
        "refused_at_95_kept": (0.48, 0.55),
    },
    "anthropic_docs": {
        "single_recall@3": (0.78, 0.80),
        "single_recall@5": (0.84, 0.87),
        "single_recall@10": (0.91, 0.94),
    },
    "chunking": {"span_recall@5": (0.94, 0.95)},
}
"""What is aimed at: (default, everything on)."""

OURS, OURS_ALL_ON = "docmind", "docmind_all_on"
AIM, AIM_ALL_ON = "aim_default", "aim_all_on"
SYSTEMS = (OURS, OURS_ALL_ON, *PEERS)

Row = dict[str, Any]
Rows = dict[str, Row]
T = TypeVar("T")


def run(data: Path, settings: Settings, *, peers: bool = True, console: Console | None = None) -> dict[str, Rows]:
    """Measure every set that lies in ``data``.

    Args:
        data: the folder of the evaluation data, or of one set.
        settings: where indexes are kept, and the embedding model; its retrieval section is the default column.
        peers: whether the peers are measured as well.
        console: where progress is shown; None: nowhere.

    Returns:
        For each set: its aims, and for each system its figures, ``questions``, ``milliseconds`` and
        ``processor_milliseconds`` (p50, p95); ``..._refused`` are shares whose signal says that no answer is likely.

    Raises:
        ConfigurationError: ``data`` holds no set, or the peers' package is missing.
        StoreError: the data directory cannot be read or written.
    """
    sets = read_sets(data)
    embedder = open_embedder(settings)
    systems = SYSTEMS if peers else (OURS, OURS_ALL_ON)
    with Progress(console=console, transient=True, disable=console is None) as progress:
        found: dict[str, Rows] = {}
        for evaluated in sets:
            task = progress.add_task(evaluated.name, total=len(evaluated.questions) * len(systems))
            bench = _Bench(evaluated, embedder, lambda task=task: progress.advance(task))
            found[evaluated.name] = _measured(bench, settings, systems)
    return found


@dataclass(frozen=True, slots=True)
class _Bench:
    """One set under test; ``advance`` shows that a question was asked."""

    evaluated: EvaluationSet
    embedder: Embedder
    advance: Callable[[], None]

    def timed(self, ask: Callable[[str], T]) -> tuple[list[T], list[tuple[float, float]]]:
        """What is found for each question, and its seconds of the clock and of the processor."""
        found: list[T] = []
        spent: list[tuple[float, float]] = []
        for question in self.evaluated.questions:
            started, worked = time.perf_counter(), time.process_time()
            found.append(ask(question.text))
            spent.append((time.perf_counter() - started, time.process_time() - worked))
            self.advance()
        return found, spent


def _measured(bench: _Bench, settings: Settings, systems: Sequence[str]) -> Rows:
    evaluated, embedder = bench.evaluated, bench.embedder
    aims = AIMS.get(evaluated.name, {})
    rows: Rows = {
        AIM: {name: pair[0] for name, pair in aims.items()},
        AIM_ALL_ON: {name: pair[1] for name, pair in aims.items()},
    }
    everything = settings.model_copy(update={"retrieval": settings.retrieval.model_copy(update=ALL_ON)})
    folder = settings.data_dir / "evaluation" / evaluated.name
    _write(evaluated, folder)
    with Index.open(settings.model_copy(update={"tenant": f"evaluation-{evaluated.name}"}), embedder) as index:
        ingest(index, embedder, [folder], settings=settings.ingest, prune=True)
        rows[OURS] = _ours(bench, open_retriever(index, embedder, settings))
        rows[OURS_ALL_ON] = _ours(bench, open_retriever(index, embedder, everything))
    for name in systems[2:]:
        found, spent = bench.timed(PEERS[name](evaluated, embedder))
        rows[name] = {**scores(evaluated, found, _cutoffs(evaluated)), **_conditions(evaluated, spent)}
    return rows


def _ours(bench: _Bench, retriever: Retriever) -> Row:
    evaluated = bench.evaluated
    findings, spent = bench.timed(lambda question: retriever.search(question, k=PASSAGES))
    row: Row = scores(evaluated, [_places(finding) for finding in findings], _cutoffs(evaluated))
    if any(not question.gold for question in evaluated.questions):
        row |= abstention(evaluated.questions, [finding.signal.probability for finding in findings])
    kinds = {"answerable_refused": True, "unanswerable_refused": False}
    for name, known in kinds.items():
        signals = [f.signal for q, f in zip(evaluated.questions, findings, strict=True) if bool(q.gold) is known]
        row |= {name: share(sum(not signal.likely for signal in signals), len(signals))} if signals else {}
    return {**row, **_conditions(evaluated, spent)}


def _conditions(evaluated: EvaluationSet, spent: Sequence[tuple[float, float]]) -> Row:
    return {
        "questions": len(evaluated.questions),
        "milliseconds": quantiles([1_000 * clock for clock, _ in spent]),
        "processor_milliseconds": quantiles([1_000 * processor for _, processor in spent]),
    }


def _cutoffs(evaluated: EvaluationSet) -> Sequence[int]:
    return CUTOFFS.get(evaluated.name, (1, 5, 10))


def _places(finding: Finding) -> list[Place]:
    return [Place(passage.doc, passage.start, passage.end) for passage in finding.passages]


def _write(evaluated: EvaluationSet, folder: Path) -> None:
    """Write the set's documents as files, where they are not there already."""
    for name, text in evaluated.documents.items():
        file = folder / name
        if not file.is_file() or file.read_bytes() != text.encode():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode())


def tables(figures: Mapping[str, Rows], console: Console) -> None:
    """Print a table for each set: a line for each figure, a column for each system, aims beside ours."""
    for name, rows in figures.items():
        systems = [system for system in rows if system not in (AIM, AIM_ALL_ON)]
        columns = [OURS, AIM, OURS_ALL_ON, AIM_ALL_ON, *systems[2:]]
        title = f"{name}, {rows[OURS]['questions']} questions; milliseconds a question"
        table = Table("", *(column.replace("_", " ") for column in columns), title=title, title_justify="left")
        flat = {column: _flat(rows[column]) for column in columns}
        for figure in dict.fromkeys(figure for column in columns for figure in flat[column]):
            table.add_row(figure.replace("_", " "), *(_shown(flat[column].get(figure)) for column in columns))
        console.print(table)


def draw(figures: Mapping[str, Rows], folder: Path) -> list[Path]:
    """Draw for each set its shares beside the aims of the default, and its times; return the files."""
    files: list[Path] = []
    for name, rows in figures.items():
        flat = {system: _flat(row) for system, row in rows.items() if system not in (AIM, AIM_ALL_ON)}
        known = dict.fromkeys(figure for row in flat.values() for figure in row if figure != "questions")
        shares = [figure for figure in known if "milliseconds" not in figure]
        times = [figure for figure in known if "milliseconds" in figure]
        title = f"{name}: shares; dashed: the aim of the default"
        files.append(bars(folder / f"retrieval_{name}.png", title, flat, shares, rows[AIM]))
        title = f"{name}: milliseconds a question, its embedding included"
        files.append(bars(folder / f"retrieval_{name}_time.png", title, flat, times))
    return files


def _flat(row: Row) -> dict[str, float]:
    """A system's figures with those of its quantiles beside them (``milliseconds p50``)."""
    flat: dict[str, float] = {}
    for name, value in row.items():
        flat |= {f"{name} {p}": value[p] for p in ("p50", "p95")} if name.endswith("milliseconds") else {name: value}
    return flat


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
