"""What a program that binds by itself can do under `locald exec --preload`, and beside it under authbind.

Each case is done by tests/root/test_preload_beside.py under both, where both are installed.  As a program: writes the tables of
docs/preload.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/preload.md"
MARK = "<!-- written by tests/lib/preload_cases.py -->\n"

# What each piece of Python below has at hand; it prints one word.
HEAD = """
import contextlib, errno, os, select, signal, socket, struct, subprocess, sys, threading

def tcp(family=socket.AF_INET, kind=socket.SOCK_STREAM):
    sock = socket.socket(family, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return sock

def bound(address="127.0.0.1", port=80, family=socket.AF_INET):
    sock = tcp(family)
    sock.bind((address, port))
    return sock

def main():
"""
TAIL = """
try:
    print(main())
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@dataclass(frozen=True)
class Case:
    """``code``: the body of a function that returns a word.  ``locald``, ``authbind``: the word that comes out."""

    what: str
    code: str
    locald: str
    authbind: str
    options: tuple[str, ...] = ()
    note: str = ""

    @property
    def program(self) -> str:
        body = "".join(f"    {line}\n" for line in self.code.strip().splitlines())
        return f"PROGRAM = {PROGRAM!r}\n{HEAD}{body}{TAIL}"


def answered(sock: str) -> str:
    """That a client's connection to it is accepted."""
    return f"""
with socket.create_connection({sock}.getsockname()[:2]) as client:
    peer, name = {sock}.accept()
    return "yes" if name == client.getsockname() else "no"
"""


WAITING = """
end, begin = os.pipe()
child = os.fork()
if child == 0:
    os.close(begin)
    os.read(end, 1)
    os._exit(0)
found = []
thread = threading.Thread(target=lambda: found.append(os.waitpid(-1, 0)[0]))
thread.start()
while open(f"/proc/self/task/{thread.native_id}/syscall").read().split()[0] not in ("61", "260"):  # wait4
    os.sched_yield()
bound()
os.write(begin, b"x")
thread.join()
return "yes" if found == [child] else "no"
"""
PROGRAM = """
import errno, socket
sock = socket.socket()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a case before may have connected from the port
try:
    sock.bind(("127.0.0.1", 80))
    print("yes")
except OSError as error:
    print(errno.errorcode[error.errno])
"""

REFUSALS = [
    Case("A port that is not granted", "bound(port=81)", "EACCES", "EPERM", note="locald says on standard error what to type"),
    Case("A port that is taken", "one = bound(); one.listen(); bound()", "EADDRINUSE", "EADDRINUSE"),
    Case("An address that the machine does not have", "bound('192.0.2.1')", "EADDRNOTAVAIL", "EADDRNOTAVAIL"),
    Case("A socket that is bound already", "sock = bound(port=0); sock.bind(('127.0.0.1', 80))", "EINVAL", "EINVAL"),
    Case("A connected socket", "one = bound(port=0); one.listen(); sock = socket.create_connection(one.getsockname()); sock.bind(('127.0.0.1', 80))", "EINVAL", "EINVAL"),
    Case("Every address, 0.0.0.0", "bound('0.0.0.0'); return 'yes'", "EACCES", "yes", note="authbind's grant is for every address; locald's for one"),
    Case("The same with `--loopback`", "return bound('0.0.0.0').getsockname()[0]", "127.0.0.1", "", ("--loopback",)),
    Case("Every address, ::, with `--loopback`", "return bound('::', family=socket.AF_INET6).getsockname()[0]", "::1", "", ("--loopback",)),
    Case("UDP", "tcp(kind=socket.SOCK_DGRAM).bind(('127.0.0.1', 80)); return 'yes'", "EACCES", "yes"),
    Case(
        "An IPv4 address for an IPv6 socket, as Java does by default",
        "sock = tcp(socket.AF_INET6); sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0); sock.bind(('::ffff:127.0.0.1', 80)); return 'yes'",
        "EACCES", "yes", note="`-Djava.net.preferIPv4Stack=true`",
    ),
    Case(
        "Two sockets for one port by SO_REUSEPORT",
        "one, two = tcp(), tcp()\nfor sock in one, two:\n    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n    sock.bind(('127.0.0.1', 80))\n    sock.listen()\nreturn 'yes'",
        "EADDRINUSE", "yes",
    ),
]  # fmt: skip

USES = [
    Case("IPv4", f"sock = bound(); sock.listen(){answered('sock')}", "yes", "yes"),
    Case("IPv6", f"sock = bound('::1', family=socket.AF_INET6); sock.listen(){answered('sock')}", "yes", "yes"),
    Case(
        "bind() without listen() answers nobody",
        "sock = bound()\ntry:\n    socket.create_connection(('127.0.0.1', 80))\nexcept ConnectionRefusedError:\n    return 'yes'\nreturn 'no'",
        "yes", "yes",
    ),
    Case(
        "connect() from the port",
        "server = bound(port=0); server.listen(); sock = bound(); sock.connect(server.getsockname()); return 'yes' if server.accept()[1][1] == 80 else 'no'",
        "yes", "yes",
    ),
    Case("The socket is one that was copied before: dup(), fork()", "first = tcp(); sock = first.dup(); first.bind(('127.0.0.1', 80)); sock.listen()\nreturn 'yes' if sock.getsockname()[1] == 80 else 'no'", "no", "yes", note="behind the number is another socket afterwards"),
    Case(
        "epoll was told of the socket before",
        "sock = tcp(); poller = select.epoll(); poller.register(sock, select.EPOLLIN); sock.bind(('127.0.0.1', 80)); sock.listen()\nclient = socket.create_connection(('127.0.0.1', 80))\nreturn 'yes' if [1 for fd, what in poller.poll(0) if what & select.EPOLLIN] else 'no'",
        "no", "yes", note="the same; libuv, asyncio and nginx tell it afterwards",
    ),
    Case("No SIGCHLD for the program", "seen = []; signal.signal(signal.SIGCHLD, lambda *_: seen.append(1)); bound(); return 'no' if seen else 'yes'", "yes", "no"),
    Case("A program that ignores SIGCHLD", "signal.signal(signal.SIGCHLD, signal.SIG_IGN); bound(); return 'yes'", "yes", "yes"),
    Case(
        "A program that waits for any child in another thread",
        WAITING, "yes", "", note="authbind's child is sometimes taken by that thread, and then bind() fails with ECHILD",
    ),
    Case("Standard input, output and error output closed", "sock, kept = tcp(), os.dup(1); [os.close(fd) for fd in (0, 1, 2)]\ntry:\n    sock.bind(('127.0.0.1', 80))\nfinally:\n    os.dup2(kept, 1)\nreturn 'yes'", "yes", "yes"),
    Case("A child that it starts has the right too", "return subprocess.run([sys.executable, '-c', PROGRAM], capture_output=True, text=True).stdout.strip()", "EACCES", "EACCES"),
    Case("The same with `--deep`", "return subprocess.run([sys.executable, '-c', PROGRAM], capture_output=True, text=True).stdout.strip()", "yes", "yes", ("--deep",)),
    Case("A fork of it that executes nothing", "child = os.fork()\nif child == 0:\n    try:\n        bound()\n    except OSError:\n        os._exit(1)\n    os._exit(0)\nreturn 'no' if os.waitpid(child, 0)[1] else 'yes'", "yes", "yes"),
    Case("A program that it becomes, as by `#!/usr/bin/env`", "os.execl('/usr/bin/env', 'env', sys.executable, '-c', PROGRAM)", "yes", "EACCES", note="authbind needs `--depth`"),
]  # fmt: skip


@dataclass(frozen=True)
class Server:
    """``how``: the command, as a user types it behind `--`."""

    name: str
    how: str
    locald: str = "yes"
    authbind: str = "yes"
    note: str = ""


SERVERS = [
    Server("Python's http.server", "python3 -m http.server --bind 127.0.0.1 80"),
    Server("Node", "node server.js"),
    Server("PHP's built-in server", "php -S 127.0.0.1:80"),
    Server("Ruby", "ruby server.rb"),
    Server("nginx", "nginx -e stderr -p . -c nginx.conf"),
    Server("OpenSSH, port 22", "/usr/sbin/sshd -D -e -f sshd_config", note="who logs in is the user who started it, and nobody else"),
    Server("A program that is linked statically", "./static", "no", "no", "locald says so before it starts"),
    Server("A Go program", "./go", "no", "no", "the same; as authbind starts it, bind() is refused"),
]  # fmt: skip


def tables() -> str:
    lines = ["## Programs", "", "| program | as | `locald exec --preload` | `authbind` |", "|---|---|---|---|"]
    for server in SERVERS:
        note = f" ({server.note})" if server.note else ""
        lines.append(f"| {server.name} | `{server.how}` | {server.locald} | {server.authbind}{note} |")
    for title, cases in (("What works", USES), ("What is refused", REFUSALS)):
        lines += ["", f"## {title}", "", "| what | `locald exec --preload` | `authbind` |", "|---|---|---|"]
        for case in cases:
            note = f" ({case.note})" if case.note else ""
            lines.append(f"| {case.what} | {case.locald} | {case.authbind or '-'}{note} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """docs/preload.md, its tables anew."""
    head, mark, _ = PAGE.read_text().partition(MARK)
    assert mark
    return f"{head}{MARK}\n{tables()}"


if __name__ == "__main__":
    PAGE.write_text(page())
