"""locald exec -p: what the program gets, what it becomes, and what a wrong command line leaves: nothing."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
from typing import Any

import pytest
from caller import is_free
from shop import read_until

# What a program finds of itself, and of each descriptor.
PROBE = """
import json, os, socket, stat, sys
def look(fd):
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return os.readlink(f"/proc/self/fd/{fd}")
    with socket.socket(fileno=os.dup(fd)) as sock:
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return [*sock.getsockname()[:2], listens, os.get_blocking(fd)]
fds = [int(name) for name in os.listdir("/proc/self/fd")]
print(json.dumps({
    "fds": {fd: look(fd) for fd in fds if os.path.exists(f"/proc/self/fd/{fd}")},
    "given": {name: value for name, value in os.environ.items() if name.startswith("LISTEN_")},
    "pid": os.getpid(), "parent": os.getppid(), "argv": sys.argv[1:],
}))
"""
LISTENING = ("python", "-c", "import signal; print('ready', flush=True); signal.pause()")


def probe(user: Any, *ports: str, words: tuple[str, ...] = (), **how: Any) -> dict[str, Any]:
    done = user.type("locald", "exec", *ports, "--", "python", "-I", "-S", "-c", PROBE, *words, **how)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def no_daemon(user: Any) -> bool:
    return not any("locald.daemon" in each.cmdline() for each in user.processes())


def test_the_listeners_are_the_descriptors_from_3_and_no_other_is_there(alice: Any) -> None:
    # Of whoever starts it, some are open already, one of them where a listener is to be.
    inherited = [os.open("/etc/passwd", os.O_RDONLY) for _ in range(3)]
    os.dup2(inherited[0], 57)
    ports = ("-p", "80", "-p", "admin=[::1]:443", "-p", "8000")
    words = ("fd://{fd:80}", "{fd:admin}{fd:8000}", "{fd:[::1]:443}")
    try:
        found = probe(alice, *ports, words=words, pass_fds=(*inherited, 57), stdin=subprocess.DEVNULL)
    finally:
        for fd in (*inherited, 57):
            os.close(fd)
    streams = [found["fds"].pop(str(fd)) for fd in range(3)]
    assert streams[0] == "/dev/null"
    assert all(re.fullmatch(r"pipe:\[\d+\]", stream) for stream in streams[1:])
    assert found["fds"] == {
        "3": ["127.0.0.1", 80, 1, True], "4": ["::1", 443, 1, True], "5": ["127.0.0.1", 8000, 1, True],
    }  # fmt: skip
    named = {"LISTEN_FDS": "3", "LISTEN_FDNAMES": "80:admin:8000"}
    assert found["given"] == {"LISTEN_PID": str(found["pid"]), **named}
    assert found["argv"] == ["fd://3", "45", "4"]
    assert no_daemon(alice)


def test_without_proc_no_other_is_there_either(alice: Any) -> None:
    """Of a container that has none, say: descriptors cannot be listed."""
    look = """
import os
def is_open(fd):
    try:
        return bool(os.fstat(fd))
    except OSError:
        return False
