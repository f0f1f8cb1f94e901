"""State compression: what a stage said becomes a note of bounded length.

A note is chosen before it is written: whole sentences of the original in their order, those first that serve the
question (``tools.compress_choice``). Only where the sentences that must stay do not fit the cap may a model write it.
In either case the note is checked: each fact that the question needs stands in it, or is put back behind it as long as
the cap allows, and what the original does not say is taken out. A model that fails costs nothing but its note. Words of
documents stay harmless: no note opens or closes a block.

Measured in tokens, by a count that is given. Whether a model is worth its tokens is the caller's to know.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from infra.engine.tokenizer import encode
from infra.errors import BackendError, BudgetExceeded, ConfigurationError
from infra.text.blocks import neutral
from infra.text.sentences import split_sentences
from tools.compress_choice import STAGE, Choice, Form
from tools.compress_facts import Fact, Words, facts

NOTE_TOKENS = 250
"""Tokens of a note, as a rule at most (requirements: "a stage's result in at most 250 tokens (cap 400)")."""
CAP_TOKENS = 400
"""Tokens of a note that needs more: of a long text, for sentences that stand where the question is spoken of."""
SHARE = 0.3
"""Of a text that its note may be, where that is more than `NOTE_TOKENS`: at least 70 % are saved."""
NEARLY = 0.97
"""Of its room: a note so long is not made longer."""
MAX_TRIES = 10
"""Of halving, three notes beside: each costs a count, which may be a way to the model server and back."""
JOIN = "; "
"""Between facts that are put back."""

Method = Literal["whole", "extract", "model", "fallback"]
"""How a note came to be: nothing was left out; chosen; written by the model; chosen because the model failed."""
Count = Callable[[str], Awaitable[int]]
"""How many tokens a text is to the model in use."""
Write = Callable[[str, str], Awaitable[str]]
"""Has a model write a note of a text for a question."""


@lru_cache(maxsize=16)
def engine_tokens(text: str) -> int:
    """Return how many tokens ``text`` is to the embedded engine; remembered, for a text is asked about several times.

    A lone surrogate, which is no character, counts as a question mark.
    """
    return len(encode(text.encode("utf-8", "replace").decode("utf-8")))


@dataclass(frozen=True, slots=True)
class Note:
    """A stage's result after compression.

    Attributes:
        text: the note.
        tokens_before: of the original.
        tokens_after: of the note.
        method: how it came to be.
        needed: facts of the original that the question needs.
        retained: how many of them the note holds.
        put_back: how many of them only code put there.
        seconds: what it took.
    """

    text: str
    tokens_before: int
    tokens_after: int
    method: Method = "whole"
    needed: int = 0
    retained: int = 0
    put_back: int = 0
    seconds: float = 0.0

    @property
    def shortened(self) -> bool:
        """Whether anything was left out."""
        return self.tokens_after < self.tokens_before


async def compress(
    text: str, question: str, count: Count, *, cap: int = CAP_TOKENS, form: Form = STAGE, write: Write | None = None
) -> Note:
    """Return ``text`` whole within ``cap`` tokens, else a note of it that serves ``question``.

    No note has more than ``cap`` tokens: of facts that are more by themselves it holds as many as fit, the question's
    own first, and ``Note.retained`` says how many those are. Reading and choosing are done in a thread.

    Args:
        text: what is compressed.
        question: what the note is for.
        count: counts tokens, of the text and of its note, mostly not more; see `_extracted`.
        cap: most tokens of the note.
        form: what kind of text it is.
        write: has a model write the note, asked only where the sentences that must stay exceed the cap; None: nobody.
    """
    began = time.perf_counter()
    text = neutral(text)
    before = await count(text)
    if before <= cap:
        return Note(text, before, before, seconds=time.perf_counter() - began)

    def rated(words: str) -> int:
        return math.ceil(engine_tokens(words) * before / max(1, engine_tokens(text)))

    task = _Task(Choice(text, neutral(question), form), before, cap, rated)
    note = (await _written(task, count, write) if write else None) or await _extracted(task, count)
    return replace(note, seconds=time.perf_counter() - began)


def choose(text: str, question: str, count: Callable[[str], int], *, cap: int = CAP_TOKENS, form: Form = STAGE) -> Note:
    """Return ``text`` whole within ``cap`` tokens, else sentences of it; as `compress`, blocking, each try counted."""
    text = neutral(text)
    before = count(text)
    if before <= cap:
        return Note(text, before, before)
    return _Task(Choice(text, neutral(question), form), before, cap, count).chosen()


@dataclass(frozen=True, slots=True)
class _Task:
    """One text to be compressed to at most ``cap`` tokens, as ``count`` counts them; its methods block."""

    choice: Choice
    before: int
    cap: int
    count: Callable[[str], int]

    @property
    def room(self) -> int:
        """Tokens that the note is to keep to."""
        return min(self.cap, max(NOTE_TOKENS, int(SHARE * self.before)))

    @property
    def chars_per_token(self) -> float:
        return len(self.choice.text) / self.before

    def fits(self, note: Note) -> bool:
        return note.tokens_after <= self.room

    def note(self, body: str, method: Method, chars: float = math.inf) -> Note:
        """Return ``body`` with what it lacks put back behind it, as far as that takes at most ``chars`` characters."""
        said, needed = Words(body), self.choice.needed
        back: list[str] = []
        for fact in needed:
            if len(fact.text) + len(JOIN) <= chars and not self.choice.held(fact, said):
                back.append(fact.text)
                chars -= len(fact.text) + len(JOIN)
        text = neutral("\n".join(filter(None, [body, JOIN.join(back)])))
        words = said if text == body else Words(text)
        retained = sum(self.choice.held(fact, words) for fact in needed)
        return Note(text, self.before, self.count(text), method, len(needed), retained, len(back))

    def checked(self, reply: str) -> Note | None:
        """Return a model's note without what it invents, with what it lacks; None where nothing is left of it."""
        body = _without_inventions(reply, self.choice.text)
        return self.note(body, "model") if body else None

    def packed(self, chars: float) -> Note:
        """Return the best sentences in at most ``chars`` characters, with all that they lack."""
        full = min(NOTE_TOKENS, self.room) * self.chars_per_token
        return self.note(self.choice.pack(int(chars), int(min(chars, full))), "extract")

    def bare(self, chars: float) -> Note:
        """Return facts alone, in the order in which they are needed, in at most ``chars`` characters."""
        return self.note("", "extract", chars)

    def chosen(self) -> Note:
        """Return a note of whole sentences within the room; of facts alone where those leave none, as many as fit."""
        chars = self.room * self.chars_per_token
        first = self.packed(chars)
        if self.fits(first):
            return self._fuller(first, chars)
        bare = self.bare(math.inf)
        if self.fits(bare):
            return self._halved(self.packed, bare, chars)
        return self._halved(self.bare, Note("", self.before, 0, "extract", bare.needed), len(bare.text))

    def _fuller(self, note: Note, chars: float) -> Note:
        """Return a note with what room is left, where one try finds it."""
        if note.tokens_after >= NEARLY * self.room:
            return note
        fuller = self.packed(chars * self.room / max(1, note.tokens_after))
        return fuller if self.fits(fuller) and fuller.tokens_after > note.tokens_after else note

    def _halved(self, make: Callable[[float], Note], best: Note, most: float) -> Note:
        """Return the longest note from ``make`` within the room, or ``best``, which fits; ``most`` chars do not."""
        low, high, near = 0.0, most, (1 - NEARLY) * most
        for _ in range(MAX_TRIES):
            note = make((low + high) / 2)
            if self.fits(note):
                best, low = note, (low + high) / 2
            else:
                high = (low + high) / 2
            if best.tokens_after >= NEARLY * self.room or (low and high - low <= near):
                break
        return best


