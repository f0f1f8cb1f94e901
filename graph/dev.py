"""The door for Studio and the LangGraph API: ``langgraph dev`` on loopback, with nothing leaving this machine.

Its usage analytics and version check are switched off, tracing too, and no browser is opened. State of threads is
kept in ``.langgraph_api/`` of the working directory.
"""

import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from infra.errors import ConfigurationError

QUIET = {
    "LANGGRAPH_CLI_NO_ANALYTICS": "1",
    "LANGGRAPH_NO_VERSION_CHECK": "1",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "ORT_DISABLE_TELEMETRY": "1",
    "LANGGRAPH_STRICT_MSGPACK": "true",
}
"""Environment under which the server contacts nobody and loads only the state's own types."""

app = typer.Typer(add_completion=False)


@app.command()
def dev(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 2024,
    config: Annotated[Path, typer.Option(help="The langgraph.json to serve.")] = Path("langgraph.json"),
) -> None:
    """Serve the graph for Studio and the LangGraph API on http://127.0.0.1:PORT, with no outside connection."""
    try:
        check_free(port)
        command = command_line(port, config)
    except ConfigurationError as error:
        typer.echo(f"docmind: {error}", err=True)
        raise typer.Exit(2) from error
    os.execvpe(command[0], command, os.environ | QUIET)


def check_free(port: int) -> None:
    """Raise ConfigurationError for a port in use: the server would take another one without saying so plainly."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigurationError(f"Port {port} is in use; choose another with --port.") from error


def command_line(port: int, config: Path) -> list[str]:
    """Return the command that serves ``config``. Raises ConfigurationError where a part is missing."""
    if not config.is_file():
        raise ConfigurationError(f"{config} is not here; run this in the checkout, or give --config.")
    langgraph = shutil.which("langgraph", path=str(Path(sys.executable).parent))
    if langgraph is None:
        raise ConfigurationError("langgraph-cli is not installed beside this Python; install requirements.lock.")
    return [langgraph, "dev", "--host", "127.0.0.1", "--port", str(port), "--config", str(config), "--no-browser"]


if __name__ == "__main__":
    app()
