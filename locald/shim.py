"""bind(): a listening socket on any port, by the setuid helper where the system says no.

The helper is trusted only as far as it proves itself: the file must be root's and root's alone to write,
and what it sends must be exactly one listener on exactly the address asked for.  An exit status of 0
proves nothing (LD_DEBUG=help makes a dynamic setuid program exit 0 before its main).
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import stat
import sys
import time

from locald import fdpass, refusal
from locald.errors import BindTimeout, NotInstalled, Outdated, PortDenied, ShimFailed
from locald.paths import SHIM

__all__ = ["PROTOCOL", "bind", "bind_async"]

PROTOCOL = 1  # csrc/shim/shim.h has the same number
BACKLOG = 4096  # cut down by the system to its own limit (net.core.somaxconn)
ANSWER_S = 6.0  # the helper's own alarm ends it after 5
FIRST_FREE_PORT = 1024  # the contract: the helper serves 1..1023


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
            check="unprivileged-ports",
        )
    return _bind_by_shim(port, address, family)


async def bind_async(port: int, address: str = "127.0.0.1") -> socket.socket:
    """As ``bind``, in a thread of the running loop's, which goes on meanwhile.

    Who is cancelled while waiting gets no listener, and leaves none: the thread cannot be stopped, so it closes what it
    still gets.
    """
    import asyncio  # noqa: PLC0415  (who awaits this has both already)
    import threading  # noqa: PLC0415

    lock, had, gone = threading.Lock(), [], False

    def work() -> socket.socket:
        listener = bind(port, address)
        with lock:
            had.append(listener)
            if gone:
                listener.close()
        return listener

    try:
        return await asyncio.to_thread(work)
    except BaseException:  # a coroutine that is thrown away is no less gone than one that is cancelled
        with lock:
            gone = True
            for listener in had:
                listener.close()
        raise


def _canonical(address: str) -> tuple[socket.AddressFamily, str]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        packed = socket.inet_pton(family, address)
    except (OSError, ValueError):
        raise ValueError(f"no literal IP address: {address!r}") from None
    canonical = socket.inet_ntop(family, packed)
    if family == socket.AF_INET6 and "." in canonical:  # mapped or compatible: RFC 4291, section 2.5.5
        raise ValueError(f"{address!r} is an IPv4 address in IPv6 clothes; give the IPv4 address")
    return family, canonical


def _bind_directly(port: int, address: str, family: int) -> socket.socket | None:
    """The listener, or None where the system keeps the port for the privileged."""
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise refusal.from_errno(error, port, address) from None
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
        raise refusal.from_errno(error, port, address) from None
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
        raise refusal.from_status(status, port, address)
    return listener


def _verify_installed() -> None:
    try:
        seen = os.lstat(SHIM)
    except (FileNotFoundError, NotADirectoryError):
        raise NotInstalled(f"locald-shim is not installed at {SHIM}", refusal.HELPER_HINT) from None
    except OSError as error:
        raise NotInstalled(f"{SHIM} cannot be looked at: {error.strerror}", refusal.HELPER_HINT) from None
    if seen.st_uid != 0 and refusal.in_user_namespace():
        raise refusal.no_privilege("user_namespace")
    if not stat.S_ISREG(seen.st_mode) or seen.st_uid != 0:
        raise refusal.no_privilege("owner")
    if seen.st_mode & 0o022 or not (seen.st_mode & stat.S_ISUID or _has_capability()):
        raise refusal.no_privilege("mode")


def _has_capability() -> bool:
    """Whether setup gave the helper a file capability instead of the bit; which one, is the helper's to judge."""
    if sys.platform != "linux":
        return False
    try:
        return bool(os.getxattr(SHIM, "security.capability", follow_symlinks=False))
    except OSError:
        return False


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
        raise ShimFailed(f"{SHIM} cannot be started: {error.strerror}", refusal.HELPER_HINT) from None


def _receive(ours: socket.socket, port: int, address: str, family: int, deadline: float) -> socket.socket | None:
    """The listener that came, proven to be the one asked for; None when the helper refused."""
    if not _readable(ours, deadline):
        raise BindTimeout(
            f"locald-shim did not answer within {ANSWER_S:.0f} seconds",
            "try again; is the machine overloaded?",
        )
    try:
        data, fds = fdpass.recv_fds(ours, 2, 1)
    except ConnectionResetError:
        return None
    except OSError as error:
        raise ShimFailed(f"locald-shim's answer is unusable: {error.strerror}", refusal.HELPER_HINT) from None
    if not data and not fds:
        return None
    listener = socket.socket(fileno=fds[0]) if fds else None
    if data != bytes([PROTOCOL]) or listener is None:
        if listener is not None:
            listener.close()
        raise Outdated(
            f"the installed locald-shim does not speak protocol {PROTOCOL} of this locald", refusal.HELPER_HINT
        )
    if not _is_the_one(listener, port, address, family):
        listener.close()
        raise ShimFailed(f"{SHIM} sent another socket than the one asked for", refusal.HELPER_HINT)
    return listener


def _is_the_one(listener: socket.socket, port: int, address: str, family: int) -> bool:
    try:
        return (
            listener.family == family
            and listener.type == socket.SOCK_STREAM
            and listener.getsockname()[:2] == (address, port)
            and _listens(listener)
        )
    except OSError:
        return False


def _listens(listener: socket.socket) -> bool:
    if sys.platform == "darwin":
        # XNU's getsockopt(2) does not know SO_ACCEPTCONN; struct tcp_connection_info begins with the state.
        tcp_connection_info, tcps_listen = 0x106, 1
        return listener.getsockopt(socket.IPPROTO_TCP, tcp_connection_info, 1) == bytes([tcps_listen])
    return listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) != 0


def _acknowledge(ours: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it went away early: the listener is proven and ours all the same
        ours.send(bytes([PROTOCOL]))


def _reap(pid: int, ours: socket.socket, deadline: float) -> int | None:
    """Wait for the helper's end, and bring it about when it is late; its exit code, -N for signal N."""
    try:
        ours.shutdown(socket.SHUT_WR)  # where no answer of ours was sent, none will come
        # The end of the stream is the end of the process, which has nothing else open on it.
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
