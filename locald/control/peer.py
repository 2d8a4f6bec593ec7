"""Which user is on the other end of a Unix socket."""

from __future__ import annotations

import socket
import struct
import sys

__all__ = ["peer_uid"]

if sys.platform == "darwin":

    def peer_uid(sock: socket.socket) -> int:
        """The effective uid of the process that connected, or that listens (xucred in sys/ucred.h)."""
        sol_local, local_peercred = 0, 1
        version_and_uid = struct.Struct("=II")
        data = sock.getsockopt(sol_local, local_peercred, 4 + 4 + 4 + 16 * 4)
        return int(version_and_uid.unpack_from(data)[1])

else:

    def peer_uid(sock: socket.socket) -> int:
        """The effective uid of the process that connected, or that listens (SO_PEERCRED, unix(7))."""
        ucred = struct.Struct("=iII")
        data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, ucred.size)
        return int(ucred.unpack(data)[1])
