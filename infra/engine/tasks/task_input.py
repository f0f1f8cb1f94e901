"""What a task of the embedded engine is given: the messages of one call, read as tagged blocks.

Blocks are read from the last user message first, then from the earlier user and system messages, newest first: a caller
may put the evidence before the task, in one message or in several. What an assistant or a tool said is never read as a
block: it may repeat a document.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infra.text.blocks import Block, find_blocks

READ_ROLES = ("user", "system", "developer")


@dataclass(frozen=True, slots=True)
class TaskInput:
    """One call: its messages and the bounds of its answer.

    Attributes:
        messages: (role, text) in the order they were sent.
        max_tokens: tokens the whole answer may take.
        schema: the JSON schema the answer must hold.
    """

    messages: list[tuple[str, str]]
    max_tokens: int
    schema: dict[str, Any]

    def blocks(self, tag: str) -> list[Block]:
        """Return the blocks of ``tag``: the last user message's first, then those of the earlier messages."""
        return [block for text in self._texts() for block in find_blocks(text, tag)]

    @property
    def question(self) -> str:
        """The body of the first ``<question>`` block, else the last user message; stripped, '' without either."""
        found = self.blocks("question")
        return (found[0].body if found else self._last_user_text()).strip()

    def _last_user_text(self) -> str:
        return next((text for role, text in reversed(self.messages) if role == "user"), "")

    def _texts(self) -> Iterator[str]:
        """The last user message, then all others that may carry blocks, newest first."""
        readable = [index for index, (role, _) in enumerate(self.messages) if role in READ_ROLES]
        last_user = max((index for index in readable if self.messages[index][0] == "user"), default=-1)
        for index in sorted(readable, key=lambda i: (i != last_user, -i)):
            yield self.messages[index][1]
