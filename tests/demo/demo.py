"""make demo: from a checkout to a page on port 80, and nothing of it runs as root.

The steps a user takes by hand, each printed as it is typed: a virtual environment, pip install, sudo
locald-setup, locald run, curl.  Everything is put away afterwards; what was there before stays.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
POLICY = Path("/private/etc/locald/ports" if sys.platform == "darwin" else "/etc/locald/ports")
URL = "http://demo.localhost/"
SECURE_URL = "https://demo.localhost/"
STATE = "Library/Application Support" if sys.platform == "darwin" else ".local/state"  # below a home (locald/paths.py)
NOBODY = "nobody"
COLUMNS = "user,pid,args" if sys.platform == "darwin" else "user:24,pid,args"


class Stop(Exception):
    """The demo cannot go on; the text says why and what to do."""


class Demo:
    def __init__(self) -> None:
        self.is_root = os.getuid() == 0
        self.user = self._user()
        self.folder = self._folder()
        self.venv = self.folder / "venv"
        self.libraries: dict[str, str] = {}  # where the copy of a Python finds its own
        self.undo: list[tuple[str, ...]] = []
        self.run: subprocess.Popen[str] | None = None

    def _user(self) -> pwd.struct_passwd:
        if not self.is_root:
            return pwd.getpwuid(os.getuid())
        return pwd.getpwnam(os.environ.get("SUDO_USER") or NOBODY)

    def _folder(self) -> Path:
        if not self.is_root:
            folder = CHECKOUT / "build" / "demo"
            folder.mkdir(parents=True, exist_ok=True)
            return folder
        # The user must reach it, and a checkout in root's home is closed to them.
        folder = Path(tempfile.mkdtemp(prefix="locald-demo.", dir="/var/tmp"))
        folder.chmod(0o755)
        home = folder / "home"
        home.mkdir(mode=0o700)
        os.chown(home, self.user.pw_uid, self.user.pw_gid)
        return folder

    # The steps.

    def install(self) -> None:
        python = self._python()
        if not self._works(self.venv / "bin" / "python"):
            shutil.rmtree(self.venv, ignore_errors=True)
            self.do(python, "-m", "venv", str(self.venv))
        source = CHECKOUT
        if self.is_root:
            # A build writes into its source; this one must not leave root's files in the checkout.
            source = self.folder / "source"
            skip = shutil.ignore_patterns("build", ".git", "*.egg-info", "*.so", "__pycache__")
            shutil.copytree(CHECKOUT, source, ignore=skip)
        self.do(str(self.venv / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", str(source))

    def _python(self) -> str:
        """An interpreter the daemon's user can run: this one, or a copy of it."""
        if not self.is_root:
            return sys.executable
        if self._reachable(sys.executable):
            say(f"The daemon must not run as root: {self.user.pw_name} will run it, with {sys.executable}.")
            return sys.executable
        copy = self.folder / "python"
        say(
            f"The only Python here, {sys.executable}, is in a folder that {self.user.pw_name} cannot enter, and the",
            f"daemon must not run as root: the demo runs a copy of it, {copy}, removed at the end.",
        )
        prefix = Path(sys.base_prefix)
        skip = shutil.ignore_patterns("site-packages", "test", "tests", "__pycache__", "share", "*.a")
        shutil.copytree(prefix, copy, ignore=skip, symlinks=True)
        python = copy / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
        # A Python built with --enable-shared looks for libpython in the folder it was installed to.
        name = "DYLD_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"
        self.libraries = {name: str(copy / "lib")}
        if not self._reachable(str(python)):
            raise Stop("The copy does not work. Install a system Python: apt-get install python3-venv python3-dev")
        return str(python)

    def _reachable(self, python: str) -> bool:
        probe = "import ssl, venv, ensurepip"
        try:
            return self._as_user([python, "-I", "-c", probe], stderr=subprocess.DEVNULL).wait() == 0
        except PermissionError:
            return False

    @staticmethod
    def _works(python: Path) -> bool:
        try:
            return subprocess.run([python, "-c", "import pip"], check=False, capture_output=True).returncode == 0
        except OSError:
            return False

    def set_up(self) -> None:
        setup = str(self.venv / "bin" / "locald-setup")
        sudo = () if self.is_root else ("sudo",)
        user = ("--user", self.user.pw_name) if self.is_root else ()
        if not POLICY.exists():
            self.undo.append((*sudo, setup, "--uninstall"))
        self.do(*sudo, setup, "--no-trust", *user)  # the machine's trust stores are nothing to play with

    def start(self) -> None:
        locald = str(self.venv / "bin" / "locald")
        if self._as_user([locald, "status"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).wait() != 0:
            self.undo.append((locald, "daemon", "stop"))
        app = [locald, "run", "--name", "demo", "--", str(self.venv / "bin" / "python"), str(self._app())]
        echo(app, self.user.pw_name if self.is_root else "")
        self.run = self._as_user(app, stdout=subprocess.PIPE)
        assert self.run.stdout is not None
        # The app says when it listens; the end of its output says that it never will.
        if not any("listening" in line for line in self.run.stdout):
            raise Stop(f"The app did not start: locald run ended with exit code {self.run.wait()}.")

    def _app(self) -> Path:
        app = self.folder / "app.py"
        shutil.copyfile(Path(__file__).with_name("app.py"), app)
        app.chmod(0o644)
        return app

    def show(self) -> bool:
        """Print the page and the owners; whether the page came and none of ours is root."""
        say("", f"The URL:  {URL}", "")
        echo(["curl", "--fail", URL])
        got = subprocess.run(["curl", "--fail", "--silent", "--show-error", "--noproxy", "*", URL], check=False)
        say("", "Who runs as what:")
        lines = [line for line in self._ps() if str(self.venv) in line or "locald.daemon" in line]
        rows = [line.split(" ", 2) for line in lines]
        say(*(f"  {user:<12} {pid:>7}  {args}" for user, pid, args in [("USER", "PID", "COMMAND"), *rows]))
        by_root = [line for line in lines if line.split()[0] in ("root", "0")]
        say(f"Processes of ours that run as root: {len(by_root)}", "")
        daemon = any("locald.daemon" in line for line in lines)
        return got.returncode == 0 and daemon and not by_root and self.show_secure()

    def show_secure(self) -> bool:
        """The same by HTTPS, for a curl that is told to trust it; a user without a home has no authority."""
        root = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / STATE) / "locald/ca/root.pem"
        if self.is_root or not root.exists():
            return True
        say(f"And by HTTPS: once setup has run without --no-trust, {URL} leads there.", "")
        command = ["curl", "--fail", "--cacert", str(root), SECURE_URL]
        echo(command)
        got = subprocess.run([*command, "--silent", "--show-error", "--noproxy", "*"], check=False)
        say("")
        return got.returncode == 0

    @staticmethod
    def _ps() -> list[str]:
        out = subprocess.run(["ps", "-eo", COLUMNS], check=True, capture_output=True, text=True).stdout
        return [" ".join(line.split()) for line in out.splitlines() if "ps -eo" not in line and "sudo" not in line]

    def wait(self) -> None:
        if sys.stdin.isatty() and sys.stdout.isatty():
            say("Open it in a browser. Ctrl-C ends the demo.")
            assert self.run is not None
            self.run.wait()

    def put_away(self) -> None:
        if self.run is not None and self.run.poll() is None:
            self.run.terminate()
            self.run.wait()
        for step in reversed(self.undo):
            echo(step, self.user.pw_name if self.is_root and "daemon" in step else "")
            if "daemon" in step:
                self._as_user(step).wait()
            else:
                subprocess.run(step, check=False)
        if self.is_root:
            shutil.rmtree(self.folder)

    # How a step is run.

    def do(self, *command: str) -> None:
        echo(command)
        if subprocess.run(command, check=False).returncode != 0:
            raise Stop(f"This failed: {shlex.join(command)}")

    def _as_user(self, command: Sequence[str], **how: object) -> subprocess.Popen[str]:
        if self.is_root:
            clean = {"HOME": str(self.folder / "home"), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | self.libraries
            groups = os.getgrouplist(self.user.pw_name, self.user.pw_gid)
            how |= {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": groups, "env": clean}
            how["cwd"] = self.folder
        # Of a session of its own: Ctrl-C is ours to hear, and ours to pass on in the right order.
        return subprocess.Popen(command, text=True, start_new_session=True, **how)  # type: ignore[call-overload]


def echo(command: Sequence[str], user: str = "") -> None:
    say(f"{f'(as {user}) ' if user else ''}$ {shlex.join(command)}")


def say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)


def check_tools() -> None:
    needed = {"curl": "curl", "ps": "procps"} | ({} if os.getuid() == 0 else {"sudo": "sudo"})
    missing = {tool: package for tool, package in needed.items() if shutil.which(tool) is None}
    if missing:
        hint = f"apt-get install {' '.join(missing.values())}   (or your system's equivalent)"
        raise Stop(f"This machine lacks: {', '.join(missing)}\n\nhint: {hint}")


def main() -> int:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)
    shown = False
    demo = None
    try:
        check_tools()
        demo = Demo()
        demo.install()
        demo.set_up()
        demo.start()
        shown = demo.show()
        demo.wait()
    except Stop as why:
        print(f"\n{why}", file=sys.stderr)
    except KeyboardInterrupt:
        say("")
    finally:
        if demo is not None:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave things half put away
            demo.put_away()
    say("The page was shown." if shown else "The page was NOT shown.")
    return 0 if shown else 1


if __name__ == "__main__":
    sys.exit(main())
