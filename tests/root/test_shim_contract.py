"""locald-shim as it is installed, under real uids: each exit code, and nothing but what was granted."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from caller import CLIENT, acting_as, call, is_free, pair_of, refused, run

from locald import __version__

Policy = Callable[..., Path]


# Granted


@pytest.mark.parametrize(("address", "port"), [("127.0.0.1", 80), ("127.0.0.1", 443), ("::1", 80)])
def test_a_granted_port_is_a_listener_of_the_users(
    powered: Path, granted: Path, alice: int, address: str, port: int
) -> None:
    found = call(powered, alice, "bind", str(port), address)
    assert found["data"] == [1]
    assert found["status"] == 0
    (sock,) = found["sockets"]
    assert sock["name"] == [address, port]
    assert sock["listening"]
    assert sock["stream"]
    assert not sock["reuse port"]  # else whoever has the same uid could take connections from it
    assert sock["v6 only"] == (":" in address)
    assert is_free(port, address)


def test_the_ipv6_wildcard_is_ipv6_alone(shim: Path, policy: Policy, alice: int) -> None:
    """Linux makes every other IPv6 address so by itself: ipv6(7), IPV6_V6ONLY."""
    policy(f"locald-ports 1\n{alice} :: 80\n")
    (sock,) = call(shim, alice, "bind", "80", "::")["sockets"]
    assert sock["v6 only"]


def test_the_address_is_loopback_by_default(shim: Path, granted: Path, alice: int) -> None:
    assert call(shim, alice, "bind", "80")["sockets"][0]["name"] == ["127.0.0.1", 80]


@pytest.mark.linux("/proc")
def test_while_it_waits_it_has_no_power_left(shim: Path, granted: Path, alice: int) -> None:
    client = subprocess.Popen(
        [sys.executable, "-I", CLIENT, shim, "--withhold", "bind", "80"],
        user=alice, group=alice, extra_groups=[], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/",
    )  # fmt: skip
    with client:
        assert client.stdout is not None
        pid = json.loads(client.stdout.readline())["pid"]
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
        )
        assert status["Uid"].split() == [str(alice)] * 4
        assert status["Gid"].split() == [str(alice)] * 4
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[kind], 16) == 0, kind
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        sockets = Path("/proc/net/tcp").read_text().splitlines()[1:]
        owners = [row.split()[7] for row in sockets if row.split()[1].endswith(":0050") and row.split()[3] == "0A"]
        assert owners == [str(alice)]
        client.communicate("go on\n")


def test_while_it_waits_all_its_ids_are_the_users(shim: Path, granted: Path, alice: int) -> None:
    """Rules 9 and 13: real, effective and saved."""
    client = subprocess.Popen(
        [sys.executable, "-I", CLIENT, shim, "--withhold", "bind", "80"],
        user=alice, group=alice, extra_groups=[], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/",
    )  # fmt: skip
    with client:
        assert client.stdout is not None
        process = psutil.Process(json.loads(client.stdout.readline())["pid"])
        assert set(process.uids()) | set(process.gids()) == {alice}
        client.communicate("go on\n")


def test_version_needs_no_privilege_and_no_socket(built_shim: Path, shim: Path, alice: int) -> None:
    for program in (built_shim, shim):
        out = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout
        assert out == f"locald-shim {__version__} protocol 1\n"
    assert run(shim, alice, "version") == 0


def test_a_version_that_cannot_be_written_is_71(shim: Path, alice: int) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([shim, "version"], stdout=full, user=alice, group=alice, extra_groups=[], check=False)
    assert done.returncode == 71


# 64: usage

BAD_ARGUMENTS = [
    (), ("",), ("bind",), ("bind", ""), ("bind", "0"), ("bind", "1024"), ("bind", "080"), ("bind", "+80"), ("bind", " 80"),
    ("bind", "80 "), ("bind", "0x50"), ("bind", "-1"), ("bind", "4294967376"), ("bind", "99999999999999999999"),
    ("bind", "80", ""), ("bind", "80", "localhost"), ("bind", "80", "127.1"), ("bind", "80", "127.0.0.01"),
    ("bind", "80", "0:0:0:0:0:0:0:1"), ("bind", "80", "::01"), ("bind", "80", "::FFFF"), ("bind", "80", "::ffff:127.0.0.1"), ("bind", "80", "::ffff:7f00:1"),
    ("bind", "80", "fe80::1%lo"), ("bind", "80", "127.0.0.1", "x"), ("Bind", "80"), ("version", "x"), ("--help",),
    ("bind", "80", "1" * 5000),
]  # fmt: skip


@pytest.mark.parametrize("arguments", BAD_ARGUMENTS, ids=lambda words: " ".join(words)[:30] or "none")
def test_anything_but_the_canonical_form_is_usage(
    shim: Path, granted: Path, alice: int, arguments: tuple[str, ...]
) -> None:
    assert refused(shim, alice, *arguments) == 64


# 65: standard input


def test_standard_input_must_be_a_stream_of_the_users(
    shim: Path, granted: Path, alice: int, bob: int, tmp_path: Path
) -> None:
    def check(stdin: Any) -> None:
        assert run(shim, alice, "bind", "80", stdin=stdin) == 65
        assert is_free(80)

    check(subprocess.DEVNULL)
    check(subprocess.PIPE)
    file = tmp_path / "file"
    file.touch()
    with file.open() as handle:
        check(handle)
    kinds = [socket.SOCK_DGRAM, *([socket.SOCK_SEQPACKET] if sys.platform == "linux" else [])]  # which XNU has not
    for kind in kinds:
        with pair_of(alice, kind) as (left, _):
            check(left)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as tcp:
        check(tcp)
        check(server)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "listener"))
        check(listener)  # bound, not connected
        with acting_as(alice):
            listener.listen()  # now the kernel names alice as its peer
        check(listener)
    for uid in (0, bob):
        with pair_of(uid) as (left, _):
            check(left)
    leader, follower = os.openpty()
    check(follower)
    os.close(leader)
    os.close(follower)


def test_a_closed_standard_input_is_refused(shim: Path, granted: Path, alice: int) -> None:
    assert run(shim, alice, "bind", "80", preexec_fn=lambda: os.close(0)) in (65, 71)
    assert is_free(80)


# 66 and 67: policy

LINE = "61001 127.0.0.1 80\n"
MALFORMED = {
    "empty": "", "no header": LINE, "another version": "locald-ports 2\n" + LINE, "no LF": "locald-ports 1\n" + LINE[:-1],
    "no LF after the header": "locald-ports 1", "CRLF": "locald-ports 1\n" + LINE.replace("\n", "\r\n"),
    "NUL": "locald-ports 1\n" + LINE + "\0", "an empty line": "locald-ports 1\n\n" + LINE,
    "a comment": "locald-ports 1\n# no\n" + LINE, "two spaces": "locald-ports 1\n" + LINE.replace(" ", "  "),
    "a tab": "locald-ports 1\n" + LINE.replace(" ", "\t"), "a leading zero": "locald-ports 1\n061001 127.0.0.1 80\n",
    "a port with a zero": "locald-ports 1\n61001 127.0.0.1 080\n", "port 0": "locald-ports 1\n" + LINE + "1 127.0.0.1 0\n",
    "port 1024": "locald-ports 1\n" + LINE + "61001 127.0.0.1 1024\n", "uid -1": "locald-ports 1\n" + LINE + "4294967295 ::1 80\n",
    "uid 2^32": "locald-ports 1\n" + LINE + "4294967296 ::1 80\n", "a name": "locald-ports 1\n" + LINE + "root ::1 80\n",
    "a fourth word": "locald-ports 1\n61001 127.0.0.1 80 x\n", "a mapped address": "locald-ports 1\n" + LINE + "1 ::ffff:1.2.3.4 80\n",
    "a long form": "locald-ports 1\n" + LINE + "1 0:0::1 80\n", "a duplicate": "locald-ports 1\n" + LINE + "1 ::1 80\n" + LINE,
    "an empty address": "locald-ports 1\n" + LINE + "1  80\n",
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED, ids=str)
def test_one_bad_byte_refuses_the_whole_file(shim: Path, policy: Policy, alice: int, case: str) -> None:
    policy(MALFORMED[case])
    assert refused(shim, alice, "bind", "80") == 66


@pytest.mark.parametrize(("size", "code"), [(4096, 0), (4097, 66)])
def test_a_file_has_4096_bytes_at_most(shim: Path, policy: Policy, alice: int, size: int, code: int) -> None:
    # 15 bytes, 19, then lines of 20, or of 21: as many of those as there are bytes to make up for.
    uids = [10**6 + i if i < size - 15 - 19 - 203 * 20 else 10**5 + i for i in range(203)]
    text = "locald-ports 1\n" + LINE + "".join(f"{uid} 127.0.0.1 80\n" for uid in uids)
    assert len(text) == size
    policy(text)
    assert call(shim, alice, "bind", "80")["status"] == code


MODE_BITS = [1 << bit for bit in range(12)]


@pytest.mark.parametrize("bit", MODE_BITS, ids=oct)
def test_each_mode_bit_of_the_file(shim: Path, policy: Policy, alice: int, bit: int) -> None:
    """Who else may write it, or whether its reader may: nothing else about its mode matters."""
    policy("locald-ports 1\n" + LINE, 0o644 ^ bit)
    code = call(shim, alice, "bind", "80")["status"]
    assert code == (66 if bit in (0o020, 0o002, 0o004) else 0)


@pytest.mark.parametrize("bit", MODE_BITS, ids=oct)
def test_each_mode_bit_of_the_folder(shim: Path, granted: Path, alice: int, bit: int) -> None:
    granted.parent.chmod(0o755 ^ bit)
    try:
        code = call(shim, alice, "bind", "80")["status"]
    finally:
        granted.parent.chmod(0o755)
    assert code == (66 if bit in (0o020, 0o002, 0o004, 0o001) else 0)


@pytest.mark.parametrize("mode", [0o666, 0o600, 0o000])
def test_a_file_that_others_may_write_or_nobody_read_is_refused(
    shim: Path, policy: Policy, alice: int, mode: int
) -> None:
    policy("locald-ports 1\n" + LINE, mode)
    assert refused(shim, alice, "bind", "80") == 66


def test_a_file_that_is_not_roots_regular_own_is_refused(
    shim: Path, policy: Policy, alice: int, tmp_path: Path
) -> None:
    path = policy("locald-ports 1\n" + LINE)
    os.chown(path, alice, 0)
    assert refused(shim, alice, "bind", "80") == 66
    os.chown(path, 0, 0)
    os.link(path, path.with_name("other"))
    assert refused(shim, alice, "bind", "80") == 66
    path.unlink()
    path.symlink_to("other")
    assert refused(shim, alice, "bind", "80") == 66
    path.unlink()
    os.mkfifo(path)
    assert refused(shim, alice, "bind", "80") == 66
    path.unlink()
    path.mkdir()
    assert refused(shim, alice, "bind", "80") == 66
    path.with_name("other").unlink()


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_folder_that_others_may_write_is_refused(shim: Path, granted: Path, alice: int, mode: int) -> None:
    granted.parent.chmod(mode)
    try:
        assert refused(shim, alice, "bind", "80") == 66
    finally:
        granted.parent.chmod(0o755)


LINKED = """set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/up /mnt/work
mount -t overlay -o lowerdir=/etc,upperdir=/mnt/up,workdir=/mnt/work overlay /etc
rmdir /etc/locald
ln -s /etc/locald-elsewhere /etc/locald
exec "$@"
"""


@pytest.mark.linux("the folder is a mount, which a second namespace covers")
def test_a_folder_that_is_a_link_is_refused(shim: Path, granted: Path, alice: int) -> None:
    elsewhere = Path("/etc/locald-elsewhere")
    shutil.copytree(granted.parent, elsewhere)
    as_alice = ("setpriv", "--reuid", str(alice), "--regid", str(alice), "--clear-groups")
    prefix = ("unshare", "-m", "sh", "-c", LINKED, "sh", *as_alice)  # the folder of this namespace is a mount
    try:
        assert refused(shim, alice, "bind", "80", prefix=prefix) == 66
    finally:
        shutil.rmtree(elsewhere)


def test_without_a_policy_nothing_is_granted(shim: Path, alice: int) -> None:
    assert refused(shim, alice, "bind", "80") == 66


@pytest.mark.parametrize(
    "arguments",
    [
        ("bind", "81"),
        ("bind", "80", "127.0.0.2"),
        ("bind", "80", "0.0.0.0"),
        ("bind", "443", "::"),
        ("bind", "22"),
    ],
)
def test_only_the_exact_line_grants(shim: Path, granted: Path, alice: int, arguments: tuple[str, ...]) -> None:
    assert refused(shim, alice, *arguments) == 67


def test_another_user_has_nothing(shim: Path, granted: Path, bob: int) -> None:
    assert refused(shim, bob, "bind", "80") == 67


def test_a_header_alone_denies_everybody(shim: Path, policy: Policy, alice: int) -> None:
    policy("locald-ports 1\n")
    assert refused(shim, alice, "bind", "80") == 67


# 68: no privilege


def test_without_the_setuid_bit_there_is_no_privilege(shim: Path, granted: Path, alice: int) -> None:
    shim.chmod(0o755)
    assert refused(shim, alice, "bind", "80") == 68


@pytest.mark.linux("no_new_privs, user namespaces")
def test_no_new_privs_and_a_user_namespace_take_the_privilege(powered: Path, granted: Path, alice: int) -> None:
    as_alice = ("setpriv", "--reuid", str(alice), "--regid", str(alice), "--clear-groups")
    assert refused(powered, alice, "bind", "80", prefix=(*as_alice, "--no-new-privs")) == 68
    assert refused(powered, alice, "bind", "80", prefix=(*as_alice, "unshare", "-Ur")) == 68


@pytest.mark.linux("tmpfs")
def test_a_nosuid_mount_takes_the_privilege(shim: Path, granted: Path, alice: int, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nosuid,mode=755", "tmpfs", tmp_path], check=True)
    try:
        copy = tmp_path / "locald-shim"
        shutil.copyfile(shim, copy)
        copy.chmod(0o4755)
        for folder in tmp_path.parents:
            if not folder.stat().st_mode & 1:
                folder.chmod(folder.stat().st_mode | 0o11)
        assert refused(copy, alice, "bind", "80") == 68
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_root_is_refused(powered: Path, granted: Path) -> None:
    assert refused(powered, 0, "bind", "80") == 68


def test_a_file_of_another_user_with_the_bit_has_no_power(shim: Path, granted: Path, alice: int, bob: int) -> None:
    os.chown(shim, bob, bob)
    shim.chmod(0o4755)
    assert refused(shim, alice, "bind", "80") == 68


# 69, 70, 72


def test_a_busy_port_is_69(shim: Path, granted: Path, alice: int) -> None:
    with socket.create_server(("127.0.0.1", 80)):
        found = call(shim, alice, "bind", "80")
    assert (found["status"], found["fds"]) == (69, 0)


def test_an_address_that_is_not_there_is_70(shim: Path, policy: Policy, alice: int) -> None:
    policy(f"locald-ports 1\n{alice} 192.0.2.1 80\n")
    assert refused(shim, alice, "bind", "80", "192.0.2.1") == 70


def test_a_peer_that_closes_without_an_answer_is_72(shim: Path, granted: Path, alice: int) -> None:
    code = (
        "import os,socket,sys; a,b=socket.socketpair();"
        "p=os.posix_spawn(sys.argv[1],[sys.argv[1],'bind','80'],{},file_actions=[(os.POSIX_SPAWN_DUP2,b.fileno(),0)]);"
        "b.close(); a.close(); sys.exit(os.waitstatus_to_exitcode(os.waitpid(p,0)[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-Ic", code, shim], user=alice, group=alice, extra_groups=[], timeout=20, check=False
    )
    assert done.returncode == 72
    assert is_free(80)


def test_a_peer_that_never_answers_is_72_though_the_alarm_was_ignored_and_blocked(
    shim: Path, granted: Path, alice: int
) -> None:
    code = (
        "import os,signal,socket,sys; a,b=socket.socketpair(); signal.signal(signal.SIGALRM, signal.SIG_IGN);"
        "signal.pthread_sigmask(signal.SIG_BLOCK,[signal.SIGALRM]);"
        "p=os.posix_spawn(sys.argv[1],[sys.argv[1],'bind','80'],{},file_actions=[(os.POSIX_SPAWN_DUP2,b.fileno(),0)]);"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(p,0)[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-Ic", code, shim], user=alice, group=alice, extra_groups=[], timeout=20, check=False
    )
    assert done.returncode == 72


# Attacks


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)], ids=str)
def test_closed_standard_descriptors_open_no_door(
    shim: Path, granted: Path, alice: int, closed: tuple[int, ...]
) -> None:
    def close() -> None:
        for fd in closed:
            os.close(fd)

    status = subprocess.run(
        [shim, "bind", "80"],
        user=alice,
        group=alice,
        extra_groups=[],
        preexec_fn=close,
        check=False,
        timeout=20,
    )
    assert status.returncode != 0
    assert is_free(80)


def test_an_environment_of_unsafe_variables_changes_nothing(shim: Path, granted: Path, alice: int) -> None:
    names = (
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "LD_AUDIT",
        "LD_DEBUG",
        "GLIBC_TUNABLES",
        "LD_PROFILE",
        "MALLOC_TRACE",
        "GCONV_PATH",
        "RESOLV_HOST_CONF",
        "TMPDIR",
        "NLSPATH",
    )
    environ = dict.fromkeys(names, "/nowhere/evil") | {
        "LD_DEBUG": "help",
        "GLIBC_TUNABLES": "glibc.malloc.check=3",
    }
    done = subprocess.run(
        [shim, "bind", "80"],
        stdin=subprocess.DEVNULL,
        env=environ,
        user=alice,
        group=alice,
        extra_groups=[],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 65
    assert done.stdout == b""


@pytest.mark.linux("ELF")
def test_the_installed_helper_is_self_contained(built_shim: Path) -> None:
    text = subprocess.run(["readelf", "-ld", built_shim], capture_output=True, text=True, check=True).stdout
    assert "INTERP" not in text
    assert "NEEDED" not in text
    assert "DYN (Position-Independent" in text or "Elf file type is DYN" in text
    assert stat.S_IMODE(built_shim.stat().st_mode) & stat.S_ISUID == 0
