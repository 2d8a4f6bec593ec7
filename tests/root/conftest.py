"""A real setuid helper, a real policy file and real users, in the namespace of tests/namespace.py."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from caller import file_capabilities
from programs import need

from locald import __version__
from locald.paths import POLICY, SHIM


@pytest.fixture(scope="session", autouse=True)
def own_folders() -> Iterator[None]:
    """As in the namespace, there is no helper's folder and there is a policy's.

    On macOS the first is the system's, with helpers of others in it: while these tests run it has another name.
    """
    if sys.platform == "linux":
        yield
        return
    folder, aside = Path(SHIM).parent, Path(SHIM).parent.with_suffix(".before-tests-of-locald")
    if folder.exists():
        folder.rename(aside)
    Path(POLICY).parent.mkdir(mode=0o755, exist_ok=True)
    yield
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(Path(POLICY).parent)
    if aside.exists():
        aside.rename(folder)


@pytest.fixture(scope="session")
def alice() -> int:
    """A uid without an account: what matters is the number."""
    return 61001


@pytest.fixture(scope="session")
def bob() -> int:
    return 61002


@pytest.fixture(scope="session")
def build(source_root: Path) -> Callable[[Path, Path], None]:
    """Compiles the helper of a checkout, by the code that compiles it for the wheel."""
    spec = importlib.util.spec_from_file_location("locald_build", source_root / "csrc" / "build_shim.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def compile_in(folder: Path, out: Path) -> None:
        before = Path.cwd()
        os.chdir(folder)
        try:
            module.compile_shim(out, __version__, lambda text: print(text, file=sys.stderr))
        finally:
            os.chdir(before)

    return compile_in


@pytest.fixture(scope="session")
def built_shim(
    tmp_path_factory: pytest.TempPathFactory, source_root: Path, build: Callable[[Path, Path], None]
) -> Path:
    out = tmp_path_factory.mktemp("shim") / "locald-shim"
    build(source_root, out)
    return out


@pytest.fixture
def source(tmp_path: Path, source_root: Path) -> Path:
    """A copy of the C, to be spoiled."""
    shutil.copytree(source_root / "csrc", tmp_path / "csrc", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.fixture
def shim(built_shim: Path) -> Iterator[Path]:
    """The helper at its place, root's and setuid."""
    place = Path(SHIM)
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    shutil.copyfile(built_shim, place)
    os.chown(place, 0, 0)
    place.chmod(0o4755)
    yield place
    shutil.rmtree(place.parent)


@pytest.fixture(params=["setuid", "capability"] if sys.platform == "linux" else ["setuid"])
def powered(shim: Path, request: pytest.FixtureRequest) -> Path:
    """The same in each form in which locald-setup can give it its power."""
    if request.param == "capability":
        shim.chmod(0o755)
        os.setxattr(shim, "security.capability", file_capabilities(10))
    return shim


@pytest.fixture
def policy() -> Iterator[Callable[..., Path]]:
    """Writes the policy file."""
    path = Path(POLICY)

    def write(text: str | bytes, mode: int = 0o644) -> Path:
        path.parent.mkdir(mode=0o755, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(mode)
        return path

    yield write
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


@pytest.fixture
def granted(policy: Callable[..., Path], alice: int) -> Path:
    """The policy that locald-setup writes for alice."""
    lines = [f"{alice} {address} {port}\n" for address in ("127.0.0.1", "::1") for port in (80, 443)]
    return policy("locald-ports 1\n" + "".join(lines))


@pytest.fixture
def authbind() -> Iterator[str]:
    """The program, which allows the ports 22 and 80 to everybody in the /etc of this namespace."""
    program = need("authbind")
    files = [Path(f"/etc/authbind/byport/{port}") for port in (22, 80)]
    for file in files:
        file.touch()
        file.chmod(0o755)
    yield program
    for file in files:
        file.unlink()
