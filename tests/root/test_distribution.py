"""docs/distributions.md, done: both packages of docs/debian built, installed, used, removed and purged, on a machine in memory."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sources
from locald_setup import SETUP
from machine import Machine, machine
from programs import need, need_system_python

from locald import paths
from locald.errors import LocaldError
from locald.setup import policy

pytestmark = [pytest.mark.linux("packages of Debian"), pytest.mark.release]

PAGE = Path(__file__).resolve().parents[2] / "docs/distributions.md"
SHIM = "/usr/libexec/locald/locald-shim"
POLICY = "/etc/locald/ports"
SOURCE = "/etc/homes/alice/locald"
GRANTS = "locald-ports 1\n" + "".join(
    f"{uid} {address} {port}\n" for uid in (61001, 61003) for address in ("127.0.0.1", "::1") for port in (80, 443)
)
BIND = """
import locald
try:
    print(locald.bind(80).getsockname())
except locald.BindError as error:
    print(type(error).__name__, error.message, "->", error.hint)
"""


def blocks() -> list[list[tuple[str, str]]]:
    """The command blocks of the page: each command, and what it prints."""
    found = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE) for block in found]


COMPILE, BUILD, LOOK, REMOVE = blocks()


def do(here: Machine, block: list[tuple[str, str]], **more: str) -> str:
    """The commands of a block, as alice types them in the source; what the last one said."""
    said = ""
    for command, printed in block:
        said = here.run(
            "env", *(f"{name}={word}" for name, word in more.items()), "sh", "-c", command, user="alice", cwd=SOURCE
        )
        assert not printed or said == printed, command
    return said


def bind(here: Machine, user: str) -> str:
    """What comes of locald.bind(80) in the package's Python."""
    return here.run("/usr/bin/python3", "-P", "-c", BIND, user=user).strip()


def facts(here: Machine, path: str) -> str:
    return here.run("stat", "--format=%U:%G %a", path).strip()


@pytest.fixture
def empty() -> Iterator[Machine]:
    """alice and carol are of group sudo; and so are root, and one who has no account any more."""
    with machine(sudo="alice,root,gone,carol", alice=61001, bob=61002, carol=61003) as here:
        yield here


