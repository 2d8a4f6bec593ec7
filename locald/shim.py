"""bind(): a listening socket on any port, by the setuid helper where the system says no.

The helper is trusted only as far as it proves itself: the file must be root's and root's alone to write,
and what it sends must be exactly one listener on exactly the address asked for.  An exit status of 0
proves nothing (LD_DEBUG=help makes a dynamic setuid program exit 0 before its main).
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import stat
import time
from pathlib import Path

from locald import fdpass
from locald.errors import (
    AddressUnavailable,
    BindError,
    BindTimeout,
    NotInstalled,
    NotPrivileged,
    Outdated,
    PolicyUnusable,
    PortDenied,
    PortInUse,
    ShimFailed,
)
from locald.paths import POLICY, SHIM

__all__ = ["PROTOCOL", "bind"]

PROTOCOL = 1  # csrc/shim/shim.h has the same number
BACKLOG = 4096  # cut down by the system to its own limit (net.core.somaxconn)
ANSWER_S = 6.0  # the helper's own alarm ends it after 5
FIRST_FREE_PORT = 1024  # the contract: the helper serves 1..1023

SETUP_HINT = "run locald-setup; it asks for sudo by itself"


def bind(port: int, address: str = "127.0.0.1") -> socket.socket:
    """Return a TCP socket that listens on ``address`` and ``port``, close-on-exec and blocking.

    ``address`` is a literal IPv4 or IPv6 address.  The system is asked first, since it may allow the port
    (ip(7), ip_unprivileged_port_start); then ``locald-shim``, which asks its policy file.  Takes well under
    a millisecond of waiting, at most 6 seconds when something is stuck.

    Raises ValueError for a port or an address that is none, otherwise a BindError of its own for each cause:
    NotInstalled, NotPrivileged, Outdated, PolicyUnusable, PortDenied, PortInUse, AddressUnavailable,
    BindTimeout, ShimFailed.
    """
    family, address = _canonical(address)
    if not 0 < port < 1 << 16:
        raise ValueError(f"no TCP port: {port} (1 to 65535)")
    listener = _bind_directly(port, address, family)
    if listener is not None:
        return listener
    if port >= FIRST_FREE_PORT:
        raise PortDenied(
            f"this system keeps port {port} for root, and locald-shim serves only ports below {FIRST_FREE_PORT}",
            "look at: sysctl net.ipv4.ip_unprivileged_port_start",
        )
    return _bind_by_shim(port, address, family)


def _canonical(address: str) -> tuple[socket.AddressFamily, str]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        packed = socket.inet_pton(family, address)
    except (OSError, ValueError):
        raise ValueError(f"no literal IP address: {address!r}") from None
    if family == socket.AF_INET6 and packed[:12] == bytes(10) + b"\xff\xff":
        raise ValueError(f"{address!r} is an IPv4 address in IPv6 clothes; give the IPv4 address")
    return family, socket.inet_ntop(family, packed)


def _bind_directly(port: int, address: str, family: int) -> socket.socket | None:
    """The listener, or None where the system keeps the port for the privileged."""
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _from_errno(error, port, address) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno in (errno.EACCES, errno.EPERM):
            return None
        raise _from_errno(error, port, address) from None
    return listener


def _bind_by_shim(port: int, address: str, family: int) -> socket.socket:
    _verify_installed()
    deadline = time.monotonic() + ANSWER_S
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            pid = _spawn(port, address, theirs.fileno())
        status: int | None = None
        try:
            listener = _receive(ours, port, address, family, deadline)
            if listener is not None:
                # Only now may the helper let go of its copy: macOS may collect a socket in flight.
                _acknowledge(ours)
        finally:
            status = _reap(pid, ours, deadline)
    if listener is None:
        raise _from_status(status, port, address)
    return listener


def _verify_installed() -> None:
    try:
        seen = os.lstat(SHIM)
    except (FileNotFoundError, NotADirectoryError):
        raise NotInstalled(f"locald-shim is not installed at {SHIM}", SETUP_HINT) from None
    except OSError as error:
        raise NotInstalled(f"{SHIM} cannot be looked at: {error.strerror}", SETUP_HINT) from None
    if seen.st_uid != 0 and _in_user_namespace():
        raise _no_privilege("user_namespace")
    if not stat.S_ISREG(seen.st_mode) or seen.st_uid != 0:
        raise _no_privilege("owner")
    if seen.st_mode & 0o022 or not seen.st_mode & stat.S_ISUID:
        raise _no_privilege("mode")


def _spawn(port: int, address: str, standard_input: int) -> int:
    """Start the helper with an empty environment, its answer socket as standard input; return its pid."""
    actions = [
        (os.POSIX_SPAWN_DUP2, standard_input, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    arguments = [SHIM, "bind", str(port), address]
    try:
        return os.posix_spawn(SHIM, arguments, {}, file_actions=actions, setsigmask=())
    except OSError as error:
        raise ShimFailed(f"{SHIM} cannot be started: {error.strerror}", SETUP_HINT) from None


def _receive(
    ours: socket.socket, port: int, address: str, family: int, deadline: float
) -> socket.socket | None:
    """The listener that came, proven to be the one asked for; None when the helper refused."""
    if not _readable(ours, deadline):
        raise BindTimeout(
            f"locald-shim did not answer within {ANSWER_S:.0f} seconds", "try again; is the machine overloaded?"
        )
    try:
        data, fds = fdpass.recv_fds(ours, 2, 1)
    except ConnectionResetError:
        return None
    except OSError as error:
        raise ShimFailed(f"locald-shim's answer is unusable: {error.strerror}", SETUP_HINT) from None
    if not data and not fds:
        return None
    listener = socket.socket(fileno=fds[0]) if fds else None
    if data != bytes([PROTOCOL]) or listener is None:
        if listener is not None:
            listener.close()
        raise Outdated(f"the installed locald-shim does not speak protocol {PROTOCOL} of this locald", SETUP_HINT)
    if not _is_the_one(listener, port, address, family):
        listener.close()
        raise ShimFailed(f"{SHIM} sent another socket than the one asked for", SETUP_HINT)
    return listener


def _is_the_one(listener: socket.socket, port: int, address: str, family: int) -> bool:
    try:
        return (
            listener.family == family
            and listener.type == socket.SOCK_STREAM
            and listener.getsockname()[:2] == (address, port)
            and listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) != 0
        )
    except OSError:
        return False


def _acknowledge(ours: socket.socket) -> None:
    try:
        ours.send(bytes([PROTOCOL]))
    except OSError:
        pass  # it went away early: the listener is proven and ours all the same


def _reap(pid: int, ours: socket.socket, deadline: float) -> int | None:
    """Wait for the helper's end, and bring it about when it is late; its exit code, -N for signal N."""
    try:
        # The end of the stream is the end of the process, which has nothing else open on it.
        ours.shutdown(socket.SHUT_WR)
        while _readable(ours, deadline):
            if not ours.recv(64):
                break
        else:
            os.kill(pid, signal.SIGKILL)  # allowed: after its drop the helper is the caller's own process
    except OSError:
        pass
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return None  # the program ignores SIGCHLD: the system has reaped it and its status is lost


