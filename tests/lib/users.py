"""A real installation and a real user: the helper setuid, the policy written, the daemon the user's.

A conftest imports the fixtures from here.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import select
import shutil
import stat
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from locald.paths import POLICY, SHIM
from locald.setup.apparmor import PROFILE

BIN = Path(sys.executable).parent


class Terminal:
    """A shell's view: `locald run` as the foreground job of a session with a terminal of its own."""

    def __init__(self, user: User, *command: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.setgroups([])
            os.setresgid(user.uid, user.uid, user.uid)
            os.setresuid(user.uid, user.uid, user.uid)
            os.chdir(user.home)
            try:
                os.execvpe(command[0], command, user.environ)
            finally:
                os._exit(127)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))

    def read_until(self, word: str) -> str:
        text = ""
        while word not in text:
            assert select.select([self.fd], [], [], 60)[0], f"a minute without {word!r}: {text}"
            try:
                data = os.read(self.fd, 4096)
            except OSError as error:
                assert error.errno == errno.EIO
                data = b""
            assert data, f"it ended without {word!r}: {text}"
            text += data.decode()
        return text

    def answer(self, text: bytes) -> None:
        """Type once it waits: a Ctrl-C between a prompt and its reading is lost, to people too, who press it again."""
        while Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
            os.sched_yield()
        os.write(self.fd, text)

    def wait(self) -> int:
        try:
            while os.read(self.fd, 4096):
                pass
        except OSError:
            pass
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return code


class User:
    """Types commands as a user of their own, in a home of their own."""

    def __init__(self, uid: int, home: Path) -> None:
        self.uid = uid
        self.home = home
        self.environ = {"HOME": str(home), "PATH": f"{BIN}:/usr/bin:/bin", "LANG": "C.UTF-8"}
        self.started: list[subprocess.Popen[str]] = []

    def how(self, **more: Any) -> dict[str, Any]:
        return {
            "user": self.uid, "group": self.uid, "extra_groups": [], "env": self.environ, "cwd": self.home, "text": True,
            **more,
        }  # fmt: skip

    def type(self, *command: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        return subprocess.run(command, **self.how(capture_output=True, timeout=60, check=False, **more))

    def start(self, *command: str, **more: Any) -> subprocess.Popen[str]:
        """A command that goes on."""
        how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL, **more}
        process: subprocess.Popen[str] = subprocess.Popen(command, **self.how(**how))
        self.started.append(process)
        return process

    def at_terminal(self, *command: str) -> Terminal:
        """A command as the foreground job of a terminal."""
        return Terminal(self, *command)

    def processes(self) -> list[psutil.Process]:
        """What runs with this user's home: of root, others' processes are none of ours."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            # A zombie has no environment any more.
            return process.uids().real == self.uid and process.environ().get("HOME") == str(self.home)
        except psutil.Error:
            return False

    def daemon(self) -> psutil.Process:
        """The one daemon, once others that were refused are gone."""
        wait_for(lambda: len(self._daemons()) == 1)
        return self._daemons()[0]

    def _daemons(self) -> list[psutil.Process]:
        return [each for each in self.processes() if _is_daemon(each)]

    def put_away(self) -> None:
        for process in self.started:
            with process:
                process.kill()
        for left in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):  # it ends by itself just now
                left.kill()
        wait_for(lambda: not self.processes())


def _is_daemon(process: psutil.Process) -> bool:
    try:
        return "locald.daemon" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(name="wait_for")
def wait_for_fixture() -> Callable[..., None]:
    return wait_for


def wait_for(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Until the condition holds, for what gives no other sign; its failure is the test's."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        os.sched_yield()


@pytest.fixture(scope="session")
def installation() -> dict[Path, tuple[bytes, int]]:
    """The files that `sudo locald-setup` leaves for both users, with their modes."""
    for uid in ("61001", "61002"):
        subprocess.run([BIN / "locald-setup", "--user", uid], check=True, capture_output=True)
    files = [path for path in map(Path, (SHIM, POLICY, PROFILE)) if path.exists()]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in files} == {(0, 0)}
    left = {path: (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) for path in files}
    uninstall()
    return left


@pytest.fixture
def installed(installation: dict[Path, tuple[bytes, int]]) -> Iterator[None]:
    """What `sudo locald-setup` did for both users."""
    for path, (content, mode) in installation.items():
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
    yield
    uninstall()


def uninstall() -> None:
    subprocess.run([BIN / "locald-setup", "--uninstall"], check=True, capture_output=True)
    assert not Path(SHIM).exists()
    assert not Path(POLICY).exists()


@pytest.fixture
def make_user() -> Iterator[Callable[[int], User]]:
    users: list[User] = []

    def make(uid: int) -> User:
        home = homes / str(uid)
        home.mkdir(mode=0o700)
        os.chown(home, uid, uid)
        users.append(User(uid, home))
        return users[-1]

    # Below /etc, which is in memory here and open to everybody, where the folder of pytest is closed.  Another run of the
    # tests at the same time has the same users, and its processes are known by their home: each run has its own.
    homes = Path(f"/etc/locald-test-homes-{os.getpid()}")
    homes.mkdir(mode=0o755)
    yield make
    try:
        for user in users:
            user.put_away()
    finally:
        shutil.rmtree(homes)


@pytest.fixture
def alice(installed: None, make_user: Callable[[int], User]) -> User:
    return make_user(61001)


@pytest.fixture
def bob(installed: None, make_user: Callable[[int], User]) -> User:
    return make_user(61002)


@pytest.fixture
def sudoer(make_user: Callable[[int], User]) -> Iterator[User]:
    """A user with an account and a sudo that asks nothing; below /etc, which is in memory here."""
    user = make_user(61003)
    user.environ["XDG_STATE_HOME"] = f"{user.home}/state"
    accounts = {
        Path("/etc/passwd"): f"locald-test:x:61003:61003::{user.home}:/bin/sh\n",
        Path("/etc/shadow"): "locald-test:*:1::::::\n",
    }
    before = {path: path.read_bytes() for path in accounts}
    for path, line in accounts.items():
        path.write_bytes(before[path] + line.encode())
    rule = Path("/etc/sudoers.d/locald-test")
    rule.write_text("locald-test ALL=(ALL) NOPASSWD: ALL\n")
    rule.chmod(0o440)
    yield user
    rule.unlink()
    for path, text in before.items():
        path.write_bytes(text)
