"""Notes: how the graph compresses what its stages said, and the turns of a conversation that are no longer read.

Only words are compressed; what later stages read are typed results, which stay in the state as they are. So no prompt
changes by it, and a stage's note is read by people alone (in Studio, in a stream, in what a checkpointer keeps): it is
chosen by code, unless the setting ``models.compression`` names a model that writes those which choosing does not make
short enough, never on a look-up; the next stage waits for that call. Each compression is entered in the ledger.

The rolling note of a conversation is read by the router, at the head of the turns that it sees as they are. It is made
by choosing when a turn falls out of those, from its own lines and the sentences of that turn; as long as none does it
costs nothing.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from agents.notes import write_note
from agents.router import Turn
from graph.answer import without_sources
from graph.nodes import Desk, LateAsker, visit
from graph.noted import COMPRESSION, Compression, Earlier
from graph.state import State, View, packed, view_of
from graph.supervisor import SUPERVISOR
from infra.errors import BackendError, BudgetExceeded, ConfigurationError
from infra.llm.ask import UnreadableReply
from infra.llm.ledger import Remark, RemarkKind, Scope
from infra.text.sentences import split_sentences
from tools.compress import CAP_TOKENS, NOTE_TOKENS, Method, Note, Write, compress, engine_tokens
from tools.compress_choice import CONVERSATION

HISTORY = "history"
MAX_TURNS = 6
"""Earlier messages that the router sees of a conversation, beside the rolling note of those before."""

MAX_FALLEN = 50
"""Messages that are taken into the rolling note at once, the newest; more only fall out where a conversation is given
whole."""

MAX_NOTED_CHARS = 4_000
"""Of a message that is taken into the rolling note: its first sentences."""

PLAINLY_SHORT = 0.5
"""Share of the cap up to which a text stays whole whoever counts: no model server is asked."""

_QUICK_CHARS = 8_000
_MARKS = re.compile(r" ?\[E\d{1,4}(?:, ?E\d{1,4}){0,9}\]")
_COSTLIEST: tuple[Method, ...] = ("whole", "extract", "fallback", "model")


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the router reads of the turns before a question; ``made`` is the compression that it took, if any."""

    history: list[Turn]
    earlier: Earlier
    made: Compression | None = None


