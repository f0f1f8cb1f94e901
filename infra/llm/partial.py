"""A list that a model is still writing: its elements, each as soon as it is whole, and the one that has begun.

Gives `Listener` (who hears a reply's words while they come, and when they are void) and `Elements`, a listener that
reads the list under the first key of a JSON object. An element is read once, from its own beginning, when a closing
brace comes that may be its end, so that the work grows with the reply's length. One that is not whole is looked at
where a sentence of its text has ended and the next one has begun: up to there as if its text ended. How often and how
much is tried is bounded, and past the bounds nothing more is heard. Else nothing is completed or guessed: an element
that is not valid, or stands in prose or after a thought, is left to whoever reads the whole reply (`infra.llm.ask`).
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from infra.llm.parse import MAX_CHARS, Json, accepted

T = TypeVar("T", bound=BaseModel)

LISTENER = "listener"
"""Name by which a caller binds a listener to a guarded model."""
MAX_READS = 256
"""Closing braces that are looked at in one reply; one is an element's end, the others stand in its texts."""
MAX_GLANCES = 64
"""Ends of sentences at which one reply's element is looked at before it is whole."""
MAX_ELEMENTS = 32
"""Of a list; of a longer one nothing more is heard."""
MAX_ELEMENT_CHARS = 16_384
_DECODER = json.JSONDecoder(strict=False)  # as `infra.llm.parse` reads the whole reply
_BLANKS = re.compile(r"\s*")
_END = re.compile(r"[.!?\u2026](?=[^\w\s]{0,4}\s{1,2}\S{1,40}\s)")
_END_CHARS = 48
"""Of what was heard before, in which an end may stand that is one now."""


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
        told: given all elements of this try that are whole, each time that one more is; and, where one has begun of
            which a sentence is whole, that one, the text that is its last value cut at a white space.
    """

    def __init__(self, name: str, kind: type[T], told: Callable[[Sequence[T], T | None], None]) -> None:
        blank = r"\s{0,64}"
        self._head = re.compile(rf'[^{{]{{0,64}}\{{{blank}"{re.escape(name)}"{blank}:{blank}\[')
        self._kind, self._told = kind, told
        self.began()

    def began(self) -> None:
        """Forget everything."""
        self._found: list[T] = []
        self._rest = ""  # from the end of the last element on
        self._pieces: list[str] = []  # not put to the rest yet
        self._tail = ""  # the last that was heard, from the end of a sentence on
        self._heard = self._chars = self._reads = self._glances = 0
        self._inside = self._over = False  # whether the list has begun; whether nothing more is read

    def said(self, words: str) -> None:
        """Take words; where they may end an element, or a sentence of it, read what is there."""
        self._heard += len(words)
        self._over = self._over or self._heard > MAX_CHARS  # the whole reply will not be read either
        if self._over:
            return
        self._pieces.append(words)
        self._chars += len(words)
        if "}" in words:
            self._reads += words.count("}")
            before = len(self._found)
            self._read()
            if len(self._found) > before:
                self._told(list(self._found), None)
        if self._ends(words) and not self._over and self._glances < MAX_GLANCES:
            self._glances += 1
            if (begun := self._begun()) is not None:
                self._told(list(self._found), begun)
        self._over = self._over or self._reads >= MAX_READS or self._chars > MAX_ELEMENT_CHARS

    def _ends(self, words: str) -> bool:
        """Tell whether a sentence ended and the first word after it has been heard whole by now."""
        heard = self._tail + words
        ends = [end.end() for end in _END.finditer(heard)]
        self._tail = heard[ends[-1] if ends else 0 :][-_END_CHARS:]
        return bool(ends)

    def _read(self) -> None:
        """Read all elements that are whole, and keep what follows them."""
        self._gather()
        if not self._inside:
            self._over = True
            return
        at = 0
        while len(self._found) < MAX_ELEMENTS and (end := self._element(at)) is not None:
            at = end
        self._over = self._over or len(self._found) >= MAX_ELEMENTS
        self._rest = self._rest[at:]
        self._chars = len(self._rest)

    def _gather(self) -> None:
        """Put together what was heard, from the first element that is not whole on."""
        self._rest, self._pieces = "".join([self._rest, *self._pieces]), []
        if not self._inside and (head := self._head.match(self._rest)):
            self._inside, self._rest = True, self._rest[head.end() :]

    def _element(self, at: int) -> int | None:
        """Read one element and what parts it from the one before; return where it ends, None where it does not yet."""
        begins = self._begins(at)
        if begins is None:
            return None
        try:
            value, end = _DECODER.raw_decode(self._rest, begins)
        except (ValueError, RecursionError):  # not whole yet, or no JSON
            return None
        element = self._valid(value)
        if element is None:
            self._over = True
            return None
        self._found.append(element)
        return end

    def _begins(self, at: int) -> int | None:
        """Return where the element begins that stands at ``at``, behind what parts it from the one before."""
        at = self._past_blanks(at)
        if not self._found:
            return at
        if self._rest[at : at + 1] == ",":
            return self._past_blanks(at + 1)
        self._over = at < len(self._rest)
        return None

    def _begun(self) -> T | None:
        """Return the element that is being written as if its text ended at the last white space; None outside a text.

        No escape stands across a white space, and where no text is open the two marks that close one are no JSON.
        """
        self._gather()
        at = self._begins(0) if self._inside else None
        if at is None:
            return None
        closed = self._rest[at : max(at, self._rest.rfind(" "))] + '"}'
        try:
            value, end = _DECODER.raw_decode(closed, 0)
        except (ValueError, RecursionError):
            return None
        return self._valid(value) if end == len(closed) else None

    def _valid(self, value: Json) -> T | None:
        try:
            return next((self._kind.model_validate(reading.value) for reading in accepted(value)), None)
        except ValidationError:
            return None

    def _past_blanks(self, at: int) -> int:
        blanks = _BLANKS.match(self._rest, at)
        return blanks.end() if blanks else at
