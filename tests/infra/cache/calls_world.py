"""Small work for the tests of the cache of calls, and a process that does some of it."""

import asyncio
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.cache.calls import CallCache
from infra.llm.kept import Kept

LEASE_SECONDS = 0.6


@dataclass(frozen=True)
class Words:
    """Keeps strings; one that begins with "cut" may not be given again."""

    kind: str = "call"
    mark: str = ""
    seconds: float = 20.0

    def kept(self, value: str) -> Kept | None:
        return None if value.startswith("cut") else Kept({"text": value}, 100, 20)

    def given(self, kept: Kept) -> str | None:
        text = kept.value.get("text")
        return text if isinstance(text, str) else None


class Work:
    """Work that counts how often it is done, and waits for ``go`` where it is held."""

    def __init__(self, *says: str | BaseException, held: bool = False) -> None:
        self.done = 0
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self._says = says or ("said",)
        if not held:
            self.go.set()

    def __call__(self) -> str:
        said = self._says[min(self.done, len(self._says) - 1)]
        self.done += 1
        if isinstance(said, BaseException):
            raise said
        return said

    async def later(self) -> str:
        self.begun.set()
        await self.go.wait()
        return self()


@contextmanager
def cache(path: Path, *, lease_seconds: float = LEASE_SECONDS, **options: Any) -> Generator[CallCache]:
    opened = CallCache(path, lease_seconds=lease_seconds, **options)
    try:
        yield opened
    finally:
        opened.close()


async def waited_for_by(calls: CallCache, number: int) -> None:
    """Return when so many wait for the one that leads."""
    (leading,) = calls._flights._leading.values()
    while len(leading.landed._done_callbacks) < number:  # noqa: ASYNC110 - nobody tells  # pyright: ignore[reportAttributeAccessIssue]
        await asyncio.sleep(0)


def main(path: str, says: str, lease_seconds: str) -> None:
    """Do the work of one key once; says so on stdout when it begins, ends when stdin says so or is closed."""

    def work() -> str:
        sys.stdout.write("began\n")
        sys.stdout.flush()
        sys.stdin.readline()
        return says

    with cache(Path(path), lease_seconds=float(lease_seconds)) as opened:
        sys.stdout.write(f"{opened.once('key', work, Words())}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