print(os.path.exists("/proc/self"), [fd for fd in range(100) if is_open(fd)])
"""
    enter = 'mount -t tmpfs none /proc; exec setpriv --reuid="$0" --regid="$0" --clear-groups "$@" 5</etc/passwd 57<&5'
    command = ("locald", "exec", "-p", "80", "--", "python", "-I", "-S", "-c", look)
    shell = ("unshare", "-m", "bash", "-c", enter, str(alice.uid), *command)
    done = subprocess.run(shell, env=alice.environ, cwd=alice.home, capture_output=True, text=True, timeout=60)
    assert done.stdout == "False [0, 1, 2, 3]\n", done.stderr


def test_no_process_of_ours_stays_in_between(alice: Any) -> None:
    process = alice.start("locald", "exec", "-p", "80", *LISTENING)
    read_until(process, "ready")
    [only] = alice.processes()
    assert (only.pid, only.ppid(), only.cmdline()) == (process.pid, os.getpid(), [*LISTENING])
    process.terminate()
    assert process.wait(10) == -signal.SIGTERM
    assert is_free(80)


def test_what_an_earlier_giver_said_is_not_passed_on(alice: Any) -> None:
    stale = {"LISTEN_PID": "1", "LISTEN_FDS": "7", "LISTEN_FDNAMES": "x", "LISTEN_PIDFDID": "9"}
    found = probe(alice, "-p", "80", env={**alice.environ, **stale})
    assert found["given"] == {"LISTEN_PID": str(found["pid"]), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "80"}


def test_closed_standard_streams_lead_nowhere_and_no_listener_takes_their_place(alice: Any) -> None:
    found = alice.type("sh", "-c", 'exec locald exec -p 80 -- python -I -S -c "$0" <&- 2>&-', PROBE)
    fds = json.loads(found.stdout)["fds"]
    assert (fds["0"], fds["2"], fds["3"]) == ("/dev/null", "/dev/null", ["127.0.0.1", 80, 1, True])
    assert sorted(fds) == ["0", "1", "2", "3"]


def test_standard_input_and_the_folder_are_the_programs(alice: Any) -> None:
    done = alice.type("locald", "exec", "-p", "80", "--", "sh", "-c", "pwd; cat", input="a\nb")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{alice.home}\na\nb", "")


def test_signals_are_as_they_were(alice: Any) -> None:
    """Python ignores SIGPIPE: a program that inherits that never ends where `| head` would end it."""
    show = ("grep", "-E", "SigBlk|SigIgn|SigCgt", "/proc/self/status")
    assert alice.type("locald", "exec", "-p", "80", *show).stdout == alice.type(*show).stdout
    ignoring = "trap '' INT; exec "
    shown = alice.type("sh", "-c", f"{ignoring} locald exec -p 80 {' '.join(show[:1])} SigIgn /proc/self/status").stdout
    before = int(re.findall(r"SigIgn:\s+(\w+)", alice.type(*show).stdout)[0], 16)  # of who runs the tests
    assert int(shown.split()[1], 16) == before | 1 << signal.SIGINT - 1


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -TERM $$", -15),
        ("kill -KILL $$", -9),
        ("kill -PIPE $$", -13),
    ],
)
def test_the_exit_code_is_the_programs(alice: Any, script: str, code: int) -> None:
    assert alice.type("locald", "exec", "-p", "80", "--", "sh", "-c", script).returncode == code


def test_systemds_own_function_finds_them(alice: Any) -> None:
    library = "libsystemd.so.0"
    try:
        ctypes.CDLL(library)
    except OSError:
        assert not os.environ.get("CI"), f"in CI nothing is skipped: {library} is not installed"
        pytest.skip(f"{library} is not installed")
    code = f"""
import ctypes
systemd = ctypes.CDLL("{library}")
names = ctypes.POINTER(ctypes.c_char_p)()
count = systemd.sd_listen_fds_with_names(1, ctypes.byref(names))
stream, listening = 1, 1
print(count, *(names[i].decode() for i in range(count)),
      systemd.sd_is_socket_inet(3, 2, stream, listening, ctypes.c_uint16(80)),
      systemd.sd_is_socket_inet(4, 10, stream, listening, ctypes.c_uint16(443)))
