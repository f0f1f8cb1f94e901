"""Answers over LiHua-World: is the right record cited, and does the system abstain where the records hold no answer?

Reads the folder ``lihua_world`` of the evaluation data (``records/`` and ``questions.json``; see its README for the
source), asks every question through the whole graph and compares the citations with the gold records.
"""

import asyncio
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from graph.batch import Batch, Line, run_batch
from graph.bench.report import quantiles, share
from graph.session import Session, prepare
from infra.errors import ConfigurationError
from infra.resources import Resources
from infra.settings import Settings
from infra.text.terms import terms

FAILED: dict[str, Any] = {"citations": [], "abstained": False, "answer": ""}
"""What a question that was not answered counts as."""


@dataclass(frozen=True, slots=True)
class Gold:
    """One question of the set: ``records`` are the stems of the files that answer it."""

    id: str
    question: str
    answer: str
    kind: str
    records: frozenset[str]


def read_gold(data: Path) -> list[Gold]:
    """Read the set. Raises ConfigurationError when ``data`` is not the folder."""
    try:
        raw = json.loads((data / "questions.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"--data {data} holds no questions.json; give the folder lihua_world") from error
    return [Gold(key, q["question"], q["answer"], q["type"].lower(), _records(q["evidence"])) for key, q in raw.items()]


def _records(evidence: str) -> frozenset[str]:
    return frozenset(part.strip().replace(":", "") for part in evidence.split("<and>") if part.strip()[:1].isdigit())


def run(settings: Settings, data: Path, out: Path | None, *, concurrency: int) -> dict[str, Any]:
    """Ask all questions and return the figures; ``out`` keeps the answers, one JSON object a line.

    Nothing is cached, so that every question's calls and seconds are its own.
    """
    gold = read_gold(data)
    with closing(Resources(uncached(settings))) as resources, TemporaryDirectory() as folder:
        console = Console(stderr=True)
        roots = prepare(resources, [data / "records"], console)
        kept = out or Path(folder) / "answers.jsonl"
        asyncio.run(_ask(resources, Batch([Line(g.id, g.question) for g in gold], roots, kept, concurrency), console))
        return score(gold, read_answers(kept))


def uncached(settings: Settings) -> Settings:
    """The settings with all caches of answers and calls switched off."""
    return settings.model_copy(update={"cache": settings.cache.model_copy(update={"enabled": False})})


async def _ask(resources: Resources, batch: Batch, console: Console) -> None:
    async with Session(resources, console, keep_threads=False) as session:
        await run_batch(session, batch)


def read_answers(path: Path) -> dict[str, dict[str, Any]]:
    """Return answers by question id from a file of JSON lines."""
    answers = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {answer["id"]: answer for answer in answers}


def score(gold: Sequence[Gold], answers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the figures over ``answers``, by question id.

    Shares are of all questions of a kind: one that failed or was not answered cites nothing, says nothing and has not
    been refused. Tokens, calls and seconds are of those that were answered.
    """
    done = {key: a for key, a in answers.items() if "error" not in a}
    by_kind = {kind: [g for g in gold if g.kind == kind] for kind in ("single", "multi", "null")}
    given = {g.id: done.get(g.id, FAILED) for g in gold}
    single, multi, null = by_kind["single"], by_kind["multi"], by_kind["null"]
    answerable = [*single, *multi]
    usages = [a["usage"] for a in done.values()]
    return {
        "questions": {kind: len(found) for kind, found in by_kind.items()},
        "failed": sum(g.id not in done for g in gold),
        "single_gold_cited": share(sum(_hit(g, given[g.id]) for g in single), len(single)),
        "single_first_citation_gold": share(sum(_first(g, given[g.id]) for g in single), len(single)),
        "multi_gold_cited": share(sum(_hit(g, given[g.id]) for g in multi), len(multi)),
        "multi_all_gold_cited": share(sum(g.records <= set(_cited(given[g.id])) for g in multi), len(multi)),
        "answerable_refused": share(sum(given[g.id]["abstained"] for g in answerable), len(answerable)),
        "null_refused": share(sum(given[g.id]["abstained"] for g in null), len(null)),
        "gold_answer_words": round(sum(_words(g, given[g.id]) for g in answerable) / max(1, len(answerable)), 4),
        "most_documents_cited": max((len(set(_cited(a))) for a in done.values()), default=0),
        "tokens": quantiles([u["prompt_tokens"] + u["completion_tokens"] for u in usages]),
        "llm_calls": quantiles([u["llm_calls"] for u in usages]),
        "seconds": quantiles([a["seconds"]["total"] for a in done.values()]),
    }


def _cited(answer: dict[str, Any]) -> list[str]:
    return [Path(c["doc"]).stem for c in answer["citations"]]


def _hit(gold: Gold, answer: dict[str, Any]) -> bool:
    return not gold.records.isdisjoint(_cited(answer))


def _first(gold: Gold, answer: dict[str, Any]) -> bool:
    return bool(answer["citations"]) and _cited(answer)[0] in gold.records


def _words(gold: Gold, answer: dict[str, Any]) -> float:
    """Return the share of the gold answer's terms that stand in the answer."""
    wanted = set(terms(gold.answer))
    return len(wanted.intersection(terms(answer["answer"]))) / len(wanted) if wanted else 0.0
