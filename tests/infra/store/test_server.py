"""The socket of an index: nobody else can open it, and what is said on it harms nobody but who said it."""

import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import msgpack
import pytest

from infra.errors import StoreLocked
from infra.settings import load_settings
from infra.store import server, shared, wire
from infra.store.index import Index, tenant_folder
from infra.store.owner import socket_of
from tests.infra.store.samples import CATS, CountingEmbedder, Opened, found


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The system's folder for temporary files; short, unlike the test's own."""
    with TemporaryDirectory() as folder:
        monkeypatch.setattr(wire, "gettempdir", lambda: folder)
        yield Path(folder)


def place(data_dir: Path) -> Path:
    """The socket of the index that is open."""
    path = socket_of(tenant_folder(load_settings(data_dir=data_dir)))
    assert path is not None
    return path


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">I", 2**32 - 1),
        struct.pack(">I", 5) + b"\xc1\xc1\xc1\xc1\xc1",
        struct.pack(">I", 3) + b"\x81\xa1a",
        struct.pack(">I", 200_000) + b"\x91" * 200_000,
    ],
)
@pytest.mark.parametrize("greeted", [False, True])
def test_garbage_ends_its_own_connection_only(opened: Opened, data_dir: Path, garbage: bytes, greeted: bool) -> None:
    first, second = opened(), opened()
    first.change([CATS])
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(60)
        stranger.connect(str(place(data_dir)))
        if greeted:
            wire.send(stranger, wire.Hello(collection=next(first.folder.glob("vectors-*")).name))
            assert wire.read_reply(stranger, 60).kind == "ok"
        stranger.sendall(garbage)
        stranger.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            assert stranger.recv(99) == b""
    assert found(second, "mice") == {CATS.document.id}


def test_requests_are_checked(opened: Opened, data_dir: Path) -> None:
    first = opened()
    requests = [
        {"kind": "dense", "vector": b"123", "limit": 1, "scopes": None},
        {"kind": "dense", "vector": b"", "limit": 10**9, "scopes": None},
        {"kind": "sparse", "weights": {b"text": 1.0}, "limit": 1, "scopes": None},
        {"kind": "sparse", "weights": {"text": "1"}, "limit": 1, "scopes": None},
        {"kind": "count", "more": 1},
        {"kind": "delete"},
        [],
    ]
    for request in requests:
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.settimeout(60)
            stranger.connect(str(place(data_dir)))
            wire.send(stranger, wire.Hello(collection=next(first.folder.glob("vectors-*")).name))
            assert wire.read_reply(stranger, 60).kind == "ok"
            data = bytes(msgpack.packb(request) or b"")
            stranger.sendall(struct.pack(">I", len(data)) + data)
            assert stranger.recv(99) == b"", request


def test_only_the_user_can_open_the_socket(opened: Opened, data_dir: Path) -> None:
    folder = tenant_folder(load_settings(data_dir=data_dir))
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    opened()
    path = place(data_dir)
    assert path == folder / "vectors.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_long_path_has_its_socket_in_a_private_folder(
    data_dir: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = load_settings(data_dir=data_dir / ("long" * 30))
    with Index.open(options, CountingEmbedder()) as first:
        first.change([CATS])
        monkeypatch.setattr(wire, "gettempdir", lambda: "/another/process/may/think/otherwise")
        with Index.open(options, CountingEmbedder()) as second:
            assert found(second, "mice") == {CATS.document.id}
            (path,) = temporary.glob("docmind-*/*.sock")
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()


def test_a_private_folder_that_somebody_else_prepared_is_not_used(
    data_dir: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (temporary / "elsewhere").mkdir()
    (temporary / f"docmind-{os.geteuid()}").symlink_to(temporary / "elsewhere")
    monkeypatch.setattr(shared, "WAIT_SECONDS", 0.1)
    options = load_settings(data_dir=data_dir / ("long" * 30))
    with Index.open(options, CountingEmbedder()) as first:
        first.change([CATS])
        assert found(first, "mice") == {CATS.document.id}
        with pytest.raises(StoreLocked, match="in use by process"):
            Index.open(options, CountingEmbedder())
    assert list((temporary / "elsewhere").iterdir()) == []


def test_another_users_process_is_not_answered(opened: Opened, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened()
    monkeypatch.setattr(wire.os, "geteuid", lambda: 12_345)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(60)
        stranger.connect(str(place(data_dir)))
        with pytest.raises(wire.WireError, match="another user's"):
            wire.check_same_user(stranger)
        assert stranger.recv(9) == b""


def test_a_system_without_threads_sends_whoever_asks_away_and_answers_later(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = iter([True])

    class Refused(Thread):
        def start(self) -> None:
            if next(refusals, False):
                raise RuntimeError("can't start new thread")
            super().start()

    opened().change([CATS])
    monkeypatch.setattr(server, "Thread", Refused)
    assert found(opened(), "mice") == {CATS.document.id}
    assert next(refusals, None) is None


def test_a_message_that_comes_in_drops_has_the_time_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dripping(socket.socket):
        received = 0

        def settimeout(self, value: float | None, /) -> None:
            pass

        def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
            self.received += 1
            return b"\0\0\0\x63"[self.received - 1 : self.received] or b"x"

    with Dripping() as channel:
        monkeypatch.setattr(wire.time, "monotonic", lambda: float(channel.received))
        with pytest.raises(wire.WireError, match="takes too long"):
            wire.read_request(channel)
        assert channel.received == wire.FRAME_SECONDS + 1


def test_too_many_are_told_so_and_wait(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CLIENTS", 1)
    monkeypatch.setattr(shared, "WAIT_SECONDS", 0.1)
    opened()
    second = opened()
    with pytest.raises(StoreLocked, match="in use by process"):
        opened()
    second.close()