"""
    done = alice.type("locald", "exec", "-p", "web=80", "-p", "[::1]:443", "--", "python", "-c", code)
    assert done.stdout == "2 web 443 1 1\n", done.stderr


def test_our_own_function_finds_them(alice: Any) -> None:
    code = "import locald; print([(name, *sock.getsockname()[:2]) for name, sock in locald.listen_fds()])"
    done = alice.type("locald", "exec", "-p", "web=80", "-p", "[::1]:443", "--", "python", "-W", "ignore", "-c", code)
    assert done.stdout == "[('web', '127.0.0.1', 80), ('443', '::1', 443)]\n", done.stderr


def test_behind_a_shell_that_stays_it_says_so(alice: Any) -> None:
    code = "import locald; locald.listen_fds()"
    done = alice.type("locald", "exec", "-p", "80", "--", "sh", "-c", f"python -c '{code}'; true")
    assert "ActivationError: LISTEN_PID is" in done.stderr
    assert "hint: let no shell and no runner stay in between" in done.stderr


WRONG = [
    # Neither a command nor a port is tried where the line is not clear.
    (("-p", "http", "--", "true"), 2, "-p http: 'http' is no port", "127.0.0.1:80"),
    (("-p", "0", "--", "true"), 2, "-p 0: '0' is no port", "'[::1]:80'"),
    (("-p", "localhost:80", "--", "true"), 2, "'localhost' is no literal IP address", "127.0.0.1:80"),
    (("-p", "80", "-p", "127.0.0.1:80", "--", "true"), 2, "127.0.0.1:80 is asked for twice", "leave one of them out"),
    (("-p", "80", "--", "echo", "{fd:81}"), 2, "{fd:81} names no listener", "there are: {fd:127.0.0.1:80}"),
    (("-p", "80", "-p", "[::1]:80", "--", "echo", "{fd:80}"), 2, "{fd:80} fits 2 listeners", "{fd:[::1]:80}"),
    (("-p", "80"), 2, "give a command: locald exec -p PORT -- CMD", ""),
    (("-p", "80", "--"), 2, "give a command", ""),
    (("--port", "80", "--", "true"), 2, "No such option", ""),
    # Commands that cannot be: nothing is bound for them.
    (("-p", "80", "--", "no-such-command"), 127, "no such command: no-such-command", "command -v no-such-command"),
    (("-p", "80", "--", "./nowhere"), 127, "no such command: ./nowhere", "command -v ./nowhere"),
    (("-p", "80", "--", ""), 127, "no such command: ", "command -v ''"),
    (("-p", "80", "web", "--", "true"), 127, "no such command: web", "with -p no NAME comes before the command"),
    (("-p", "80", "--", "./plain"), 126, "./plain cannot be run: it is not executable", "chmod +x ./plain"),
    (("-p", "80", "--", "/etc"), 126, "/etc cannot be run: it is a folder", ""),
    (("-p", "80", "--", "./nonsense"), 126, "./nonsense cannot be run: Exec format error", "ls -l"),
    (("-p", "80", "--", "./orphan"), 126, "the interpreter that its first line names is missing", "ls -l"),
    # Ports that cannot be had: those before them are not kept.
    (("-p", "80", "-p", "81", "--", "touch", "ran"), 4, "does not grant port 81 on 127.0.0.1 to uid 61001", "sudo locald-setup --port 81"),
    (("-p", "80", "-p", "0.0.0.0:80", "--", "touch", "ran"), 4, "does not grant port 80 on 0.0.0.0", "--address 0.0.0.0"),
    (("-p", "80", "-p", "192.0.2.1:8080", "--", "touch", "ran"), 4, "does not have the address 192.0.2.1", "ip address"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "said", "hint"), WRONG, ids=lambda value: " ".join(value) if type(value) is tuple else ""
)
def test_a_wrong_line_binds_nothing_and_says_why(
    alice: Any, words: tuple[str, ...], code: int, said: str, hint: str
) -> None:
    for name, text, mode in (("plain", "x", 0o644), ("nonsense", "x", 0o755), ("orphan", "#!/no/where\n", 0o755)):
        (alice.home / name).write_text(text)
        (alice.home / name).chmod(mode)
    done = alice.type("locald", "exec", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
    assert is_free(80)
    assert not (alice.home / "ran").exists()
    assert alice.processes() == []


def test_too_few_descriptors_are_an_error(alice: Any) -> None:
    done = alice.type("sh", "-c", "ulimit -n 8; exec locald exec -p 8001 -p 8002 -p 8003 -- true")
    assert done.returncode == 1
    assert "the sockets cannot be handed on: Too many open files" in done.stderr
    assert "ulimit -n" in done.stderr


def test_of_two_commands_for_one_port_the_first_has_it_and_the_second_says_who(alice: Any, bob: Any) -> None:
    serve = "import socket; s = socket.socket(fileno=3); print('ready', flush=True); s.accept()[0].sendall(b'mine')"
    first = alice.start("locald", "exec", "-p", "80", "python", "-c", serve)
    read_until(first, "ready")
    second = alice.type("locald", "exec", "-p", "80", "--", "touch", "ran")
    assert second.returncode == 4
    assert f"(pid {first.pid})" in second.stderr
    assert f"kill {first.pid}" in second.stderr
    stranger = bob.type("locald", "exec", "-p", "80", "--", "touch", "ran")
    assert (stranger.returncode, "in use by a program of another user" in stranger.stderr) == (4, True)
    with socket.create_connection(("127.0.0.1", 80)) as client:
        assert client.recv(10) == b"mine"
    assert first.wait(10) == 0


def test_where_the_daemon_has_the_port_it_is_named(alice: Any) -> None:
    assert alice.type("locald", "daemon", "start").returncode == 0
    done = alice.type("locald", "exec", "-p", "80", "--", "touch", "ran")
    assert done.returncode == 4
    assert f"port 80 on 127.0.0.1 is your locald daemon's (pid {alice.daemon().pid})" in done.stderr
    assert "locald daemon stop" in done.stderr


def test_without_a_helper_it_says_what_to_run(make_user: Any) -> None:
    done = make_user(61001).type("locald", "exec", "-p", "80", "--", "true")
    assert done.returncode == 4
    assert "locald-shim is not installed" in done.stderr
    assert "run locald-setup" in done.stderr
