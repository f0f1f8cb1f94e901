"""The `docmind` command: one name for all doors, each loaded only when it is called.

This is the one place where late imports are allowed: ``docmind --help`` must answer at once, and LangGraph alone
takes a second to import.
"""

from dataclasses import dataclass
from importlib import import_module

import typer

from infra.errors import DocMindError
from infra.text.plain import lines


@dataclass(frozen=True, slots=True)
class Door:
    """Where a subcommand lives and what the overview says of it."""

    module: str
    help: str


_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

DOORS = {
    "ask": Door("graph.run", "Ask your documents a question, or many."),
    "ingest": Door("tools.ingest", "Bring files and folders into the index, or up to date."),
    "retrieve": Door("tools.retrieve", "Search the documents without answering."),
    "cache": Door("graph.cache", "Look after the answers that may be given again."),
    "dev": Door("graph.dev", "Run `langgraph dev` for Studio and the LangGraph API, on this machine only."),
    "engine": Door("infra.engine.serve", "Serve the embedded engine on a port, in vLLM's dialect."),
    "bench": Door("graph.bench.__main__", "Measure and check: run without a name to see the list."),
}


main = typer.Typer(no_args_is_help=True, add_completion=False)


@main.callback()
def overview() -> None:
    """Questions over your own documents, on your own machine, with every claim cited and checked."""


def _register(name: str, door: Door) -> None:
    """Add a subcommand that hands its arguments, ``--help`` among them, to the door's own ``app``."""

    @main.command(name, help=door.help, add_help_option=False, context_settings=_PASS_ON)
    def call(context: typer.Context) -> None:
        try:
            import_module(door.module).app(args=context.args, prog_name=f"docmind {name}")
        except DocMindError as error:
            typer.echo(f"docmind: {lines(str(error))}", err=True)
            raise typer.Exit(2) from error
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


for _name, _door in DOORS.items():
    _register(_name, _door)


if __name__ == "__main__":
    main()
