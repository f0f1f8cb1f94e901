"""Asking a model for a value: one call, a hostile reply, at most one repair, and rules where a model cannot.

Gives `Asker`, what an agent gets in place of a chat model: messages and a pydantic type in, a checked value out. The
reply's form is asked for with ``response_format`` json_schema, whose title is the task's name; what comes back, as text
or as a tool call, is read by `infra.llm.parse` whatever wraps it. A reply that cannot be read is sent back once, its
first words only, with what is wrong with it; after that the same messages go to the rules (the embedded engine, which
answers the published tasks without a model), and where there are none `UnreadableReply` is raised. Every repair and
every fallback is told. A model's `BudgetExceeded` and other `BackendError` pass through.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel, ValidationError

from infra.errors import BackendError, BudgetExceeded
from infra.llm.ledger import RemarkKind
from infra.llm.parse import MAX_CHARS, Reading, accepted, readings
from infra.llm.partial import LISTENER, Listener
from infra.text.blocks import neutral
from infra.text.plain import short_line

T = TypeVar("T", bound=BaseModel)

MAX_SHOWN_CHARS = 1_000  # of an unreadable reply, in the repair call: enough to see its form, and cheap
MAX_PROBLEM_CHARS = 300
MAX_FAULTS = 4
MAX_WORDED_FAULTS = 1_000  # pydantic words all of them or none
MAX_CALLS = 8
_TASK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """A checked value.

    Attributes:
        value: what was asked for.
        repaired: whether it took a second call, or was read from a reply that was cut.
        raw: the reply's text as it came, control characters included.
        source: what it comes from: the model, or rules that stood in for it (also those of a fail-over).
        dropped: ids of the evidence blocks that did not fit the model's window.
        cut_tokens: tokens of a history or a long text that did not fit it.
    """

    value: T
    repaired: bool
    raw: str
    source: Literal["model", "rules"] = "model"
    dropped: tuple[str, ...] = ()
    cut_tokens: int = 0


class UnreadableReply(BackendError):  # noqa: N818 - the field's word
    """A reply could not be read, nor could the one to the repair call, and no rules could stand in.

    Attributes:
        task: name of the task.
        problem: what was wrong with the last reply.
        raw: the last reply's first words.
    """

    def __init__(self, task: str, problem: str, raw: str) -> None:
        super().__init__(
            f"the model's reply to {task!r} could not be read, nor could its repair: {problem}; "
            "a larger model or DOCMIND_BACKEND=engine may help"
        )
        self.task = task
        self.problem = problem
        self.raw = raw


def _unheard(kind: RemarkKind, detail: str) -> None:
    """Take a remark that nobody listens to."""


@runtime_checkable
class Forgetting(Protocol):
    """A model whose replies may be kept and given again."""

    def forget(self, reply: BaseMessage) -> None:
        """Have ``reply`` not given again."""
        ...


class Asker:
    """Asks one agent's model.

    Args:
        chat: a guarded model, or a fake.
        rules: the embedded engine's chat model, asked where the model's replies cannot be read; None: nobody is.
        remark: told of every repair and fallback, in one line.
    """

    def __init__(
        self,
        chat: BaseChatModel,
        rules: BaseChatModel | None = None,
        remark: Callable[[RemarkKind, str], None] = _unheard,
    ) -> None:
        self._chat = chat
        self._rules = rules
        self._remark = remark

    def without_rules(self) -> "Asker":
        """Return an asker for what rules may not decide."""
        return Asker(self._chat, None, self._remark)

    async def ask(
        self,
        messages: Sequence[BaseMessage],
        schema: type[T],
        *,
        task: str,
        max_tokens: int | None = None,
        listener: Listener | None = None,
    ) -> Reply[T]:
        """Ask for a value of type ``schema``.

        Args:
            messages: the prompt.
            schema: the value's type; its JSON schema goes out with ``task`` as title.
            task: name of the task (letters, digits, ``_`` and ``-``, at most 64).
            max_tokens: longest reply; None leaves it to the guard's reserve.
            listener: hears the model's replies while they are written, not the rules'.

        Raises:
            UnreadableReply: neither the reply nor its repair could be read, and there are no rules, or they failed.
            BudgetExceeded: a call does not fit its window or budget.
            BackendError: the server failed.
        """
        limit = {} if max_tokens is None else {"max_tokens": max_tokens}
        bound = {"response_format": response_format(schema, task), **limit}
        model = self._chat.bind(**bound, **({} if listener is None else {LISTENER: listener}))
        first = await model.ainvoke(list(messages))
        outcome = self._read(first, schema)
        if isinstance(outcome, Reply):
            return outcome
        self._remark("repair", f"{task}: {outcome}")
        second = await model.ainvoke([*messages, *_repair(first, outcome)])
        mended = self._read(second, schema)
        if isinstance(mended, Reply):
            return replace(mended, repaired=True)
        self._remark("fallback", f"{task}: {mended}")
        unreadable = UnreadableReply(task, mended, second.text[:MAX_SHOWN_CHARS])
        if self._rules is None:
            raise unreadable
        try:
            stood_in = _read(await self._rules.bind(**bound).ainvoke(list(messages)), schema)
        except (BackendError, BudgetExceeded) as failed:
            raise unreadable from failed
        if isinstance(stood_in, Reply):
            return replace(stood_in, source="rules")
        raise unreadable

    def _read(self, reply: AIMessage, schema: type[T]) -> Reply[T] | str:
        """Read a reply; one that is not whole is not given again to who asks the same."""
        outcome = _read(reply, schema)
        if isinstance(self._chat, Forgetting) and (isinstance(outcome, str) or outcome.repaired):
            self._chat.forget(reply)
        return outcome


def response_format(schema: type[BaseModel], task: str) -> dict[str, Any]:
    """Return the ``response_format`` that asks for ``schema`` under the title ``task``."""
    if not _TASK_NAME.fullmatch(task):
        raise ValueError(f"{task!r} is no task name: letters, digits, _ and -, at most 64")
    described = _described(schema) | {"title": task}
    return {"type": "json_schema", "json_schema": {"name": task, "schema": described, "strict": True}}


@lru_cache(maxsize=64)
def _described(schema: type[BaseModel]) -> dict[str, Any]:
    """Return a type's JSON schema, which takes milliseconds to make; it is only read."""
    return schema.model_json_schema()


