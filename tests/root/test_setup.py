"""locald-setup as root, on the real places, in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from caller import file_capabilities
from locald_setup import GRANTS, PROGRAM, SETUP, append, facts, put, setup, wipe

from locald.paths import POLICY, SHIM

LOCALD = SETUP.with_name("locald")


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    wipe()


@pytest.mark.parametrize("umask", [0o022, 0, 0o077])
def test_it_installs_the_helper_and_the_policy_whatever_the_umask(umask: int) -> None:
    done = setup(umask=umask)
    assert done.returncode == 0, done.stderr
    assert facts(SHIM) == (0, 0, "0o4755")
    assert facts(os.path.dirname(SHIM)) == (0, 0, "0o755")
    assert Path(SHIM).read_bytes() == PROGRAM.read_bytes()
    assert facts(POLICY) == (0, 0, "0o644")
    assert Path(POLICY).read_text() == GRANTS
    assert "locald run" in done.stdout
    assert sorted(os.listdir(os.path.dirname(SHIM)) + os.listdir(os.path.dirname(POLICY))) == [
        "locald-shim",
        "ports",
    ]


def identity(path: str) -> tuple[int, ...]:
    """All of a file that changes with it; that it was read shows in another field."""
    seen = os.stat(path)
    return seen.st_dev, seen.st_ino, seen.st_mode, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def test_again_it_changes_nothing_and_says_so() -> None:
    setup()
    before = [identity(path) for path in (SHIM, POLICY)]
    done = setup()
    assert done.stdout == "already set up: nothing to do\n"
    assert [identity(path) for path in (SHIM, POLICY)] == before


def test_locald_admin_setup_is_the_same() -> None:
    assert setup("admin", "setup", program=LOCALD).returncode == 0
    assert setup().stdout == "already set up: nothing to do\n"


def test_the_copy_that_pip_installed_never_gets_the_bit() -> None:
    setup()
    assert not PROGRAM.stat().st_mode & stat.S_ISUID


@pytest.mark.parametrize("spoil", ["older", "mode", "owner", "link"])
def test_what_is_not_as_it_should_be_is_replaced(spoil: str) -> None:
    setup()
    place = Path(SHIM)
    if spoil == "older":
        place.write_bytes(b"\x7fELF old")
        place.chmod(0o4755)
    elif spoil == "mode":
        place.chmod(0o755)
    elif spoil == "owner":
        os.chown(place, 61001, 0)
    else:
        place.unlink()
        place.symlink_to(PROGRAM)
    assert "installed" in setup().stdout
    assert facts(SHIM) == (0, 0, "0o4755")
    assert not place.is_symlink()
    assert place.read_bytes() == PROGRAM.read_bytes()
    assert not PROGRAM.stat().st_mode & stat.S_ISUID


def test_a_hard_link_to_an_old_helper_loses_its_power(tmp_path: Path) -> None:
    setup()
    kept = Path(SHIM).with_name("kept-by-an-attacker")
    os.link(SHIM, kept)
    Path(SHIM).chmod(0o4711)
    assert setup().returncode == 0
    assert not kept.stat().st_mode & stat.S_ISUID
    assert facts(SHIM) == (0, 0, "0o4755")


def test_a_left_over_temporary_file_is_no_obstacle() -> None:
    setup()
    Path(SHIM).unlink()
    Path(SHIM + ".new").write_bytes(b"half")
    assert setup().returncode == 0
    assert not Path(SHIM + ".new").exists()


@pytest.mark.parametrize("folder", [os.path.dirname(os.path.dirname(SHIM)), os.path.dirname(POLICY)])
@pytest.mark.parametrize("spoil", ["group", "others", "owner"])
def test_a_parent_that_others_may_write_is_refused_and_named(folder: str, spoil: str) -> None:
    if spoil == "owner":
        os.chown(folder, 61001, 0)
    else:
        os.chmod(folder, 0o775 if spoil == "group" else 0o757)
    try:
        done = setup()
    finally:
        os.chown(folder, 0, 0)
    assert done.returncode == 1
    assert folder in done.stderr
    assert "hint: sudo ch" in done.stderr
    assert not Path(SHIM).exists()
    assert not Path(POLICY).exists()


def test_a_parent_that_is_a_link_is_refused(tmp_path: Path) -> None:
    os.symlink(tmp_path, os.path.dirname(SHIM))
    try:
        done = setup()
        assert done.returncode == 1
        assert f"{os.path.dirname(SHIM)} is not a folder" in done.stderr
        assert not list(tmp_path.iterdir())
    finally:
        os.unlink(os.path.dirname(SHIM))


def test_other_users_and_more_ports_are_added_to_what_there_is() -> None:
    setup()
    assert setup("--user", "61002", "--port", "53", "--address", "127.0.0.2").returncode == 0
    text = Path(POLICY).read_text()
    assert text.startswith(GRANTS)
    assert "61002 127.0.0.2 53\n" in text
    assert len(text.splitlines()) == 1 + 4 + 9


def test_a_user_may_be_named() -> None:
    assert setup("--user", "daemon").returncode == 0
    assert Path(POLICY).read_text().splitlines()[1].startswith("1 127.0.0.1")


@pytest.mark.parametrize(
    ("arguments", "sudo_uid", "code", "text"),
    [
        (("--user", "nobody-of-that-name"), None, 1, "no user"),
        (("--user", "root"), None, 1, "root needs no grant"),
        (("--user", "0"), None, 1, "root needs no grant"),
        (("--user", "4294967295"), None, 1, "no user's number"),
        ((), None, 1, "whom"),
        ((), 0, 1, "root needs no grant"),
        (("--port", "0"), 61001, 2, "0"),
        (("--port", "1024"), 61001, 2, "1024"),
        (("--address", "localhost"), 61001, 2, "literal"),
        (("--address", "::ffff:127.0.0.1"), 61001, 2, "literal"),
        (("--uninstall", "--port", "80"), 61001, 2, "--uninstall"),
        (("--nonsense",), 61001, 2, "--nonsense"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_done(
    arguments: tuple[str, ...], sudo_uid: int | None, code: int, text: str
) -> None:
    done = setup(*arguments, sudo_uid=sudo_uid)
    assert done.returncode == code
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path(SHIM).exists()
    assert not Path(POLICY).exists()


@pytest.mark.parametrize("bad", [b"nonsense\n", b"locald-ports 1\n# mine\n", b"locald-ports 1\n1 ::1 080\n"])
def test_a_malformed_policy_is_left_as_it_is(bad: bytes) -> None:
    Path(POLICY).write_bytes(bad)
    done = setup()
    assert done.returncode == 1
    assert "line " in done.stderr
    assert "hint: " in done.stderr
    assert Path(POLICY).read_bytes() == bad
    assert not Path(SHIM).exists()


def test_a_policy_that_is_full_is_left_as_it_is() -> None:
    full = "locald-ports 1\n" + "".join(f"{100000 + i} 127.0.0.1 80\n" for i in range(203))
    Path(POLICY).write_text(full)
    done = setup()
    assert done.returncode == 1
    assert "4096" in done.stderr
    assert Path(POLICY).read_text() == full


@pytest.mark.linux("tmpfs")
@pytest.mark.parametrize(("options", "word"), [("size=16k", "space"), ("ro", "ead-only")])
def test_a_disk_that_is_full_or_read_only_leaves_what_was(options: str, word: str) -> None:
    folder = os.path.dirname(SHIM)
    os.mkdir(folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=755,{options}", "tmpfs", folder], check=True)
    try:
        done = setup()
        assert done.returncode == 1
        assert word in done.stderr
        assert SHIM in done.stderr
        assert os.listdir(folder) == []
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_dry_run_prints_the_steps_and_changes_nothing() -> None:
    done = setup("--dry-run")
    assert done.returncode == 0
    assert f"would install {SHIM}" in done.stdout
    assert f"would write {POLICY}" in done.stdout
    assert not Path(SHIM).exists()
    setup()
    assert f"would remove {SHIM}" in setup("--uninstall", "--dry-run").stdout
    assert Path(SHIM).exists()


def test_uninstall_leaves_nothing() -> None:
    setup()
    kept = Path(SHIM).with_name("kept")
    os.link(SHIM, kept)
    assert setup("--uninstall").returncode == 0
    assert not Path(SHIM).exists()
    assert not Path(POLICY).exists()
    assert not kept.stat().st_mode & stat.S_ISUID
    kept.unlink()
    done = setup("--uninstall")
    assert (done.returncode, done.stdout) == (0, "nothing is installed: nothing to do\n")


@pytest.mark.linux("file capabilities")
def test_a_file_capability_instead_of_the_bit_and_back(alice: int) -> None:
    assert setup("--file-capability").returncode == 0
    assert facts(SHIM) == (0, 0, "0o755")
    assert os.getxattr(SHIM, "security.capability") == file_capabilities(10)
    assert "0755, cap_net_bind_service" in setup("--check").stdout
    assert setup("--file-capability").stdout == "already set up: nothing to do\n"
    bound = "import locald; s = locald.bind(80); print(s.getsockname())"
    who = {"user": alice, "group": alice, "extra_groups": [], "cwd": "/"}
    done = subprocess.run([sys.executable, "-Ic", bound], **who, capture_output=True, text=True, check=True)
    assert done.stdout == "('127.0.0.1', 80)\n"
    assert setup().returncode == 0
    assert facts(SHIM) == (0, 0, "0o4755")
    assert "security.capability" not in os.listxattr(SHIM)


def test_a_program_that_is_not_the_one_on_record_is_not_installed(
    alice: int, tmp_path: Path, source_root: Path
) -> None:
    """A copy of the installation whose program was changed by one byte; without root it is found before sudo is named."""
    prefix = tmp_path / "prefix"
    skip = shutil.ignore_patterns("__pycache__", "*.so", "*.c")
    shutil.copytree(source_root / "locald", prefix / "lib/python/site-packages/locald", ignore=skip)
    (prefix / "bin").mkdir()
    program = prefix / "bin/locald-shim"
    program.write_bytes(PROGRAM.read_bytes())
    digest = base64.urlsafe_b64encode(hashlib.sha256(program.read_bytes()).digest()).rstrip(b"=").decode()
    info = prefix / "lib/python/site-packages/locald-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: locald\nVersion: 0.1.0\n")
    (info / "RECORD").write_text(f"../../../bin/locald-shim,sha256={digest},{program.stat().st_size}\n")
    script = prefix / "bin/locald-setup"
    script.write_text(
        f"#!{sys.executable} -P\nimport sys\nsys.path.insert(0, {str(info.parent)!r})\n"
        "from locald.setup.main import main\nmain()\n"
    )
    script.chmod(0o755)
    assert f"from {program}" in setup("--dry-run", program=script).stdout
    program.write_bytes(program.read_bytes()[:-1] + b"!")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(0o755)
    without_root = subprocess.run(
        [script], user=alice, group=alice, extra_groups=[], cwd="/", capture_output=True, text=True, check=False
    )
    for done in (setup(program=script), without_root):
        assert done.returncode == 1, done.stderr
        assert f"{program} is not the program that was installed" in done.stderr
        assert digest_of(PROGRAM) in done.stderr
        assert "hint: pip install --force-reinstall locald" in done.stderr
        assert "sudo" not in done.stderr
    assert not Path(SHIM).exists()


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --check


def checks(*arguments: str) -> tuple[int, dict[str, bool], str]:
    """The exit code, each id with its verdict, and all of the text."""
    done = setup("--check", *arguments)
    assert done.stderr == ""
    rows = [line.split(maxsplit=2) for line in done.stdout.splitlines() if line.startswith(("ok", "FAIL"))]
    return done.returncode, {name: verdict == "ok" for verdict, name, _ in rows}, done.stdout


def test_a_check_of_what_was_just_installed_finds_nothing() -> None:
    setup()
    code, found, text = checks()
    assert (code, set(found.values())) == (0, {True}), text
    wanted = "installed owner mode links mount parents hash protocol".split()
    assert {f"shim-{word}" for word in wanted} | {"policy-lines", "policy-user", "residue"} <= set(found)
    assert digest_of(PROGRAM) in text
    assert "uid 61001 may have the ports 80 and 443 of 127.0.0.1, and the ports 80 and 443 of ::1" in text


def test_a_check_says_the_same_as_json() -> None:
    setup()
    for spoil in (lambda: None, lambda: Path(SHIM).unlink()):
        spoil()
        code, found, text = checks()
        done = setup("--check", "--json")
        told = json.loads(done.stdout)
        assert (done.returncode, told["ok"]) == (code, code == 0)
        assert {each["id"]: each["status"] == "ok" for each in told["checks"]} == found
        assert all(each["evidence"] in text and each["remedy"] in text for each in told["checks"])
    assert setup("--json").returncode == 2


def test_a_check_needs_no_root_and_speaks_of_who_asks(alice: int) -> None:
    setup()
    done = subprocess.run(
        [SETUP, "--check"], user=alice, group=alice, extra_groups=[], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert f"uid {alice} may have" in done.stdout


SPOILED = {
    "shim-installed": lambda: Path(SHIM).unlink(),
    "shim-owner": lambda: os.chown(SHIM, 61001, 0),
    "shim-mode": lambda: os.chmod(SHIM, 0o4775),
    "shim-links": lambda: os.link(SHIM, f"{SHIM}-2"),
    "shim-mount": lambda: subprocess.run(
        ["mount", "--bind", "-o", "nosuid", os.path.dirname(SHIM), os.path.dirname(SHIM)], check=True
    ),
    "shim-parents": lambda: os.chmod(os.path.dirname(SHIM), 0o777),
    "shim-hash": lambda: append(SHIM, b"!"),
    "shim-protocol": lambda: put(SHIM, b"#!/bin/sh\necho locald-shim 9 protocol 9\n"),
    "policy-installed": lambda: os.chmod(POLICY, 0o666),
    "policy-readable": lambda: os.chmod(POLICY, 0o600),
    "policy-parents": lambda: os.chmod(os.path.dirname(POLICY), 0o777),
    "policy-lines": lambda: append(POLICY, b"1000 127.0.0.1 080\n"),
    "policy-user": lambda: put(POLICY, b"locald-ports 1\n1 ::1 80\n"),
    "residue": lambda: put(f"{POLICY}.new", b""),
}


@pytest.mark.parametrize(
    "spoiled",
    [pytest.param(name, marks=pytest.mark.linux("bind mounts") if "mount" in name else ()) for name in SPOILED],
)
def test_a_check_names_what_is_off_and_setup_mends_it(spoiled: str) -> None:
    setup()
    SPOILED[spoiled]()
    try:
        code, found, text = checks()
        assert code == 1
        assert found[spoiled] is False, text
        assert "hint: " in text
    finally:
        if spoiled == "shim-mount":
            subprocess.run(["umount", os.path.dirname(SHIM)], check=True)
    hint = text.partition(spoiled)[2].partition("hint: ")[2].partition("\n")[0]
    if f"sudo {SETUP}" in hint or "sudo ch" in hint:
        for command in hint.removeprefix("sudo ").split(" && sudo "):
            words = command.split()
            done = setup(*words[1:]) if words[0] == str(SETUP) else subprocess.run(words, check=True)
            assert done.returncode == 0
        assert checks()[0] == 0, checks()[2]


def test_without_root_it_prints_the_whole_command(alice: int) -> None:
    done = subprocess.run(
        [SETUP, "--port", "53"],
        user=alice,
        group=alice,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 77
    assert f"sudo {SETUP} --port 53\n" in done.stderr
    dry = subprocess.run(
        [SETUP, "--dry-run"],
        user=alice,
        group=alice,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    assert dry.returncode == 0
    assert "would install" in dry.stdout


def test_the_three_programs_say_the_same_version() -> None:
    from locald import __version__

    said = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for command in ([LOCALD, "--version"], [SETUP, "--version"], [PROGRAM, "version"])
    ]
    assert said == [
        f"locald {__version__}\n",
        f"locald-setup {__version__}\n",
        f"locald-shim {__version__} protocol 1\n",
    ]
