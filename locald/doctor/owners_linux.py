"""Who listens, on Linux.

sock_diag(7) names the user of every listener, and the control group that it was made in, to everybody; /proc/PID/fd the
process, to its own user and to root.  So of another user's program the unit of systemd is known at least, and from the
group's list of processes mostly the program too.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from locald.doctor.owners import Owner
from locald.supervisor import listeners_linux as kernel

__all__ = ["listeners"]

MESSAGE = struct.Struct("=4x2s2x16s40xII")  # struct inet_diag_msg: port and address in network order, ..., uid, inode
ATTRIBUTE = struct.Struct("=HH")  # struct nlattr: length, type
INET_DIAG_SKV6ONLY, INET_DIAG_CGROUP_ID = 11, 21  # include/uapi/linux/inet_diag.h
GROUPS = next(filter(os.path.isdir, ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")), "")  # the former beside version 1
GROUPS_MAX = 20_000  # folders that are looked at for one number
CONTAINER = re.compile(r"(?:^|[/-])(docker|libpod)[/-]([0-9a-f]{64})(?:\.scope)?(?:/|$)")
UNIT = re.compile(r"/([^/]+\.service)(?:/|$)")
USER_MANAGER = re.compile(r"/user@\d+\.service/")


def listeners(port: int) -> list[Owner]:
    return [_owner(*each) for each in _listening(port)]


def _listening(port: int) -> Iterator[tuple[str, int, int | None, int, bool, int]]:
    """Address, port, uid, inode, whether one of IPv6 takes IPv4 too, the number of its control group or 0."""
    try:
        for family, message in kernel.dump():
            number, address, uid, inode = MESSAGE.unpack_from(message)
            if int.from_bytes(number, "big") == port:
                facts = dict(_attributes(message[MESSAGE.size :]))
                both = family == socket.AF_INET6 and facts.get(INET_DIAG_SKV6ONLY, b"\1") == b"\0"
                group = int.from_bytes(facts.get(INET_DIAG_CGROUP_ID, b""), "little")
                shown = socket.inet_ntop(family, address[: kernel.FAMILIES[family][0]])
                yield shown, port, uid, inode, both, group
    except OSError:  # no INET_DIAG, or netlink is forbidden
        for inode, (address_, number_) in kernel.read().items():
            if number_ == port:
                yield address_, port, None, inode, False, 0


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(data)
        if length < ATTRIBUTE.size:
            return
        yield kind, data[ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]


def _owner(address: str, port: int, uid: int | None, inode: int, both: bool, group: int) -> Owner:
    docker = _docker_proxy(port)
    if docker:
        stop = f"docker stop $(docker ps -q --filter publish={port})"
        return Owner(address, port, uid, docker, "docker-proxy", both, "a container that publishes it", stop)
    pid = _holder(inode)
    path = _group_of(pid) if pid else _group(group)
    pids = [pid] if pid else _members(path)
    names = sorted({_read(f"/proc/{each}/comm") for each in pids} - {""})
    program = names[0] if len(names) == 1 else ""
    unit, stop = _managed(path, port)
    if not stop and pid:
        stop = f"kill {pid}" if uid == os.getuid() else f"sudo kill {pid}"
    return Owner(address, port, uid, pid, program, both, unit, stop)


def _managed(path: str, port: int) -> tuple[str, str]:
    """What a control group says of its processes, and the command that stops them."""
    container = CONTAINER.search(path)
    if container:
        tool = "docker" if container[1] == "docker" else "podman"
        return f"container {container[2][:12]}", f"{tool} stop {container[2][:12]}"
    if path == "/init.scope":  # systemd itself listens, and starts a service for who comes
        socket_unit = f"$(systemctl list-sockets --no-legend | awk '$1 ~ /:{port}$/ {{print $2}}')"
        return "a socket unit of systemd", f"sudo systemctl stop {socket_unit}"
    manager = USER_MANAGER.search(path)
    unit = UNIT.search(path[manager.end() - 1 :] if manager else path)
    if unit is None:
        return "", ""
    return unit[1], f"{'systemctl --user' if manager else 'sudo systemctl'} stop {unit[1]}"


def _holder(inode: int) -> int | None:
    """A process with this socket, of those whose descriptors we may see."""
    for name in os.listdir("/proc"):
        if name.isdigit() and inode in kernel.inodes(int(name)):
            return int(name)
    return None


def _docker_proxy(port: int) -> int | None:
    """The process by which docker publishes the port: root's, but what it was called with is for all to see."""
    for name in os.listdir("/proc"):
        if name.isdigit() and _read(f"/proc/{name}/comm") == "docker-proxy":
            words = _read(f"/proc/{name}/cmdline").split("\0")
            if f"-host-port\0{port}\0" in "\0".join(words) + "\0":
                return int(name)
    return None


def _group_of(pid: int) -> str:
    """The path of a process's control group, in the hierarchy of version 2: cgroups(7)."""
    for line in _read(f"/proc/{pid}/cgroup").splitlines():
        if line.startswith("0::"):
            return line[3:]
    return ""


def _group(number: int) -> str:
    """The path of the control group with this number, which is the inode of its folder; "" for none."""
    looked_at = 0
    for folder, names, _ in os.walk(GROUPS) if number > 1 else ():
        for name in names:
            looked_at += 1
            with contextlib.suppress(OSError):
                if os.stat(f"{folder}/{name}").st_ino == number:
                    return f"{folder}/{name}".removeprefix(GROUPS)
        if looked_at > GROUPS_MAX:
            break
    return ""


def _members(path: str) -> list[int]:
    return [int(word) for word in _read(f"{GROUPS}{path}/cgroup.procs").split()] if path else []


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").rstrip("\n")
    except OSError:
        return ""
