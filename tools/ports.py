"""Questions about this machine's ports, for tools.resolve.

Law: a port is called free only after it was really bound.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from hashlib import blake2b
from pathlib import Path

from tools.resolve import CHOSEN_PORT_MIN

EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
# Where the kernel does not say: the first port of Linux's default range.
EPHEMERAL_MIN = 32_768


def is_free(host: str, port: int) -> bool:
    """Can a server bind this port now? True for a host that is not of this machine: its process will say so itself."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return True
    for family, kind, protocol, _, address in addresses:
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: a port whose last connections are in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
                # Two sockets may bind with SO_REUSEADDR; only one may listen.
                probe.listen(1)
            except OSError as error:
                if error.errno in _BUSY:
                    return False
    return True


# In use, or below 1024 and not for us.
_BUSY = frozenset((errno.EADDRINUSE, errno.EACCES))


def is_loopback(host: str) -> bool:
    """Can only this machine reach a server that listens on `host`? A name but `localhost` may be anything: no."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def first_chosen_port(folder: Path, end_port: int) -> int:
    """Where to look for free ports for a cluster: another place for each folder, the same at each call."""
    digest = blake2b(str(folder).encode(), digest_size=8).digest()
    return CHOSEN_PORT_MIN + int.from_bytes(digest, "big") % (end_port - CHOSEN_PORT_MIN)


def ephemeral_begin() -> int:
    """The first port the kernel gives to outgoing connections, where chosen ports must end."""
    try:
        begin = int(EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        begin = EPHEMERAL_MIN
    # A machine tuned for clients may leave nothing below its range.
    return begin if begin > CHOSEN_PORT_MIN + 1000 else EPHEMERAL_MIN
