"""macOS as far as the helper sees it, on Linux: its C as it is there, over a fake kernel that records each call.

The kernel has XNU's rules (xnu-11417; the function is named at each) where they differ from Linux's or matter to the
helper.  Any one call can be made to fail, or to say that it was done when it was not.
"""

from __future__ import annotations

import atexit
import ctypes
import errno
import os
import re
import socket
import stat
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pure import CC, FLAGS

LIB = Path(__file__).parent
END = -(1 << 31)  # darwin.c has the same
NONE = 0xFFFFFFFF  # KAUTH_UID_NONE: this one stays as it is
LIE = 0  # a fault that is no errno: 0 is returned, and nothing done
ALICE, STAFF = 501, 20  # the first user of a Mac
NOFOLLOW_ANY, NOSIGPIPE, CONNECTION_INFO = 0x20000000, 0x1022, 0x106  # darwin.h has the same
CLOSED, LISTENING = 0, 1  # TCPS_CLOSED, TCPS_LISTEN
STDIN, STDERR = 0, 2
ASKING = {"getuid", "geteuid", "getgid", "getegid"}

GRANT = b"locald-ports 1\n501 127.0.0.1 80\n501 ::1 80\n501 192.0.2.1 80\n"


def load(source_root: Path, folder: Path) -> ctypes.CDLL:
    """The whole helper with os_darwin.c, each of its system calls replaced by a question to a Kernel."""
    out = folder / "darwin.so"
    names = ("main", "request", "policy", "policyfile", "sockets", "os_darwin")
    sources = [*(source_root / f"csrc/shim/{name}.c" for name in names), source_root / "csrc/fdpass.c"]
    calls = re.findall(r"^CALL\([a-z_]+, (\w+),", (LIB / "darwin.c").read_text(), re.MULTILINE)
    measured = os.environ.get("LOCALD_COVERAGE")  # the folder of tests/coverage.py
    cc = ["clang", "-fprofile-instr-generate", "-fcoverage-mapping", LIB / "counters.c"] if measured else CC
    subprocess.run(
        [*cc, *FLAGS, "-U_FORTIFY_SOURCE", "-include", LIB / "darwin.h", "-Dmain=shim_main", "-shared", "-fPIC",
         *sources, LIB / "darwin.c", *(f"-Wl,--wrap={name}" for name in calls), "-o", out],
        check=True,
    )  # fmt: skip
    library = ctypes.CDLL(str(out))
    if measured:
        atexit.register(write_counters, library, Path(measured))
    return library


def write_counters(library: ctypes.CDLL, folder: Path) -> None:
    library.counters_size.restype = ctypes.c_uint64
    counters = ctypes.create_string_buffer(library.counters_size())
    assert library.counters_write(counters) == 0
    (folder / "darwin.profraw").write_bytes(counters.raw)


@dataclass(frozen=True)
class Ids:
    real: int
    effective: int
    saved: int

    def __str__(self) -> str:
        return f"{self.real}/{self.effective}/{self.saved}"

    def are(self, one: int) -> bool:
        return {self.real, self.effective, self.saved} == {one}

    def changed(self, **new: int) -> Ids:
        return replace(self, **{which: value for which, value in new.items() if value != NONE})


@dataclass(frozen=True)
class Call:
    """One system call, and who made it."""

    uid: Ids
    gid: Ids
    name: str
    words: str
    result: int

    def __str__(self) -> str:
        failed = f" {errno.errorcode[-self.result]}" if self.result < 0 and self.result != END else ""
        return f"{self.uid}  {self.name} {self.words}".rstrip() + failed


@dataclass
class Socket:
    family: int
    type: int
    owner: int  # so_cred: the effective uid of who called socket(2)
    name: tuple[str, int] | None = None
    state: int = CLOSED
    options: set[tuple[int, int]] = field(default_factory=set)


@dataclass(frozen=True)
class Sent:
    """What was handed over, and what the sender was at that moment."""

    uid: Ids
    gid: Ids
    data: bytes
    sockets: list[Socket]


class Refused(Exception):
    """The call fails with this errno."""


