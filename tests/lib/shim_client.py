"""Calls the helper as the user it is started as, and prints what came as one line of JSON.

    python shim_client.py SHIM [--withhold] ARG...

A program of its own, since the socket pair must be made by that user: the helper asks the kernel who made it.
With --withhold it prints the helper's pid before it answers, and answers after a line on standard input.
"""

from __future__ import annotations

import json
import os
import socket
import sys


def main(shim: str, arguments: list[str]) -> dict[str, object]:
    withhold = arguments[:1] == ["--withhold"]
    arguments = arguments[withhold:]
    ours, theirs = socket.socketpair()
    actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)]
    pid = os.posix_spawn(shim, [shim, *arguments], {}, file_actions=actions)
    theirs.close()
    data, fds, _, _ = socket.recv_fds(ours, 16, 4)
    found: dict[str, object] = {"data": list(data), "fds": len(fds), "sockets": [look(fd) for fd in fds]}
    if withhold:
        print(json.dumps({"pid": pid}), flush=True)
        sys.stdin.readline()
    try:
        ours.sendall(data[:1])
    except OSError:
        pass  # it was killed while it waited
    found["status"] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return found


def look(fd: int) -> dict[str, object]:
    sock = socket.socket(fileno=fd)
    return {
        "name": list(sock.getsockname()[:2]),
        "listening": listens(sock),
        "stream": sock.type == socket.SOCK_STREAM,
        "reuse port": sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT),
        "v6 only": sock.family == socket.AF_INET6 and bool(sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)),
    }


def listens(sock: socket.socket) -> bool:
    if sys.platform == "darwin":  # which has no SO_ACCEPTCONN: TCP_CONNECTION_INFO, TCPS_LISTEN
        return sock.getsockopt(socket.IPPROTO_TCP, 0x106, 1) == b"\1"
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2:])), flush=True)
