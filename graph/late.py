"""An asker that opens its model when it is first asked: an agent that needs no model meets no server."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from infra.llm.ask import Asker, Reply
from infra.llm.ledger import RemarkKind
from infra.llm.partial import Listener

T = TypeVar("T", bound=BaseModel)


class LateAsker(Asker):
    """Asks a model that is opened with the first question to it."""

    def __init__(
        self,
        opened: Callable[[], Awaitable[BaseChatModel]],
        rules: BaseChatModel | None,
        remark: Callable[[RemarkKind, str], None],
    ) -> None:
        self._opened = opened
        self._rules = rules
        self._remark = remark

    def without_rules(self) -> Asker:
        """Return an asker for what rules may not decide."""
        return LateAsker(self._opened, None, self._remark)

    async def ask(
        self,
        messages: Sequence[BaseMessage],
        schema: type[T],
        *,
        task: str,
        max_tokens: int | None = None,
        listener: Listener | None = None,
    ) -> Reply[T]:
        """Ask as `Asker` does; what opening the model raises is raised here."""
        asker = Asker(await self._opened(), self._rules, self._remark)
        return await asker.ask(messages, schema, task=task, max_tokens=max_tokens, listener=listener)