def _read(reply: AIMessage, schema: type[T]) -> Reply[T] | str:
    """Return the first reading of a reply that is valid; else what is wrong, in a few words."""
    last: ValidationError | None = None
    for reading in _ways(reply):
        try:
            return _reply(reply, schema.model_validate(reading.value), whole=reading.whole)
        except ValidationError as error:
            last = error
    return _no_json(reply) if last is None else _problem(last)


def _reply(reply: AIMessage, value: T, *, whole: bool) -> Reply[T]:
    facts = reply.response_metadata
    return Reply(
        value,
        repaired=not whole,
        raw=reply.text,
        source="rules" if facts.get("backend") == "engine" else "model",
        dropped=tuple(facts.get("dropped", ())),
        cut_tokens=facts.get("cut_tokens", 0),
    )


def _ways(reply: AIMessage) -> Iterator[Reading]:
    """Give the ways to read a reply: what it calls a tool with, also where that is not JSON yet, then its text."""
    for call in reply.tool_calls[:MAX_CALLS]:
        yield from accepted(call["args"])
    for call in reply.invalid_tool_calls[:MAX_CALLS]:
        yield from readings(call["args"] or "")
    yield from readings(reply.text)


def _words(reply: AIMessage) -> str:
    """Return what a reply says: its text, or what it could not call a tool with."""
    return reply.text.strip() or " ".join(call["args"] or "" for call in reply.invalid_tool_calls).strip()


def _no_json(reply: AIMessage) -> str:
    words = _words(reply)
    if not words:
        return "the reply was empty"
    if len(words) > MAX_CHARS:
        return f"the reply was longer than {MAX_CHARS:,} characters"
    if reply.response_metadata.get("finish_reason") == "length":
        return "the reply was cut off before its JSON was complete: be shorter"
    return "the reply held no JSON object"


def _problem(error: ValidationError) -> str:
    if error.error_count() > MAX_WORDED_FAULTS:
        return f"{error.error_count():,} parts of the reply do not fit the schema"
    found = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_FAULTS]
    return short_line(
        "; ".join(f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}" for e in found), MAX_PROBLEM_CHARS
    )


def _repair(reply: AIMessage, problem: str) -> list[BaseMessage]:
    shown = neutral(short_line(_words(reply), MAX_SHOWN_CHARS)) or "(nothing)"
    asked = f"That is not valid ({problem}). Reply with one JSON object that fits the given schema and nothing else."
    return [AIMessage(shown), HumanMessage(neutral(asked))]