def _readable(ours: socket.socket, deadline: float) -> bool:
    poller = select.poll()
    poller.register(ours, select.POLLIN)
    return bool(poller.poll(max(0.0, deadline - time.monotonic()) * 1000))


def _from_status(status: int | None, port: int, address: str) -> BindError:
    """The exception for each exit code of the contract (DESIGN, "The privilege contract")."""
    where = f"port {port} on {address}"
    match status:
        case 66:
            return PolicyUnusable(
                f"the policy file {POLICY} is missing, unsafe or malformed, so nothing is granted",
                f"look at it: ls -l {POLICY}; then {SETUP_HINT}",
            )
        case 67:
            return PortDenied(
                f"{POLICY} does not grant {where} to uid {os.getuid()}",
                f"sudo locald-setup --port {port} --address {address}   (locald-setup prints the full command)",
            )
        case 68:
            return _no_privilege(_cause())
        case 69:
            return _in_use(port, address)
        case 70:
            return AddressUnavailable(f"this machine does not have the address {address}")
        case 64 | 65:
            return Outdated(f"the installed locald-shim refused the request (exit code {status})", SETUP_HINT)
        case 72:
            return BindTimeout("locald-shim ran out of time", "try again; is the machine overloaded?")
    ended = "unseen: this program ignores SIGCHLD" if status is None else f"exit code {status}"
    return ShimFailed(f"locald-shim could not bind {where} ({ended})", f"try it by hand: {SHIM} bind {port} {address}")


