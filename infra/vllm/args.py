"""Door: ``docmind args`` prints the ``vllm serve`` command for a model, a GPU and a context, or why there is none.

The command stands on stdout, warnings on stderr; exit code 2 with one line a reason where it cannot work. A key is
never printed: it is in the environment file, which only its owner can read.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.errors import ConfigurationError
from infra.settings import load_settings
from infra.text.plain import lines, short_line
from infra.vllm.asked import asks
from infra.vllm.command import Added, Command, Refused, command_for
from infra.vllm.facts import Wanted
from infra.vllm.options import versions
from infra.vllm.writing import Written, write_files

app = typer.Typer(add_completion=False)

_SECRET = "***"
VERSION = Annotated[
    str, typer.Option("--vllm-version", help=f"Write for this version; known: {', '.join(versions())}.")
]
ENV = Annotated[list[str] | None, typer.Option("--env", help="A variable of the server's, NAME=VALUE; again for more.")]
RAM = Annotated[float | None, typer.Option(min=0.5, max=65_536, help="Main memory of the machine it is for, in GiB.")]
ASK = Annotated[bool, typer.Option("--ask/--no-ask", help="Ask an installed vLLM's own parser, too.")]
EXTRA = Annotated[list[str] | None, typer.Argument(help="After --: more options of vLLM's own; they win.")]


@app.command()
@asks
def args(  # noqa: PLR0913 - a command's options
    wanted: Wanted,
    extra: EXTRA = None,
    version: VERSION = "",
    env: ENV = None,
    ram_gib: RAM = None,
    ask: ASK = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, also where it is refused.")] = False,
    env_file: Annotated[Path | None, typer.Option(help="Write the variables here, readable by you alone.")] = None,
    config_yaml: Annotated[Path | None, typer.Option(help="Write the options here, for vllm serve --config.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite those files.")] = False,
) -> None:
    """Print the `vllm serve` command, or why there is none."""
    added = Added(tuple(extra or ()), variables(env or []), version, ram_gib, ask)
    try:
        command = command_for(wanted, load_settings(), added)
    except Refused as refused:
        if as_json:
            typer.echo(json.dumps({"refused": list(refused.reasons)}))
            raise typer.Exit(2) from refused
        raise
    files = {
        env_file: Written(command.composed.env_file(), secret=True),
        config_yaml: Written(command.composed.config_yaml(), secret=bool(command.composed.value("--api-key"))),
    }
    write_files({path: file for path, file in files.items() if path is not None}, force=force)
    for line in command.warnings:
        typer.echo(f"docmind: {lines(line)}", err=True)
    typer.echo(json.dumps(_shown(command)) if as_json else command.composed.line)


def variables(pairs: list[str]) -> dict[str, str]:
    """Return ``NAME=VALUE`` pairs as a dictionary.

    Raises:
        ConfigurationError: one of them is none.
    """
    split = [pair.partition("=") for pair in pairs]
    if broken := [name for name, equals, _ in split if not equals or not name.isidentifier()]:
        raise ConfigurationError(f"--env {short_line(broken[0], 60)!r}: write NAME=VALUE")
    return {name: value for name, _, value in split}


def _shown(command: Command) -> dict[str, Any]:
    composed = command.composed
    hidden = {
        name: _SECRET if "KEY" in name or "TOKEN" in name else value for name, value in composed.environment.items()
    }
    return {
        "vllm_version": composed.version,
        "command": composed.line,
        "words": ["vllm", *composed.words],
        "environment": hidden,
        "asked_vllm": command.vllm.version if command.asked and command.vllm else None,
        "warnings": list(command.warnings),
        "refused": [],
    }


if __name__ == "__main__":
    try:
        app()
    except ConfigurationError as error:
        sys.stderr.write(f"docmind: {lines(str(error))}\n")
        sys.exit(2)
