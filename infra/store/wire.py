"""What processes of one user say to each other about vectors: messages, frames, and the place of the socket.

A frame is four bytes of length and msgpack; it is bounded in size and in time. A request is checked when it is read, so
that garbage is a ``WireError`` and nothing else. Nothing here is ever unpickled.
"""

import os
import socket
import stat
import struct
import time
from pathlib import Path
from tempfile import gettempdir
from typing import Annotated, Any, Literal, TypeVar, cast

import msgpack
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from infra.errors import StoreError
from infra.store.records import digest_of

MAX_FRAME_BYTES = 16 * 1024 * 1024
MAX_LIMIT = 100_000
"""Hits of one search; as many fit a frame."""

FRAME_SECONDS = 10.0
"""How long one frame may take from its first byte to its last."""

MAX_SOCKET_PATH = 100
"""Bytes; the system's own bound is 104 or 108."""

OWNER_ONLY = 0o700
_LENGTH = struct.Struct(">I")
_CREDENTIALS = struct.Struct("3i")


class WireError(Exception):
    """The other side is gone, too slow, somebody else, or speaks something else."""


class TooLong(WireError):  # noqa: N818 - a fact, not a fault
    """A message does not fit a frame; nothing of it was sent."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Dense(_Message):
    """The windows nearest to a vector (float32, little-endian)."""

    kind: Literal["dense"] = "dense"
    vector: bytes
    limit: int = Field(ge=1, le=MAX_LIMIT)
    scopes: tuple[str, ...] | None


class Sparse(_Message):
    """The windows that fit weighted terms best."""

    kind: Literal["sparse"] = "sparse"
    weights: dict[str, float]
    limit: int = Field(ge=1, le=MAX_LIMIT)
    scopes: tuple[str, ...] | None


class Count(_Message):
    """How many windows there are."""

    kind: Literal["count"] = "count"


class Follow(_Message):
    """Bring the vectors up to the library; with ``settle`` put them on the disk, too."""

    kind: Literal["follow"] = "follow"
    settle: bool = False


Request = Dense | Sparse | Count | Follow


class Hello(_Message):
    """The first frame of the asking side: the collection it needs."""

    kind: Literal["hello"] = "hello"
    collection: str


class Reply(_Message):
    """An answer; a request is answered by any number of ``wait`` and one other.

    Attributes:
        kind: ``wait``: still at work; ``busy``: too many ask; ``other``: the owner has another collection.
        hits: id of window, chunk and document, and score, of each window found.
        count: how many windows there are.
        error: what went wrong, for a person.
    """

    kind: Literal["ok", "wait", "busy", "other", "error"]
    hits: tuple[tuple[str, str, str, float], ...] = ()
    count: int = 0
    error: str = ""


_Checked = TypeVar("_Checked")
_REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="kind")])
_MSGPACK: Any = msgpack  # has no types
_HELLO, _REPLY = TypeAdapter(Hello), TypeAdapter(Reply)


def read_request(channel: socket.socket) -> Request:
    """Wait for a request; raises WireError."""
    return _checked(_REQUEST, channel, None)


def read_hello(channel: socket.socket) -> Hello:
    """Read the first frame; raises WireError."""
    return _checked(_HELLO, channel, FRAME_SECONDS)


def read_reply(channel: socket.socket, seconds: float) -> Reply:
    """Wait up to ``seconds`` for an answer; raises WireError."""
    return _checked(_REPLY, channel, seconds)


def send(channel: socket.socket, message: Request | Hello | Reply) -> None:
    """Send one message; raises WireError."""
    data = cast("bytes", _MSGPACK.packb(message.model_dump()))
    if len(data) > MAX_FRAME_BYTES:
        raise TooLong(f"it takes {len(data):,} bytes, {MAX_FRAME_BYTES:,} are the most")
    try:
        channel.settimeout(FRAME_SECONDS)
        channel.sendall(_LENGTH.pack(len(data)) + data)
    except OSError as error:
        raise WireError(f"nothing can be sent: {error}") from error


def _checked(adapter: TypeAdapter[_Checked], channel: socket.socket, seconds: float | None) -> _Checked:
    data = _frame(channel, seconds)
    try:
        return adapter.validate_python(_MSGPACK.unpackb(data, use_list=False))
    except (ValueError, ValidationError, msgpack.UnpackException) as error:
        raise WireError("a message cannot be read") from error


def _frame(channel: socket.socket, seconds: float | None) -> bytes:
    try:
        channel.settimeout(seconds)
        first = channel.recv(1)
        deadline = time.monotonic() + FRAME_SECONDS
        (length,) = _LENGTH.unpack(_exactly(channel, first, _LENGTH.size, deadline))
        if length > MAX_FRAME_BYTES:
            raise WireError(f"a message of {length} bytes is too long")
        return _exactly(channel, b"", length, deadline)
    except OSError as error:
        raise WireError(f"nothing comes: {error}") from error


def _exactly(channel: socket.socket, begun: bytes, length: int, deadline: float) -> bytes:
    data = bytearray(begun)
    while len(data) < length:
        left = deadline - time.monotonic()
        if left <= 0:
            raise WireError("a message takes too long")
        channel.settimeout(left)
        piece = channel.recv(min(length - len(data), 1 << 20))
        if not piece:
            raise WireError("the other side is gone")
        data += piece
    return bytes(data)


def check_same_user(channel: socket.socket) -> None:
    """Raise WireError when the process at the other end is another user's (asked of the system, where it can tell)."""
    if hasattr(socket, "SO_PEERCRED"):
        try:
            data = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError as error:
            raise WireError(f"the other side is gone: {error}") from error
        if _CREDENTIALS.unpack(data)[1] != os.geteuid():
            raise WireError("the process at the other end is another user's")


def socket_path(folder: Path) -> Path:
    """Where the owner of ``folder`` is asked: in it, or in a folder of the user's own when that path is too long."""
    path = folder.absolute() / "vectors.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    return Path(gettempdir()) / f"docmind-{os.geteuid()}" / f"{digest_of(str(folder.resolve()))[:16]}.sock"


def make_private(folder: Path) -> None:
    """Make ``folder`` (or check it) so that only its user can enter.

    Raises:
        StoreError: it is another user's, or no folder.
    """
    try:
        folder.mkdir(mode=OWNER_ONLY, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise StoreError(f"{folder} is not this user's own folder; set DOCMIND_DATA_DIR to a folder you own")
        if stat.S_IMODE(found.st_mode) & ~OWNER_ONLY:
            folder.chmod(OWNER_ONLY)
    except OSError as error:
        raise StoreError(f"cannot make {folder}: {error.strerror}; set DOCMIND_DATA_DIR to a folder you own") from error
