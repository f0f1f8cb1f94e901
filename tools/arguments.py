"""What the doors' commands share: ``--docs`` takes several paths after it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

OPTION = "--docs"


class DocsCommand(TyperCommand):
    """A command whose ``--docs A B`` means ``--docs A --docs B``; the paths end at the first that does not exist."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer's own context type is private
        """Parse ``args`` with ``--docs`` spread."""
        return super().parse_args(ctx, list(spread(args)))


def spread(args: Sequence[str]) -> Iterator[str]:
    """Write ``--docs`` before each of the existing paths that follow one; what comes after ``--`` stays."""
    inside = expected = False  # after a path of --docs; right after --docs itself
    for position, word in enumerate(args):
        if word == "--":
            yield from args[position:]
            return
        if expected and not word.strip():
            raise typer.BadParameter(f"{OPTION} needs a path; it was given an empty one.")
        if inside and not word.startswith("-") and Path(word).exists():
            yield from (OPTION, word)
            continue
        inside, expected = expected, word == OPTION
        yield word
