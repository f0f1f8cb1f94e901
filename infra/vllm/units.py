"""Door: ``docmind units --out DIR`` writes the files that run vLLM and DocMind as services, from the same settings.

Nothing is installed or started, and nothing is overwritten without ``--force``. All ports are on 127.0.0.1; keys are in
files that their owner alone can read, and made new for the containers where the settings have none.
"""

import getpass
import secrets
import sys
from collections.abc import Sequence
from importlib.metadata import version as installed
from pathlib import Path
from typing import Annotated, get_args

import typer

from infra.errors import ConfigurationError
from infra.hub import hub_folder
from infra.settings import Settings, load_settings
from infra.text.plain import lines, short_line
from infra.vllm.args import ASK, ENV, EXTRA, RAM, VERSION, variables
from infra.vllm.asked import asks
from infra.vllm.command import Added, Command, command_for
from infra.vllm.compose import NO_KEYS
from infra.vllm.facts import Wanted
from infra.vllm.units_files import Keys, Kind, Place, compose_files, docker, systemd
from infra.vllm.words import size
from infra.vllm.writing import Written, write_files

app = typer.Typer(add_completion=False)

_VLLM = Path("/usr/local/bin/vllm")
_ROOT = Path(__file__).parents[2]
_KEY_BYTES = 32


@app.command()
@asks
def units(  # noqa: PLR0913 - a command's options
    wanted: Wanted,
    extra: EXTRA = None,
    out: Annotated[Path, typer.Option(help="Folder for the files; made if it is not there.")] = Path("units"),
    kind: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(get_args(Kind))}; again for more. [default: as the settings need]"),
    ] = None,
    version: VERSION = "",
    env: ENV = None,
    ram_gib: RAM = None,
    ask: ASK = True,
    user: Annotated[str, typer.Option(help="Who vLLM runs as under systemd. [default: you]")] = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Write systemd, Compose and Docker files for the `vllm serve` command of these options."""
    settings = load_settings()
    command = command_for(wanted, settings, Added(tuple(extra or ()), variables(env or []), version, ram_gib, ask))
    folder = out.expanduser().absolute()
    place = _place(settings, command, folder, user or getpass.getuser())
    files = files_for(_kinds(kind, settings), command, place, settings.serve.replicas)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--out {out}: {error.strerror}") from error
    write_files({folder / name: file for name, file in files.items()}, force=force)
    for line in command.warnings:
        typer.echo(f"docmind: {lines(line)}", err=True)
    typer.echo("\n".join(str(out / name) for name in files))


def files_for(kinds: Sequence[Kind], command: Command, place: Place, replicas: int) -> dict[str, Written]:
    """Return the files of these kinds by name.

    Raises:
        ConfigurationError: there are fewer GPUs than the replicas need, or a value that a file cannot hold.
    """
    subject, composed = command.subject, command.composed
    files: dict[str, Written] = {}
    if "systemd" in kinds:
        files |= systemd(subject, composed, place)
    if "compose" in kinds:
        files |= compose_files(subject, composed, place, 1)
    if "replicas" in kinds:
        several = max(2, replicas)
        needed = several * (size(composed.value("--tensor-parallel-size")) or 1)
        needed *= size(composed.value("--pipeline-parallel-size")) or 1
        if subject.gpu is not None and needed > subject.gpu.count:
            raise ConfigurationError(
                f"{several} servers need {needed} GPUs, and there is {subject.gpu.count} x {subject.gpu.name};"
                " --gpu NAMExN plans for more, DOCMIND_SERVE__REPLICAS asks for fewer servers"
            )
        files |= compose_files(subject, composed, place, several)
    if "docker" in kinds:
        files |= docker()
    return files


def _kinds(asked: list[str] | None, settings: Settings) -> list[Kind]:
    known: tuple[Kind, ...] = get_args(Kind)
    if not asked:
        return ["systemd", "replicas" if settings.serve.replicas > 1 else "compose"]
    if unknown := [short_line(name, 40) for name in asked if name not in known]:
        raise ConfigurationError(f"--kind {unknown[0]}: there are {', '.join(known)}")
    return [name for name in known if name in asked]


def _place(settings: Settings, command: Command, folder: Path, user: str) -> Place:
    program = command.vllm.python.with_name("vllm") if command.vllm else _VLLM
    vllm_key, qdrant_key = (
        key if key not in NO_KEYS else secrets.token_urlsafe(_KEY_BYTES)
        for key in (settings.vllm.api_key.get_secret_value(), settings.qdrant.api_key.get_secret_value())
    )
    return Place(
        out=folder,
        user=user,
        vllm=program,
        hub=hub_folder(),
        source=_ROOT,
        qdrant=installed("qdrant-client"),
        keys=Keys(vllm_key, qdrant_key),
    )


if __name__ == "__main__":
    try:
        app()
    except ConfigurationError as error:
        sys.stderr.write(f"docmind: {lines(str(error))}\n")
        sys.exit(2)
