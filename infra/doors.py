"""Subcommands that are loaded only when they are called, so that an overview answers at once.

This is the one place where late imports are allowed: LangGraph alone takes a second to import.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand

from infra.errors import DocMindError
from infra.text.plain import lines


class _PassOn(TyperCommand):
    """A command that reads none of its words: all of them, a ``--`` among them, are the subcommand's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer's own copy of click's Context
        ctx.args = list(args)
        return []


@dataclass(frozen=True, slots=True)
class Door:
    """Where a subcommand lives and what the overview says of it; the module holds a Typer ``app``."""

    module: str
    help: str


def open_doors(main: typer.Typer, name: str, doors: Mapping[str, Door]) -> None:
    """Add ``doors`` to ``main``; each hands its arguments, ``--help`` among them, to its own ``app``.

    ``name`` is the command that people typed, as the subcommand's own messages show it. An error of ours ends with
    code 2 and its one line, Ctrl-C with 130.
    """
    for subcommand, door in doors.items():
        _open(main, f"{name} {subcommand}", subcommand, door)


def _open(main: typer.Typer, shown: str, name: str, door: Door) -> None:
    @main.command(name, cls=_PassOn, help=door.help, add_help_option=False)
    def call(context: typer.Context) -> None:
        try:
            import_module(door.module).app(args=context.args, prog_name=shown)
        except DocMindError as error:
            typer.echo(f"docmind: {lines(str(error))}", err=True)
            raise typer.Exit(2) from error
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
