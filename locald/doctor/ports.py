"""Who has the ports of the proxy, and whether it is our proxy that answers there."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator

from locald.doctor import installation, network
from locald.doctor.check import FAIL, OK, WARN, Check
from locald.doctor.owners import Owner, covers, describe
from locald.doctor.world import World

if sys.platform == "darwin":
    from locald.doctor.owners_darwin import listeners
else:
    from locald.doctor.owners_linux import listeners

__all__ = ["checks", "listeners"]

HTTP, HTTPS = 80, 443
ANSWER_S = 2.0  # for all addresses together; ours answers within a millisecond
ANSWER_MAX = 1 << 16  # bytes: our page lists at most 100 apps
ANOTHER = "is answered by another program"
AFRESH = "locald daemon stop && locald daemon start"  # a restart in place keeps the listeners that there are
NOBODY = "locald-doctor.invalid"  # no app has this name: RFC 6761 section 6.4
ASK = f"GET / HTTP/1.1\r\nHost: {NOBODY}\r\nAccept: application/json\r\nConnection: close\r\n\r\n".encode()


def checks(world: World) -> Iterator[Check]:
    for address, port in _wanted(world):
        yield _port(world, address, port)
    yield _proxy(world)


def _wanted(world: World) -> list[tuple[str, int]]:
    """Where the daemon listens, or would; or the one place that was asked for."""
    _, _, asked = world.asked.partition("port:")
    address, _, port = asked.rpartition(":")
    address = address.strip("[]")
    if address in network.ADDRESSES.values() and port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 1 << 16:
        return [(address, int(port))]
    http, https = (world.report.http_port, world.report.https_port) if world.report else (HTTP, None)
    ports = [http, https or (HTTPS if http == HTTP else None)]
    return [(address, port) for port in ports if port for address in network.ADDRESSES.values()]


def _shown(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _port(world: World, address: str, port: int) -> Check:
    shown = _shown(address, port)
    id = f"port:{shown}"
    if not network.has(address):
        return Check(
            id, WARN, f"this machine has no {address}", f"locald doctor {'ipv6' if ':' in address else 'ipv4'}"
        )
    try:
        found = [each for each in listeners(port) if covers(each, address)]
    except OSError as error:
        return Check(id, WARN, f"the system does not say who listens: {error}", Owner(address, port).remedy)
    if world.report and shown in world.report.addresses:
        return _ours(id, world.report.pid, found, shown)
    if found:
        return Check(id, FAIL, f"in use by {' and '.join(map(describe, found))}", found[0].remedy)
    if world.report:
        return Check(id, WARN, "free, and the daemon does not listen there", AFRESH)
    return _free(id, address, port)


def _ours(id: str, pid: int, found: list[Owner], shown: str) -> Check:
    """Where the daemon says that it listens."""
    if any(owner.pid == pid for owner in found):
        return Check(id, OK, f"the daemon, pid {pid}")
    others = [owner for owner in found if owner.pid]
    if others or not found:
        words = " and ".join(map(describe, others)) or "nobody"
        return Check(id, FAIL, f"the daemon says that it listens, and the system that {words} does", AFRESH)
    return Check(id, WARN, f"it cannot be seen whether it is the daemon that listens on {shown}", found[0].remedy)


def _free(id: str, address: str, port: int) -> Check:
    if port >= network.first_free_port():
        return Check(id, OK, "free, and for everybody to have")
    granted = installation.granted()
    if granted is None:
        return Check(id, WARN, "free; whether it would be granted cannot be seen", "sudo locald-setup")
    if (address, port) not in granted:
        more = "" if port in (HTTP, HTTPS) else f" --port {port}"
        return Check(id, FAIL, "free, and the policy does not grant it to this user", f"sudo locald-setup{more}")
    return Check(id, OK, "free, and granted by the policy")


def _proxy(world: World) -> Check:
    """Asked by a request, since what listens is not always what answers: a firewall may lead elsewhere."""
    if world.report is None:
        return Check("proxy", WARN, "no daemon says where it listens, so nothing was asked", "locald daemon start")
    deadline = time.monotonic() + ANSWER_S
    wrong, silent = [], False
    for shown in world.report.addresses:
        host, _, port = shown.rpartition(":")
        why = _unlike_ours(host.strip("[]"), int(port), int(port) == world.report.https_port, deadline)
        if why:
            wrong.append(f"{shown} {why}")
            silent = silent or why != ANOTHER
    if wrong:
        # Where our listener is passed by, a rule of the firewall does it, and only that list says which.
        return Check("proxy", FAIL, "; ".join(wrong), AFRESH if silent else "sudo nft list ruleset")
    return Check("proxy", OK, f"answers on {' and '.join(world.report.addresses)}")


def _unlike_ours(host: str, port: int, secure: bool, deadline: float) -> str:
    """Why what answers there is not our proxy, "" where it is.  Its page for a name that no app has says so; on the
    port of HTTPS, where a request without TLS has no name, the page about that."""
    try:
        text = _answer(host, port, deadline)
    except OSError as error:
        return f"does not answer: {error.strerror or error}"
    body = text.partition("\r\n\r\n")[2]
    if secure:
        return "" if body.startswith("400: This port speaks HTTPS\n") else ANOTHER
    try:
        title = json.loads(body)["error"]
    except (ValueError, LookupError, TypeError, RecursionError):
        title = None
    return "" if title == f"No app is named {NOBODY}" else ANOTHER


def _answer(host: str, port: int, deadline: float) -> str:
    """All that is answered to the request.  Raises OSError."""

    def left() -> float:
        return max(0.01, deadline - time.monotonic())

    with socket.create_connection((host, port), left()) as sock:
        sock.sendall(ASK)
        data = b""
        while len(data) < ANSWER_MAX:
            sock.settimeout(left())
            more = sock.recv(1 << 16)
            if not more:
                break
            data += more
            if time.monotonic() > deadline:
                raise TimeoutError("no whole answer in time")
    return data.decode("utf-8", "replace")
