"""run.py [PART...]: what locald costs, beside its peers in one run; the parts are below, and all of them are the default.

Runs in the namespace of the tests (bench/run.sh); prints tables and writes them to bench/results/latest.md, and what
README quotes of them to README.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench/results/latest.md"

sys.path.insert(0, str(ROOT / "csrc"))
sys.path.insert(0, str(ROOT / "bench"))
sys.path.insert(0, str(ROOT / "tests/lib"))
import build_shim  # noqa: E402
import logs  # noqa: E402
import readme  # noqa: E402
import routes  # noqa: E402
import supervised  # noqa: E402
from proxy.measure import measure as proxies  # noqa: E402
from proxy.secure import measure as secure  # noqa: E402
from table import Table, sections  # noqa: E402
from user import INSTALLED, UID, as_user  # noqa: E402

from locald.setup.form import BY_CAPABILITY  # noqa: E402

Row = tuple[str, str, str]


def compile_nothing(folder: Path, name: str, compiler: list[str]) -> Path:
    source = folder / "nothing.c"
    source.write_text("int main(void) { return 0; }\n")
    out = folder / f"nothing-{name}"
    subprocess.run([*compiler, "-O2", "-static", str(source), "-o", str(out)], check=True)
    return out


# What the hardening costs: the helper as it is shipped, in its other form, and with pieces left out, which nobody ships.
BOUNDING = ("        drop_bounding_set();", "        (void)drop_bounding_set;")
FILTER = ("return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);", "return 0;")
VARIANTS = {
    "locald-shim, to the socket": (),
    "the same with a file capability": (),
    "the same without emptying the bounding set (not shipped)": (BOUNDING,),
    "nor the seccomp filter (not shipped)": (BOUNDING, FILTER),
}


def spawns(folder: Path) -> list[Row]:
    """From a spawn of the helper to the socket, and from a call of bind(80) to its return, beside spawning a program
    that does nothing."""
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", f"{platform.machine()}-linux-musl"]
    rows: list[Row] = []
    for name, compiler in {"musl": zig, "glibc": ["cc"]}.items():
        nothing = compile_nothing(folder, name, compiler)
        for variant, edits in VARIANTS.items() if name == "musl" else [*VARIANTS.items()][:1]:
            install(compile_helper(folder, compiler, edits), "capability" in variant)
            rivals = peers() if name == "glibc" else []
            found = json.loads(as_user(sys.executable, "-P", ROOT / "bench/spawn.py", nothing, *rivals))
            if variant == next(iter(VARIANTS)):
                rows.append((f"spawn a static {name} program that does nothing", f"{found['raw'][1]:.0f} us", "1.00"))
                words = {"raw": variant, "bind": "locald.bind(80), to its return"}
            else:
                words, found = {"raw": variant}, {"raw": found["raw"]}
            for case, (time, base) in found.items():
                rows.append((words.get(case, f"{case} in front of it"), f"{time:.0f} us", f"{time / base:.2f}"))
    return rows


def compile_helper(folder: Path, compiler: list[str], edits: tuple[tuple[str, str], ...]) -> Path:
    copy = folder / "source"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ROOT / "csrc", copy / "csrc")
    file = copy / "csrc/shim/os_linux.c"
    text = file.read_text()
    for old, new in edits:
        assert text.count(old) == 1
        text = text.replace(old, new)
    file.write_text(text)
    arguments = [*build_shim.STATIC_PIE, *build_shim.CFLAGS, '-DLOCALD_VERSION="0"', *build_shim.SOURCES]
    os.chdir(copy)
    build_shim.link(compiler, [*arguments, "-o", str(folder / "shim")], quiet=True)
    os.chdir(ROOT)
    return folder / "shim"


def peers() -> list[str]:
    """Those that are installed, allowed for the user in the /etc of this namespace."""
    found = []
    if shutil.which("sudo"):
        for file, line in (("passwd", f"bench:x:{UID}:{UID}::/:/bin/sh"), ("group", f"bench:x:{UID}:")):
            path = Path("/etc") / file
            path.write_text(path.read_text() + line + "\n")
        rule = Path("/etc/sudoers.d/bench")
        rule.write_text("bench ALL=(ALL) NOPASSWD: ALL\n")
        rule.chmod(0o440)
        found.append("sudo -n")
    if shutil.which("authbind"):
        allow = Path("/etc/authbind/byport/80")
        allow.touch()
        allow.chmod(0o755)
        found.append("authbind")
    return found


def install(shim: Path, by_capability: bool) -> None:
    place = Path("/usr/local/libexec/locald/locald-shim")
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    shutil.copyfile(shim, place)
    place.chmod(0o755 if by_capability else 0o4755)
    if by_capability:
        os.setxattr(place, "security.capability", BY_CAPABILITY.capability)
    Path("/etc/locald/ports").write_text(f"locald-ports 1\n{UID} 127.0.0.1 80\n{UID} ::1 80\n")


def starts() -> list[Row]:
    """How long a Python and our commands take to start, as a user has them installed."""
    as_user(INSTALLED / "locald", "daemon", "start")
    try:
        found = json.loads(as_user(sys.executable, "-P", ROOT / "bench/start.py", INSTALLED))
    finally:
        as_user(INSTALLED / "locald", "daemon", "stop")
    base = found.pop("python -c pass")
    rows = [("python -c pass", f"{base:.1f} ms", "1.00")]
    return rows + [(name, f"{value:.1f} ms", f"{value / base:.2f}") for name, value in found.items()]


BINDS = """#include <netinet/in.h>
#include <stdlib.h>
int main(int argc, char *argv[])
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (argc != 2)
        return 1;
    name.sin_port = htons((unsigned short)atoi(argv[1]));
    return bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&name, sizeof name) != 0;
}
"""


def preloads(folder: Path) -> list[Row]:
    """A program that binds by itself, with our library in it and behind authbind."""
    install(compile_helper(folder, ["cc"], ()), False)
    (folder / "binds.c").write_text(BINDS)
    subprocess.run(["cc", "-O2", folder / "binds.c", "-o", folder / "binds"], check=True)
    (folder / "ends.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(["cc", "-O2", folder / "ends.c", "-o", folder / "ends"], check=True)
    rivals = [shutil.which("authbind")] if "authbind" in peers() else []
    script = ROOT / "bench/preload.py"
    found = json.loads(as_user(sys.executable, "-P", script, INSTALLED, folder / "ends", folder / "binds", *rivals))
    base = found["a program that does nothing"]
    return [(name, f"{value:.0f} us", f"{value / base:.2f}") for name, value in found.items()]


def descriptors() -> list[Row]:
    found = json.loads(as_user(sys.executable, "-P", ROOT / "bench/fds.py"))
    return [(name, f"{value:.2f} us", f"{value / found['socket']:.2f}") for name, value in found.items()]


def ratios(title: str, rows: list[Row]) -> list[Table]:
    return [Table(title, ["", "", "ratio"], rows)]


PARTS: dict[str, Callable[[Path], list[Table]]] = {
    "spawn": lambda folder: ratios("From a call to a socket on port 80 (median)", spawns(folder)),
    "preload": lambda folder: ratios("A program that binds by itself (median)", preloads(folder)),
    "descriptors": lambda folder: ratios("One descriptor sent and received (median)", descriptors()),
    "start": lambda folder: ratios("Start-up (median)", starts()),
    "proxy": proxies,
    "https": secure,
    "services": supervised.measure,
    "logs": logs.measure,
    "routes": lambda folder: ratios("Looking up a route (median)", routes.measure()),
}


def describe() -> str:
    cpu = next(
        (line.split(": ")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "?"
    )
    return f"{cpu}, {os.cpu_count()} CPUs, Linux {platform.release()}, Python {platform.python_version()}"


def main(parts: list[str]) -> None:
    if unknown := {*parts} - {*PARTS}:
        raise SystemExit(f"no part {', '.join(unknown)}: the parts are {', '.join(PARTS)}")
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that what was started is ended
    old, here = sections(RESULTS.read_text()), describe()
    machine = old[""].splitlines()[2] if parts else here
    found: dict[str, str] = {}
    for part in parts or PARTS:
        with tempfile.TemporaryDirectory(dir="/etc") as name:  # in memory here, and its path is short
            Path(name).chmod(0o755)
            for table in PARTS[part](Path(name)):
                if here != machine:  # the others stay, and so does the line on top, which is about them
                    table = dataclasses.replace(table, notes=f"{table.notes}\nOn {here}.".strip())
                print(table, flush=True)
                found[table.title] = str(table)
    if parts:
        found = {title: f"## {title}\n{body.rstrip()}\n" for title, body in old.items() if title} | found
    RESULTS.write_text("\n".join([f"# make bench\n\n{machine}\n", *found.values()]))
    if {*readme.TITLES} & {*found}:
        readme.update(ROOT / "README.md", RESULTS.read_text())


if __name__ == "__main__":
    main(sys.argv[1:])
