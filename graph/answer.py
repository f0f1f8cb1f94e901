"""The answer: what the state of one question comes to, as text for a person and as the object ``--json`` prints."""

import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agents.validator import Accepted
from graph.noted import COMPRESSION, Compression
from graph.state import Recalled, View, Visit
from infra.engine.protocol import MODEL_ID
from infra.llm.servers.engine import ENGINE_NAME
from infra.text.mentions import unmentioned
from infra.text.plain import one_line
from infra.text.terms import terms
from tools.citations import Citation

CONTENT = ("answer", "abstained", "citations", "route", "plan", "verdict", "notes", "backend")
"""What of an answer is the same when it is given again."""
NOTHING_FOUND = "I could not find an answer to this in your documents."
NO_DOCUMENTS = "There are no documents to search yet."
SOURCES = "\n\nSources:\n"
NOTE = "\n\nNote: "
SHOWN_CHARS = 200
"""Of a part that was not answered."""

_MARK = re.compile(r" ?\[ ?E\d+(?: ?[,;] ?E\d+)* ?\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote an answer: the kind of back end, the model it served, and what it is in words."""

    name: str
    model: str
    engine: str


WRITERS = ("router", "planner", "synthesizer")
"""The agents for which rules can stand in."""

RULES = Author("engine", MODEL_ID, ENGINE_NAME)
"""The embedded engine's rules, and what code words by itself."""


def author_of(visits: Sequence[Visit]) -> Author:
    """Return who wrote the answer: what the last draft came from; without a draft, the last model that replied."""
    drafted = [visit for visit in visits if visit.agent == "synthesizer"][-1:]
    wrote = next((visit for visit in reversed(drafted or visits) if not _by_rules(visit)), None)
    return Author(wrote.backend, wrote.model, wrote.engine or wrote.backend) if wrote else RULES


def citations_of(view: View) -> list[Citation]:
    """Return the citations of the accepted claims, once each, in the order of the text."""
    if not view.verdicts:
        return []
    return list(dict.fromkeys(c for claim in view.verdicts[-1].accepted for c in claim.citations))


def text_of(view: View) -> str:
    """Return the answer's text: accepted claims with their marks, and what is missing, which code says."""
    if view.route and view.route.kind == "direct":
        return view.route.reply
    accepted = view.verdicts[-1].accepted if view.verdicts else []
    if not accepted:
        words = [one_line(word) for word in unmentioned(view.asked, _terms_found(view))] if view.found() else []
        return NOTHING_FOUND + (f" Nothing there mentions {', '.join(words)}." if words else "")
    return "\n".join(["".join(sentences_of(accepted)), *(f"Not answered: {part}" for part in unanswered(view))])


def sentences_of(accepted: Sequence[Accepted]) -> list[str]:
    """Return the sentences of an answer as they stand in its text, each its words and marks, one after another.

    Each begins with what parts it from the one before: a space where both were written as one claim, else a new line.
    """
    sentences = [" ".join([_own_words(claim.text), *(f"[{c.label}]" for c in claim.citations)]) for claim in accepted]
    gaps = [" " if claim.follows else "\n" for claim in accepted]
    return [gap + sentence if n else sentence for n, (gap, sentence) in enumerate(zip(gaps, sentences, strict=True))]


def unanswered(view: View) -> list[str]:
    """Name the parts of a compound question that no accepted claim speaks of.

    A claim speaks of the parts it holds a word of, and of the one its quotes hold most words of ("It was in 1998").
    Words that all parts share say nothing about any of them. A part is shown only in words of the user's: those of a
    planning model nobody has checked, so such a part is named by its number.
    """
    if len(view.steps) < 2:  # noqa: PLR2004 - a part is one of several
        return []
    parts = [set(terms(step.question)) for step in view.steps]
    shared = set[str].intersection(*parts)
    own = [words - shared or words for words in parts]
    answered: set[int] = set()
    for claim in view.verdicts[-1].accepted:
        said = set(terms(claim.text))
        quoted = said | {term for citation in claim.citations for term in terms(citation.quote)}
        most = max(len(words & quoted) for words in own)
        answered |= {n for n, words in enumerate(own) if words & said or len(words & quoted) == most > 0}
    given = {
        term for text in (view.question.text, *(turn.text for turn in view.question.history)) for term in terms(text)
    }
    return [
        f"“{_shortened(view.steps[n].question)}”" if words <= given else f"part {n + 1} of the question"
        for n, words in enumerate(parts)
        if n not in answered
    ]


def _own_words(claim: str) -> str:
    """Return a claim's words without marks, which only code sets, and without what could pass for a list of sources."""
    words = one_line(claim)
    while (fewer := _MARK.sub("", words)) != words:  # what is taken out may have parted another
        words = fewer
    return words


def _terms_found(view: View) -> set[str]:
    passages = [passage for finding in view.found() for passage in finding.passages]
    return {term for passage in passages for term in terms(f"{passage.header} {passage.text}")}


def _shortened(part: str) -> str:
    words = one_line(part)
    return words if len(words) <= SHOWN_CHARS else f"{words[:SHOWN_CHARS]}…"


def shown(answer: Mapping[str, Any]) -> str:
    """Return an answer's text with its sources and notes below, as a conversation shows it."""
    places = ((c["label"], source_of(c["doc"], c["section"], c["start"], c["end"])) for c in answer["citations"])
    lines = [f"[{label}] {place}" for label, place in places]
    sources = SOURCES + "\n".join(lines) if lines else ""
    return answer["answer"] + sources + "".join(f"{NOTE}{note}" for note in answer["notes"])


def source_of(doc: str, section: str, start: int, end: int) -> str:
    """Return where a quote stands, on one line: document, page or section, characters."""
    return f"{', '.join(filter(None, map(one_line, (doc, section))))} ({start}-{end})"


def without_sources(text: str) -> str:
    """Return a shown answer without its list of sources and its notes."""
    return text.split(SOURCES, 1)[0].split(NOTE, 1)[0]


def answer_of(view: View, visits: Sequence[Visit], compressions: Sequence[Compression]) -> dict[str, Any]:
    """Return the contract's JSON object for the newest question; ``visits`` in the order of their start."""
    recalled = view.recalled or Recalled(answer="off", reason="not asked")
    content = recalled.kept or _content(view, visits)
    return {
        "question": view.asked,
        **content,
        "trail": [visit.model_dump(exclude={"calls", "engine"}) for visit in visits],
        "usage": _summed(visits, "llm_calls", "prompt_tokens", "completion_tokens", "cached_tokens"),
        "faults": _faults(visits),
        "ended_by": view.ended.model_dump() if view.ended else None,
        "compression": [c.model_dump() for c in compressions],
        "cache": {"answer": recalled.answer, "reason": recalled.reason},
        "seconds": _seconds(view, visits, content["answer"]),
    }


def _content(view: View, visits: Sequence[Visit]) -> dict[str, Any]:
    """Return what was answered, by whom and on what grounds: the keys of ``CONTENT``."""
    direct = view.route is not None and view.route.kind == "direct"
    citations = citations_of(view)
    return {
        "answer": text_of(view),
        "abstained": not direct and not citations,
        "citations": [asdict(citation) for citation in citations],
        "route": view.route.model_dump() if view.route else None,
        "plan": view.plan.model_dump() if view.plan else None,
        "verdict": _verdict(view),
        "notes": notes_of(view, visits),
        "backend": asdict(author_of(visits)),
    }


def notes_of(view: View, visits: Sequence[Visit]) -> list[str]:
    """Return what a reader should know of how the answer came to be, a sentence each; mostly nothing."""
    dropped = sum(visit.dropped for visit in visits)
    cut = sum(visit.cut_tokens for visit in visits)
    unread = [visit.agent for visit in visits if any(e.kind == "fallback" for e in visit.events)]
    stood_in = [agent for agent in unread if agent not in ("validator", COMPRESSION)]  # no answer is made of notes
    moved = dict.fromkeys(e.detail for visit in visits for e in visit.events if e.kind == "failover")
    notes: list[str] = []
    if view.ended:
        rest = "; rules did the rest" if any(map(_refused, visits)) else ""
        notes.append(f"A budget ended the model's part ({view.ended.message}){rest}.")
    if stood_in:
        names = ", ".join(dict.fromkeys(stood_in))
        notes.append(f"The model's reply could not be used; rules stood in for: {names}.")
    if "validator" in unread:
        notes.append("The model's judgement could not be read; what it had to judge was not accepted.")
    if left_out := _left_out(view):
        notes.append(f"{left_out} sentence{'s were' if left_out > 1 else ' was'} not supported and left out.")
    notes += [f"Another model server took over: {detail}." for detail in moved]
    if dropped:
        notes.append(f"{dropped} passages did not fit the model's window and were left out.")
    if cut:
        notes.append(f"{cut:,} tokens of a long text did not fit the model's window and were left out.")
    return [one_line(note) for note in notes]


def _left_out(view: View) -> int:
    """Return how many sentences were drafted and are not in an answer that holds others."""
    if not view.verdicts or not view.verdicts[-1].accepted:
        return 0
    omitted = view.drafts[-1].omitted if view.drafts else 0
    return len(view.verdicts[-1].rejected) + max(0, omitted - 1)  # all that was omitted is one entry there


def _refused(visit: Visit) -> bool:
    """Tell whether an agent that writes was kept from its model: a budget refused the call, or had refused before.

    A router without a model may have needed none.
    """
    unasked = not visit.backend and visit.agent != "router"
    return visit.agent in WRITERS and (unasked or any(event.kind == "budget" for event in visit.events))


def _by_rules(visit: Visit) -> bool:
    """Tell whether an agent's part came from no model: none replied, or its reply was not what was used."""
    return not visit.backend or any(event.kind in ("fallback", "budget") for event in visit.events)


def _summed(visits: Sequence[Visit], *names: str) -> dict[str, int]:
    return {name: sum(getattr(visit, name) for visit in visits) for name in names}


def _faults(visits: Sequence[Visit]) -> dict[str, int]:
    """Return how often what went wrong, over all agents."""
    kinds = Counter(event.kind for visit in visits for event in visit.events)
    return {
        "retries": sum(visit.retries for visit in visits),
        "repairs": kinds["repair"],
        "fallbacks": kinds["fallback"],
        "failovers": kinds["failover"],
        "step_downs": kinds["step_down"],
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


def holds(view: View, text: str) -> bool:
    """Tell whether an answer's ``text`` begins with all that was shown of it before."""
    shown = "".join(view.shown.sentences)
    return not shown or (text.startswith(shown) and text[len(shown) :][:1] in ("", " ", "\n"))


def _seconds(view: View, visits: Sequence[Visit], text: str) -> dict[str, float | None]:
    total = time.time() - view.question.asked_at
    llm = _covered((began, began + length) for v in visits for began, length in v.calls)
    retrieval = _covered((v.started, v.started + v.seconds) for v in visits if v.agent == "retrieval")
    parts = {"total": total, "llm": llm, "retrieval": retrieval, "overhead": max(0.0, total - llm - retrieval)}
    first = view.shown.seconds if holds(view, text) else None
    return {**{name: round(value, 4) for name, value in parts.items()}, "first_sentence": first}


def _covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Return how many seconds at least one interval covers: branches side by side count once."""
    covered = 0.0
    reached = float("-inf")
    for start, end in sorted(intervals):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered
