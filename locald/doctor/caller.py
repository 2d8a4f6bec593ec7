"""What this command has been started in: whose process it is, what that may not do, and its environment."""

from __future__ import annotations

import ctypes
import os
import platform
import pwd
import re
import resource
import shlex
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import locald
from locald import refusal
from locald.control.environment import ENVIRON_MAX, pack, pack_to_send
from locald.doctor.check import FAIL, OK, WARN, Check
from locald.doctor.world import World
from locald.errors import LocaldError

__all__ = ["checks", "home", "who"]

FILES_MIN = (
    256  # descriptors: a page of a browser takes up to 6 connections, each of them 2, and there are several apps
)
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
NO_PROXY = ("localhost", "127.0.0.1", "::1")


def checks(world: World) -> Iterator[Check]:
    yield _versions(world)
    yield _user(world)
    if sys.platform == "linux":
        yield from _confined(world)
    yield _limits()
    yield _environment(world.environ)
    yield _proxy_variables(world)


def who(uid: int) -> str:
    """A user, by name where there is one."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def home() -> str:
    """This user's, as the system has it; one that is there in any case for who has none."""
    try:
        return shlex.quote(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return '"$(mktemp -d)"'


def _versions(world: World) -> Check:
    words = f"locald {locald.__version__}, Python {platform.python_version()}, {_system()}, {platform.machine()}"
    if world.report and world.report.version != locald.__version__:
        words = f"{words}; the daemon is locald {world.report.version}"
        return Check("versions", WARN, words, "locald daemon restart")
    return Check("versions", OK, words)


def _system() -> str:
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    kernel = f"{platform.system()} {platform.release()}"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    except (OSError, KeyError):
        return kernel


def _user(world: World) -> Check:
    uid = os.getuid()
    if uid != 0:
        return Check("user", OK, who(uid))
    behind = os.environ.get("SUDO_USER", "root")
    if behind != "root":
        return Check("user", FAIL, f"root, by the sudo of {behind}, who needs none", "locald doctor")
    if world.report:
        return Check("user", OK, "root, and the daemon was allowed to run as root")
    words = "root, as whom the daemon runs in a container that has nobody else, and not by itself"
    return Check("user", WARN, words, "locald daemon start --allow-root")


def _confined(world: World) -> Iterator[Check]:
    """Where setuid programs have no power; whoever runs already needs them no more."""
    bound = world.report is not None
    if "NoNewPrivs:\t1" in _status():
        words = "set in this process, so no setuid program works in it"
        yield _sandbox("no-new-privs", bound, words)
    else:
        yield Check("no-new-privs", OK, "not set")
    if refusal.in_user_namespace():
        yield _sandbox(
            "user-namespace", bound, "this process is in one, where setuid programs have no power over ports"
        )
    else:
        yield Check("user-namespace", OK, "the first one, of the whole system")


def _sandbox(id: str, bound: bool, words: str) -> Check:
    if bound:
        return Check(id, OK, f"{words}; but the daemon runs, and has its ports")
    # What ended in a sandbox begins outside of it: there the same command works, and this one then finds that daemon.
    return Check(
        id, FAIL, f"{words}; a terminal outside of this sandbox has to start the daemon", "locald daemon start"
    )


def _status() -> str:
    try:
        return Path("/proc/self/status").read_text()
    except OSError:
        return ""


def _limits() -> Check:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    few = hard != resource.RLIM_INFINITY and hard < FILES_MIN
    words = f"at most {'any number of' if hard == resource.RLIM_INFINITY else hard} descriptors for a process"
    if few:
        remedy = f"sudo prlimit --pid $$ --nofile={4 * FILES_MIN}:{4 * FILES_MIN}"
        return Check("limits", FAIL, f"{words}, and the daemon wants {FILES_MIN}", remedy)
    refused = _inotify()
    if refused:
        remedy = "sudo sysctl fs.inotify.max_user_instances=1024"
        return Check("limits", FAIL, f"no file can be watched: inotify_init1: {refused}", remedy)
    return Check("limits", OK, words)


def _inotify() -> str:
    """Why the kernel gives no inotify(7), "" where it does, or there is none."""
    if sys.platform != "linux":
        return ""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_CLOEXEC)
    if fd < 0:
        return os.strerror(ctypes.get_errno())
    os.close(fd)
    return ""


def _environment(environ: Mapping[str, str]) -> Check:
    try:
        size = len(pack_to_send(environ))
    except LocaldError as error:
        left = dict(environ)
        large = []
        while len(pack(left)) > ENVIRON_MAX:
            large.append(max(left, key=lambda name: len(left[name])))
            del left[large[-1]]
        return Check("environment", FAIL, error.message, f"unset {' '.join(map(shlex.quote, large))}")
    return Check("environment", OK, f"{len(environ)} variables, {size} bytes")


def _proxy_variables(world: World) -> Check:
    """Browsers and curl ask their proxy for every name that no_proxy does not except."""
    environ = {name.lower(): value for name, value in sorted(world.environ.items()) if value}  # lower case wins
    named = [name for name in PROXIES if environ.get(name)]
    if not named:
        return Check("proxy-variables", OK, "none is set")
    known = [*filter(None, re.split(r"[\s,]+", environ.get("no_proxy", "")))]
    wanted = [*NO_PROXY, *(f".{suffix}" for suffix in world.suffixes)]
    missing = [name for name in wanted if not _excepts(known, name)]
    if not missing:
        return Check("proxy-variables", OK, f"{' and '.join(named)}, and no_proxy excepts what is local")
    every = ",".join([*known, *missing])
    remedy = f"export no_proxy={shlex.quote(every)} NO_PROXY={shlex.quote(every)}"
    words = f"{' and '.join(named)} also for {', '.join(missing)}, which that proxy does not know"
    return Check("proxy-variables", WARN, words, remedy)


def _excepts(known: Collection[str], name: str) -> bool:
    """Whether no_proxy has the name, or a domain that it is below; of those begin some with a dot and some do not."""
    return any(
        each == "*" or each.lstrip(".") == name.lstrip(".") or name.endswith(f".{each.lstrip('.')}") for each in known
    )
