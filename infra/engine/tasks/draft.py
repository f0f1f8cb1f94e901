"""The ``draft`` task (scratch)."""

from collections.abc import Sequence
from typing import Any

from infra.engine.tasks.scoring import Asked, Scored, ask, score
from infra.engine.tasks.task_input import TaskInput
from infra.engine.tasks.units import Source, Unit, read_sources

MAX_DOCUMENTS = 2
K = dict(CLOSE=0.25, SUPPORTS=2, GAIN=0.1, SECOND=0.35)


def draft(task: TaskInput) -> dict[str, Any]:
    sources = read_sources(task.blocks("source"))
    asks = [part.body.strip() for part in task.blocks("part")] or [task.question]
    claims = []
    for text in asks:
        claims += answer(ask(text, sources), sources)
    return {"claims": [{"text": t, "marks": [m], "quotes": []} for t,m in claims], "missing": ""}


def trim(u):
    if '\n' in u.text and not u.speaker: return ' '.join(u.text.split())
    return u.text[:u.stated_chars] if u.stated_chars else u.text


def answer(asked: Asked, sources: Sequence[Source]):
    ranked = score(asked, sources)
    best: dict[str, Scored] = {}
    for item in ranked:
        best.setdefault(item.unit.doc, item)
    order = list(best.values())
    chosen = []
    for item in order[:MAX_DOCUMENTS]:
        if item.score < order[0].score - K['CLOSE']:
            break
        us = [item.unit] if chosen else with_support(item, ranked, asked)
        chosen += [(trim(u), u.source) for u in us]
        if asked.kind == "when":
            for s in sources:
                if s.doc == item.unit.doc and s.date_line:
                    chosen.append((s.date_line, s.id)); break
    return chosen


def with_support(item: Scored, ranked: Sequence[Scored], asked: Asked) -> list[Unit]:
    picked = [item.unit]
    peers = {s.unit.index: s for s in ranked if s.unit.doc == item.unit.doc}
    u = item.unit
    if not u.stated_chars:
        if u.index + 1 in peers: picked.append(peers[u.index + 1].unit)
    for s in peers.values():
        if len(picked) > K['SUPPORTS']:
            break
        if s.unit not in picked and s.score > item.score - K['SECOND'] :
            picked.append(s.unit)
    return picked
