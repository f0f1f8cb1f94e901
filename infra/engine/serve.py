"""The embedded engine on a port: ``docmind engine --port N``, for whatever speaks the OpenAI protocol on this machine.

Serves until Ctrl-C. Options win over the settings (``DOCMIND_ENGINE__...``). The port has no key, so it is opened on
loopback only, unless ``--allow-remote`` says otherwise. A bad option or setting ends with code 2, a port that cannot be
had with code 1.
"""

import errno
import ipaddress
import logging
import socket
from contextlib import closing, suppress
from types import FrameType
from typing import Annotated, Any

import typer
import uvicorn

from infra.engine.app import build_app
from infra.engine.core import Engine
from infra.engine.protocol import MODEL_ID
from infra.errors import ConfigurationError
from infra.settings import EngineSettings, load_settings

DEFAULT_PORT = 8010
"""Beside vLLM's 8000, so that both can run."""

BACKLOG = 2_048
MAX_CONNECTIONS = 1_024
LAST_SECONDS = 1
"""How long a reply may go on being written after Ctrl-C."""

app = typer.Typer(add_completion=False)


@app.command()
def serve(  # noqa: PLR0913 - a command's options
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = DEFAULT_PORT,
    prefill: Annotated[float | None, typer.Option(help="Prefill speed to model, in tokens/s.")] = None,
    decode: Annotated[float | None, typer.Option(help="Decode speed to model, in tokens/s of each reply.")] = None,
    shared_prefill: Annotated[
        bool | None, typer.Option(help="Whether prompts that come together share the prefill speed, as on one card.")
    ] = None,
    prefix_cache: Annotated[bool | None, typer.Option(help="Whether repeated prefixes count as cached.")] = None,
    context_window: Annotated[int | None, typer.Option(help="Tokens it accepts.")] = None,
    *,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let other machines in; there is no key.")
    ] = False,
) -> None:
    """Serve the embedded engine (rules, no language model) in vLLM's dialect of the OpenAI protocol."""
    given = {
        "prefill_tokens_per_second": prefill,
        "decode_tokens_per_second": decode,
        "shared_prefill": shared_prefill,
        "prefix_cache": prefix_cache,
        "context_window": context_window,
    }
    try:
        _check_host(host, allow_remote=allow_remote)
        settings = load_settings(engine={name: value for name, value in given.items() if value is not None}).engine
    except ConfigurationError as error:
        typer.echo(f"docmind: {error}", err=True)
        raise typer.Exit(2) from error
    try:
        listener = _listen(host, port)
    except OSError as error:
        typer.echo(f"docmind: {_why_not(host, port, error)}", err=True)
        raise typer.Exit(1) from error
    with closing(listener):
        typer.echo(_greeting(listener, settings))
        _run(settings, listener)


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; replies that are cut off by it are no errors to log."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        super().handle_exit(sig, frame)


def _run(settings: EngineSettings, listener: socket.socket) -> None:
    config = uvicorn.Config(
        build_app(Engine(settings)),
        loop="asyncio",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=LAST_SECONDS,
    )
    with suppress(KeyboardInterrupt):  # uvicorn hands the Ctrl-C that stopped it on
        _Server(config).run(sockets=[listener])


def _check_host(host: str, *, allow_remote: bool) -> None:
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback and not allow_remote:
        raise ConfigurationError(
            f"--host {host} is not loopback: other machines could use the engine, which asks for no key; "
            "add --allow-remote if they may"
        )


def _listen(host: str, port: int) -> socket.socket:
    """Open the listening socket, whose connections send what is written at once. Raises OSError.

    asyncio has connections do so where their socket names its protocol, which these do not: the body of a reply, and
    each of its pieces, would wait until the asker says that the part before came, 40 ms later (Linux's delayed ACK).
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.create_server((str(address[0]), port), family=family, backlog=BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; stop what listens there, or give another --port"
    return f"cannot listen on {host} port {port} ({error.strerror}); give another --host or --port"


def _greeting(listener: socket.socket, settings: EngineSettings) -> str:
    name: Any = listener.getsockname()
    host = f"[{name[0]}]" if listener.family == socket.AF_INET6 else name[0]
    window = f"{settings.context_window:,}-token window"
    return f"Listening on http://{host}:{name[1]}/v1 ({MODEL_ID}, {window}); Ctrl-C stops it."


if __name__ == "__main__":
    app()
