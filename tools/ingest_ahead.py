"""Runs an iterator ahead of whoever takes from it, in a thread of its own, no further than there is room for.

So the next files are read while the model is at work on the last ones. What the iterator raises comes out where its
items are taken, after those it gave before.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from threading import Condition, Thread
from typing import Generic, TypeVar

T = TypeVar("T")

LEAVE_SECONDS = 5.0
"""How long an item in the making is waited for when nobody wants it any more, unless told otherwise."""


@contextmanager
def ahead(
    source: Generator[T],
    weight: Callable[[T], int],
    room: int,
    leave: Callable[[], None],
    leave_seconds: float = LEAVE_SECONDS,
) -> Generator[Iterator[T]]:
    """Give the items of ``source``, made in a thread that is ended with the block.

    Args:
        source: run, and closed, in the thread.
        weight: how much room an item takes.
        room: the thread goes on while what waits to be taken weighs less.
        leave: called when the block is left early, to end what the thread may be waiting for.
        leave_seconds: how long an item in the making is waited for then; what the thread still does is thrown away.
    """
    belt = _Belt(source, weight, room)
    thread = Thread(target=belt.fill, name="docmind-ahead", daemon=True)
    thread.start()
    try:
        yield belt.take()
    finally:
        if belt.stop():
            leave()
        thread.join(leave_seconds)


class _Belt(Generic[T]):
    def __init__(self, source: Generator[T], weight: Callable[[T], int], room: int) -> None:
        self._source = source
        self._weight = weight
        self._room = room
        self._items: deque[T] = deque()
        self._held = 0
        self._ended = self._stopped = False
        self._error: BaseException | None = None
        self._changed = Condition()

    def fill(self) -> None:
        """The thread's part."""
        try:
            for item in self._source:
                if not self._put(item):
                    break
            self._source.close()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that takes
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def take(self) -> Iterator[T]:
        """The taker's part."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._ended)
                if not self._items:
                    break
                item = self._items.popleft()
                self._held -= self._weight(item)
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error

    def stop(self) -> bool:
        """Let nothing more be made; return whether something still was."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            return not self._ended

    def _put(self, item: T) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._held < self._room or self._stopped)
            if not self._stopped:
                self._items.append(item)
                self._held += self._weight(item)
                self._changed.notify_all()
            return not self._stopped
