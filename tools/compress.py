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
from typing import Literal

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
        count: counts tokens.
        cap: most tokens of the note.
        form: what kind of text it is.
        write: has a model write the note, asked only where the sentences that must stay exceed the cap; None: nobody.
    """
    began = time.perf_counter()
    text = neutral(text)
    before = await count(text)
    if before <= cap:
        return Note(text, before, before, seconds=time.perf_counter() - began)
    choice = await asyncio.to_thread(Choice(text, neutral(question), form).read)
    task = _Task(choice, before, min(cap, max(NOTE_TOKENS, int(SHARE * before))), count)
    note = (await _written(task, write) if write else None) or await _chosen(task)
    return replace(note, seconds=time.perf_counter() - began)


@dataclass(frozen=True, slots=True)
class _Task:
    """One text to be compressed to at most ``room`` tokens."""

    choice: Choice
    before: int
    room: int
    count: Count

    @property
    def chars_per_token(self) -> float:
        return len(self.choice.text) / self.before

    def fits(self, note: Note) -> bool:
        return note.tokens_after <= self.room

    async def note(self, body: str, method: Method, chars: float = math.inf) -> Note:
        """Return ``body`` with what it lacks put back behind it, as far as that takes at most ``chars`` characters."""
        text, retained, put_back = await asyncio.to_thread(self._mended, body, chars)
        return Note(text, self.before, await self.count(text), method, len(self.choice.needed), retained, put_back)

    def _mended(self, body: str, chars: float) -> tuple[str, int, int]:
        said, needed = Words(body), self.choice.needed
        back: list[str] = []
        for fact in needed:
            if len(fact.text) + len(JOIN) <= chars and not self.choice.held(fact, said):
                back.append(fact.text)
                chars -= len(fact.text) + len(JOIN)
        text = neutral("\n".join(filter(None, [body, JOIN.join(back)])))
        words = Words(text)
        return text, sum(self.choice.held(fact, words) for fact in needed), len(back)

    async def packed(self, chars: float) -> Note:
        """Return the best sentences in at most ``chars`` characters, with all that they lack."""
        full = min(NOTE_TOKENS, self.room) * self.chars_per_token
        body = await asyncio.to_thread(self.choice.pack, int(chars), int(min(chars, full)))
        return await self.note(body, "extract")

    async def bare(self, chars: float) -> Note:
        """Return facts alone, in the order in which they are needed, in at most ``chars`` characters."""
        return await self.note("", "extract", chars)


async def _chosen(task: _Task) -> Note:
    """Return a note of whole sentences within the room; of facts alone where those leave none, as many as fit."""
    chars = task.room * task.chars_per_token
    first = await task.packed(chars)
    if task.fits(first):
        return await _fuller(task, first, chars)
    bare = await task.bare(math.inf)
    if task.fits(bare):
        return await _halved(task, task.packed, bare, chars)
    return await _halved(task, task.bare, Note("", task.before, 0, "extract", bare.needed), len(bare.text))


async def _fuller(task: _Task, note: Note, chars: float) -> Note:
    """Return a note with what room is left, where one try finds it."""
    if note.tokens_after >= NEARLY * task.room:
        return note
    fuller = await task.packed(chars * task.room / max(1, note.tokens_after))
    return fuller if task.fits(fuller) and fuller.tokens_after > note.tokens_after else note


async def _halved(task: _Task, make: Callable[[float], Awaitable[Note]], best: Note, most: float) -> Note:
    """Return the longest note from ``make`` within the room, or ``best``, which fits; ``most`` characters do not."""
    low, high, near = 0.0, most, (1 - NEARLY) * most
    for _ in range(MAX_TRIES):
        note = await make((low + high) / 2)
        if task.fits(note):
            best, low = note, (low + high) / 2
        else:
            high = (low + high) / 2
        if best.tokens_after >= NEARLY * task.room or (low and high - low <= near):
            break
    return best


async def _written(task: _Task, write: Write) -> Note | None:
    """Return the model's note, checked; None where choosing is enough, a chosen one where the model fails."""
    extract = task.choice.sentences(task.choice.must)
    if await task.count(extract) <= task.room:
        return None
    try:
        reply = await write(extract, task.choice.question)
    except (BackendError, BudgetExceeded, ConfigurationError):
        reply = ""
    body = await asyncio.to_thread(_without_inventions, reply, task.choice.text)
    note = await task.note(body, "model") if body else None
    if note is None or not task.fits(note):
        return replace(await _chosen(task), method="fallback")
    return note


def _without_inventions(reply: str, original: str) -> str:
    """Return the sentences of ``reply`` of which each number, date, path and identifier stands in ``original``."""
    words = Words(original)
    sentences = [reply[start:end] for start, end in split_sentences(reply)]
    return "\n".join(s for s in sentences if all(words.holds(fact) or _is_name(fact) for fact in facts(s)))


def _is_name(fact: Fact) -> bool:
    return fact.kind == "name"
