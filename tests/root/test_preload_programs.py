"""Servers that others wrote, on ports 80 and 22 as an ordinary user: `locald exec --preload`, and authbind where it is installed.

Which do, and which cannot, is said in tests/lib/preload_cases.py.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from caller import is_free
from preload_cases import SERVERS, Server
from programs import ENVIRON, Program, need
from strace import NAME, account

pytestmark = pytest.mark.linux("authbind is of Debian's")

BIN = Path(sys.executable).parent
SERVES = [server for server in SERVERS if server.locald == "yes"]
HELPLESS = [server for server in SERVERS if server.locald == "no"]
PAGE = "my page"
FILES = {
    "index.html": PAGE,
    "server.js": f"require('http').createServer((_, answer) => answer.end('{PAGE}'))"
    ".listen(80, '127.0.0.1', () => console.log('ready'))\n",
    "server.rb": f"""require "socket"
server = TCPServer.new("127.0.0.1", 80)
puts "ready"
$stdout.flush
while (client = server.accept)
  nil until client.gets == "\\r\\n"
  client.write "HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: {len(PAGE)}\\r\\n\\r\\n{PAGE}"
  client.close
end
""",
    "nginx.conf": """daemon off; master_process off; pid nginx.pid; error_log stderr notice;
events {}
http { access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
server { listen 127.0.0.1:80; location / { root .; } } }
""",
    "static.c": """#include <netinet/in.h>
#include <stdio.h>
int main(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&name, sizeof name) != 0)
        perror("bind");
    return 0;
}
""",
    "main.go": """package main
import ("fmt"; "syscall")
func main() {
\tfd, _ := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
\tfmt.Println("bind:", syscall.Bind(fd, &syscall.SockaddrInet4{Port: 80, Addr: [4]byte{127, 0, 0, 1}}))
}
""",
}
READY = {
    "python3": "Serving",
    "node": "ready",
    "php": "started",
    "ruby": "ready",
    "nginx": "start worker|using the",
    "/usr/sbin/sshd": "listening",
}


@pytest.fixture(scope="module")
def place(alice: int) -> Iterator[Path]:
    """The user's folder, where everybody can reach it."""
    folder = Path(f"/etc/locald-test-preload-{os.getpid()}")
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    os.chown(folder, alice, alice)
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


@pytest.fixture
def allowed(shim: Path, policy: Callable[..., Path], alice: int) -> Path:
    return policy("locald-ports 1\n" + "".join(f"{alice} 127.0.0.1 {port}\n" for port in (22, 80)))


@pytest.fixture(params=["locald", "authbind"])
def front(request: pytest.FixtureRequest) -> list[str]:
    """What stands before the command."""
    if request.param == "authbind":
        return [request.getfixturevalue("authbind")]
    request.getfixturevalue("allowed")
    return [str(BIN / "locald"), "exec", "--preload", "--"]


def how(uid: int, place: Path) -> dict[str, Any]:
    environ = ENVIRON | {
        "HOME": str(place),
        "PYTHONUNBUFFERED": "1",
        "PATH": f"/usr/bin:/bin:/usr/sbin:{ENVIRON['PATH']}",
    }
    return {"user": uid, "group": uid, "extra_groups": [], "cwd": place, "env": environ, "text": True}


@contextlib.contextmanager
def serving(uid: int, place: Path, front: list[str], server: Server) -> Iterator[Program]:
    words = server.how.split()
    process = subprocess.Popen(
        [*front, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **how(uid, place)
    )
    program = Program(process, f"({READY[words[0]]})")
    try:
        yield program
    finally:
        program.stop()
    assert is_free(80)


@pytest.mark.parametrize(
    "server", [server for server in SERVES if "22" not in server.name], ids=lambda server: server.name
)
def test_a_server_has_port_80(server: Server, front: list[str], place: Path, alice: int) -> None:
    need(server.how.split()[0])
    with serving(alice, place, front, server) as program:
        done = subprocess.run(["curl", "-sS", "http://127.0.0.1/"], capture_output=True, text=True, timeout=60)
        assert done.stdout == PAGE, done.stderr + program.said()


def test_ones_own_sshd_has_port_22(front: list[str], place: Path, alice: int) -> None:
    (server,) = (server for server in SERVES if "22" in server.name)
    for tool in (server.how.split()[0], "ssh"):
        need(tool)
    with account(alice):
        for key in ("host", "mine"):
            (place / key).unlink(missing_ok=True)
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, **how(alice, place))
        (place / "sshd_config").write_text(
            f"Port 22\nListenAddress 127.0.0.1\nHostKey {place}/host\nAuthorizedKeysFile {place}/mine.pub\nPidFile none\n"
            "StrictModes no\nPasswordAuthentication no\n"
        )
        with serving(alice, place, front, server) as program:
            command = ["ssh", "-F", "none", "-i", "mine", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=known",
                       f"{NAME}@127.0.0.1", "echo $((6 * 7)) ${LD_PRELOAD:-nothing}"]  # fmt: skip
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, **how(alice, place)
            )
            assert done.stdout == "42 nothing\n", done.stderr + program.said()


# What cannot be helped


@pytest.fixture(scope="module")
def helpless(place: Path) -> Path:
    """The programs of FILES, compiled."""
    subprocess.run([need("cc"), "-static", "static.c", "-o", "static"], cwd=place, check=True)
    beside = BIN / "go"
    environ = ENVIRON | {
        "HOME": str(place),
        "GOCACHE": str(place / "cache"),
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    subprocess.run(
        [beside if beside.exists() else need("go"), "build", "-o", "go", "main.go"], cwd=place, env=environ, check=True
    )
    return place


def test_what_no_library_can_help_is_said_before_it_starts(helpless: Path, allowed: Path, alice: int) -> None:
    for server, why in zip(HELPLESS, ("is linked statically", "is a Go program"), strict=True):
        command = [BIN / "locald", "exec", "--preload", "--", server.how]
        done = subprocess.run(command, capture_output=True, timeout=60, **how(alice, helpless))
        assert (done.returncode, done.stdout) == (126, "")
        assert why in done.stderr
        assert f"hint: locald run -- {server.how}" in done.stderr
        assert "locald exec -p 80" in done.stderr
        # With --deep it may be a program that starts others, and is started itself.
        done = subprocess.run(
            [*command[:3], "--deep", *command[3:]], capture_output=True, timeout=60, **how(alice, helpless)
        )
        assert done.returncode == 0
        assert "only what it starts" in done.stderr
        assert "permission denied" in (done.stdout + done.stderr).lower()


def test_nor_can_authbind(helpless: Path, authbind: str, alice: int) -> None:
    for server in HELPLESS:
        done = subprocess.run([authbind, server.how], capture_output=True, timeout=60, **how(alice, helpless))
        assert "permission denied" in (done.stdout + done.stderr).lower()
