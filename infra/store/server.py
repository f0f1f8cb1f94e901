"""The owner answers for its vectors: a Unix socket that only its user can open, a thread for each that asks.

Clients are bounded in number, and what one sends, or fails to read, ends its own connection only. Whoever's request is
at work is told so each second, so that nobody takes a busy owner for gone; the socket is there before the vectors are,
and whoever asks meanwhile waits likewise. See ``infra.store.wire`` for what is said.
"""

import os
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Lock, Thread, current_thread

import numpy as np
from loguru import logger

from infra.errors import DocMindError, StoreError
from infra.store.follow import Followed
from infra.store.wire import (
    Count,
    Dense,
    Follow,
    Reply,
    Request,
    Sparse,
    WireError,
    check_same_user,
    make_private,
    read_hello,
    read_request,
    send,
)

MAX_CLIENTS = 64
BEAT_SECONDS = 1.0
JOIN_SECONDS = 5.0
_SOCKET_MODE = 0o600


class VectorServer:
    """Listens at ``path`` for processes that need ``collection``; the caller owns the folder that the path stands for.

    Raises:
        StoreError: the socket cannot be made.
    """

    def __init__(self, path: Path, collection: str) -> None:
        self._path = path
        self._collection = collection
        self._ready, self._closing = Event(), Event()
        self._followed: Followed | None = None
        self._lock = Lock()
        self._clients: dict[Thread, socket.socket] = {}
        self._busy: set[socket.socket] = set()
        self._busy_lock = Lock()
        self._listener = _listen(path)
        self._threads = [
            Thread(target=work, name="docmind-vectors", daemon=True) for work in (self._accept, self._beat)
        ]
        for thread in self._threads:
            thread.start()

    def serve(self, followed: Followed) -> None:
        """Answer with these vectors from now on."""
        self._followed = followed
        self._ready.set()

    def close(self) -> None:
        """End every connection; those who ask will find nobody here. Safe to call twice."""
        self._closing.set()
        self._ready.set()  # wakes those who wait for vectors
        with suppress(OSError), socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(BEAT_SECONDS)
            caller.connect(str(self._path))  # wakes the thread that accepts; a shutdown does not everywhere
        with suppress(OSError):
            self._path.unlink()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
        self._listener.close()
        with self._lock:
            clients = dict(self._clients)
        for channel in clients.values():
            with suppress(OSError):
                channel.shutdown(socket.SHUT_RDWR)
        for thread in clients:
            thread.join(JOIN_SECONDS)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                channel, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError as error:
                if not self._closing.wait(BEAT_SECONDS):  # for instance too many open files: it may pass
                    logger.warning(f"the index cannot be shared just now: {error}")
                continue
            if self._closing.is_set():
                channel.close()
                return
            thread = Thread(target=self._attend, args=(channel,), daemon=True)
            with self._lock:
                self._clients[thread] = channel
            try:
                thread.start()
            except RuntimeError as error:  # the system has no more threads just now
                logger.warning(f"the index cannot be shared just now: {error}")
                self._end(thread)

    def _beat(self) -> None:
        while not self._closing.wait(BEAT_SECONDS):
            with self._busy_lock:
                for channel in list(self._busy):
                    try:
                        send(channel, Reply(kind="wait"))
                    except WireError:  # its own thread finds out, too
                        self._busy.discard(channel)

    @contextmanager
    def _at_work(self, channel: socket.socket) -> Generator[None]:
        with self._busy_lock:
            self._busy.add(channel)
        try:
            yield
        finally:
            with self._busy_lock:
                self._busy.discard(channel)

    def _attend(self, channel: socket.socket) -> None:
        try:
            self._greet(channel)
            while not self._closing.is_set():
                request = read_request(channel)
                with self._at_work(channel):
                    reply = self._answer(request)
                send(channel, reply)
        except WireError as error:
            logger.debug(f"a process that asked for vectors left: {error}")
        finally:
            self._end(current_thread())

    def _greet(self, channel: socket.socket) -> None:
        check_same_user(channel)
        with self._lock:
            full = len(self._clients) > MAX_CLIENTS
        if full:
            send(channel, Reply(kind="busy"))
            raise WireError("too many ask")
        wanted = read_hello(channel).collection
        send(channel, Reply(kind="ok" if wanted == self._collection else "other"))
        if wanted != self._collection:
            raise WireError("it needs other vectors")

    def _answer(self, request: Request) -> Reply:
        self._ready.wait()
        followed = self._followed
        if followed is None:
            raise WireError("there are no vectors")
        try:
            return self._reply(followed, request)
        except DocMindError as error:
            return Reply(kind="error", error=str(error))

    def _reply(self, followed: Followed, request: Request) -> Reply:
        match request:
            case Dense():
                hits = followed.dense(_vector(request.vector), request.limit, request.scopes)
            case Sparse():
                hits = followed.sparse(request.weights, request.limit, request.scopes)
            case Count():
                return Reply(kind="ok", count=followed.count())
            case Follow():
                followed.follow(self._go_on)
                if request.settle:
                    followed.settle()
                return Reply(kind="ok")
        return Reply(kind="ok", hits=tuple((h.window_id, h.chunk_id, h.document_id, h.score) for h in hits))

    def _go_on(self, *_: int) -> None:
        """Leave long work where it is when the owner is closing: the next one goes on with it."""
        if self._closing.is_set():
            raise WireError("the owner is closing")

    def _end(self, thread: Thread) -> None:
        with self._lock:
            channel = self._clients.pop(thread)
        with suppress(OSError):
            channel.shutdown(socket.SHUT_RDWR)
        channel.close()


def _vector(data: bytes) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    try:
        return np.frombuffer(data, dtype="<f4")
    except ValueError as error:
        raise WireError("a vector cannot be read") from error


def _listen(path: Path) -> socket.socket:
    listener = None
    try:
        make_private(path.parent)
        # whoever owned the folder before us is gone, however it ended
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(os.fspath(path))
        path.chmod(_SOCKET_MODE)
        listener.listen(MAX_CLIENTS)
        listener.settimeout(BEAT_SECONDS)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise StoreError(f"cannot listen at {path}: {error.strerror or error}") from error
    return listener