async def _extracted(task: _Task, count: Count) -> Note:
    """Return a chosen note within the cap by ``count``, which may be a way to the model server and back.

    It is asked of the note alone: in between it is known by the text how many tokens of the engine are how many of
    those. Where that was wrong, and the note is over the cap or lacks a fact, each try is counted.
    """
    note = await asyncio.to_thread(task.chosen)
    after = await count(note.text)
    if after == note.tokens_after or (after <= task.cap and note.retained == note.needed):
        return replace(note, tokens_after=after)
    loop = asyncio.get_running_loop()

    async def counting(text: str) -> int:
        return await count(text)

    def counted(text: str) -> int:
        return asyncio.run_coroutine_threadsafe(counting(text), loop).result()

    return await asyncio.to_thread(replace(task, count=counted).chosen)


async def _written(task: _Task, count: Count, write: Write) -> Note | None:
    """Return the model's note, checked; None where choosing is enough, a chosen one where the model fails."""
    extract = await asyncio.to_thread(lambda: task.choice.sentences(task.choice.must))
    if await count(extract) <= task.room:
        return None
    try:
        reply = await write(extract, task.choice.question)
    except (BackendError, BudgetExceeded, ConfigurationError):
        reply = ""
    note = await asyncio.to_thread(task.checked, reply)
    if note is not None:
        note = replace(note, tokens_after=await count(note.text))
    if note is None or not task.fits(note):
        return replace(await _extracted(task, count), method="fallback")
    return note


def _without_inventions(reply: str, original: str) -> str:
    """Return the sentences of ``reply`` of which each number, date, path and identifier stands in ``original``."""
    words = Words(original)
    sentences = [reply[start:end] for start, end in split_sentences(reply)]
    return "\n".join(s for s in sentences if all(words.holds(fact) or _is_name(fact) for fact in facts(s)))


def _is_name(fact: Fact) -> bool:
    return fact.kind == "name"
