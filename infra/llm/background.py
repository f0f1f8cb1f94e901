"""Work that blocks, off the event loop, shared by all who wait for it.

Gives `in_background` (a thread of its own that nobody has to wait for, not even the end of the program) and `awaited`
(its result; whoever stops waiting stops nobody else), and `finished` (what is awaited, for a caller who blocks).
"""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import Any, TypeVar

Made = TypeVar("Made")


def in_background(work: Callable[[], Made]) -> "Future[Made]":
    """Run ``work`` in a thread of its own; what it raises is raised where the result is asked for."""
    future: Future[Made] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - handed on
            future.set_exception(error)

    Thread(target=run, daemon=True, name="docmind-background").start()
    return future


async def awaited(future: "Future[Made]") -> Made:
    """Wait for a result that others may wait for as well, in this loop or in another; what is there comes at once."""
    if future.done():
        return future.result()
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: "Future[Made]") -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits there any more
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(tell)
    await done.wait()
    return future.result()


def finished(work: Coroutine[Any, Any, Made]) -> Made:
    """Wait, blocking, for what ``work`` comes to; it runs in a loop of its own, as this thread may have one already."""
    return in_background(partial(asyncio.run, work)).result()
