"""A list that a model is still writing: its elements, each as soon as it is whole.

Gives `Listener` (who hears a reply's words while they come, and when they are void) and `Elements`, a listener that
reads the list under the first key of a JSON object. An element is read once, from its own beginning, when a closing
brace comes that may be its end, so that the work grows with the reply's length; how often and how much is tried is
bounded, and past the bounds nothing more is heard. Nothing is completed or guessed: an element that is not whole, or
not valid, or stands in prose or after a thought, is left to whoever reads the whole reply (`infra.llm.ask`).
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from infra.llm.parse import accepted

T = TypeVar("T", bound=BaseModel)

LISTENER = "listener"
"""Name by which a caller binds a listener to a guarded model."""
MAX_READS = 256
"""Closing braces that are looked at in one reply; one is an element's end, the others stand in its texts."""
MAX_ELEMENT_CHARS = 16_384
_DECODER = json.JSONDecoder(strict=False)  # as `infra.llm.parse` reads the whole reply
_BLANKS = re.compile(r"\s*")


class Listener(Protocol):
    """Hears a streamed reply while it is written."""

    def began(self) -> None:
        """Take that a try begins: what was heard of one before it is void."""
        ...

    def said(self, words: str) -> None:
        """Take the next words; must not wait, nor raise for anything that a model may say."""
        ...


class Elements(Generic[T]):
    """Reads the elements of a list; implements `Listener`.

    Args:
        name: the list's key, the first of the object.
        kind: what an element is.
        told: given all elements of this try, each time that one more is whole.
    """

    def __init__(self, name: str, kind: type[T], told: Callable[[Sequence[T]], None]) -> None:
        blank = r"\s{0,64}"
        self._head = re.compile(rf'[^{{]{{0,64}}\{{{blank}"{re.escape(name)}"{blank}:{blank}\[')
        self._kind, self._told = kind, told
        self.began()

    def began(self) -> None:
        """Forget everything."""
        self._found: list[T] = []
        self._rest = ""  # from the end of the last element on
        self._pieces: list[str] = []  # not put to the rest yet
        self._chars = self._reads = 0
        self._inside = self._over = False  # whether the list has begun; whether nothing more is read

    def said(self, words: str) -> None:
        """Take words; where they may end an element, read what is whole."""
        if self._over:
            return
        self._pieces.append(words)
        self._chars += len(words)
        if "}" in words:
            self._reads += words.count("}")
            self._rest, self._pieces = "".join([self._rest, *self._pieces]), []
            before = len(self._found)
            self._read()
            if len(self._found) > before:
                self._told(list(self._found))
        self._over = self._over or self._reads >= MAX_READS or self._chars > MAX_ELEMENT_CHARS

    def _read(self) -> None:
        """Read all elements that are whole, and keep what follows them."""
        at = 0
        if not self._inside:
            head = self._head.match(self._rest)
            if head is None:
                self._over = True
                return
            self._inside, at = True, head.end()
        while (end := self._element(at)) is not None:
            at = end
        self._rest = self._rest[at:]
        self._chars = len(self._rest)

    def _element(self, at: int) -> int | None:
        """Read one element and what parts it from the one before; return where it ends, None where it does not yet."""
        at = self._past_blanks(at)
        if self._found and self._rest[at : at + 1] == ",":
            at = self._past_blanks(at + 1)
        elif self._found:
            self._over = at < len(self._rest)
            return None
        try:
            value, end = _DECODER.raw_decode(self._rest, at)
        except (ValueError, RecursionError):  # not whole yet, or no JSON
            return None
        try:
            element = next((self._kind.model_validate(reading.value) for reading in accepted(value)), None)
        except ValidationError:
            element = None
        if element is None:
            self._over = True
            return None
        self._found.append(element)
        return end

    def _past_blanks(self, at: int) -> int:
        blanks = _BLANKS.match(self._rest, at)
        return blanks.end() if blanks else at