def _from_errno(error: OSError, port: int, address: str) -> BindError:
    if error.errno == errno.EADDRINUSE:
        return _in_use(port, address)
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return AddressUnavailable(f"this machine does not have the address {address}")
    return BindError(f"port {port} on {address} cannot be bound: {error.strerror}")


def _no_privilege(cause: str) -> NotPrivileged:
    message, hint = {
        "owner": (f"{SHIM} does not belong to root", SETUP_HINT),
        "mode": (f"{SHIM} has the wrong mode: root must own it, setuid, and nobody else may write it", SETUP_HINT),
        "nosuid": (
            f"{SHIM} is on a file system mounted nosuid, so it has no privilege",
            f"findmnt -T {SHIM}   shows the mount; remount it with suid, or use --http-port",
        ),
        "no_new_privs": (
            "this process runs with no_new_privs, so no setuid program works in it",
            "start locald outside the sandbox (a container's no-new-privileges, an editor's or systemd's NoNewPrivileges)",
        ),
        "user_namespace": (
            "this process runs in a user namespace, where setuid programs have no power over real ports",
            "start locald outside the rootless container, or use --http-port",
        ),
        "root": ("root was refused by locald-shim, and may not bind the port itself", "run locald as yourself"),
        "unknown": (f"{SHIM} started without privilege, and the cause cannot be seen from here", SETUP_HINT),
    }[cause]
    return NotPrivileged(message, hint, cause)


def _cause() -> str:
    """Why a setuid program got no privilege: each cause has its own remedy."""
    if _in_user_namespace():
        return "user_namespace"
    if os.getuid() == 0:
        return "root"
    if os.statvfs(SHIM).f_flag & os.ST_NOSUID:
        return "nosuid"
    if "NoNewPrivs:\t1" in _proc("status"):
        return "no_new_privs"
    return "unknown"


def _in_user_namespace() -> bool:
    # The first namespace maps every uid to itself in one line; see user_namespaces(7).
    mapping = _proc("uid_map").split()
    return bool(mapping) and mapping != ["0", "0", "4294967295"]


def _proc(name: str) -> str:
    """/proc/self/NAME on Linux, nothing elsewhere."""
    try:
        return Path("/proc/self", name).read_text()
    except OSError:
        return ""


def _in_use(port: int, address: str) -> PortInUse:
    pid, program = _who_listens(port, address)
    if pid is None:
        return PortInUse(
            f"port {port} on {address} is in use by a program of another user",
            f"see which: sudo ss -ltnp 'sport = :{port}'   (macOS: sudo lsof -nP -iTCP:{port} -sTCP:LISTEN)",
        )
    return PortInUse(
        f"port {port} on {address} is in use by {program} (pid {pid})",
        f"stop it (kill {pid}), or use another port",
        pid,
        program,
    )


def _who_listens(port: int, address: str) -> tuple[int | None, str]:
    import psutil  # noqa: PLC0415  (30 ms, and only when something went wrong)

    try:
        for connection in psutil.net_connections("tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr.port == port
                and connection.laddr.ip in (address, "0.0.0.0", "::")  # noqa: S104  (compared, never bound)
                and connection.pid
            ):
                return connection.pid, psutil.Process(connection.pid).name()
    except (psutil.Error, OSError):
        pass  # macOS shows sockets of other processes to root only
    return None, ""
