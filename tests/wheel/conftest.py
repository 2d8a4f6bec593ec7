"""What `make wheels-check` looks at: a release, built once for all of the checks."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sources

if TYPE_CHECKING:
    from release import Kind, Release


@dataclass(frozen=True)
class Wheel:
    """One kind of a release."""

    kind: Kind
    built: Path
    shipped: Path
    said: str  # by the build

    def extensions(self) -> dict[str, bytes]:
        with zipfile.ZipFile(self.shipped) as archive:
            return {name: archive.read(name) for name in archive.namelist() if name.endswith((".so", ".dylib"))}


def helper_of(wheel: Path) -> bytes:
    """locald-shim, as it lies in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".data/scripts/locald-shim")]
        return archive.read(name)


def record_of(wheel: Path, ending: str) -> str:
    """The line of RECORD for the file whose name ends so."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/RECORD")]
        (line,) = [line for line in archive.read(name).decode().splitlines() if line.split(",")[0].endswith(ending)]
    return line


@pytest.fixture(scope="session")
def archive(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """nghttp2's release, where apt has it: Debian's source is the same file.  Else the build downloads it from upstream."""
    text = (root / "csrc/build_nghttp2.sh").read_text()
    version, sha256 = (re.search(rf"^{name}=(\S+)$", text, re.M)[1] for name in ("version", "sha256"))  # type: ignore[index]
    helper = Path("/usr/lib/apt/apt-helper")
    if not helper.exists():
        return None
    targets = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    places = subprocess.run(targets, capture_output=True, text=True, check=True).stdout.split()
    out = tmp_path_factory.mktemp("nghttp2") / "nghttp2.tar.gz"
    for place in dict.fromkeys(places):
        url = f"{place}pool/main/n/nghttp2/nghttp2_{version}.orig.tar.gz"
        done = subprocess.run([helper, "download-file", url, out, f"SHA256:{sha256}"], capture_output=True)
        if done.returncode == 0 and hashlib.sha256(out.read_bytes()).hexdigest() == sha256:
            return out
    return None


@pytest.fixture(scope="session")
def release(root: Path, tmp_path_factory: pytest.TempPathFactory, archive: Path | None) -> Release:
    from release import Release

    folder = tmp_path_factory.mktemp("release")
    release = Release(sources.copy(root, folder / "checkout"), folder, archive)
    release.build_sdist()
    return release


@pytest.fixture(scope="session")
def wheels(release: Release) -> dict[str, Wheel]:
    """Each kind of a release, by its name."""
    from release import KINDS

    native, *others = sorted(KINDS.values(), key=lambda kind: not kind.native)
    first = release.build(native)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = [first, *pool.map(release.build, others)]
    return {kind.name: Wheel(kind, *each) for kind, each in zip([native, *others], made, strict=True)}


@pytest.fixture(scope="session")
def native(wheels: dict[str, Wheel]) -> Wheel:
    """The one for this machine."""
    return wheels[f"manylinux_{os.uname().machine}"]


@pytest.fixture
def environment(tmp_path: Path) -> Callable[..., Path]:
    """An environment of one of the Pythons at hand, with these installed; the folder of its programs."""

    def make(python: str | Path, *what: object) -> Path:
        folder = tmp_path / Path(python).name
        subprocess.run([python, "-m", "venv", folder], check=True)
        install = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *map(str, what)], check=True, env=clean())
        return folder / "bin"

    return make


def clean() -> dict[str, str]:
    """The environment, less what says where Python and its packages are."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def pythons() -> list[str]:
    """Each Python at hand that locald is for, with the headers of C: by what PATH has, and pyenv and uv have installed."""
    versions = ("3.11", "3.12", "3.13", "3.14", "3.14t", "3.15", "3.15t")
    folders = [*os.environ["PATH"].split(":"), "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"]
    found = [shutil.which(f"python{version}", path=folder) for version in versions for folder in folders]
    managed = [Path.home() / ".pyenv/versions", Path.home() / ".local/share/uv/python"]
    found += [str(path) for place in managed for path in place.glob("*/bin/python3") if path.is_file()]
    real = {path: each for each in filter(None, found) if (path := real_path(each))}
    real.pop(real_path(sys.executable), None)
    return [sys.executable, *real.values()]


def real_path(python: str) -> str:
    """Of the interpreter behind it; "" if that is older than 3.11, or has no venv or no headers."""
    ask = "import os, sys, sysconfig, venv, ensurepip; assert sys.version_info >= (3, 11)"
    ask += "; assert os.path.exists(sysconfig.get_path('include') + '/Python.h')"
    ask += "; print(os.path.realpath(sys.executable))"
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""
