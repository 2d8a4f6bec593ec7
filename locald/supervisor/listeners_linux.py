"""Who listens, on Linux: asked of the kernel by sock_diag(7), and read from proc(5) where it does not answer.

/proc/net/tcp goes through the table of all connections, which on a machine with much memory takes milliseconds, however
few there are; sock_diag goes through the listeners alone, in 0.03 ms.  It is not there in kernels without INET_DIAG,
and where netlink is forbidden.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

__all__ = ["dump", "inodes", "listeners", "open_ports", "read"]

NETLINK_SOCK_DIAG = 4  # include/uapi/linux/netlink.h, as what follows
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, number, port
ERROR = struct.Struct("=i")  # of struct nlmsgerr: an errno with its sign turned
SOCK_DIAG_BY_FAMILY = 20  # include/uapi/linux/sock_diag.h
REQUEST = struct.Struct("=BBBxI48x")  # struct inet_diag_req_v2: family, protocol, extensions, states, any socket
MESSAGE = struct.Struct("=4x2s2x16s44xI")  # struct inet_diag_msg: port and address in network order, ..., inode
TCP_LISTEN = 10  # include/net/tcp_states.h
ROOM = 1 << 16
FAMILIES = {socket.AF_INET: (4, "/proc/net/tcp"), socket.AF_INET6: (16, "/proc/net/tcp6")}  # bytes of an address
AT_LOOPBACK = frozenset({"127.0.0.1", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0"})  # noqa: S104

Listening = dict[int, tuple[str, int]]  # addresses and ports, by the inodes of their sockets


def listeners(pids: Collection[int]) -> set[tuple[str, int]]:
    """Addresses and ports that these processes listen on."""
    sockets = _listening()
    if not sockets:
        return set()
    return {sockets[inode] for pid in pids for inode in inodes(pid) if inode in sockets}


def open_ports() -> set[int] | None:
    """Those that take connections at a loopback address; None where that takes too long to be asked often."""
    try:
        return {port for address, port in _asked().values() if address in AT_LOOPBACK}
    except OSError:
        return None


def _listening() -> Listening:
    """All listeners of this network namespace."""
    try:
        return _asked()
    except OSError:
        return read()


def _asked() -> Listening:
    """By sock_diag(7).  Raises OSError where there is none."""
    found: Listening = {}
    for family, message in dump():
        port, address, inode = MESSAGE.unpack_from(message)
        found[inode] = socket.inet_ntop(family, address[: FAMILIES[family][0]]), int.from_bytes(port, "big")
    return found


def dump() -> Iterator[tuple[socket.AddressFamily, bytes]]:
    """The listeners with their families, each a struct inet_diag_msg and what follows it.  Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as sock:
        for family in FAMILIES:
            request = REQUEST.pack(family, socket.IPPROTO_TCP, 0, 1 << TCP_LISTEN)
            head = HEADER.pack(HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 0, 0)
            sock.sendto(head + request, (0, 0))
            for message in _answer(sock):
                yield family, message


def _answer(sock: socket.socket) -> Iterator[bytes]:
    """The messages of one dump, without their heads: netlink(7)."""
    while True:
        data = sock.recv(ROOM)
        at = 0
        while at < len(data):
            length, kind, *_ = HEADER.unpack_from(data, at)
            if kind == NLMSG_DONE:
                return
            if kind == NLMSG_ERROR:
                (code,) = ERROR.unpack_from(data, at + HEADER.size)
                raise OSError(-code, os.strerror(-code))
            yield data[at + HEADER.size : at + length]
            at += (length + 3) & ~3


def read() -> Listening:
    """By proc(5)."""
    found: Listening = {}
    for family, (_, path) in FAMILIES.items():
        try:
            lines = Path(path).read_text("ascii").splitlines()[1:]
        except OSError:  # a kernel without IPv6
            continue
        for line in lines:
            words = line.split()
            if int(words[3], 16) == TCP_LISTEN:
                address, _, port = words[1].partition(":")
                found[int(words[9])] = _address(family, address), int(port, 16)
    return found


def _address(family: int, text: str) -> str:
    """An address as the kernel prints it: 32-bit words in hexadecimal, each in the machine's own order."""
    return socket.inet_ntop(
        family, struct.pack(f"={len(text) // 8}I", *(int(text[i : i + 8], 16) for i in range(0, len(text), 8)))
    )


def inodes(pid: int) -> Iterable[int]:
    """Of a process's sockets; none of one that is gone, or another user's."""
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError):
            target = os.readlink(f"{folder}/{name}")
            if target.startswith("socket:["):
                yield int(target[8:-1])
