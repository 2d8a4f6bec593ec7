"""The helper's pure parts, called from Python, and what its objects import."""

from __future__ import annotations

import array
import ctypes
import os
import socket
import subprocess
from pathlib import Path

import pure
import pytest
from pure import CC, FLAGS, Request, cmsg, in_child, parse

GRANTED, BAD_POLICY, DENIED = 0, 66, 67


def decide(library: ctypes.CDLL, text: bytes, uid: int, *request: bytes) -> int:
    status, parsed = parse(library, b"locald-shim", b"bind", *request)
    assert status == 0
    return pure.decide(library, text, uid, parsed)


def test_an_empty_argv_is_refused_without_a_look_at_it(library: ctypes.CDLL) -> None:
    """CVE-2021-4034: what follows an empty argv is the environment.  New kernels never start us so; old ones do."""
    request = Request()
    assert library.request_parse(0, None, ctypes.byref(request)) == -1
    assert parse(library)[0] == -1
    assert parse(library, b"locald-shim")[0] == -1


@pytest.mark.parametrize(
    ("arguments", "family", "data", "port"),
    [
        ((b"80",), socket.AF_INET, bytes([127, 0, 0, 1]), 80),
        ((b"1", b"0.0.0.0"), socket.AF_INET, bytes(4), 1),
        ((b"1023", b"::1"), socket.AF_INET6, bytes(15) + b"\1", 1023),
        ((b"443", b"fe80::1"), socket.AF_INET6, b"\xfe\x80" + bytes(13) + b"\1", 443),
        ((b"80", b"::"), socket.AF_INET6, bytes(16), 80),
    ],
)
def test_a_canonical_request_is_read(
    library: ctypes.CDLL, arguments: tuple[bytes, ...], family: int, data: bytes, port: int
) -> None:
    status, request = parse(library, b"x", b"bind", *arguments)
    assert (status, request.verb, request.port, request.address.family) == (0, 1, port, family)
    assert bytes(request.address.bytes)[: len(data)] == data


@pytest.mark.parametrize("cut", range(48))
def test_a_policy_cut_short_is_refused_but_between_lines(library: ctypes.CDLL, cut: int) -> None:
    good = b"locald-ports 1\n1000 127.0.0.1 80\n1000 ::1 443\n"
    text = good[: min(cut, len(good) - 1)]
    expected = {15: DENIED, 33: GRANTED}.get(len(text), BAD_POLICY)
    assert decide(library, text, 1000, b"80") == expected


@pytest.mark.parametrize(("size", "verdict"), [(4096, GRANTED), (4097, BAD_POLICY)])
def test_a_policy_has_4096_bytes_at_most(library: ctypes.CDLL, size: int, verdict: int) -> None:
    """All of its lines are good; more is never read, and the parser does not rely on that."""
    uids = [10**6 + i if i < size - 4095 else 10**5 + i for i in range(204)]  # a line of 20 bytes, or of 21
    text = b"locald-ports 1\n" + b"".join(b"%d 127.0.0.1 80\n" % uid for uid in uids)
    assert len(text) == size
    assert decide(library, text, uids[-1], b"80") == verdict


def test_the_largest_policy_is_read(library: ctypes.CDLL) -> None:
    lines = [b"%d ::%x 80\n" % (1000 + i, i + 1) for i in range(300)]
    text = b"locald-ports 1\n"
    for line in lines:
        if len(text) + len(line) <= 4096:
            text, last = text + line, line
    uid, address, _ = last.split()
    assert decide(library, text, int(uid), b"80", address) == GRANTED
    assert decide(library, text + b"\n", int(uid), b"80", address) == BAD_POLICY


FDS = array.array("i", [7, 8, 9]).tobytes()


@pytest.mark.linux("the layout of control messages is Linux's")
@pytest.mark.parametrize(
    ("control", "status", "found"),
    [
        (b"", 0, []),
        (cmsg(1, 1, FDS), 0, [7, 8, 9]),
        (cmsg(1, 1, FDS) + cmsg(1, 1, FDS[:4]), 0, [7, 8, 9, 7]),
        (cmsg(1, 2, bytes(12)), 74, []),  # SCM_CREDENTIALS: EBADMSG
        (cmsg(1, 2, bytes(12)) + cmsg(1, 1, FDS), 74, [7, 8, 9]),  # those that follow are known, to be closed
        (cmsg(0, 1, FDS), 74, []),
        (cmsg(1, 1, b""), 0, []),
        (cmsg(1, 1, FDS + b"xx"), 0, [7, 8, 9]),
        (cmsg(1, 1, FDS, length=8), 74, []),  # shorter than its own head
        (cmsg(1, 1, FDS, length=1 << 40), 74, []),  # longer than what came: none of it is believed
        (cmsg(1, 1, FDS) + cmsg(1, 1, FDS, length=64), 74, [7, 8, 9]),
        (cmsg(0, 1, FDS, length=(1 << 64) - 1), 74, []),  # rounded up it is 0: the next message would be this one
        (cmsg(1, 1, bytes(4 * 254)), 0, [0] * 254),
        (cmsg(1, 1, bytes(4 * 255)), 109, [0] * 254),  # ETOOMANYREFS
    ],
)
def test_the_walk_over_control_messages(library: ctypes.CDLL, control: bytes, status: int, found: list[int]) -> None:
    assert pure.collect(library, control) == (status, found)


