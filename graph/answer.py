"""The answer: what the state of one question comes to, as text for a person and as the object ``--json`` prints."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

from graph.state import Compression, View, Visit
from infra.llm.endpoint import Backend
from tools.citations import Citation

NOTHING_FOUND = "I could not find an answer to this in your documents."
NO_DOCUMENTS = "There are no documents to search yet."
SOURCES = "\n\nSources:\n"


def citations_of(view: View) -> list[Citation]:
    """Return the citations of the accepted claims, once each, in the order of the text."""
    if not view.verdicts:
        return []
    return list(dict.fromkeys(c for claim in view.verdicts[-1].accepted for c in claim.citations))


def text_of(view: View) -> str:
    """Return the answer's text: accepted claims with their marks, or what is missing."""
    if view.route and view.route.kind == "direct":
        return view.route.reply
    accepted = view.verdicts[-1].accepted if view.verdicts else []
    missing = view.drafts[-1].missing if view.drafts else ""
    if not accepted:
        return " ".join(part for part in (NOTHING_FOUND, missing) if part)
    sentences = [" ".join([claim.text, *(f"[{c.label}]" for c in claim.citations)]) for claim in accepted]
    return "\n".join([*sentences, missing] if missing else sentences)


def shown(view: View) -> str:
    """Return the text with its sources below, as a conversation shows it."""
    lines = [f"[{c.label}] {c.doc} ({c.start}-{c.end})" for c in citations_of(view)]
    return text_of(view) + (SOURCES + "\n".join(lines) if lines else "")


def without_sources(text: str) -> str:
    """Return a shown answer without its list of sources."""
    return text.split(SOURCES, 1)[0]


def answer_of(
    view: View, visits: Sequence[Visit], compressions: Sequence[Compression], backend: Backend
) -> dict[str, Any]:
    """Return the contract's JSON object for the newest question."""
    direct = view.route is not None and view.route.kind == "direct"
    citations = citations_of(view)
    ordered = sorted(visits, key=lambda v: v.started)
    return {
        "question": view.asked,
        "answer": text_of(view),
        "abstained": not direct and not citations,
        "citations": [
            {"label": c.label, "doc": c.doc, "start": c.start, "end": c.end, "quote": c.quote} for c in citations
        ],
        "route": view.route.model_dump() if view.route else None,
        "plan": view.plan.model_dump() if view.plan else None,
        "verdict": _verdict(view),
        "trail": [visit.model_dump(exclude={"llm_seconds"}) for visit in ordered],
        "usage": {
            name: sum(getattr(visit, name) for visit in ordered)
            for name in ("llm_calls", "prompt_tokens", "completion_tokens", "cached_tokens")
        },
        "compression": [c.model_dump() for c in compressions],
        "cache": {"answer": "off", "reason": "no answer cache in this version"},
        "seconds": _seconds(view, ordered),
        "backend": {"name": backend.name, "model": backend.model, "engine": backend.engine},
    }


def _verdict(view: View) -> dict[str, Any] | None:
    if not view.verdicts:
        return None
    last = view.verdicts[-1]
    return {
        "supported": len(last.accepted),
        "unsupported": [r.model_dump() for r in last.rejected],
        "rounds": len(view.verdicts),
    }


def _seconds(view: View, visits: Sequence[Visit]) -> dict[str, float]:
    total = time.time() - view.question.asked_at
    llm = _covered((v.started, v.started + v.llm_seconds) for v in visits)
    retrieval = _covered((v.started, v.started + v.seconds) for v in visits if v.agent == "retrieval")
    parts = {"total": total, "llm": llm, "retrieval": retrieval, "overhead": max(0.0, total - llm - retrieval)}
    return {name: round(value, 4) for name, value in parts.items()}


def _covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Return how many seconds at least one interval covers: branches side by side count once."""
    covered = 0.0
    reached = float("-inf")
    for start, end in sorted(intervals):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered
