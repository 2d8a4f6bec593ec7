"""The loopback of this machine, and the ports that it keeps for the privileged."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from locald.doctor.check import FAIL, OK, WARN, Check
from locald.doctor.world import World

__all__ = ["ADDRESSES", "checks", "first_free_port", "has"]

ADDRESSES = {"ipv4": "127.0.0.1", "ipv6": "::1"}
COMES_S = 0.5
SHIM_BELOW = 1024  # the contract of locald-shim: it serves 1..1023
START = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")  # ip(7); it is for IPv6 as well
OFF = Path("/proc/sys/net/ipv6/conf/lo/disable_ipv6")


def checks(world: World) -> Iterator[Check]:
    yield _ipv4()
    yield _ipv6()
    yield _unprivileged()


def has(address: str) -> bool:
    """Whether this machine has the address, and what is sent there comes.  A bind says too little: Linux gives it
    127.0.0.1 where the loopback is down."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(COMES_S)
            probe.bind((address, 0))
            probe.connect(probe.getsockname())
            probe.send(b"x")
            probe.recv(1)
    except OSError:
        return False
    return True


def first_free_port() -> int:
    """From here on everybody may listen."""
    try:
        return int(START.read_text())
    except (OSError, ValueError):
        return SHIM_BELOW


def _ipv4() -> Check:
    if has(ADDRESSES["ipv4"]):
        return Check("ipv4", OK, "127.0.0.1 is there")
    remedy = "sudo ifconfig lo0 127.0.0.1 up" if sys.platform == "darwin" else "sudo ip link set lo up"
    return Check("ipv4", FAIL, "this machine has no 127.0.0.1: its loopback is down", remedy)


def _ipv6() -> Check:
    """Without it IPv4 is served alone, and whoever finds a name at ::1 first finds nobody there."""
    if has(ADDRESSES["ipv6"]):
        return Check("ipv6", OK, "::1 is there")
    if sys.platform == "darwin":
        remedy = "sudo ifconfig lo0 inet6 ::1 prefixlen 128 alias"
    elif not has(ADDRESSES["ipv4"]):
        remedy = "sudo ip link set lo up"
    elif not OFF.exists():
        return Check("ipv6", WARN, "this kernel has no IPv6, so there is no ::1", "sudo modprobe ipv6")
    elif OFF.read_text().strip() != "0":
        remedy = "sudo sysctl net.ipv6.conf.lo.disable_ipv6=0"
    else:
        remedy = "sudo ip address add ::1/128 dev lo"
    return Check("ipv6", WARN, "this machine has no ::1, so only IPv4 is served", remedy)


def _unprivileged() -> Check:
    if not START.exists():
        return Check("unprivileged-ports", OK, f"those below {SHIM_BELOW} are given by locald-shim")
    start = first_free_port()
    if start > SHIM_BELOW:
        words = f"this system keeps all ports below {start} for root, and locald-shim gives those below {SHIM_BELOW}"
        return Check("unprivileged-ports", FAIL, words, f"sudo sysctl net.ipv4.ip_unprivileged_port_start={SHIM_BELOW}")
    if start <= 80:
        return Check("unprivileged-ports", OK, f"everybody may listen from port {start} on: locald-shim is not needed")
    return Check("unprivileged-ports", OK, f"from {start} on; those below are given by locald-shim")
