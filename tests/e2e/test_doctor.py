"""locald doctor and locald hosts, typed by a user, on a machine that is broken in one way after the other."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from users import BIN, User

from locald.doctor.names import resolve
from locald.paths import SHIM

HOSTS, PASSWD, RESOLVER, BUNDLE = (Path(f"/etc/{name}") for name in ("hosts", "passwd", "resolv.conf", "ssl/certs/ca-certificates.crt"))  # fmt: skip
SETUP = f"sudo {BIN}/locald-setup"  # sudo does not look there by itself
UNLISTED = r"sudo sed -E -i -e '/^[[:space:]]*{}[[:space:]]/s/[[:space:]]web\.localhost([[:space:]]|$)/\1/' /etc/hosts"


@pytest.fixture(autouse=True)
def etc() -> Iterator[None]:
    """What a test changes there is as before when it ends."""
    before = {path: path.read_bytes() for path in (HOSTS, PASSWD, RESOLVER)}
    RESOLVER.write_bytes(b"")
    yield
    for path, text in before.items():
        path.write_bytes(text)


@pytest.fixture
def web(alice: User, wait_for: Callable[..., None]) -> User:
    """Alice, and a route of hers: web."""
    alice.start("locald", "run", "--name", "web", "--", "sleep", "600", stdout=subprocess.DEVNULL)
    wait_for(lambda: '"web"' in alice.type("locald", "status", "--json").stdout)
    return alice


def doctor(user: User, code: int | None = None) -> dict[str, dict[str, str]]:
    """The checks by their ids; the exit code is of what they say."""
    done = user.type("locald", "doctor", "--json")
    found = json.loads(done.stdout)
    failed = any(check["status"] == "fail" for check in found["checks"])
    assert (found["ok"], done.returncode) == (not failed, int(failed)), done.stderr
    assert code in (None, done.returncode), [check for check in found["checks"] if check["status"] == "fail"]
    return {check["id"]: check for check in found["checks"]}


def status(check: dict[str, str]) -> tuple[str, str]:
    return check["status"], check["remedy"]


def lead(name: str, *addresses: str) -> None:
    with HOSTS.open("a") as file:
        file.writelines(f"\n{address} {name}\n" for address in addresses)


def test_the_name_of_a_route(web: User) -> None:
    """Unknown; elsewhere; where the daemon is not; here."""
    assert status(doctor(web)["name:web.localhost"]) == ("warn", f"{SETUP} --hosts")
    before = HOSTS.read_bytes()
    for address, expected, words in (
        ("192.0.2.7", ("fail", UNLISTED.format("192.0.2.7")), "192.0.2.7: that is not this machine"),
        ("127.0.0.9", ("fail", UNLISTED.format("127.0.0.9")), "127.0.0.9, where the daemon does not listen"),
        ("127.0.0.1", ("ok", ""), "127.0.0.1"),
        ("::1", ("ok", ""), "::1"),
    ):
        lead("web.localhost", address)
        check = doctor(web)["name:web.localhost"]
        assert (status(check), check["evidence"]) == (expected, words)
        HOSTS.write_bytes(before)


def test_a_name_that_browsers_do_not_know_either_is_a_failure(alice: User) -> None:
    settings = alice.home / ".config/locald/config.toml"
    alice.type("mkdir", "-p", str(settings.parent))
    settings.write_text('suffixes = ["test"]')
    alice.type("locald", "alias", "web", "4000")
    checks = doctor(alice, 1)
    assert status(checks["name:web.test"]) == ("fail", f"{SETUP} --hosts --domain test")
    assert status(checks["name:web.localhost"]) == ("warn", f"{SETUP} --hosts")
    settings.write_text("")
    assert status(doctor(alice)["settings"]) == ("warn", "locald daemon restart")


def test_a_resolver_that_does_not_answer_is_not_waited_for() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 53))
        RESOLVER.write_text("nameserver 127.0.0.1\n")
        lead("known.localhost", "127.0.0.1")
        names = [f"n{i}.example" for i in range(40)]
        found = resolve(["known.localhost", *names], limit_s=0.5)
        assert found["known.localhost"].is_here
        assert {str(found[name]) for name in names} == {"no answer within 0.5 seconds"}


def test_the_daemon_does_not_run_and_is_not_started(alice: User) -> None:
    before = sorted(str(path) for path in alice.home.rglob("*"))
    check = doctor(alice)["daemon"]
    assert status(check) == ("warn", "locald daemon start")
    assert alice.processes() == []
    assert sorted(str(path) for path in alice.home.rglob("*")) == before


def test_the_helper_without_its_power(alice: User) -> None:
    os.chmod(SHIM, 0o755)
    check = doctor(alice, 1)["shim-mode"]
    assert check["status"] == "fail"
    assert check["remedy"].startswith(SETUP)
    subprocess.run([BIN / "locald-setup", "--user", str(alice.uid)], check=True, capture_output=True)
    assert doctor(alice)["shim-mode"]["status"] == "ok"


def test_for_people(alice: User) -> None:
    os.chmod(SHIM, 0o755)
    done = alice.type("locald", "doctor")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    (at,) = (i for i, line in enumerate(lines) if " shim-mode " in line)
    assert lines[at].startswith("fail  shim-mode ")
    assert lines[at + 1].strip().startswith(f"hint: {SETUP}")
    assert lines[-2].endswith(", 1 failed")


# With an account, which setup gives an authority to.


@pytest.fixture
def secure(alice: User) -> Iterator[User]:
    """Alice, as `sudo locald-setup` leaves her, with HTTPS."""
    with PASSWD.open("a") as file:
        file.write(f"alice-of-the-tests:x:{alice.uid}:{alice.uid}::{alice.home}:/bin/sh\n")
    subprocess.run([BIN / "locald-setup", "--user", str(alice.uid)], check=True, capture_output=True)
    yield alice
    subprocess.run([BIN / "locald-setup", "--uninstall"], check=True, capture_output=True)


def test_after_setup_all_is_well_until_a_root_goes_from_the_systems_bundle(secure: User) -> None:
    checks = doctor(secure, 0)
    assert {"settings", "shim-mode", "policy-user", "ca-anchor", "http2", "authority", "trust:system"} <= set(checks)
    assert {name for name, check in checks.items() if check["status"] == "warn"} <= {"daemon", "http2", "proxy"}
    bundle = BUNDLE.read_bytes()
    root = (secure.home / ".local/state/locald/ca/root.pem").read_bytes()
    assert root in bundle
    BUNDLE.write_bytes(bundle.replace(root, b""))
    assert doctor(secure, 1)["ca-trusted"]["status"] == "fail"
    subprocess.run([BIN / "locald-setup", "--user", str(secure.uid)], check=True, capture_output=True)
    assert doctor(secure, 0)["trust:system"]["status"] == "ok"


def test_the_command_that_hosts_prints_mends_the_names(secure: User) -> None:
    """`locald hosts --sync` prints the command with sudo; here root types what comes after that word."""
    secure.type("locald", "alias", "web", "4000")
    done = secure.type("locald", "hosts", "--json")
    assert done.returncode == 1
    (row,) = json.loads(done.stdout)["hosts"]
    assert (row["name"], row["here"], row["listed"], row["addresses"]) == ("web.localhost", False, False, [])
    said = secure.type("locald", "hosts", "--sync")
    assert said.returncode == 77
    (line,) = (line for line in said.stderr.splitlines() if line.strip().startswith("sudo "))
    command = shlex.split(line)[1:]
    assert Path(command[0]).is_absolute()
    assert command[-1] == "--hosts"
    environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SUDO_UID": str(secure.uid)}
    subprocess.run(command, env=environ, check=True, capture_output=True)
    assert doctor(secure)["name:web.localhost"]["status"] == "ok"
    done = secure.type("locald", "hosts")
    assert done.returncode == 0, done.stderr
    name, *addresses, listed = done.stdout.splitlines()[1].split()
    assert (name, "127.0.0.1" in addresses, listed) == ("web.localhost", True, "yes")


def test_hosts_says_why_it_knows_nothing(alice: User) -> None:
    done = alice.type("locald", "hosts")
    assert done.returncode == 3
    assert "the daemon is not running" in done.stderr
    alice.type("locald", "daemon", "start")
    assert alice.type("locald", "hosts").stdout == "No app has a name.  Start one:  locald run -- CMD\n"
    alice.type("locald", "alias", "web", "4000")
    lead("web.localhost", "127.0.0.1")
    with HOSTS.open("a") as file:
        file.write("# BEGIN locald\n")
    done = alice.type("locald", "hosts")
    assert done.returncode == 0
    assert "/etc/hosts cannot be read: " in done.stderr
    assert done.stdout.split()[-3:] == ["web.localhost", "127.0.0.1", "no"]
    assert alice.type("locald", "hosts", "--sync", "--json").returncode == 2


def test_a_user_without_a_home_is_told_so(alice: User) -> None:
    done = alice.type("locald", "doctor", env={"PATH": alice.environ["PATH"]})
    (line, *_) = done.stdout.splitlines()
    assert (done.returncode, line) == (1, "fail  home  HOME is not set, so there is no place for locald's state")
