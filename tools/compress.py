"""State compression: what a stage said becomes a note of bounded length.

A note is chosen before it is written: whole sentences of the original in their order, those first that serve the
question (``tools.compress_choice``). Only where the sentences that must stay do not fit the cap may a model write it.
In either case the note is checked: each fact that the question needs stands in it, or is put back behind it, and what
the original does not say is taken out. A model that fails costs nothing but its note. Words of documents stay harmless:
no note opens or closes a block.

Measured in tokens, by a count that is given. Whether a model is worth its tokens is the caller's to know.
"""

import asyncio
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
SMALLER = 0.97

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

    The note has at most ``cap`` tokens, unless the facts that it must hold are more by themselves.

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

    async def note(self, body: str, method: Method) -> Note:
        """Return ``body`` with what it lacks put back behind it."""
        said, needed = Words(body), self.choice.needed
        lacking = [fact for fact in needed if not self.choice.held(fact, said)]
        text = neutral("\n".join(filter(None, [body, "; ".join(fact.text for fact in lacking)])))
        words = Words(text)
        retained = sum(self.choice.held(fact, words) for fact in needed)
        return Note(text, self.before, await self.count(text), method, len(needed), retained, len(lacking))


async def _chosen(task: _Task) -> Note:
    """Return a note of whole sentences: with less room at each try until it fits, then once with what room is left.

    The last try holds the facts alone.
    """
    room, chars = task.room, task.room * task.chars_per_token
    note = await _packed(task, chars)
    while note.tokens_after > room and chars >= 1:
        chars *= max(0.1, SMALLER * min(room / note.tokens_after, 1.0))
        note = await _packed(task, chars)
    if note.tokens_after < SMALLER * room:
        fuller = await _packed(task, chars * room / max(1, note.tokens_after))
        return fuller if note.tokens_after < fuller.tokens_after <= room else note
    return note


async def _packed(task: _Task, chars: float) -> Note:
    full = min(NOTE_TOKENS, task.room) * task.chars_per_token
    return await task.note(task.choice.pack(int(chars), int(min(chars, full))), "extract")


async def _written(task: _Task, write: Write) -> Note | None:
    """Return the model's note, checked; None where choosing is enough, a chosen one where the model fails."""
    extract = task.choice.sentences(task.choice.must)
    if await task.count(extract) <= task.room:
        return None
    try:
        reply = await write(extract, task.choice.question)
    except (BackendError, BudgetExceeded, ConfigurationError):
        reply = ""
    body = _without_inventions(reply, task.choice.text)
    note = await task.note(body, "model") if body else None
    if note is None or note.tokens_after > task.room:
        return replace(await _chosen(task), method="fallback")
    return note


def _without_inventions(reply: str, original: str) -> str:
    """Return the sentences of ``reply`` of which each number, date, path and identifier stands in ``original``."""
    words = Words(original)
    sentences = [reply[start:end] for start, end in split_sentences(reply)]
    return "\n".join(s for s in sentences if all(words.holds(fact) or _is_name(fact) for fact in facts(s)))


def _is_name(fact: Fact) -> bool:
    return fact.kind == "name"