@pytest.fixture(scope="module")
def debs(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the packages, built as the page says, by a user."""
    for program in ("dpkg-buildpackage", "dh", "pybuild", "dh_apparmor"):
        need(program)
    need_system_python()
    out = tmp_path_factory.mktemp("debs")
    copy = sources.copy(root, tmp_path_factory.mktemp("source"))
    with machine(sudo="alice", alice=61001) as here:
        here.run("cp", "-r", copy, SOURCE)
        here.run("chown", "-R", "alice:", SOURCE)
        do(here, BUILD[:-1], DEB_BUILD_OPTIONS="noopt")  # a third of the time
        here.run("sh", "-c", f"cp {SOURCE}/../*.deb {out}")
    return out


@pytest.fixture
def here(empty: Machine, debs: Path) -> Machine:
    """Where both were just installed."""
    empty.run("mkdir", SOURCE)
    empty.run("sh", "-c", f"cp {debs}/*.deb {SOURCE}/..")
    said = do(empty, BUILD[-1:])
    assert "locald: gone was granted no port; to try again: sudo locald-setup --no-authority --user=gone\n" in said
    assert "there is no user 'gone'" in said
    assert "root needs no grant" not in said
    return empty


def test_a_member_of_group_sudo_has_the_ports_and_setup_nothing_to_do(here: Machine) -> None:
    assert here.run("cat", POLICY) == GRANTS
    assert (facts(here, SHIM), facts(here, POLICY)) == ("root:root 4755", "root:root 644")
    assert bind(here, "alice") == "('127.0.0.1', 80)"
    do(here, LOOK)
    assert bind(here, "bob") == (
        "PortDenied /etc/locald/ports does not grant port 80 on 127.0.0.1 to uid 61002 -> "
        "sudo locald-setup --port 80 --address 127.0.0.1   (locald-setup prints the full command)"
    )
    done = here.attempt("locald-setup", "--no-authority", user="bob")
    assert (done.returncode, "    sudo /usr/bin/locald-setup --no-authority\n" in done.stdout) == (77, True)
    here.run("locald-setup", "--no-authority", "--user", "bob")
    assert bind(here, "bob") == "('127.0.0.1', 80)"


def test_the_library_for_programs_that_bind_asks_the_packages_helper(here: Machine) -> None:
    program = "import socket; print(socket.create_server(('127.0.0.1', 80)).getsockname())"
    said = here.run("locald", "exec", "--preload", "--", "/usr/bin/python3", "-c", program, user="alice")
    assert said == "('127.0.0.1', 80)\n"


def test_the_doctor_finds_nothing_that_fails(here: Machine) -> None:
    found = json.loads(here.run("locald", "doctor", "--json", user="alice"))["checks"]
    assert not [each for each in found if each["status"] == "fail"]
    (hash_of,) = [each for each in found if each["id"] == "shim-hash"]
    assert here.run("sha256sum", SHIM).split()[0] in hash_of["evidence"]
    assert {"dpkg --verify", "rpm --verify"} <= set(re.findall(r"\w+ --verify", hash_of["evidence"]))
    assert here.run("dpkg", "--verify", "locald-shim") == ""


def test_what_is_left_of_setup_is_the_authority_alone(here: Machine) -> None:
    steps = here.run("sudo", "locald-setup", "--dry-run", user="alice").splitlines()
    assert steps[0].startswith("would make a certificate authority of alice")
    assert not [line for line in steps if SHIM in line or POLICY in line or "apparmor" in line.lower()]
    assert here.attempt("locald-setup", "--no-trust", "--check", user="alice").returncode == 1
    assert "made a certificate authority" in here.run("sudo", "locald-setup", "--no-trust", user="alice")
    assert here.run("sudo", "locald-setup", "--no-trust", user="alice") == "already set up: nothing to do\n"
    here.run("locald-setup", "--no-trust", "--check", user="alice")


def test_who_is_in_which_package(debs: Path) -> None:
    listed = {}
    for name in ("locald", "locald-shim"):
        (deb,) = debs.glob(f"{name}_*.deb")
        said = subprocess.run(["dpkg-deb", "--contents", deb], capture_output=True, text=True, check=True).stdout
        listed[name] = {
            line.split()[-1].removeprefix("."): line.split()[:2] for line in said.splitlines() if line[0] != "d"
        }
    assert {path: facts for path, facts in listed["locald-shim"].items() if "/doc/" not in path} == {
        SHIM: ["-rwsr-xr-x", "root/root"],
        "/etc/apparmor.d/usr.libexec.locald.locald-shim": ["-rw-r--r--", "root/root"],
        "/usr/share/lintian/overrides/locald-shim": ["-rw-r--r--", "root/root"],
        "/usr/share/man/man8/locald-shim.8.gz": ["-rw-r--r--", "root/root"],
    }
    programs = {path for path, (mode, _) in listed["locald"].items() if "x" in mode}
    assert programs == {"/usr/bin/locald", "/usr/bin/locald-setup"}
    assert "/usr/share/man/man8/locald-setup.8.gz" in listed["locald"]
    assert not [path for path, (mode, _) in listed["locald"].items() if "s" in mode]


def test_the_helper_is_static_and_depends_on_nothing(debs: Path) -> None:
    (deb,) = debs.glob("locald-shim_*.deb")
    fields = ("Depends", "Static-Built-Using", "Version")
    said = subprocess.run(["dpkg-deb", "--field", deb, *fields], capture_output=True, text=True, check=True).stdout
    found = dict(line.split(": ", 1) for line in said.splitlines())
    assert re.fullmatch(r"glibc \(= \S+\)", found.pop("Static-Built-Using"))
    (program,) = debs.glob("locald_*.deb")
    depends = subprocess.run(
        ["dpkg-deb", "--field", program, "Depends"], capture_output=True, text=True, check=True
    ).stdout
    assert depends.startswith(f"locald-shim (= {found.pop('Version')}), ")
    assert not found


def test_the_profile_and_the_pages_name_its_place(here: Machine) -> None:
    profile = "/etc/apparmor.d/usr.libexec.locald.locald-shim"
    text = here.run("cat", profile)
    assert f"\nprofile locald-shim {SHIM} {{\n" in text
    assert f"\n  {SHIM} mr,\n" in text
    assert "include if exists <local/usr.libexec.locald.locald-shim>" in text
    assert paths.SHIM not in text
    here.run(need("apparmor_parser"), "--skip-kernel-load", "--skip-cache", profile)
    for page in ("locald-shim", "locald-setup"):
        manual = here.run("zcat", f"/usr/share/man/man8/{page}.8.gz")
        assert f".It Pa {SHIM}\n" in manual
        assert paths.SHIM not in manual


def test_removed_it_leaves_the_policy_and_purged_nothing(here: Machine) -> None:
    do(here, REMOVE[:1])
    assert not here.exists(SHIM)
    assert not here.exists("/usr/bin/locald")
    assert here.run("cat", POLICY) == GRANTS
    do(here, REMOVE[1:])
    assert not here.exists("/etc/locald")
    assert not here.exists("/usr/libexec/locald")
    assert not here.exists("/etc/apparmor.d/usr.libexec.locald.locald-shim")


def test_what_the_administrator_has_decided_stays(here: Machine) -> None:
    """At an upgrade, and after a removal; a policy that is deleted is not made again by an upgrade."""
    mine = "locald-ports 1\n61002 127.0.0.1 80\n"
    here.run("sh", "-c", f"printf '{mine}' >{POLICY}".replace("\n", "\\n"))
    do(here, BUILD[-1:])
    assert here.run("cat", POLICY) == mine
    do(here, REMOVE[:1])
    do(here, BUILD[-1:])
    assert here.run("cat", POLICY) == mine
    here.run("rm", POLICY)
    do(here, BUILD[-1:])
    assert not here.exists(POLICY)


def test_a_policy_that_is_there_keeps_the_first_installation_from_granting(empty: Machine, debs: Path) -> None:
    empty.run("sh", "-c", f"mkdir /etc/locald {SOURCE} && echo locald-ports 1 >{POLICY} && cp {debs}/*.deb {SOURCE}/..")
    do(empty, BUILD[-1:])
    assert empty.run("cat", POLICY) == "locald-ports 1\n"
    assert bind(empty, "alice").startswith("PortDenied ")


@pytest.mark.parametrize("first", [1000, 61001])
def test_some_sixty_users_fit_into_the_policy(first: int) -> None:
    """Who no longer does is named as one without an account is."""
    lines: list[policy.Line] = []
    with pytest.raises(LocaldError, match="more than the 4096 that locald-shim reads"):
        for uid in range(first, first + 1000):
            more = [(uid, address, port) for address in ("127.0.0.1", "::1") for port in (80, 443)]
            policy.merge(lines, more)
            lines += more
    assert "some sixty\n" in PAGE.read_text()
    assert 60 <= len(lines) / 4 < 70


def test_without_the_helpers_package_it_is_named(here: Machine) -> None:
    here.run("dpkg", "--remove", "locald-shim")
    hint = f"install, or install again, the package of your system that has {SHIM}"
    assert bind(here, "alice") == f"NotInstalled locald-shim is not installed at {SHIM} -> {hint}"
    done = here.attempt("sudo", "locald-setup", "--no-authority", user="alice")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, f"hint: {hint}; more: locald doctor shim-installed")


def test_the_administrator_may_limit_it_to_a_group(here: Machine) -> None:
    """As the page says, by dpkg, which keeps it so at the next upgrade."""
    assert "dpkg-statoverride --add root GROUP 4750" in PAGE.read_text()
    here.run("dpkg-statoverride", "--update", "--add", "root", "alice", "4750", SHIM)
    do(here, BUILD[-1:])
    assert facts(here, SHIM) == "root:alice 4750"
    do(here, LOOK)
    assert bind(here, "alice") == "('127.0.0.1', 80)"
    here.run("locald-setup", "--no-authority", "--user", "bob")
    assert bind(here, "bob").startswith(f"ShimFailed {SHIM} cannot be started: Permission denied")


def test_pips_locald_beside_it_has_a_helper_of_its_own_and_the_same_policy(here: Machine) -> None:
    """This very installation is pip's."""
    before = here.run("sha256sum", SHIM)
    said = here.run(SETUP, "--no-authority", "--user", "alice")
    assert f"installed {paths.SHIM} " in said
    assert POLICY not in said
    assert (facts(here, paths.SHIM), here.run("sha256sum", SHIM)) == ("root:root 4755", before)
    said = here.run(SETUP, "--uninstall")
    assert (here.exists(paths.SHIM), here.exists(SHIM), here.exists(POLICY)) == (False, True, False)
    assert bind(here, "alice").startswith("PolicyUnusable ")
    here.run("sudo", "locald-setup", "--no-authority", user="alice")
    assert bind(here, "alice") == "('127.0.0.1', 80)"


def test_pip_does_not_install_into_the_systems_python(here: Machine) -> None:
    done = subprocess.run(
        [SETUP.with_name("python"), "-m", "pip", "--python", need_system_python(), "install", "--no-index", "locald"],
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "externally-managed-environment" in done.stderr


# The rest of the page


def test_the_helper_by_itself_heeds_the_flags_of_a_distribution(root: Path, tmp_path: Path) -> None:
    from elftools.elf.elffile import ELFFile

    copy = sources.copy(root, tmp_path)
    for flags in ({}, {"CFLAGS": "-g -O1", "LDFLAGS": "-Wl,--build-id=0xfeed", "CPPFLAGS": "-D_FORTIFY_SOURCE=2"}):
        environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CC": "cc", **flags}
        for command, _ in COMPILE:
            subprocess.run(["sh", "-c", command], cwd=copy, env=environ, check=True, capture_output=True)
        with (copy / "locald-shim").open("rb") as file:
            elf = ELFFile(file)
            build_id = elf.get_section_by_name(".note.gnu.build-id")
            found = bool(elf.get_section_by_name(".debug_info")), b"\xfe\xed" in build_id.data() if build_id else False
        assert found == (bool(flags), bool(flags))
        said = subprocess.run([copy / "locald-shim", "version"], capture_output=True, text=True, check=True).stdout
        assert said.endswith(" protocol 1\n")


def test_a_wheels_helper_heeds_none(
    build: Callable[[Path, Path], None], built_shim: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, words in {"CFLAGS": "-g -O1", "LDFLAGS": "-Wl,--build-id=0xfeed", "CPPFLAGS": "-DX"}.items():
        monkeypatch.setenv(name, words)
    build(root, tmp_path / "locald-shim")
    assert (tmp_path / "locald-shim").read_bytes() == built_shim.read_bytes()


@pytest.mark.parametrize("name", ["locald", "locald-shim"])
def test_the_examples_for_homebrew_are_ruby(root: Path, name: str) -> None:
    file = root / f"docs/homebrew/{name}.rb"
    text = file.read_text()
    assert "/Library/PrivilegedHelperTools/locald-shim" in text or name == "locald-shim"
    kind = {"locald": "class Locald < Formula\n", "locald-shim": 'cask "locald-shim" do\n'}[name]
    assert kind in text
    assert (
        subprocess.run([need("ruby"), "-c", file], capture_output=True, text=True, check=True).stdout == "Syntax OK\n"
    )


def test_the_page_shows_every_file_of_the_example(root: Path) -> None:
    text = PAGE.read_text()
    for name in ("control", "rules", "locald.postinst", "locald-shim.postrm", "locald-shim.lintian-overrides"):
        assert f"](debian/{name})" in text
    for script in (root / "docs/debian").glob("*.p*"):
        assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
        assert "#DEBHELPER#" in script.read_text()
