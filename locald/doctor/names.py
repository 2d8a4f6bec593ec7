"""Whether this system finds the names of the routes, and where.

Browsers and curl know that *.localhost is this machine (RFC 6761 section 6.3).  Other programs ask the C library, which
knows it with nss-myhostname or by a line of /etc/hosts, and else asks the network.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from locald.config import LOCALHOST
from locald.control.messages import Report
from locald.doctor.check import FAIL, OK, WARN, Check
from locald.doctor.world import World

__all__ = ["Answer", "checks", "hosts_of", "resolve"]

LIMIT_S = 5.0  # for all of them; a resolver whose servers are away takes 10 s or more for one (resolv.conf(5))
AT_ONCE = 16
HOSTS = Path("/etc/hosts")
SYNC = "sudo locald-setup --hosts"


@dataclass(frozen=True, slots=True)
class Answer:
    """The addresses of a name, in the system's order; without one, ``error`` says why."""

    addresses: tuple[str, ...] = ()
    error: str = ""

    @property
    def is_here(self) -> bool:
        """Whether all of them are of this machine's loopback."""
        return bool(self.addresses) and all(ipaddress.ip_address(each).is_loopback for each in self.addresses)

    def __str__(self) -> str:
        return " and ".join(self.addresses) or self.error


def checks(world: World) -> Iterator[Check]:
    if world.report:
        served = {address.rpartition(":")[0].strip("[]") for address in world.report.addresses}
        for host, answer in resolve(hosts_of(world.report)).items():
            suffix = max((each for each in world.report.suffixes if host.endswith(f".{each}")), key=len)
            yield _judge(host, answer, served, SYNC if suffix == LOCALHOST else f"{SYNC} --domain {suffix}")


def hosts_of(report: Report) -> list[str]:
    """The host name of each route, with each suffix."""
    return sorted({f"{app.name}.{suffix}" for app in report.apps for suffix in report.suffixes})


def _judge(host: str, answer: Answer, served: set[str], sync: str) -> Check:
    """``sync``: the command that writes the names into /etc/hosts."""
    name = f"name:{host}"
    if answer.is_here and not served.isdisjoint(answer.addresses):
        return Check(name, OK, str(answer))
    if answer.addresses:
        wrong = [address for address in answer.addresses if address not in served]
        why = "where the daemon does not listen" if answer.is_here else "that is not this machine"
        return Check(name, FAIL, f"{answer}{', ' if answer.is_here else ': '}{why}", _unlisted(host, wrong) or sync)
    if host.endswith(f".{LOCALHOST}"):
        words = f"{answer}: browsers and curl know it by themselves, Python, Node and others do not"
        return Check(name, WARN, words, sync)
    return Check(name, FAIL, str(answer), sync)


def _unlisted(host: str, addresses: Iterable[str]) -> str:
    """The command that takes the name from lines of /etc/hosts that lead it to these addresses, "" for no such line: a
    line of ours beside them would add its addresses, and not replace theirs."""
    try:
        lines = [line.partition("#")[0].split() for line in HOSTS.read_text(errors="replace").splitlines()]
    except OSError:
        return ""
    found = [address for address in addresses if any(line[:1] == [address] and host in line[1:] for line in lines)]
    in_place = "-i ''" if sys.platform == "darwin" else "-i"
    name, blank = host.replace(".", r"\."), "[[:space:]]"
    cut = [rf"-e '/^{blank}*{each}{blank}/s/{blank}{name}({blank}|$)/\1/'" for each in found]
    return f"sudo sed -E {in_place} {' '.join(cut)} {HOSTS}" if found else ""


def resolve(hosts: Iterable[str], limit_s: float = LIMIT_S) -> dict[str, Answer]:
    """What getaddrinfo(3) says to each, many at a time.

    It cannot be stopped, so it is left behind in a thread that holds up nothing.
    """
    hosts = list(hosts)
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, Answer]] = queue.SimpleQueue()
    for host in hosts:
        waiting.put(host)

    def work() -> None:
        while True:
            try:
                host = waiting.get_nowait()
            except queue.Empty:
                return
            done.put((host, _ask(host)))

    for _ in range(min(AT_ONCE, len(hosts))):
        threading.Thread(target=work, daemon=True).start()
    answers = dict.fromkeys(hosts, Answer(error=f"no answer within {limit_s:g} seconds"))
    deadline = time.monotonic() + limit_s
    for _ in hosts:
        try:
            host, answer = done.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        answers[host] = answer
    return answers


def _ask(host: str) -> Answer:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return Answer(error=error.strerror or str(error))
    except UnicodeError as error:
        return Answer(error=f"no host name: {error}")
    return Answer(tuple(dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found)))
