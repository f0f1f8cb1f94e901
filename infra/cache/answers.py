"""The answer cache of one tenant: answers that may be given again, and only while they are what would be answered anew.

``ask`` says what to do with a question, ``keep`` stores an accepted answer, ``verified`` ends what was near. Answers
stand in the documents' database and go with what they rest on (``infra.cache.data``), candidates come by meaning
(``infra.cache.questions``), GPTCache's ``get`` decides through the gates (``infra.cache.gpt``, ``infra.cache.source``).

All methods block, may be called from any thread, and are bounded in time; an event loop uses ``asyncio.to_thread``. The
cache fails open: what goes wrong in it becomes a decision ``off`` with one logged line, and the question is answered as
without it. Of questions only their text is compared: who stores decides what may be stored (only what the validator
accepted; nothing personal, partial or without evidence).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from uuid import uuid4

from loguru import logger

from infra.cache.data import AnswerTable
from infra.cache.gpt import GptCache
from infra.cache.notes import Notes
from infra.cache.questions import NotOpened, Questions
from infra.cache.records import (
    FOLDER,
    Asked,
    Bounds,
    Cost,
    Decision,
    Gates,
    Kept,
    Outcome,
    Search,
    Stats,
    normal,
    noted,
    unfit,
    unfit_question,
)
from infra.cache.source import AnswerSource, Asking, Keeping, SearchAgain
from infra.errors import StoreError
from infra.settings import QdrantSettings
from infra.store.embeddings import Embedder
from infra.store.index import Index
from infra.text.plain import one_line

PATIENCE = 3
"""Failures in a row after which the cache stays off until it is opened again."""

Heard = Callable[[Kept, bool], None]
"""Told of a kept answer that was compared with a new one, and whether both are the same."""


class AnswerCache:
    """See the module's text. Closed before the documents' index is.

    Args:
        documents: the tenant's index; the answers are attached to it.
        embedder: the model questions are compared with.
        gates: who decides on meaning.
        bounds: what it may take.
        qdrant: where vectors are kept when not in the folder.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        documents: Index,
        embedder: Embedder,
        gates: Gates,
        *,
        bounds: Bounds | None = None,
        qdrant: QdrantSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._off = ""
        self._failures = 0
        self._said: set[str] = set()
        self._assembled = False
        self._heard: list[Heard] = []
        self._bounds = bounds or Bounds()
        self._documents = documents
        self._gates = gates
        self._folder = documents.folder / FOLDER
        try:
            self._assemble(embedder, qdrant)
        except StoreError as error:
            self._turn_off(error)

    def _assemble(self, embedder: Embedder, qdrant: QdrantSettings | None) -> None:
        self._table = AnswerTable(self._documents.library.dependents, self._bounds)
        opened = partial(Index, self._folder, embedder, qdrant=qdrant)
        self._questions = Questions(self._folder, embedder, self._table, opened, self._bounds.ask_seconds)
        self._notes = Notes(self._table, self._say)
        source = AnswerSource(self._documents, self._table, self._questions, self._notes, self._gates, self._bounds)
        self._source = source
        self._gpt: GptCache[Asking | Keeping] = GptCache(source, self._questions.embed)
        self._assembled = True

    @property
    def off(self) -> str:
        """Why the cache is off until it is opened again, or ""."""
        return self._off

    def ask(self, asked: Asked, search: SearchAgain) -> Decision:
        """Decide what to do with a question.

        Args:
            asked: the question.
            search: makes a search again, to see whether an answer is fresh; asks no model.
        """
        try:
            decision = self._off_now(asked) or self._decided(asked, search)
            self._failures = 0 if decision.outcome != "off" else self._failures
        except Exception as error:  # noqa: BLE001 - whatever it is, the question is answered as without a cache
            decision = self._failed(asked, error)
        if not self._off:
            self._notes.decided(decision)
        return decision

    def verified(self, near: Decision, *, same: bool, unasked: str = "") -> Decision:
        """End what was near: a hit where a verifier says that both questions ask the ``same``, and nothing changed.

        Each decision that is near is ended so, and counted; ``unasked`` says why no verifier was asked.
        """
        if not same or unasked:
            decided = near.because("miss", unasked or f"{near.reason}; the verifier: another question")
        elif near.kept is None or self._documents.generation != near.generation:
            decided = near.because("miss", f"{near.reason}; the documents changed meanwhile")
        else:
            decided = near.because("hit", f"{near.reason}; the verifier: the same question")
        if not self._off:
            self._notes.decided(decided)
        return decided

    def keep(self, asked: Asked, answer: str, searches: Sequence[Search], cost: Cost, *, generation: int) -> str:
        """Store an accepted answer; returns why it was not let in, or "".

        Args:
            asked: its question.
            answer: the answer as JSON.
            searches: all that it rests on, every one made since ``ask`` gave its decision.
            cost: what it cost.
            generation: the decision's.
        """
        kept = self._new(asked, answer, searches, cost, generation)
        try:
            refused = self._off or unfit(kept) or self._gates.unfit(asked)
            if refused:
                self._not_let_in()
                return refused
            read = replace(kept, reading=self._gates.reading(asked), words=self._gates.words(asked))
            keeping = Keeping(read)
            self._gpt.put(normal(kept.question), kept.answer, keeping)
        except Exception as error:  # noqa: BLE001 - the answer is given all the same
            return self._failed(asked, error).reason
        return next(iter(keeping.refused), "")

    def listen(self, heard: Heard) -> None:
        """Tell ``heard`` of each audit from now on, too."""
        self._heard.append(heard)

    def audited(self, kept: Kept, *, same: bool) -> None:
        """Note that a kept answer was compared with a new one; if not the ``same``, it is removed. Never raises."""
        for heard in self._heard:
            heard(kept, same)
        if not self._off:
            self._notes.audited(kept, same=same)

    def why(self, question: str | None = None, *, limit: int = 20) -> list[Decision]:
        """The newest decisions about a question, or about all, newest first. Raises StoreError."""
        self._refuse_if_off()
        self._notes.write()
        return self._table.decisions(None if question is None else noted(question), limit)

    def stats(self) -> Stats:
        """What is kept and was done. Raises StoreError."""
        self._refuse_if_off()
        self._notes.write()
        return self._table.stats()

    def clear(self, path: str | None = None) -> int:
        """Remove answers that rest on documents at or under ``path``, or all; returns how many. Raises StoreError."""
        self._refuse_if_off()
        self._notes.write()
        ids = None if path is None else [document.id for document in self._documents.documents([path])]
        removed = self._table.remove(ids)
        self._questions.follow()
        return removed

    def export(self) -> Iterator[Kept]:
        """Every answer kept, by key. Raises StoreError."""
        self._refuse_if_off()
        return self._table.all()

    def close(self) -> None:
        """Put everything on the disk; safe to call twice; what cannot be written is logged."""
        if not self._assembled:
            return
        for step in (self._notes.close, self._questions.close):
            try:
                step()
            except StoreError as error:
                self._say(error)

    def _off_now(self, asked: Asked) -> Decision | None:
        return self._decision("off", self._off, asked) if self._off else None

    def _decided(self, asked: Asked, search: SearchAgain) -> Decision:
        reason = unfit_question(asked.text) or self._gates.unfit(asked)
        if reason:
            return self._decision("miss", reason, asked)
        until = time.monotonic() + self._bounds.ask_seconds
        ask = Asking(asked, search, self._documents.generation, self._clock(), until)
        if not self._table.current():
            self._notes.attach()
            return self._missed(ask, "another process changed documents without the cache")
        if self._gpt.get(normal(asked.text), ask) is not None and ask.hit:
            kept, reason = ask.hit
            return self._decision("hit", reason, asked, kept, generation=ask.generation)
        if ask.near:
            kept, reason = ask.near
            stale = self._source.stale(kept, ask)
            if not stale:
                return self._decision("near", reason, asked, kept, generation=ask.generation)
            ask.verdicts.insert(0, (kept.question, stale))
        return self._missed(ask, "nothing similar was asked before")

    def _missed(self, ask: Asking, reason: str) -> Decision:
        """A miss, with the state of the documents that a new answer's searches will be true of."""
        generation = self._documents.generation
        self._documents.follow()
        candidate, reason = next(iter(ask.verdicts), ("", reason))
        missed = self._decision("miss", reason, ask.asked, generation=generation)
        return replace(missed, candidate=candidate)

    def _decision(
        self, outcome: Outcome, reason: str, asked: Asked, kept: Kept | None = None, *, generation: int | None = None
    ) -> Decision:
        candidate = kept.question if kept else ""
        at, partition = self._clock(), asked.partition.digest
        return Decision(outcome, reason, noted(asked.text), candidate, at, kept, generation, partition)

    def _new(self, asked: Asked, answer: str, searches: Sequence[Search], cost: Cost, generation: int) -> Kept:
        return Kept(
            key=asked.key,
            stamp=uuid4().hex,
            partition=asked.partition.digest,
            question=normal(asked.text),
            answer=answer,
            searches=tuple(searches),
            generation=generation,
            cost=cost,
            created=self._clock(),
        )

    def _not_let_in(self) -> None:
        if not self._off:
            self._notes.refused()

    def _refuse_if_off(self) -> None:
        if self._off:
            raise StoreError(self._off)

    def _failed(self, asked: Asked, error: Exception) -> Decision:
        self._failures += 1
        if isinstance(error, NotOpened) or (isinstance(error, StoreError) and self._failures >= PATIENCE):
            self._turn_off(error)
            if not isinstance(error, NotOpened) or error.damaged:
                self._questions.discard()
        else:
            self._say(error)
        return self._decision("off", f"the cache failed: {one_line(str(error)) or type(error).__name__}", asked)

    def _turn_off(self, error: StoreError) -> None:
        if self._off:
            return
        self._off = f"the answer cache is off until the next start: {one_line(str(error))}"
        logger.warning("{}", self._off)

    def _say(self, error: Exception) -> None:
        """Log one kind of trouble once."""
        kind = type(error).__name__
        if kind not in self._said:
            self._said.add(kind)
            logger.warning("the answer cache failed, questions are answered anew: {}", one_line(str(error)) or kind)
