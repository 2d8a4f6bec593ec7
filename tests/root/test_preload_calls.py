"""bind() of the library, call by call: what is kept, what is left alone, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import preload_builds
import pytest
from caller import is_free
from programs import need

from locald.paths import POLICY, SHIM
from locald.preload import library

pytestmark = pytest.mark.linux("its options have those numbers there")

BIN = Path(sys.executable).parent
PYTHON = os.path.realpath(sys.executable)
HEAD = """
import contextlib, errno, fcntl, json, os, signal, socket, subprocess, sys, threading
def descriptors():
    return {int(name) for name in os.listdir("/proc/self/fd")}
def refused(*address, family=socket.AF_INET, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as sock:
        try:
            sock.bind(address)
        except OSError as error:
            return errno.errorcode[error.errno]
        return ""
"""


@pytest.fixture(scope="session")
def environ(root: Path) -> dict[str, str]:
    """As `locald exec --preload --deep` leaves it: the library itself is the subject here.

    With LOCALD_TEST_SANITIZED another library stands in, of the same source.
    """
    base = {"PATH": f"{BIN}:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/"}
    made = library.environment(base, library.find(), deep=True, loopback=False)
    if "LOCALD_TEST_SANITIZED" not in os.environ:
        return made
    return (
        made | preload_builds.WATCHED | {library.VARIABLE: preload_builds.build_watched(root, Path("/usr/local/lib"))}
    )


def run(uid: int, environ: dict[str, str], code: str, *front: str, **how: Any) -> subprocess.CompletedProcess[str]:
    words = {"capture_output": True, "timeout": 100, "cwd": "/", "env": environ, **how}
    command = [*front, PYTHON, "-I", "-c", HEAD + code]
    return subprocess.run(command, user=uid, group=uid, extra_groups=[], text=True, **words)


def tell(uid: int, environ: dict[str, str], code: str, *front: str, **how: Any) -> Any:
    """What the code prints as JSON; it must leave no descriptor, no child and no word on standard error."""
    frame = "before = descriptors()\n" + code + (
        "\nassert descriptors() == before, (descriptors(), before)\n"
        "with contextlib.suppress(ChildProcessError):\n    raise SystemExit(f'a child: {os.waitpid(-1, 0)}')\n"
    )  # fmt: skip
    done = run(uid, environ, frame, *front, **how)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert is_free(80)
    return json.loads(done.stdout)


def test_the_places_are_the_same_in_both_languages(root: Path) -> None:
    text = (root / "csrc/preload/os_linux.c").read_text()
    assert f'#define LOCALD_HELPER "{SHIM}"' in text
    assert f'os_policy[] = "{POLICY}"' in text
    said = (root / "csrc/preload/settings.c").read_text()
    assert f'"{library.PID}"' in said
    assert f'"{library.LOOPBACK}"' in said


def test_the_codes_are_those_of_the_contract(root: Path) -> None:
    """The library has more answers than the helper has exit codes, and so an enumeration of its own."""

    def codes(file: str) -> list[str]:
        (names,) = re.findall(r"USAGE = 64,(.*?)\}", (root / file).read_text(), re.DOTALL)
        return re.findall(r"\w+", names)

    def numbers(file: str) -> list[str]:
        return re.findall(r"(?:PROTOCOL|PORT_MAX) = \d+", (root / file).read_text())

    assert codes("csrc/preload/preload.h") == codes("csrc/shim/shim.h")
    assert numbers("csrc/preload/preload.h") == numbers("csrc/shim/shim.h")
    assert codes("csrc/shim/shim.h")[-1] == "PEER_GONE"


def test_nothing_is_seen_of_the_library_but_bind() -> None:
    shown = subprocess.run(
        [need("nm"), "-D", library.find()], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [line.split()[-1] for line in shown if " U " not in line and " w " not in line] == ["bind"]
    needed = subprocess.run([need("readelf"), "-d", library.find()], capture_output=True, text=True, check=True).stdout
    assert [line.split("[")[1] for line in needed.splitlines() if "(NEEDED)" in line] in (["libc.so.6]"], ["libc.so]"])
    assert "RUNPATH" not in needed
    taken = {line.split()[-1].partition("@")[0] for line in shown if " U " in line}
    assert not taken & {
        "malloc",
        "calloc",
        "free",
        "getenv",
        "setenv",
        "printf",
        "snprintf",
        "system",
        "popen",
        "fork",
        "vfork",
    }


# What is kept

# Level, name and a value that is not the one a socket begins with.
OPTIONS = {
    "SO_REUSEADDR": (1, 2, 1), "SO_KEEPALIVE": (1, 9, 1), "SO_OOBINLINE": (1, 10, 1), "SO_REUSEPORT": (1, 15, 1),
    "SO_RCVBUF": (1, 8, 30_000), "SO_SNDBUF": (1, 7, 30_000), "SO_RCVLOWAT": (1, 18, 7), "SO_PRIORITY": (1, 12, 3),
    "SO_DONTROUTE": (1, 5, 1), "SO_BROADCAST": (1, 6, 1), "SO_ZEROCOPY": (1, 60, 1),
    "SO_LINGER": (1, 13, [1, 0, 0, 0, 9, 0, 0, 0]), "SO_RCVTIMEO": (1, 20, [*[5] + [0] * 7, *[0] * 8]),
    "SO_SNDTIMEO": (1, 21, [*[6] + [0] * 7, *[0] * 8]), "SO_BINDTODEVICE": (1, 25, [*b"lo\0"]),
    "TCP_NODELAY": (6, 1, 1), "TCP_MAXSEG": (6, 2, 1000), "TCP_CORK": (6, 3, 1), "TCP_KEEPIDLE": (6, 4, 77),
    "TCP_KEEPINTVL": (6, 5, 11), "TCP_KEEPCNT": (6, 6, 4), "TCP_SYNCNT": (6, 7, 3), "TCP_LINGER2": (6, 8, 20),
    "TCP_DEFER_ACCEPT": (6, 9, 7), "TCP_WINDOW_CLAMP": (6, 10, 9000), "TCP_CONGESTION": (6, 13, [*b"reno"]),
    "TCP_USER_TIMEOUT": (6, 18, 4321), "TCP_FASTOPEN": (6, 23, 5), "TCP_NOTSENT_LOWAT": (6, 25, 8192),
    "IP_TOS": (0, 1, 16), "IP_TTL": (0, 2, 33), "IP_MTU_DISCOVER": (0, 10, 0), "IP_RECVERR": (0, 11, 1),
    "IP_FREEBIND": (0, 15, 1), "IP_MINTTL": (0, 21, 8),
    "IPV6_TCLASS": (41, 67, 40), "IPV6_UNICAST_HOPS": (41, 16, 22), "IPV6_MTU_DISCOVER": (41, 23, 0),
    "IPV6_RECVERR": (41, 25, 1), "IPV6_RECVPKTINFO": (41, 49, 1),
}  # fmt: skip
KEPT = """
level, name, value = json.loads(sys.argv[1])
six = level == 41
sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
fresh = sock.getsockopt(level, name, 64)
sock.setsockopt(level, name, value if isinstance(value, int) else bytes(value))
number, wanted = sock.fileno(), sock.getsockopt(level, name, 64)
sock.bind(("::1" if six else "127.0.0.1", 80))
found = sock.getsockopt(level, name, 64)
print(json.dumps([sock.fileno() == number, wanted != fresh, found == wanted, found.hex(), wanted.hex()]))
sock.close()
"""


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_that_was_set_before_is_set_after(
    shim: Path, granted: Path, alice: int, environ: dict[str, str], name: str
) -> None:
    code = KEPT.replace("sys.argv[1]", repr(json.dumps(OPTIONS[name])))
    assert tell(alice, environ, code)[:3] == [True, True, True]


def test_what_was_not_set_is_as_the_system_has_it(
    shim: Path, granted: Path, alice: int, environ: dict[str, str]
) -> None:
    """Every option there is, by number: of our socket and of one on a port that needs no help."""
    code = """
def options(family, *name):
    with socket.socket(family) as sock:
        sock.bind(name)
        found = {}
        for level in (0, 1, 6, 41):
            for number in range(1, 90):
                with contextlib.suppress(OSError):
                    found[f"{level} {number}"] = sock.getsockopt(level, number, 64).hex()
        return found
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    ours, usual = options(family, address, 80), options(family, address, 8080)
    unlike = [name for name in usual if ours[name] != usual[name] and name not in IGNORED]
    assert not unlike, [(name, ours[name], usual[name]) for name in unlike]
print(1)
"""
    differ = ["6 11", "6 24", "1 57", "0 52"]  # times (TCP_INFO, TCP_TIMESTAMP), SO_COOKIE, and 52 is the port
    code = code.replace("IGNORED", repr(differ))
    assert tell(alice, environ, code) == 1


@pytest.mark.parametrize("inheritable", [False, True])
@pytest.mark.parametrize("blocking", [False, True])
def test_flags_are_kept(
    shim: Path, granted: Path, alice: int, environ: dict[str, str], blocking: bool, inheritable: bool
) -> None:
    code = f"""
sock = socket.socket(); sock.setblocking({blocking}); sock.set_inheritable({inheritable})
before = [fcntl.fcntl(sock, what) for what in (fcntl.F_GETFL, fcntl.F_GETFD)]
sock.bind(("127.0.0.1", 80))
print(json.dumps([fcntl.fcntl(sock, what) for what in (fcntl.F_GETFL, fcntl.F_GETFD)] == before))
sock.close()
""".replace("before", "flags")
    assert tell(alice, environ, code) is True


def test_the_owner_of_its_signals_is_kept(shim: Path, granted: Path, alice: int, environ: dict[str, str]) -> None:
    code = """
sock = socket.socket()
fcntl.fcntl(sock, fcntl.F_SETOWN, os.getpid()); fcntl.fcntl(sock, fcntl.F_SETFL, os.O_RDWR | 0o20000)
sock.bind(("127.0.0.1", 80))
print(json.dumps([fcntl.fcntl(sock, fcntl.F_GETOWN) == os.getpid(), fcntl.fcntl(sock, fcntl.F_GETFL) & 0o20000 > 0]))
sock.close()
"""
    assert tell(alice, environ, code) == [True, True]


# What is left alone

OTHERS = {
    "UDP": "refused('127.0.0.1', 80, kind=socket.SOCK_DGRAM)",
    "Unix": "refused('', family=socket.AF_UNIX)",
    "a high port": "refused('127.0.0.1', 8080)",
    "any port": "refused('127.0.0.1', 0)",
    "another address, high": "refused('192.0.2.1', 8080)",
    "port 1024": "refused('127.0.0.1', 1024)",
    "MPTCP": "errno.errorcode[ctypes_bind(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262), 80)]",
    "no socket": "errno.errorcode[ctypes_bind(open('/dev/null'), 80)]",
    "no descriptor": "errno.errorcode[ctypes_bind(None, 80)]",
    "bound already": "[s.bind(('127.0.0.1', 0)) for s in [socket.socket()]] and ''",
}


@pytest.mark.parametrize("case", OTHERS)
def test_no_other_call_is_changed(shim: Path, granted: Path, alice: int, environ: dict[str, str], case: str) -> None:
    """The answer is the one that comes without the library, and no process is made."""
    code = """
import ctypes
def ctypes_bind(file, port):
    if file is not None and not isinstance(file, socket.socket) and False: return 0
    name = (2).to_bytes(2, "little") + port.to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.bind(-1 if file is None else file.fileno(), name, 16) == -1
    file and file.close()
    return ctypes.get_errno()
""".replace("    if file is not None and not isinstance(file, socket.socket) and False: return 0\n", "")
    code += f"try: print({OTHERS[case]})\nexcept OSError as error: print(error.errno)\n"
    plain = {name: value for name, value in environ.items() if name != library.VARIABLE}
    trace = [need("strace"), "-f", "-qq", "-e", "trace=clone,clone3,fork,vfork,execve", "-E"]
    without = run(alice, plain, code)
    with_it = run(alice, plain, code, *trace, f"{library.VARIABLE}={environ[library.VARIABLE]}")
    assert (with_it.returncode, with_it.stdout) == (without.returncode, without.stdout) != (0, "")
    assert "clone" not in with_it.stderr
    assert with_it.stderr.count("execve") == 1, with_it.stderr


def test_the_strace_above_sees_a_helper(shim: Path, granted: Path, alice: int, environ: dict[str, str]) -> None:
    """A traced program gets no privilege, so nothing is granted; but it is asked."""
    plain = {name: value for name, value in environ.items() if name != library.VARIABLE}
    trace = [need("strace"), "-f", "-qq", "-e", "trace=clone,execve", "-E"]
    with_it = f"{library.VARIABLE}={environ[library.VARIABLE]}"
    done = run(alice, plain, "print(refused('127.0.0.1', 80))", *trace, with_it)
    assert done.stdout == "EACCES\n"
    assert f'execve("{SHIM}"' in done.stderr
    assert "locald-shim has no privilege here\nhint: see why: locald doctor\n" in done.stderr


def test_where_the_system_allows_it_the_helper_is_not_asked(alice: int, environ: dict[str, str]) -> None:
    setting = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    setting.write_text("80")
    try:
        # A port of no other test, whose connections could still be about (TIME_WAIT).
        assert tell(alice, environ, "print(json.dumps(refused('127.0.0.1', 99)))") == ""
    finally:
        setting.write_text("1024")


def test_a_high_port_that_the_system_keeps_is_none_of_ours(shim: Path, alice: int, environ: dict[str, str]) -> None:
    setting = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    setting.write_text("2000")
    try:
        done = run(alice, environ, "print(refused('127.0.0.1', 1500))")
    finally:
        setting.write_text("1024")
    assert (done.stdout, done.stderr) == ("EACCES\n", "")


# Refusals


def said(uid: int, environ: dict[str, str], code: str, **how: Any) -> tuple[str, str]:
    done = run(uid, environ, code, **how)
    assert is_free(80)
    return done.stdout.strip(), done.stderr


def test_a_refusal_says_once_why_and_what_to_type(
    shim: Path, granted: Path, alice: int, bob: int, environ: dict[str, str]
) -> None:
    code = "before = descriptors()\nprint(refused('127.0.0.1', 81), refused('127.0.0.1', 82), descriptors() == before)"
    word, why = said(alice, environ, code)
    assert word == "EACCES EACCES True"
    assert why == (
        "locald: this program may not have port 81 on 127.0.0.1: /etc/locald/ports does not grant it to you\n"
        "hint: sudo locald-setup --port 81 --address 127.0.0.1   (locald-setup prints the full command); "
        "more: locald doctor port:127.0.0.1:81\n"
    )
    six = said(bob, environ, "print(refused('::1', 80, family=socket.AF_INET6))")[1]
    assert "port 80 on ::1" in six
    assert six.endswith("; more: locald doctor port:[::1]:80\n")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ("rm -rf /usr/local/libexec/locald", "locald-shim is not installed\nhint: run locald-setup"),
        (f"chmod 4775 {SHIM}", "locald-shim is not root's alone to write\nhint: run locald-setup"),
        (f"chown 61002 {SHIM}", "locald-shim does not belong to root\nhint: run locald-setup"),
        (f"chmod 0755 {SHIM}", "locald-shim has no privilege here\nhint: see why: locald doctor"),
        (f"rm {POLICY}", f"{POLICY} is missing, unsafe or malformed\nhint: run locald-setup"),
        (f"echo x > {POLICY}", f"{POLICY} is missing, unsafe or malformed\nhint: run locald-setup"),
    ],
)
def test_each_cause_is_named(
    shim: Path, granted: Path, alice: int, environ: dict[str, str], spoil: str, why: str
) -> None:
    subprocess.run(["sh", "-c", spoil], check=True)
    word, found = said(alice, environ, "print(refused('127.0.0.1', 80))")
    shim.parent.mkdir(exist_ok=True)
    assert word == "EACCES"
    assert why in found


def test_of_a_packages_helper_the_package_is_named(root: Path, alice: int, environ: dict[str, str]) -> None:
    """As LOCALD_SHIM builds it: setup has nothing to do with that helper."""
    place = "/usr/libexec/locald/locald-shim"
    folder = Path("/usr/local/lib/locald-of-a-package")
    folder.mkdir(mode=0o755)
    built = preload_builds.build(root, folder, f'-DLOCALD_HELPER="{place}"')
    word, why = said(alice, environ | {library.VARIABLE: str(built)}, "print(refused('127.0.0.1', 80))")
    assert word == "EACCES"
    assert why.splitlines()[1] == (
        f"hint: install, or install again, the package of your system that has {place}; more: locald doctor shim-installed"
    )


FAKES = {
    "another protocol": ("pass_on(b'\\x02', [l])", "cannot be used"),
    "no descriptor": ("s.send(b'\\x01'); s.recv(1)", "cannot be used"),
    "too many descriptors": ("pass_on(b'\\x01', [l, l])", "cannot be used"),
    "another socket": ("pass_on(b'\\x01', [l])", "cannot be used"),
    "nothing, with success": ("pass", "cannot be used"),
    "a crash": ("import os; os.kill(os.getpid(), 11)", "cannot be used"),
    "silence": ("signal.pause()", "did not answer in time"),
    "silence behind the answer": ("s.send(b'x'); signal.pause()", "cannot be used"),
}


@pytest.mark.parametrize("case", FAKES)
def test_a_helper_that_misbehaves_gives_nothing(granted: Path, alice: int, environ: dict[str, str], case: str) -> None:
    """In the helper's place a program that is root's and answers wrongly."""
    body, why = FAKES[case]
    place = Path(SHIM)
    place.parent.mkdir(mode=0o755)
    place.write_text(
        f"#!{sys.executable} -I\nimport array, signal, socket, sys\ns = socket.socket(fileno=0)\n"
        "l = socket.create_server(('127.0.0.1', 0))\n"
        "def pass_on(data, socks):\n"
        "    s.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [x.fileno() for x in socks]))])\n"
        f"    s.recv(1)\n{body}\n"
    )
    place.chmod(0o4755)
    try:
        code = "before = descriptors()\nprint(refused('127.0.0.1', 80), descriptors() == before)"
        word, found = said(alice, environ, code)
        assert word == "EACCES True"
        assert why in found
        assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and _is_helper(pid)], "it was left running"
    finally:
        shutil.rmtree(place.parent)


def _is_helper(pid: str) -> bool:
    """A helper of these tests: other namespaces may have their own."""
    try:
        ours = os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net")
        return ours and SHIM in Path("/proc", pid, "cmdline").read_text()
    except OSError:
        return False


def test_the_reason_is_known_to_a_program_that_ignores_sigchld(
    shim: Path, granted: Path, alice: int, environ: dict[str, str]
) -> None:
    code = """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
with socket.create_server(("127.0.0.1", 80)):
    print(json.dumps(refused("127.0.0.1", 80)))
"""
    assert tell(alice, environ, code) == "EADDRINUSE"


def test_standard_error_that_has_become_something_else_is_left_alone(
    shim: Path, granted: Path, alice: int, environ: dict[str, str], tmp_path: Path
) -> None:
    code = """
reading, writing = os.pipe()
os.dup2(writing, 2)
word = refused('127.0.0.1', 81)
os.close(writing); os.close(2)
print(word, os.read(reading, 1000))
"""
    assert said(alice, environ, code) == ("EACCES b''", "")


def test_a_standard_error_that_nobody_reads_neither_ends_nor_stops_the_program(
    shim: Path, granted: Path, alice: int, environ: dict[str, str]
) -> None:
    code = "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\nprint(refused('127.0.0.1', 81))"
    for full in (False, True):
        reading, writing = os.pipe()
        if full:
            os.set_blocking(writing, False)
            with pytest.raises(BlockingIOError):
                while os.write(writing, bytes(4096)):
                    pass
            os.set_blocking(writing, True)
        else:
            os.close(reading)
        done = run(alice, environ, code, capture_output=False, stdout=subprocess.PIPE, stderr=writing)
        os.close(writing)
        if full:
            os.close(reading)
        assert (done.returncode, done.stdout) == (0, "EACCES\n")


@pytest.mark.parametrize("limit", range(4, 12))
def test_without_a_free_descriptor_nothing_is_lost(
    shim: Path, granted: Path, alice: int, environ: dict[str, str], limit: int
) -> None:
    """The answer is a bind()'s, or the port; one less each time."""
    code = f"""
import resource
sock = socket.socket()
before = descriptors() - {{sock.fileno()}}
resource.setrlimit(resource.RLIMIT_NOFILE, (max(before) + {limit} - 3, 100))
try:
    sock.bind(("127.0.0.1", 80))
    word = "had"
except OSError as error:
    word = errno.errorcode[error.errno]
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
print(word, descriptors() - {{sock.fileno()}} == before)
"""
    word, _ = said(alice, environ, code)
    assert word in ("had True", "ENOBUFS True", "EACCES True")
    assert limit < 10 or word == "had True"


# At once


def test_many_threads_at_once(shim: Path, policy: Callable[..., Path], alice: int, environ: dict[str, str]) -> None:
    """Each has its own port; and of one port, only one of them."""
    ports = range(81, 141)
    policy("locald-ports 1\n" + "".join(f"{alice} 127.0.0.1 {port}\n" for port in ports))
    code = f"""
gate = threading.Barrier({len(ports)})
had, errors = {{}}, []
def take(port):
    sock = socket.socket()
    gate.wait()
    try:
        sock.bind(("127.0.0.1", port)); sock.listen()
        had[port] = sock
    except OSError as error:
        errors.append(errno.errorcode[error.errno]); sock.close()
def together(ports):
    threads = [threading.Thread(target=take, args=(port,)) for port in ports]
    [thread.start() for thread in threads]; [thread.join() for thread in threads]
together({[*ports]})
names = sorted(sock.getsockname()[1] for sock in had.values())
[sock.close() for sock in had.values()]; had.clear()
assert not errors, errors
together([81] * {len(ports)})
[sock.close() for sock in had.values()]
print(json.dumps([names, len(had), errors]))
"""
    names, one, errors = tell(alice, environ, code)
    assert names == [*ports]
    assert one == 1
    assert errors == ["EADDRINUSE"] * (len(ports) - 1)


def test_a_fork_in_another_thread_gets_nothing_of_ours(
    shim: Path, granted: Path, alice: int, environ: dict[str, str]
) -> None:
    """A hundred binds beside forks that execute nothing and look at what they have."""
    code = """
sys.setswitchinterval(1e-6)
free, over = descriptors(), threading.Event()
def bind():
    for _ in range(50):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1) # a fork has the last one for a while
            sock.bind(("127.0.0.1", 80))
    over.set()
thread = threading.Thread(target=bind)
thread.start()
forks = bad = 0
while not over.is_set() or not forks:
    pid = os.fork()
    if pid == 0:
        # Besides what was there: the one socket of the thread, and the folder that is looked at.
        os._exit(0 if len(descriptors() - free) <= 2 else 1)
    forks, bad = forks + 1, bad + (os.waitpid(pid, 0)[1] != 0)
thread.join()
print(json.dumps([forks > 10, bad]))
"""
    assert tell(alice, environ, code) == [True, 0]


def test_signals_come_afterwards_and_none_is_lost(
    shim: Path, granted: Path, alice: int, environ: dict[str, str]
) -> None:
    code = """
seen = []
signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
for _ in range(50):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 80))
signal.setitimer(signal.ITIMER_REAL, 0)
print(json.dumps([len(seen) > 10, sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))]))
"""
    assert tell(alice, environ, code) == [True, []]


# The environment


def test_only_the_process_that_is_meant_has_it_and_its_children_have_their_environment_back(
    shim: Path, granted: Path, alice: int, environ: dict[str, str]
) -> None:
    other = f"{library.find().parent}/other.so"
    shown = "import os, socket\nfor name in ('LD_PRELOAD', 'LOCALD_PRELOAD_PID', 'LOCALD_PRELOAD_LOOPBACK', 'LAST'): print(os.environ.get(name))"
    code = f"""
done = subprocess.run([sys.executable, '-I', '-c', {shown!r}], capture_output=True, text=True)
print(json.dumps(done.stdout.split()))
"""
    plain = {name: value for name, value in environ.items() if name != library.VARIABLE} | {"LAST": "1"}
    for before in ("", other):
        command = [BIN / "locald", "exec", "--preload", "--loopback", "--", PYTHON, "-I", "-c", HEAD + code]
        known = plain | ({library.VARIABLE: before} if before else {})
        done = subprocess.run(
            command, user=alice, group=alice, extra_groups=[], env=known, capture_output=True, text=True, timeout=60
        )
        assert json.loads(done.stdout) == [before or "None", "None", "None", "1"], done.stderr


# The command


def type_it(uid: int, *words: str, **how: Any) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": f"{BIN}:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/"}
    return subprocess.run(
        ["locald", "exec", *words], user=uid, group=uid, extra_groups=[], env=environ, cwd="/", capture_output=True, text=True, timeout=60, **how
    )  # fmt: skip


def test_the_exit_code_is_the_commands(alice: int) -> None:
    for script, code in (("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", -15)):
        assert type_it(alice, "--preload", "--", "sh", "-c", script).returncode == code
    done = type_it(alice, "--preload", "--", "no-such-command")
    assert (done.returncode, done.stderr.splitlines()[0]) == (127, "error: no such command: no-such-command")
    for path in ("/etc/hosts", "/etc"):
        done = type_it(alice, "--preload", "--", path)
        assert done.returncode == 126
        assert f"{path} cannot be run" in done.stderr


def test_a_pipe_ends_it_as_it_ends_others(alice: int) -> None:
    """Python ignores SIGPIPE, and what it executes would too."""
    done = type_it(alice, "--preload", "--", "sh", "-c", "kill -PIPE $$")
    assert done.returncode == -13


@pytest.mark.parametrize(
    "words",
    [
        ("--preload",),
        ("--preload", "--"),
        ("--preload", "web", "--", "ls"),
        ("--deep", "--", "ls"),
        ("--loopback", "ls"),
    ],
)
def test_what_is_not_understood(alice: int, words: tuple[str, ...]) -> None:
    done = type_it(alice, *words)
    assert done.returncode == 2
    assert "--preload" in done.stderr


def test_a_setuid_program_is_refused_beforehand(alice: int) -> None:
    done = type_it(alice, "--preload", "--", need("su"))
    assert done.returncode == 126
    assert "gets privilege from its file" in done.stderr


def test_the_port_is_still_the_users_own(shim: Path, granted: Path, alice: int, environ: dict[str, str]) -> None:
    """As the helper made it: /proc/net/tcp has the user's uid."""
    code = """
with socket.create_server(("127.0.0.1", 80)) as sock:
    rows = [row.split() for row in open("/proc/net/tcp").read().splitlines()[1:]]
    print(json.dumps([int(row[7]) for row in rows if row[1] == "0100007F:0050" and row[3] == "0A"]))
"""
    assert tell(alice, environ, code) == [alice]
