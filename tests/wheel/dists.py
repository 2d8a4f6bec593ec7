"""What is to be released, looked at as a whole: one sdist, and wheels for every system we name, all of one version.

    python tests/wheel/dists.py FOLDER [TAG]      prints the SHA-256 of locald-shim, one for each architecture of Linux

Each job of a release sees its own wheels; what only shows when all are side by side is looked for here:

* a Python that one system has a wheel for and another has not;
* helpers of one architecture that differ: ziglang builds the same bytes everywhere, so another hash means another compiler,
  and what is published would be the hash of some of them only;
* a tag that is not the version.

Needs no package and nothing of locald: it runs where only the files are.
"""

from __future__ import annotations

import hashlib
import re
import sys
import zipfile
from collections import defaultdict
from pathlib import Path

SDIST = re.compile(r"locald-(?P<version>[^-]+)\.tar\.gz")
WHEEL = re.compile(r"locald-(?P<version>[^-]+)-(?P<python>cp3\d+-cp3\d+t?)-(?P<platform>[a-z0-9_.]+)\.whl")
# The last part of auditwheel's compressed tags is as good as any: "manylinux2014_x86_64.manylinux_2_17_x86_64".
PLATFORM = re.compile(r"(?P<system>manylinux|musllinux|macosx)[0-9_]*_(?P<machine>x86_64|aarch64|arm64)")
WANTED = {
    *((system, machine) for system in ("manylinux", "musllinux") for machine in ("x86_64", "aarch64")),
    ("macosx", "x86_64"),
    ("macosx", "arm64"),
}


class Wrong(Exception):
    """What is not as a release has to be, in words."""


def look(folder: Path, tag: str = "") -> dict[str, str]:
    """The hash of the helper for each architecture of Linux; raises Wrong."""
    versions: set[str] = set()
    sdists = 0
    pythons: dict[tuple[str, str], set[str]] = defaultdict(set)
    hashes: dict[str, dict[str, str]] = defaultdict(dict)  # architecture: hash: one of the wheels that have it
    for path in sorted(folder.iterdir()):
        if found := SDIST.fullmatch(path.name):
            sdists += 1
        elif found := WHEEL.fullmatch(path.name):
            system, machine = platform_of(path.name, found["platform"])
            pythons[system, machine].add(found["python"])
            if system != "macosx":  # there the helper is signed as it is linked
                hashes[machine][helper_of(path)] = path.name
        else:
            raise Wrong(f"{path.name} is neither an sdist nor a wheel of locald")
        versions.add(found["version"])
    if sdists != 1:
        raise Wrong(f"there are {sdists} sdists")
    check_versions(versions, tag)
    check_pythons(pythons)
    for machine, found_hashes in hashes.items():
        if len(found_hashes) > 1:
            raise Wrong(f"the helpers for {machine} differ: {', '.join(sorted(found_hashes.values()))}")
    return {machine: next(iter(found_hashes)) for machine, found_hashes in sorted(hashes.items())}


def platform_of(name: str, tags: str) -> tuple[str, str]:
    found = PLATFORM.fullmatch(tags.split(".")[-1])
    if found is None:
        raise Wrong(f"{name} is for no system that we name")
    return found["system"], found["machine"]


def helper_of(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".data/scripts/locald-shim")]
        if len(names) != 1:
            raise Wrong(f"{wheel.name} has {len(names)} helpers")
        return hashlib.sha256(archive.read(names[0])).hexdigest()


def check_versions(versions: set[str], tag: str) -> None:
    if len(versions) != 1:
        raise Wrong(f"there are {len(versions)} versions: {', '.join(sorted(versions))}")
    (version,) = versions
    if tag and tag != f"v{version}":
        raise Wrong(f"the tag is {tag}, and the version {version}")


def check_pythons(pythons: dict[tuple[str, str], set[str]]) -> None:
    every = set().union(*pythons.values())
    if not every:
        raise Wrong("there is no wheel")
    for system, machine in sorted(WANTED):
        if lacks := every - pythons[system, machine]:
            raise Wrong(f"no wheel for {system} on {machine} for {', '.join(sorted(lacks))}")


def main() -> int:
    try:
        hashes = look(Path(sys.argv[1]), *sys.argv[2:])
    except Wrong as wrong:
        print(f"not to be released: {wrong}", file=sys.stderr)
        return 1
    for machine, value in hashes.items():
        print(f"{value}  locald-shim, Linux, {machine}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
