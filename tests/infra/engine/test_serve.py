"""``docmind engine``: what it serves, what it says, and what it refuses."""

import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from typer.testing import CliRunner

from infra.engine.protocol import MODEL_ID
from infra.engine.serve import app
from tests.infra.engine.desk import CHAT, HELLO

ROOT = Path(__file__).parents[3]


class Started:
    """Stands in for uvicorn's run: keeps what would have been served, then is stopped by Ctrl-C."""

    def __init__(self) -> None:
        self.config: Any = None
        self.address: Any = None
        self.at_once = False

    def run(self, server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        self.config, self.address = server.config, sockets[0].getsockname()
        self.at_once = bool(sockets[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        raise KeyboardInterrupt


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    stand_in = Started()

    def run(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        stand_in.run(server, sockets)

    monkeypatch.setattr(uvicorn.Server, "run", run)
    return stand_in


async def models(started: Started) -> dict[str, Any]:
    transport = httpx2.ASGITransport(app=started.config.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://engine.invalid") as client:
        return (await client.get("/v1/models")).json()["data"][0]


async def test_it_listens_on_loopback_says_where_and_ends_quietly_at_ctrl_c(started: Started):
    done = CliRunner().invoke(app, ["--port", "0"])
    host, port = started.address
    assert (done.exit_code, host) == (0, "127.0.0.1")
    assert (
        done.output == f"Listening on http://127.0.0.1:{port}/v1 ({MODEL_ID}, 32,768-token window); Ctrl-C stops it.\n"
    )
    assert started.config.access_log is False
    assert started.at_once, "what is written is not held back until the asker says that the part before it came"
    assert (await models(started))["max_model_len"] == 32_768


async def test_options_win_over_settings(started: Started, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DOCMIND_ENGINE__CONTEXT_WINDOW", "1024")
    assert "1,024-token window" in CliRunner().invoke(app, ["--port", "0", "--decode", "50"]).output
    assert (await models(started))["max_model_len"] == 1_024
    assert "2,048-token window" in CliRunner().invoke(app, ["--port", "0", "--context-window", "2048"]).output
    assert (await models(started))["max_model_len"] == 2_048


async def test_the_prefix_cache_can_be_switched_off(started: Started):
    assert CliRunner().invoke(app, ["--port", "0", "--no-prefix-cache", "--prefill", "9000"]).exit_code == 0
    transport = httpx2.ASGITransport(app=started.config.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://engine.invalid") as client:
        assert 'enable_prefix_caching="False"' in (await client.get("/metrics")).text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--context-window", "3"], "DOCMIND_ENGINE__CONTEXT_WINDOW=3: Input should be greater than or equal to 512"),
        (["--prefill", "0"], "DOCMIND_ENGINE__PREFILL_TOKENS_PER_SECOND=0.0: Input should be greater than 0"),
        (["--decode", "-1"], "DOCMIND_ENGINE__DECODE_TOKENS_PER_SECOND=-1.0: Input should be greater than 0"),
        (["--host", "0.0.0.0"], "--host 0.0.0.0 is not loopback"),
        (["--host", "example.com"], "--host example.com is not loopback"),
    ],
)
def test_a_bad_option_ends_with_code_2_and_one_line(started: Started, options: list[str], message: str):
    done = CliRunner().invoke(app, ["--port", "0", *options])
    assert (done.exit_code, done.stderr.count("\n"), started.config) == (2, 1, None)
    assert done.stderr.startswith(f"docmind: {message}")


def test_a_bad_setting_ends_with_code_2(started: Started, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DOCMIND_ENGINE__CONTEXT_WINDOW", "many")
    done = CliRunner().invoke(app, ["--port", "0"])
    assert (done.exit_code, "DOCMIND_ENGINE__CONTEXT_WINDOW='many'" in done.stderr) == (2, True)


def test_other_machines_are_let_in_only_where_it_is_said(started: Started):
    done = CliRunner().invoke(app, ["--host", "0.0.0.0", "--port", "0", "--allow-remote"])
    assert (done.exit_code, started.address[0]) == (0, "0.0.0.0")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2"])
def test_every_name_of_loopback_is_loopback(started: Started, host: str):
    assert CliRunner().invoke(app, ["--host", host, "--port", "0"]).exit_code == 0


def test_an_address_of_the_sixth_version_is_shown_in_brackets(started: Started):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    done = CliRunner().invoke(app, ["--host", "::1", "--port", "0"])
    assert (done.exit_code, done.output.startswith("Listening on http://[::1]:")) == (0, True)


def test_a_port_in_use_ends_with_code_1_and_one_line(started: Started):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = CliRunner().invoke(app, ["--port", str(port)])
    said = f"docmind: port {port} on 127.0.0.1 is in use; stop what listens there, or give another --port\n"
    assert (done.exit_code, done.stderr, started.config) == (1, said, None)


def test_an_address_of_another_machine_ends_with_code_1(started: Started):
    done = CliRunner().invoke(app, ["--host", "192.0.2.1", "--port", "0", "--allow-remote"])
    assert (done.exit_code, done.stderr.startswith("docmind: cannot listen on 192.0.2.1 port 0 (")) == (1, True)


def test_replies_cut_off_by_the_end_are_not_logged_as_errors(started: Started, monkeypatch: pytest.MonkeyPatch):
    log = logging.getLogger("uvicorn.error")
    monkeypatch.setattr(log, "level", logging.WARNING)

    def stopped(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        server.handle_exit(signal.SIGINT, None)
        assert server.should_exit

    monkeypatch.setattr(uvicorn.Server, "run", stopped)
    assert CliRunner().invoke(app, ["--port", "0"]).exit_code == 0
    assert log.level == logging.CRITICAL


def test_a_real_server_answers_and_stops_at_ctrl_c_in_the_middle_of_a_reply():
    command = [sys.executable, "-m", "infra.engine.serve", "--port", "0", "--decode", "0.01"]
    with subprocess.Popen(
        command, cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            base = server.stdout.readline().split()[2].removesuffix("/v1")
            assert httpx2.get(f"{base}/v1/models", timeout=60).json()["data"][0]["id"] == MODEL_ID
            asked = {"messages": HELLO, "stream": True}
            with httpx2.stream("POST", f"{base}{CHAT}", json=asked, timeout=60) as response:
                chunks = response.iter_raw()  # kept: dropping it closes the connection
                next(chunks)
                server.send_signal(signal.SIGINT)
                out, err = server.communicate(timeout=60)
        finally:
            server.kill()
    assert (server.returncode, out, err) == (0, "", "")
