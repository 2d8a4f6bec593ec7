"""Programs under `locald run`: they trust our names by their environment alone, and what the system trusts as before."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from authorities import make_authority
from forgery import leaf, thief, unbound
from hosts import leading_here
from programs import need_node
from tls_clients import CLIENTS, compiled_go, of_npm
from tls_server import TlsServer, serving
from users import User

SYSTEM = Path("/etc/ssl/certs/ca-certificates.crt")
REFS = b"0123456789012345678901234567890123456789\trefs/heads/main\n"


@pytest.fixture
def system_root() -> Iterator[Any]:
    """An authority that this system trusts, as a company's: in its bundle and nowhere else."""
    signer, root = unbound()
    before = SYSTEM.read_bytes()
    SYSTEM.write_bytes(before + root)
    yield signer
    SYSTEM.write_bytes(before)


@pytest.fixture
def authority(alice: User) -> Any:
    """Alice's, as setup leaves it: in her state, and in no store of the system."""
    made = make_authority(state(alice))
    for path in (state(alice), *state(alice).iterdir(), *state(alice).parents[:3]):
        os.chown(path, alice.uid, alice.uid)
    return made


def state(alice: User) -> Path:
    return alice.home / ".local/state/locald/ca"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TlsServer]:
    with serving(tmp_path, {b"/info/refs": REFS, b"/HEAD": b"ref: refs/heads/main\n"}) as server:
        yield server


@pytest.fixture
def urls(server: TlsServer, authority: Any, system_root: Any) -> Iterator[list[str]]:
    """One of ours, one that the system trusts, and one that nobody does."""
    hosts = {"app.localhost": thief(authority), "intranet.example": system_root, "stranger.localhost": unbound()[0]}
    with leading_here(*hosts):
        yield [f"https://{host}:{server.serve(leaf(signer, host))}/" for host, signer in hosts.items()]


def environment(alice: User, **own: str) -> dict[str, str]:
    """What a child of `locald run` finds, whose user has these variables."""
    script = "import json, os; print(json.dumps(dict(os.environ)))"
    done = alice.type("locald", "run", "--name", "app", "--", sys.executable, "-c", script, env=alice.environ | own)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


Run = Callable[..., "subprocess.CompletedProcess[str]"]


def each(command: Callable[[str], list[str]]) -> Callable[[Run, list[str]], list[bool]]:
    """A program that is started for each URL, and fails where it does not trust."""
    return lambda run, urls: [run(*command(url)).returncode == 0 for url in urls]


def script(command: Callable[[], list[object]]) -> Callable[[Run, list[str]], list[bool]]:
    """One of the programs in tests/real/clients."""
    return lambda run, urls: [said == "ok" for said in json.loads(run(*command(), *urls).stdout)]


def openssl(url: str) -> list[str]:
    host, _, port = url.removeprefix("https://").rstrip("/").partition(":")
    return ["openssl", "s_client", "-verify_return_error", "-verify_hostname", host, "-connect", f"{host}:{port}", "-brief"]  # fmt: skip


def python(library: str) -> Callable[[], list[object]]:
    return lambda: [sys.executable, "-P", CLIENTS / "trust.py", library, "-"]


def javascript(engine: str, how: str) -> Callable[[], list[object]]:
    engines: dict[str, Callable[[], list[object]]] = {
        "node": lambda: [need_node()],
        "deno": lambda: [of_npm("@deno", "deno"), "run", "-A"],
        "bun": lambda: [of_npm("@oven", "bun"), "run"],
    }
    return lambda: [*engines[engine](), CLIENTS / "trust.mjs", how]


