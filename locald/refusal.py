"""Why a port could not be had: from an exit code or an errno to the exception that names cause and remedy."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from locald import built
from locald.errors import (
    AddressUnavailable,
    BindError,
    BindTimeout,
    NotPrivileged,
    Outdated,
    PolicyUnusable,
    PortDenied,
    PortInUse,
    ShimFailed,
)
from locald.paths import POLICY, SHIM

__all__ = ["HELPER_HINT", "from_errno", "from_status", "in_user_namespace", "no_privilege"]

SETUP_HINT = "run locald-setup; it asks for sudo by itself"
PACKAGE_HINT = f"install, or install again, the package of your system that has {SHIM}"
HELPER_HINT = PACKAGE_HINT if built.SHIM else SETUP_HINT


def from_status(status: int | None, port: int, address: str) -> BindError:
    """The exception for each exit code of the contract (DESIGN, "The privilege contract")."""
    where = f"port {port} on {address}"
    match status:
        case 66:
            return PolicyUnusable(
                f"the policy file {POLICY} is missing, unsafe or malformed, so nothing is granted",
                f"look at it: ls -l {POLICY}; then {SETUP_HINT}",
                check="policy-lines" if _is_roots_own(POLICY) else "policy-installed",
            )
        case 67:
            return PortDenied(
                f"{POLICY} does not grant {where} to uid {os.getuid()}",
                f"sudo locald-setup --port {port} --address {address}   (locald-setup prints the full command)",
                check=_check_of(port, address),
            )
        case 68:
            return no_privilege(_cause())
        case 69:
            return _in_use(port, address)
        case 70:
            return _no_address(address)
        case 64 | 65:
            return Outdated(f"the installed locald-shim refused the request (exit code {status})", HELPER_HINT)
        case 72:
            return BindTimeout("locald-shim ran out of time", "try again; is the machine overloaded?")
    ended = "unseen: this program ignores SIGCHLD" if status is None else f"exit code {status}"
    return ShimFailed(f"locald-shim could not bind {where} ({ended})", f"try it by hand: {SHIM} bind {port} {address}")


def from_errno(error: OSError, port: int, address: str) -> BindError:
    if error.errno == errno.EADDRINUSE:
        return _in_use(port, address)
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return _no_address(address)
    return BindError(
        f"port {port} on {address} cannot be bound: {error.strerror}",
        "look at this process's limits (ulimit -n) and at the system's log (dmesg)",
    )


def _no_address(address: str) -> AddressUnavailable:
    return AddressUnavailable(
        f"this machine does not have the address {address}",
        "see which it has: ip address   (macOS: ifconfig)",
        check="ipv6" if ":" in address else "ipv4",
    )


def no_privilege(cause: str) -> NotPrivileged:
    message, hint = {
        "owner": (f"{SHIM} does not belong to root", HELPER_HINT),
        "mode": (
            f"{SHIM} has the wrong mode: it must be setuid (or have its file capability), and root's alone to write",
            HELPER_HINT,
        ),
        "nosuid": (
            f"{SHIM} is on a file system mounted nosuid, so it has no privilege",
            f"findmnt -T {SHIM}   shows the mount; remount it with suid, or use --http-port",
        ),
        "no_new_privs": (
            "this process runs with no_new_privs, so no setuid program works in it",
            "start locald outside the sandbox (no-new-privileges of a container, an editor or a systemd unit)",
        ),
        "user_namespace": (
            "this process runs in a user namespace, where setuid programs have no power over real ports",
            "start locald outside the rootless container, or use --http-port",
        ),
        "root": (
            "root was refused by locald-shim, and may not bind the port itself",
            "run locald as yourself",
        ),
        "unknown": (f"{SHIM} started without privilege, and the cause cannot be seen from here", HELPER_HINT),
    }[cause]
    return NotPrivileged(message, hint, cause)


def _cause() -> str:
    """Why a setuid program got no privilege: each cause has its own remedy."""
    if in_user_namespace():
        return "user_namespace"
    if os.getuid() == 0:
        return "root"
    if os.statvfs(SHIM).f_flag & os.ST_NOSUID:
        return "nosuid"
    if "NoNewPrivs:\t1" in _proc("status"):
        return "no_new_privs"
    return "unknown"


def in_user_namespace() -> bool:
    # The first namespace maps every uid to itself in one line; see user_namespaces(7).
    mapping = _proc("uid_map").split()
    return bool(mapping) and mapping != ["0", "0", "4294967295"]


def _proc(name: str) -> str:
    """/proc/self/NAME on Linux, nothing elsewhere."""
    try:
        return Path("/proc/self", name).read_text()
    except OSError:
        return ""


def _is_roots_own(path: str) -> bool:
    """Whether nobody else has a hand in this file; then only what it says can be wrong."""
    try:
        seen = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(seen.st_mode) and seen.st_uid == 0 and not seen.st_mode & 0o022 and seen.st_nlink == 1


def _check_of(port: int, address: str) -> str:
    return f"port:[{address}]:{port}" if ":" in address else f"port:{address}:{port}"


def _in_use(port: int, address: str) -> PortInUse:
    pid, program = _who_listens(port, address)
    check = _check_of(port, address)
    if pid is None:
        return PortInUse(
            f"port {port} on {address} is in use by a program of another user",
            f"see which: sudo ss -ltnp 'sport = :{port}'   (macOS: sudo lsof -nP -iTCP:{port} -sTCP:LISTEN)",
            check=check,
        )
    return PortInUse(
        f"port {port} on {address} is in use by {program} (pid {pid})",
        f"stop it (kill {pid}), or use another port",
        pid,
        program,
        check,
    )


def _who_listens(port: int, address: str) -> tuple[int | None, str]:
    import psutil  # noqa: PLC0415  (30 ms, and only when something went wrong)

    try:
        for connection in psutil.net_connections("tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr
                and connection.laddr.port == port
                and connection.laddr.ip in (address, "0.0.0.0", "::")  # noqa: S104  (compared, never bound)
                and connection.pid
            ):
                return connection.pid, psutil.Process(connection.pid).name()
    except (psutil.Error, OSError):
        pass  # macOS shows sockets of other processes to root only
    return None, ""
