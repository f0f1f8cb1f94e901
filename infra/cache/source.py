"""Where GPTCache's ``get`` finds candidates and who judges them: the answers' table, their questions, the gates.

A candidate is served when the gates accept it and what it rests on is fresh. Fresh is an answer whose searches were
last known to be true of the present state of the documents; of another state, the searches are made again, and must
bring the same passages in the same order. Nothing here asks a model. Bounded by ``Asking``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from time import monotonic

from infra.cache.data import AnswerTable
from infra.cache.notes import Notes
from infra.cache.questions import Questions, Vector
from infra.cache.records import Asked, Bounds, Gates, Kept, Search
from infra.store.index import Index

MAX_RECHECKED = 3
"""Candidates whose searches are made again for one question: each may take as long as the question's own."""

MOST_CANDIDATES = 4_096
"""Questions looked at in search of live ones."""

EXACT = 1.0

SearchAgain = Callable[[Search], Search]
"""Makes a search again, with its query, roots and context; blocking, asks no model."""


@dataclass(slots=True)
class Asking:
    """One question on its way through ``get``.

    Attributes:
        asked: the question.
        search: makes searches again.
        generation: the state of the documents when it began.
        at: when it began (clock), and ``until``, when there is no more time (monotonic).
        loaded: the candidates read so far.
        verdicts: what became of candidates, in order: question and reason.
        hit: the answer to serve.
        near: the first answer that is near, not looked at for freshness yet, with the reason.
        rechecked: how many answers' searches were made again.
    """

    asked: Asked
    search: SearchAgain
    generation: int
    at: float
    until: float
    loaded: dict[str, Kept] = field(default_factory=dict[str, Kept])
    verdicts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    hit: tuple[Kept, str] | None = None
    near: tuple[Kept, str] | None = None
    rechecked: int = 0


@dataclass(frozen=True, slots=True)
class Keeping:
    """An answer on its way through ``put``; ``refused`` says why it was not let in."""

    kept: Kept
    refused: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class AnswerSource:
    """``infra.cache.gpt.Source`` over one tenant's answers; thread-safe as its parts are.

    Attributes:
        documents: what the answers rest on.
        table: the answers.
        questions: their questions.
        notes: told what is seen.
        gates: decide on meaning.
        bounds: how many candidates.
    """

    documents: Index
    table: AnswerTable
    questions: Questions
    notes: Notes
    gates: Gates
    bounds: Bounds

    def search(self, vector: Vector, ask: Asking | Keeping) -> Iterator[tuple[float, str]]:
        """The answer to the same text, those to the same words, those to similar questions, until one is served."""
        assert isinstance(ask, Asking)
        key, partition = ask.asked.key, ask.asked.partition.digest
        ask.loaded |= self.table.live([key], ask.at)
        if key in ask.loaded:
            yield EXACT, key
        for find in (self._of_words, self._similar):
            if ask.hit is not None or not self.table.any(partition):
                return
            for score, other in find(vector, partition, ask):
                if ask.hit is not None:
                    return
                yield score, other

    def load(self, key: str, ask: Asking | Keeping) -> tuple[str, str] | None:
        """Question and answer of a candidate that ``search`` found."""
        assert isinstance(ask, Asking)
        kept = ask.loaded.get(key)
        return (kept.question, kept.answer) if kept else None

    def judge(self, key: str, ask: Asking | Keeping) -> bool:
        """Whether the gates accept a candidate and it is fresh."""
        assert isinstance(ask, Asking)
        kept = ask.loaded[key]
        if monotonic() > ask.until:
            ask.verdicts.append((kept.question, "no time was left to look at it"))
            return False
        outcome, reason = self.gates.judge(ask.asked, kept)
        if outcome == "hit":
            stale = self.stale(kept, ask)
            if not stale:
                ask.hit = (kept, reason)
                return True
            reason = stale
        elif outcome == "near" and ask.near is None:
            ask.near = (kept, reason)
        ask.verdicts.append((kept.question, reason))
        return False

    def save(self, question: str, answer: str, vector: Vector, ask: Asking | Keeping) -> None:
        """Let an answer in, if it may, and its question after it."""
        assert isinstance(ask, Keeping)
        refused = self.table.put(replace(ask.kept, answer=answer))
        if refused:
            ask.refused.append(refused)
            return
        self.questions.remember(question, vector)
        self.questions.follow()

    def stale(self, kept: Kept, ask: Asking) -> str:
        """Why an answer is not fresh, or ""."""
        if kept.generation == ask.generation:
            return ""
        if ask.rechecked == MAX_RECHECKED:
            return "its searches were not made again: those of others were"
        ask.rechecked += 1
        self.documents.follow()  # a search must not miss what was stored a moment ago
        for one in kept.searches:
            if monotonic() > ask.until:
                return "no time was left to make its searches again"
            if ask.search(one) != one:
                self.notes.outdated(kept)
                return "the documents changed, and its searches bring other passages now"
        if self.documents.generation != ask.generation:
            return "the documents changed while its searches were made again"
        self.notes.fresh(kept, ask.generation)
        return ""

    def _of_words(self, _: Vector, partition: str, ask: Asking) -> Iterator[tuple[float, str]]:
        words = self.gates.words(ask.asked)
        found = self.table.of_words(partition, words, ask.at, self.bounds.candidates)
        ask.loaded |= found
        yield from ((EXACT, key) for key in found if key != ask.asked.key)

    def _similar(self, vector: Vector, partition: str, ask: Asking) -> Iterator[tuple[float, str]]:
        """Live answers to similar questions, as many as wanted: those that are gone hide none."""
        wanted = limit = self.bounds.candidates
        judged = set(ask.loaded)
        found: list[tuple[float, str]] = []
        dead: set[str] = set()
        while limit <= MOST_CANDIDATES:
            hits = self.questions.nearest(vector, partition, limit)
            near = [(score, key) for score, key in hits if score >= self.bounds.least_cosine and key not in judged]
            live = self.table.live([key for _, key in near], ask.at)
            mine = {key: kept for key, kept in live.items() if kept.partition == partition}
            ask.loaded |= mine
            dead = {key for _, key in near} - set(live)
            found = [(score, key) for score, key in near if key in mine]
            if len(found) >= wanted or len(near) < len(hits) - len(judged) or len(hits) < limit:
                break
            limit *= 4
        self.notes.dead(dead)
        yield from found[:wanted]