PROGRAMS = {
    "openssl": each(openssl),
    "curl": each(lambda url: ["curl", "-fsS", url]),
    "git": each(lambda url: ["git", "ls-remote", url]),
    **{library: script(python(library)) for library in ("urllib", "requests", "httpx", "aiohttp")},
    "node https": script(javascript("node", "https")),
    "node fetch": script(javascript("node", "fetch")),
    "deno": script(javascript("deno", "fetch")),
    "bun https": script(javascript("bun", "https")),
    "bun fetch": script(javascript("bun", "fetch")),
    "go": script(lambda: [compiled_go(), "-"]),
}
ONLY_THEIR_OWN = {"node https", "node fetch", "deno"}  # roots: by default they never look at the system's


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_trusts_us_and_whom_it_did(alice: User, urls: list[str], program: str) -> None:
    def run(environ: Mapping[str, str], *command: object) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        return alice.type(*words, env=environ, stdin=subprocess.DEVNULL)

    given = environment(alice)
    assert PROGRAMS[program](functools.partial(run, alice.environ), urls[:1]) == [False]
    after = PROGRAMS[program](functools.partial(run, given), urls)
    assert after == [True, program not in ONLY_THEIR_OWN, False]


SELF = """
import http.server, os, sys, threading
import requests
class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello over " + self.headers["X-Forwarded-Proto"].encode())
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Hello)
thread = threading.Thread(target=server.serve_forever)
thread.start()
try:
    for url in ("https://app.localhost/", "https://app.localhost/"):
        print(requests.get(url, timeout=30).text)
finally:
    server.shutdown()
    thread.join()
"""


@pytest.mark.usefixtures("authority")
def test_an_app_reaches_itself_over_https(alice: User) -> None:
    """Through the daemon on port 443, with the certificate that it makes in the handshake."""
    with leading_here("app.localhost"):
        done = alice.type("locald", "run", "--name", "app", "--", sys.executable, "-c", SELF)
    assert done.stdout == "hello over https\nhello over https\n", done.stderr


def test_a_value_of_the_users_own_is_what_its_programs_get(alice: User, urls: list[str], tmp_path: Path) -> None:
    """Whose file of roots has the system's only, for requests: to that program ours stay unknown."""
    own = alice.home / "own.pem"
    shutil.copy(SYSTEM, own)
    own.chmod(0o644)
    given = environment(alice, REQUESTS_CA_BUNDLE=str(own))
    assert given["REQUESTS_CA_BUNDLE"] == str(own)

    def run(*command: object) -> subprocess.CompletedProcess[str]:
        return alice.type(*map(str, command), env=given)

    assert PROGRAMS["requests"](run, urls) == [False, True, False]
    assert PROGRAMS["urllib"](run, urls) == [True, True, False]


@pytest.mark.usefixtures("authority")
def test_with_a_full_disk_the_command_runs_all_the_same(alice: User) -> None:
    """On a file system of 100 kB; the bundle has more."""
    folder = state(alice)
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=100k,mode=700,uid={alice.uid}", "tmpfs", folder], check=True)
    try:
        for name, text in kept.items():
            (folder / name).write_bytes(text)
            os.chown(folder / name, alice.uid, alice.uid)
        done = alice.type("locald", "run", "--name", "app", "--", "sh", "-c", "echo $NODE_EXTRA_CA_CERTS,$REQUESTS_CA_BUNDLE")  # fmt: skip
        assert done.stdout == f"{folder}/root.pem,\n"
        assert "locald: some programs will not trust https://NAME.localhost in this command: " in done.stderr
        assert "No space left on device" in done.stderr
        assert not list(folder.glob("**/*.new"))
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.usefixtures("authority")
def test_what_the_system_trusts_later_reaches_a_child_that_runs(alice: User, wait_for: Callable[..., None]) -> None:
    """The daemon makes the bundle anew; this one looks more often than others."""
    code = "from locald.daemon import process; from locald.tls import freshness; freshness.LOOK_S = 0.05; process.serve(80, None, False)"
    alice.start(sys.executable, "-P", "-c", code, stdout=subprocess.DEVNULL)
    wait_for(lambda: alice.type("locald", "status").returncode == 0)
    bundle = Path(environment(alice)["REQUESTS_CA_BUNDLE"])
    root = unbound()[1]
    before = SYSTEM.read_bytes()
    try:
        SYSTEM.write_bytes(before + root)
        wait_for(lambda: root.strip() in bundle.read_bytes())
    finally:
        SYSTEM.write_bytes(before)


def test_without_an_authority_there_is_no_variable_of_ours(alice: User) -> None:
    given = environment(alice)
    assert set(given) - set(alice.environ) == {"PORT", "LOCALD_URL"}