def test_what_no_message_can_hold_is_not_sent(library: ctypes.CDLL) -> None:
    """No byte for the descriptors to travel with, and more descriptors than fit."""
    fds = (ctypes.c_int * 254)()
    left, right = socket.socketpair()
    with left, right:
        assert library.fdpass_send(left.fileno(), b"x", ctypes.c_size_t(0), fds, ctypes.c_size_t(1), 0) == -1
        assert library.fdpass_send(left.fileno(), b"x", ctypes.c_size_t(1), fds, ctypes.c_size_t(254), 0) == -1
        right.setblocking(False)
        with pytest.raises(BlockingIOError):
            right.recv(1)


@pytest.mark.linux("macOS binds by taking up root, which a test has not")
@pytest.mark.parametrize("fd", [0, 1, 2])
def test_a_listener_on_a_low_descriptor_is_not_used(library: ctypes.CDLL, fd: int) -> None:
    """Rule 6.  The C library fills the gaps that a caller leaves; this is for one that does not."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    _, request = parse(library, b"x", b"bind", b"80")
    request.port = port
    out = ctypes.c_int()
    assert library.listener_open(ctypes.byref(request), ctypes.byref(out)) == 0
    os.close(out.value)
    assert in_child(fd, lambda: library.listener_open(ctypes.byref(request), ctypes.byref(out))) == 71


@pytest.mark.linux("the layout of struct ucred is Linux's")
def test_an_unconnected_socket_has_no_peer(library: ctypes.CDLL, tmp_path: Path) -> None:
    """The kernel says pid 0 and uid -1 of it; it must not pass for the user that has that number."""
    uid = ctypes.c_uint()
    left, right = socket.socketpair()
    with left, right, socket.socket(socket.AF_UNIX) as alone:
        assert library.os_peer(left.fileno(), ctypes.byref(uid)) == 0
        assert uid.value == os.getuid()
        assert library.os_peer(alone.fileno(), ctypes.byref(uid)) == -1
        alone.bind(str(tmp_path / "listener"))
        alone.listen()  # now the kernel names us as its peer
        assert library.os_peer(alone.fileno(), ctypes.byref(uid)) == -1


ALLOWED = set(
    [
        "_exit",
        "alarm",
        "bind",
        "capget",
        "capset",
        "fcntl",
        "getsockname",
        "fstat",
        "fstat64",
        "getegid",
        "geteuid",
        "getgid",
        "getresgid",
        "getresuid",
        "getsockopt",
        "getuid",
        "inet_pton",
        "listen",
        "memchr",
        "memcmp",
        "memcpy",
        "memset",
        "open",
        "open64",
        "openat",
        "openat64",
        "prctl",
        "read",
        "recvmsg",
        "sendmsg",
        "setitimer",
        "setresgid",
        "setresuid",
        "setsockopt",
        "setuid",
        "sigaction",
        "sigemptyset",
        "sigprocmask",
        "socket",
        "strcmp",
        "strlen",
        "syscall",
        "write",
        "close",
        "__errno_location",
        "__stack_chk_fail",
        "__stack_chk_guard",  # where the canary is on aarch64
        "bcmp",  # what clang makes of memcmp() == 0
        "htons",
        "ntohs",
        "_GLOBAL_OFFSET_TABLE_",
    ]
)


@pytest.mark.linux("the names are those of Linux's C libraries")
def test_the_helper_imports_nothing_but_what_is_listed(tmp_path: Path, source_root: Path) -> None:
    """No heap, stdio, locale, name service, environment or syslog (CVE-2023-4911, CVE-2025-4802, CVE-2023-6246)."""
    names = ("main", "request", "policy", "policyfile", "sockets", "os_linux")
    sources = [source_root / f"csrc/shim/{name}.c" for name in names] + [source_root / "csrc/fdpass.c"]
    subprocess.run([*CC, *FLAGS, "-O2", "-fstack-protector-strong", "-c", *sources], cwd=tmp_path, check=True)
    out = subprocess.run(["nm", "-u", *sorted(tmp_path.glob("*.o"))], capture_output=True, text=True, check=True).stdout
    undefined = {line.split()[-1].partition("@")[0] for line in out.splitlines() if " U " in line}
    defined_here = set(
        [
            "number_parse",
            "address_parse",
            "request_parse",
            "policy_decide",
            "policyfile_read",
            "listener_open",
            "os_drop",
            "os_bind",
            "os_renounce",
            "os_confine",
            "os_peer",
            "os_listen_level",
            "os_listen_option",
            "stream_is_of",
            "os_policy_folder",
            "os_nofollow",
            "fdpass_send",
            "fdpass_recv",
            "fdpass_collect",
        ]
    )
    assert undefined - defined_here <= ALLOWED, undefined - defined_here - ALLOWED