@dataclass
class Kernel:
    """One process, started with these ids, and the machine around it."""

    uid: Ids = Ids(ALICE, 0, 0)
    gid: Ids = Ids(STAFF, STAFF, STAFF)
    stdin: Socket = field(default_factory=lambda: Socket(socket.AF_UNIX, socket.SOCK_STREAM, ALICE))
    peer: int | None = ALICE  # of standard input; None where it is not connected
    answer: bytes = b"\1"
    policy: bytes = GRANT
    linked: bool = False  # a folder above the policy's is a symbolic link
    half: bool = False  # setuid(2) forgets the saved id, as it does while the effective one is not 0
    trouble: int = 0  # the errno of a bind(2) that has the right
    faults: dict[int, int] = field(default_factory=dict)  # number of the call -> errno or LIE

    calls: list[Call] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    said: bytes = b""
    code: int | None = None
    broken: BaseException | None = None
    sockets: dict[int, Socket] = field(default_factory=dict)
    unread: bytes = b""

    def run(self, library: ctypes.CDLL, *words: str) -> Kernel:
        """The helper from its start to its end."""
        argv = (ctypes.c_char_p * (len(words) + 2))(b"locald-shim", *(word.encode() for word in words), None)
        ask = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_char_p, ctypes.POINTER(ctypes.c_long))(self._ask)
        library.darwin_run(ask, len(words) + 1, argv)
        if self.broken:
            raise self.broken
        return self

    def _ask(self, name: bytes, arguments: Any) -> int:
        try:
            return self._call(name.decode(), arguments)
        except BaseException as error:
            self.broken = error  # it cannot pass through C; run() raises it
            return END

    def _call(self, name: str, arguments: Any) -> int:
        method: Callable[..., tuple[str, Callable[[], int]]] = getattr(self, f"sys_{name}")
        words, do = method(*arguments[: method.__code__.co_argcount - 1])
        fault = self.faults.get(len(self.calls))
        before = (self.uid, self.gid)
        try:
            result = do() if fault is None else -fault
        except Refused as error:
            result = -error.args[0]
        self.calls.append(Call(*before, name, words, result))
        return result

    # Ids: bsd/kern/kern_prot.c, the functions of the same names.  suser() is the effective uid.

    def sys_getuid(self) -> Any:
        return "", lambda: self.uid.real

    def sys_geteuid(self) -> Any:
        return "", lambda: self.uid.effective

    def sys_getgid(self) -> Any:
        return "", lambda: self.gid.real

    def sys_getegid(self) -> Any:
        return "", lambda: self.gid.effective

    def sys_setuid(self, uid: int) -> Any:
        def do() -> int:
            all_three = self._may_become(uid, self.uid) and not self.half
            self.uid = self.uid.changed(effective=uid, **({"real": uid, "saved": uid} if all_three else {}))
            return 0

        return f"{uid}", do

    def sys_setgid(self, gid: int) -> Any:
        def do() -> int:
            all_three = self._may_become(gid, self.gid)
            self.gid = self.gid.changed(effective=gid, **({"real": gid, "saved": gid} if all_three else {}))
            return 0

        return f"{gid}", do

    def sys_seteuid(self, uid: int) -> Any:
        def do() -> int:
            self._may_become(uid, self.uid)
            self.uid = self.uid.changed(effective=uid)
            return 0

        return f"{uid}", do

    def sys_setegid(self, gid: int) -> Any:
        def do() -> int:
            self._may_become(gid, self.gid)
            self.gid = self.gid.changed(effective=gid)
            return 0

        return f"{gid}", do

    def sys_setreuid(self, real: int, effective: int) -> Any:
        def do() -> int:
            self.uid = self._both(self.uid, real, effective)
            return 0

        return f"{real} {effective}", do

    def sys_setregid(self, real: int, effective: int) -> Any:
        def do() -> int:
            self.gid = self._both(self.gid, real, effective)
            return 0

        return f"{real} {effective}", do

    def _may_become(self, one: int, ids: Ids) -> bool:
        """Whether by root's power; anybody may become what they are or were."""
        root = self.uid.effective == 0
        if not root and one not in (ids.real, ids.saved):
            raise Refused(errno.EPERM)
        return root

    def _both(self, ids: Ids, real: int, effective: int) -> Ids:
        allowed = (NONE, ids.real, ids.effective, ids.saved)
        if self.uid.effective != 0 and not (real in allowed and effective in allowed):
            raise Refused(errno.EPERM)
        new = ids.changed(real=real, effective=effective)
        return new if ids.saved in (real, effective) else new.changed(saved=new.effective)

    # Signals, and the end.

    def sys_setitimer(self, which: int) -> Any:
        return f"{which}", lambda: 0

    def sys_sigaction(self, number: int) -> Any:
        return f"{number}", lambda: 0

    def sys_sigprocmask(self, how: int) -> Any:
        return f"{how}", lambda: 0

    def sys_alarm(self, seconds: int) -> Any:
        return f"{seconds}", lambda: 0

    def sys__exit(self, code: int) -> Any:
        def do() -> int:
            self.code = code
            return END

        return f"{code}", do

    # Files: the policy, in a folder that is root's.

    def sys_open(self, path: int, flags: int) -> Any:
        name = ctypes.string_at(path).decode()
        assert name == "/private/etc/locald"

        def do() -> int:
            if self.linked and flags & NOFOLLOW_ANY:
                raise Refused(errno.ELOOP)
            return 3

        return name, do

    def sys_openat(self, folder: int, path: int, flags: int) -> Any:
        def do() -> int:
            assert (folder, ctypes.string_at(path)) == (3, b"ports")
            self.unread = self.policy
            return 4

        return ctypes.string_at(path).decode(), do

    def sys_fstat(self, fd: int, out: int) -> Any:
        def do() -> int:
            folder, file, other = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644, stat.S_IFSOCK | 0o600
            seen = {3: [folder, 0, 1, 96], 4: [file, 0, 1, len(self.policy)]}.get(fd, [other, self.uid.real, 1, 0])
            (ctypes.c_long * 4).from_address(out)[:] = seen
            return 0

        return f"{fd}", do

    def sys_read(self, fd: int, out: int, size: int) -> Any:
        def do() -> int:
            if fd == STDIN and not self.sent:
                self.code = 72  # nobody answers what nobody got: the alarm
                return END
            data, self.unread = (self.answer, b"") if fd == STDIN else (self.unread[:size], self.unread[size:])
            ctypes.memmove(out, data, len(data))
            return len(data)

        return f"{fd}", do

    def sys_write(self, fd: int, data: int, size: int) -> Any:
        def do() -> int:
            self.said += ctypes.string_at(data, size)
            return size

        return f"{fd}", do

    # Sockets.

    def _socket(self, fd: int) -> Socket:
        if fd != STDIN and fd not in self.sockets:
            raise Refused(errno.EBADF)
        return self.stdin if fd == STDIN else self.sockets[fd]

    def sys_socket(self, family: int, type_: int, protocol: int) -> Any:
        def do() -> int:
            assert protocol == 0
            self.sockets[5] = Socket(family, type_, self.uid.effective)
            return 5

        return f"{socket.AddressFamily(family).name}", do

    def sys_bind(self, fd: int, name: int, size: int) -> Any:
        raw = ctypes.string_at(name, size)
        (family,), (port,) = struct.unpack_from("H", raw), struct.unpack_from("!H", raw, 2)
        address = socket.inet_ntop(family, raw[4:8] if family == socket.AF_INET else raw[8:24])

        def do() -> int:
            # in_pcbbind(): PRIV_NETINET_RESERVEDPORT, of the one who calls and not of the socket.
            if port < 1024 and self.uid.effective != 0:
                raise Refused(errno.EACCES)
            if self.trouble:
                raise Refused(self.trouble)
            self._socket(fd).name = (address, port)
            return 0

        return f"{fd} {address} {port}", do

    def sys_listen(self, fd: int, backlog: int) -> Any:
        def do() -> int:
            self._socket(fd).state = LISTENING
            return 0

        return f"{fd}", do

    def sys_getsockname(self, fd: int, out: int, size: int) -> Any:
        def do() -> int:
            sock = self._socket(fd)
            head = struct.pack("H", sock.family)
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                address, port = sock.name or ("0.0.0.0" if sock.family == socket.AF_INET else "::", 0)
                between = b"" if sock.family == socket.AF_INET else bytes(4)
                head += struct.pack("!H", port) + between + socket.inet_pton(sock.family, address) + bytes(8)
            length = ctypes.c_uint32.from_address(size)
            ctypes.memmove(out, head, min(len(head), length.value))
            return 0

        return f"{fd}", do

    def sys_getpeereid(self, fd: int, uid: int, gid: int) -> Any:
        def do() -> int:
            # uipc_ctloutput(): LOCAL_PEERCRED of what is not connected, a listener too.
            if self.peer is None:
                raise Refused(errno.ENOTCONN)
            ctypes.c_uint32.from_address(uid).value = self.peer
            ctypes.c_uint32.from_address(gid).value = STAFF
            return 0

        return f"{fd}", do

    def sys_getsockopt(self, fd: int, level: int, option: int, out: int, size: int) -> Any:
        names = {(socket.SOL_SOCKET, socket.SO_TYPE): "type", (socket.IPPROTO_TCP, CONNECTION_INFO): "state"}

        def do() -> int:
            # sogetoptlock(): SO_ACCEPTCONN is none of its cases.
            if (level, option) not in names:
                raise Refused(errno.ENOPROTOOPT)
            value = getattr(self._socket(fd), names[level, option])
            length = ctypes.c_uint32.from_address(size)
            ctypes.memmove(out, struct.pack("i", value), min(4, length.value))
            return 0

        return f"{fd} {names.get((level, option), option)}", do

    def sys_setsockopt(self, fd: int, level: int, option: int, value: int) -> Any:
        names = {
            (socket.SOL_SOCKET, socket.SO_REUSEADDR): "reuse address", (socket.SOL_SOCKET, NOSIGPIPE): "no SIGPIPE",
            (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY): "v6 only",
        }  # fmt: skip

        def do() -> int:
            assert ctypes.c_int.from_address(value).value == 1
            self._socket(fd).options.add((level, option))
            return 0

        return f"{fd} {names.get((level, option), option)}", do

    def sys_sendmsg(self, fd: int, flags: int, data: int, size: int, rights: int, count: int, first: int) -> Any:
        def do() -> int:
            assert (fd, rights, count) == (STDIN, 1, 1)
            self.sent.append(Sent(self.uid, self.gid, ctypes.string_at(data, size), [self._socket(first)]))
            return size

        return f"{fd}", do