class Notes:
    """Makes notes over one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def of_stage(self, state: State) -> dict[str, Any]:
        """Return the update that puts notes in the place of what the agents said since the last dispatch."""
        view = view_of(state)
        stage = _stage(state.get("messages", []))
        scope, began = Scope(view.question.id, view.question.thread, COMPRESSION), time.time()
        write = self._writer(view, scope)
        notes = await asyncio.gather(*(self._note(m.text, view, write) for m in stage))
        calls = sum(call.tries > 0 for call in self._desk.ledger.calls(view.question.id) if call.scope is scope)
        entry = _entry((stage[0].name or "") if stage else "", notes, calls)
        self._enter(scope, entry)
        line = visit(scope, began, view.question, self._desk.ledger)
        own = [key for key in state.get("compressions", {}) if key.startswith(f"{view.question.id}/")]
        key = f"{view.question.id}/{began:.6f}-{COMPRESSION}-{entry.stage}"
        replaced = [AIMessage(n.text, name=m.name, id=m.id) for n, m in zip(notes, stage, strict=True) if n.shortened]
        return {
            "compressions": {f"{view.question.id}/{len(own) + 1:03d}": packed(entry)},
            "messages": replaced,
            **({"trail": {key: packed(line)}} if line.llm_calls else {}),
        }

    async def of_conversation(
        self, turns: Sequence[AnyMessage], asked: str, before: Earlier, scope: Scope
    ) -> Conversation:
        """Return what the router reads of ``turns``: a rolling note, and the last of them as they are.

        Args:
            turns: the conversation before the question, oldest first.
            asked: the question.
            before: the rolling note as it was.
            scope: the question's account.
        """
        fallen, read = turns[:-MAX_TURNS], [_turn(message) for message in turns[-MAX_TURNS:]]
        if not fallen:
            return Conversation(read, Earlier())
        covered = next((n for n, message in enumerate(fallen, start=1) if message.id == before.through), 0)
        made = None
        if new := fallen[covered:][-MAX_FALLEN:]:
            matter = "\n".join([*(turn.text for turn in read if turn.role == "user"), asked])
            note = await self._rolled(before.note if covered else "", new, matter)
            before = Earlier(note=note.text, through=fallen[-1].id or "")
            made = _entry(HISTORY, [note], 0)
            self._enter(scope, made)
        return Conversation([Turn("earlier", before.note), *read], before, made)

    async def _rolled(self, kept: str, new: Sequence[AnyMessage], asked: str) -> Note:
        text = "\n".join([*([kept] if kept else []), *(line for message in new for line in _lines(message))])
        return await compress(text, asked, tokens, cap=NOTE_TOKENS, form=CONVERSATION)

    async def _note(self, text: str, view: View, write: Write | None) -> Note:
        """Return the note of one text, counted as the run's model does: a note is worth neither an answer nor a server.

        No server is asked for a count before an agent has asked a model, nor of a text so short that it stays whole by
        far: most of what is said is, and each count is a way to the server and back. One that fails is asked no more.
        """
        if self._desk.ledger.calls(view.question.id) and await tokens(text) > PLAINLY_SHORT * CAP_TOKENS:
            count = partial(self._desk.count, backend=view.question.backend)
            with suppress(BackendError, ConfigurationError):
                return await compress(text, view.asked, count, write=write)
            write = None
        return await compress(text, view.asked, tokens, write=write)

    def _writer(self, view: View, scope: Scope) -> Write | None:
        """Return what has a model write a note, where one is named for it and the question is worth it."""
        named = self._desk.settings.models.compression.strip()
        if not named or view.ended or view.route is None or view.route.kind != "compound":
            return None

        def remark(kind: RemarkKind, detail: str) -> None:
            self._desk.ledger.remark(Remark(scope, kind, detail))

        asker = LateAsker(partial(self._desk.chat, scope, view.question.backend), None, remark)

        async def write(text: str, question: str) -> str:
            try:
                return await write_note(text, question, asker)
            except UnreadableReply:  # the asker has told of it
                raise
            except (BackendError, BudgetExceeded, ConfigurationError) as failed:
                remark("budget" if isinstance(failed, BudgetExceeded) else "fallback", f"{COMPRESSION}: {failed}")
                raise

        return write

    def _enter(self, scope: Scope, made: Compression) -> None:
        """Enter a compression that left something out in the ledger."""
        if made.tokens_after < made.tokens_before:
            detail = (
                f"{made.stage}: {made.tokens_before:,} tokens to {made.tokens_after:,} ({made.method}), "
                f"{made.retained} of {made.needed} facts kept, {made.seconds:.3f} s, {made.llm_calls} model calls"
            )
            self._desk.ledger.remark(Remark(scope, "compression", detail))


def _entry(stage: str, notes: Sequence[Note], llm_calls: int) -> Compression:
    return Compression(
        stage=stage,
        tokens_before=sum(n.tokens_before for n in notes),
        tokens_after=sum(n.tokens_after for n in notes),
        method=_COSTLIEST[max((_COSTLIEST.index(n.method) for n in notes), default=0)],
        needed=sum(n.needed for n in notes),
        retained=sum(n.retained for n in notes),
        seconds=round(max((n.seconds for n in notes), default=0.0), 4),
        llm_calls=llm_calls,
    )


def _turn(message: AnyMessage) -> Turn:
    """Return a message as a turn: what the user asked, or what was answered."""
    if isinstance(message, HumanMessage):
        return Turn("user", message.text)
    return Turn("assistant", without_sources(message.text))


def _stage(messages: Sequence[AnyMessage]) -> list[AIMessage]:
    """Return what the agents said since the last dispatch."""
    since = takewhile(lambda m: not (isinstance(m, AIMessage) and m.name == SUPERVISOR), reversed(messages))
    return [m for m in since if isinstance(m, AIMessage) and not m.tool_calls][::-1]


def _lines(message: AnyMessage) -> list[str]:
    """Return what a message says as lines of a rolling note: its sentences, each with who said it, without marks."""
    turn = _turn(message)
    said = turn.text[:MAX_NOTED_CHARS]
    words = said if turn.role == "user" else _MARKS.sub("", said)
    return [f"{turn.role}: {' '.join(words[start:end].split())}" for start, end in split_sentences(words)]


async def tokens(text: str) -> int:
    """Return how many tokens ``text`` is to the embedded engine, which needs no server; a long one in a thread."""
    return engine_tokens(text) if len(text) <= _QUICK_CHARS else await asyncio.to_thread(engine_tokens, text)
