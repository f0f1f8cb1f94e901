"""Loaded by a child Python that has this folder on PYTHONPATH: refuses and notes every connection that leaves loopback.

The notes go to the file named by ``CLOSED_LOG``; its first line says that the refusal is in force.
"""

import ipaddress
import os
import socket
from pathlib import Path
from typing import Any

LOG = Path(os.environ["CLOSED_LOG"])
with LOG.open("a", encoding="utf-8") as log:
    log.write("closed\n")


def _outside(host: Any) -> bool:
    if host in (None, "", b"", "localhost"):
        return False
    name = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return not ipaddress.ip_address(name.split("%", 1)[0]).is_loopback and name not in ("0.0.0.0", "::")
    except ValueError:
        return True  # a name: looking it up would ask a resolver


def _refuse(what: str, host: Any) -> None:
    if _outside(host):
        with LOG.open("a", encoding="utf-8") as log:
            log.write(f"{what} {host}\n")
        raise OSError(f"closed: {what} {host}")


_connect, _connect_ex, _look_up, _send_to = (
    socket.socket.connect,
    socket.socket.connect_ex,
    socket.getaddrinfo,
    socket.socket.sendto,
)


def _is_inet(sock: socket.socket) -> bool:
    return sock.family in (socket.AF_INET, socket.AF_INET6)


def connect(self: socket.socket, address: Any) -> None:
    if _is_inet(self):
        _refuse("connect", address[0])
    _connect(self, address)


def connect_ex(self: socket.socket, address: Any) -> int:
    if _is_inet(self):
        _refuse("connect", address[0])
    return _connect_ex(self, address)


def sendto(self: socket.socket, data: Any, *rest: Any) -> int:
    if _is_inet(self):
        _refuse("send", rest[-1][0])
    return _send_to(self, data, *rest)


def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
    _refuse("look up", host)
    return _look_up(host, *args, **kwargs)


socket.socket.connect = connect
socket.socket.connect_ex = connect_ex
socket.socket.sendto = sendto
socket.getaddrinfo = getaddrinfo
