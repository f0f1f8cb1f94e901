"""Retrieval over the evaluation sets: DocMind with its defaults and with everything on, beside its peers.

Every set goes through the real ingestion as files and through the real search; the same settings serve all sets. An
index is kept in the data directory, so that a second run embeds nothing anew. Times are wall clock in milliseconds a
question, its embedding included, with the processor time of the whole process beside it: on a machine that is busy with
other work, the latter is the measure.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from graph.bench.peers import PEERS
from graph.bench.recall import abstention, scores
from graph.bench.report import quantiles, share
from graph.bench.sets import EvaluationSet, Place, read_sets
from infra.settings import Settings
from infra.store.embeddings import Embedder
from infra.store.embeddings_open import open_embedder
from infra.store.index import Index
from tools.evidence import Finding
from tools.ingest import ingest
from tools.search import Retriever, open_retriever

CUTOFFS = {"lihua_world": (1, 5, 10), "anthropic_docs": (3, 5, 10)}
PASSAGES = 50
"""Passages asked for, so that ten different records are among them."""

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

Row = dict[str, Any]
T = TypeVar("T")


def run(data: Path, settings: Settings, *, peers: bool = True) -> dict[str, dict[str, Row]]:
    """Measure every set that lies in ``data``.

    Args:
        data: the folder of the evaluation data.
        settings: where indexes are kept, and the embedding model; its retrieval section is the default column.
        peers: whether the peers are measured as well.

    Returns:
        For each set: its aims, and for each system its figures, ``questions``, ``milliseconds`` and
        ``processor_milliseconds`` (p50, p95); ``..._refused`` are shares whose signal says that no answer is likely.

    Raises:
        ConfigurationError: ``data`` holds no set, or the peers' package is missing.
        StoreError: the data directory cannot be read or written.
    """
    embedder = open_embedder(settings)
    return {evaluated.name: _measured(evaluated, settings, embedder, peers=peers) for evaluated in read_sets(data)}


def _measured(evaluated: EvaluationSet, settings: Settings, embedder: Embedder, *, peers: bool) -> dict[str, Row]:
    aims = AIMS.get(evaluated.name, {})
    rows: dict[str, Row] = {
        "aim_default": {name: pair[0] for name, pair in aims.items()},
        "aim_all_on": {name: pair[1] for name, pair in aims.items()},
    }
    everything = settings.model_copy(update={"retrieval": settings.retrieval.model_copy(update=ALL_ON)})
    folder = settings.data_dir / "evaluation" / evaluated.name
    _write(evaluated, folder)
    with Index.open(settings.model_copy(update={"tenant": f"evaluation-{evaluated.name}"}), embedder) as index:
        ingest(index, embedder, [folder], settings=settings.ingest, prune=True)
        rows["docmind"] = _ours(evaluated, open_retriever(index, embedder, settings))
        rows["docmind_all_on"] = _ours(evaluated, open_retriever(index, embedder, everything))
    for name, peer in PEERS.items() if peers else ():
        found, spent = _timed(evaluated, peer(evaluated, embedder))
        rows[name] = {**scores(evaluated, found, _cutoffs(evaluated)), **_conditions(evaluated, spent)}
    return rows


def _ours(evaluated: EvaluationSet, retriever: Retriever) -> Row:
    findings, spent = _timed(evaluated, lambda question: retriever.search(question, k=PASSAGES))
    row: Row = scores(evaluated, [_places(finding) for finding in findings], _cutoffs(evaluated))
    if any(not question.gold for question in evaluated.questions):
        row |= abstention(evaluated.questions, [finding.signal.probability for finding in findings])
    kinds = {"answerable_refused": True, "unanswerable_refused": False}
    for name, known in kinds.items():
        signals = [f.signal for q, f in zip(evaluated.questions, findings, strict=True) if bool(q.gold) is known]
        row |= {name: share(sum(not signal.likely for signal in signals), len(signals))} if signals else {}
    return {**row, **_conditions(evaluated, spent)}


def _timed(evaluated: EvaluationSet, ask: Callable[[str], T]) -> tuple[list[T], list[tuple[float, float]]]:
    """What is found for each question, and its seconds of the clock and of the processor."""
    found: list[T] = []
    spent: list[tuple[float, float]] = []
    for question in evaluated.questions:
        started, worked = time.perf_counter(), time.process_time()
        found.append(ask(question.text))
        spent.append((time.perf_counter() - started, time.process_time() - worked))
    return found, spent


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
