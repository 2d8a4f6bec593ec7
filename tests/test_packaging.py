"""One wheel with three programs: built from the sdist and from the checkout, installed in each way people use.

Those that need the wheel or the sdist have the mark `release`: `make wheels-check` gives them its own.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
import sources
import supported

from locald import __version__

PROGRAMS = ("locald", "locald-setup", "locald-shim")
PAGES = ("locald-setup.8", "locald-shim.8")
QUIET = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_QUIET": "1", "PIP_ROOT_USER_ACTION": "ignore"}
# A sixth of the time.  That it compiles as users have it, the installation shows in which these tests run.
QUICK = {"CFLAGS": "-O0 -g0"}


def run(*command: object, cwd: Path | None = None, **environ: str) -> str:
    words, env = [str(word) for word in command], os.environ | QUIET | QUICK | environ
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """The checkout in a folder of its own: a build writes into its source."""
    return sources.copy(root, tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def dists(tmp_path_factory: pytest.TempPathFactory, source: Path) -> tuple[Path, Path]:
    """The sdist, and the wheel built from it, as `python -m build` does; or those of `make wheels-check`."""
    if given := os.environ.get("LOCALD_TEST_DISTS"):
        sdist, _, wheel = given.partition(":")
        return Path(sdist), Path(wheel)
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source)
    return next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


@pytest.mark.release
def test_the_wheel_has_the_three_programs_and_nothing_of_the_build(dists: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(dists[1]) as wheel:
        names = [name for name in wheel.namelist() if not name.endswith("/")]  # auditwheel has folders in it, too
        entries = wheel.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
        (shim,) = [info for info in wheel.infolist() if info.filename.endswith("scripts/locald-shim")]
        assert wheel.read(shim)[:4] == b"\x7fELF"
    assert (shim.external_attr >> 16) & 0o7777 == 0o755
    assert "locald = locald.cli:main" in entries
    assert "locald-setup = locald.setup.main:main" in entries
    assert any(re.search(r"locald/fdpass\..*\.so$", name) for name in names)
    assert any(re.search(r"locald/proxy/http1\..*\.so$", name) for name in names)
    assert "locald/preload/locald-preload.so" in names
    assert "locald/py.typed" in names
    assert "locald/fdpass.pyi" in names
    assert "locald/setup/locald-shim.apparmor" in names
    licences = {Path(name).name for name in names if ".dist-info/licenses/" in name}
    assert licences == {"LICENSE", "nghttp2.txt", "musl.txt"}, (
        "of whom a part may be linked in, the licence travels along"
    )
    assert [name.partition(".data/")[2] for name in names if name.endswith(".8")] == [
        f"data/share/man/man8/{page}" for page in PAGES
    ]
    assert not [name for name in names if name.endswith((".c", ".pyx", ".h", "main"))]
    assert not [name for name in names if name.startswith(("tests/", "csrc/"))]


@pytest.mark.release
def test_the_sdist_has_all_sources_and_no_product(dists: tuple[Path, Path]) -> None:
    with tarfile.open(dists[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for needed in ("setup.py", "csrc/fdpass.h", "csrc/http1.c", "csrc/build_shim.py", "csrc/supported.py", "csrc/zig.txt",
                   "csrc/program_headers.py", "csrc/find_nghttp2.py", "csrc/build_nghttp2.sh", "csrc/shim/os_darwin.c",
                   "csrc/shim/os.h", "csrc/build_preload.py", "csrc/preload/preload.h", "csrc/preload/os_darwin.c", "locald/fdpass.pyx", "locald/proxy/chttp1.pxd", "LICENSE", "README.md", "Makefile",
                   "locald/setup/locald-shim.apparmor", "docs/man/locald-shim.8", "docs/man/locald-setup.8"):  # fmt: skip
        assert needed in names
    assert not [name for name in names if name.endswith((".so", ".o")) or name == "locald/fdpass.c"]


def environment(folder: Path) -> Path:
    """A virtual environment that has our dependencies, by a path file, and not us."""
    run(sys.executable, "-m", "venv", folder)
    (place,) = folder.glob("lib/python*/site-packages")
    (place / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    # An old setuptools comes with the environment, and would be found before ours.
    run(folder / "bin/python", "-m", "pip", "uninstall", "--yes", "setuptools")
    return folder / "bin"


def outside() -> tuple[str, ...]:
    """What goes before a command that downloads: the namespace of the tests has no network."""
    fd = os.environ.get("LOCALD_TEST_OUTSIDE")
    return ("nsenter", f"--net=/proc/{os.getpid()}/fd/{fd}") if fd else ()


def check_programs(binaries: Path) -> None:
    said = [
        run(binaries / "locald", "--version"),
        run(binaries / "locald-setup", "--version"),
        run(binaries / "locald-shim", "version"),
    ]
    assert said == [
        f"locald {__version__}\n",
        f"locald-setup {__version__}\n",
        f"locald-shim {__version__} protocol 1\n",
    ]
    assert (binaries / "locald-shim").stat().st_mode & 0o7777 == 0o755
    # The library is found, and the loader takes it: a program that it cannot load it only complains of.
    preloaded = (binaries / "locald", "exec", "--preload", "--", "env")
    done = subprocess.run([str(word) for word in preloaded], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "/locald-preload.so\n" in done.stdout
    # The helper that setup would install is this installation's own, and no other.
    plan = run(binaries / "locald-setup", "--dry-run", "--user", "61001")
    assert f"from {binaries / 'locald-shim'}\n" in plan


@pytest.mark.release
@pytest.mark.parametrize("way", ["wheel", "sdist", "editable"])
def test_pip_installs_and_uninstalls(way: str, dists: tuple[Path, Path], source: Path, tmp_path: Path) -> None:
    binaries = environment(tmp_path / "venv")
    what = {
        "wheel": [dists[1]],
        "sdist": ["--no-build-isolation", dists[0]],
        "editable": ["--no-build-isolation", "--editable", source],
    }[way]
    run(binaries / "python", "-m", "pip", "install", "--no-deps", *what)
    check_programs(binaries)
    manual = binaries.parent / "share/man/man8"
    # setuptools leaves data files out of an editable install: its pages are in the checkout.
    assert sorted(page.name for page in manual.glob("*")) == ([] if way == "editable" else sorted(PAGES))
    run(binaries / "python", "-m", "pip", "uninstall", "--yes", "locald")
    assert not [name for name in PROGRAMS if (binaries / name).exists()]
    assert not list(manual.glob("*"))


@pytest.mark.release
@pytest.mark.parametrize("tool", ["pipx", "uv"])
def test_pipx_and_uv_put_all_three_on_path(tool: str, dists: tuple[Path, Path], tmp_path: Path) -> None:
    binaries = tmp_path / "bin"
    places = {
        "HOME": str(tmp_path), "PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(binaries),
        "PIPX_MAN_DIR": str(tmp_path / "man"),
        "UV_TOOL_DIR": str(tmp_path / "uv"), "UV_TOOL_BIN_DIR": str(binaries), "UV_CACHE_DIR": str(tmp_path / "cache"),
        "UV_SYSTEM_CERTS": "1",  # as pip does, which matters where a company looks into what comes
    }  # fmt: skip
    start = {"pipx": (sys.executable, "-m", "pipx"), "uv": (sys.executable, "-m", "uv", "tool")}[tool]
    run(*outside(), *start, "install", "--quiet", "--python", sys.executable, dists[1], **places)
    assert sorted(path.name for path in binaries.iterdir()) == sorted(PROGRAMS)
    assert run(binaries / "locald-shim", "version") == f"locald-shim {__version__} protocol 1\n"
    plan = run(binaries / "locald-setup", "--dry-run", "--user", "61001")
    assert f"from {tmp_path}" in plan
    # pipx links the pages to a place of its own; uv leaves them in the tool's environment.
    manual = {"pipx": tmp_path / "man/man8", "uv": tmp_path / "uv/locald/share/man/man8"}[tool]
    assert sorted(page.name for page in manual.iterdir()) == sorted(PAGES)
    run(*start, "uninstall", "locald", **places)
    left = [path for path in tmp_path.rglob("*locald*") if tmp_path / "cache" not in path.parents]
    assert {path.name for path in left} <= {".locald.lock", "cmd_locald.log"}, "but for pipx's own lock and log"


@pytest.mark.release
def test_target_is_found_by_setup(dists: tuple[Path, Path], tmp_path: Path) -> None:
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--target", tmp_path, dists[1])
    plan = run(tmp_path / "bin/locald-setup", "--dry-run", "--user", "61001", PYTHONPATH=str(tmp_path))
    assert f"from {tmp_path / 'bin/locald-shim'}\n" in plan


def test_without_a_compiler_the_build_says_so_in_two_lines(source: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_scripts", "--build-dir", tmp_path], cwd=source,
        env=os.environ | {"CC": "no-such-compiler"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert "no C compiler: 'no-such-compiler' was not found\nhint: apt install gcc" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_release_compiler_that_links_dynamically_fails_the_build(source: Path, tmp_path: Path) -> None:
    fake = tmp_path / "cc"
    fake.write_text(
        '#!/bin/sh\nfor word; do [ "$word" = -static-pie ] && word=-pie; set -- "$@" "$word"; shift; done\nexec cc "$@"\n'
    )
    fake.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_scripts", "--build-dir", tmp_path / "out"], cwd=source,
        env=os.environ | {"LOCALD_SHIM_CC": str(fake)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert "it is dynamic: it needs the loader" in done.stderr
    assert not list((tmp_path / "out").iterdir()), "what was refused was left there"


# What cannot be built


def build_quickly(source: Path, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "setup.py", "-q", "build", "--build-base", folder]
    return subprocess.run(command, cwd=source, env=os.environ | QUICK | environ, capture_output=True, text=True)


def check_refused(done: subprocess.CompletedProcess[str], folder: Path, problem: str, remedy: str) -> None:
    """Two lines at the end, and nothing that an installer would take."""
    assert done.returncode != 0
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith(f"error: {problem}"), done.stderr
    assert hint.startswith(f"hint: {remedy}")
    assert "Traceback" not in done.stderr
    assert not [path for path in folder.rglob("*") if path.suffix == ".so" or path.name == "locald-shim"]


def test_a_compiler_that_fails_is_named_before_anything_is_built(source: Path, tmp_path: Path) -> None:
    check_refused(
        build_quickly(source, tmp_path, CC="/bin/false"), tmp_path, "no C compiler: '/bin/false'", "apt install"
    )


def test_without_pythons_headers_it_says_which_package_has_them(source: Path, tmp_path: Path) -> None:
    (tmp_path / "Python.h").write_text("#error hidden\n")
    done = build_quickly(source, tmp_path / "build", CFLAGS=f"-I{tmp_path}")
    check_refused(done, tmp_path, f"Python's C headers (Python.h) for {sys.executable}", "apt install python3-dev")


@pytest.mark.parametrize(
    ("tag", "problem", "remedy"),
    [
        ("win-amd64", "locald is for Linux and macOS, and this is Windows (win-amd64)", "install it inside WSL 2"),
        ("freebsd-14.1-release-amd64", "locald is for Linux and macOS, and this is freebsd", "use one of those"),
        ("linux-ppc64le", "locald-shim does not know this architecture (linux-ppc64le)", "csrc/shim/os_linux.c"),
    ],
)
def test_a_system_that_is_not_supported_is_told_at_once(
    source: Path, tmp_path: Path, tag: str, problem: str, remedy: str
) -> None:
    """By the tag that Python has for its platform."""
    check_refused(build_quickly(source, tmp_path, _PYTHON_HOST_PLATFORM=tag), tmp_path, problem, remedy)


def test_a_python_of_32_bits_is_told_at_once() -> None:
    with pytest.raises(SystemExit, match=r"(?s)needs a Python of 64 bits, and .* has 32\nhint: install the 64-bit"):
        supported.check_system("linux-armv7l", pointer=4)
    assert supported.machine("macosx-11.0-arm64") == "arm64"
    assert supported.machine("macosx-10.9-universal2") == os.uname().machine


@pytest.mark.release
def test_pip_leaves_nothing_of_what_it_could_not_build(dists: tuple[Path, Path], tmp_path: Path) -> None:
    binaries = environment(tmp_path / "venv")
    done = subprocess.run(
        [binaries / "python", "-m", "pip", "install", "--no-deps", "--no-build-isolation", dists[0]],
        env=os.environ | QUIET | {"CC": "/bin/false"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert "error: no C compiler: '/bin/false'" in done.stdout + done.stderr
    assert not [path for path in (tmp_path / "venv").rglob("*") if "locald" in path.name]


# With or without libnghttp2


def test_a_folder_without_nghttp2_is_refused(source: Path, tmp_path: Path) -> None:
    done = build_with(source, tmp_path, dict(os.environ), str(tmp_path / "nowhere"))
    check_refused(done, tmp_path, f"LOCALD_NGHTTP2={tmp_path}/nowhere, and no libnghttp2.a", "sh csrc/build_nghttp2.sh")


def test_an_archive_of_nghttp2_that_is_another_is_not_unpacked(root: Path, tmp_path: Path) -> None:
    archive = tmp_path / "nghttp2.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(root / "README.md", "nghttp2-1.70.0/configure")
    done = subprocess.run(
        ["sh", root / "csrc/build_nghttp2.sh", tmp_path / "prefix", archive], capture_output=True, text=True
    )  # fmt: skip
    assert done.returncode == 1
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert done.stderr.startswith(f"error: this is not nghttp2 1.70.0: it has sha256 {digest}, and not ")
    assert not (tmp_path / "prefix").exists()


@pytest.fixture(scope="module")
def hiding(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose compiler does not find nghttp2's headers."""
    folder = tmp_path_factory.mktemp("hiding")
    (folder / "nghttp2").mkdir()
    (folder / "nghttp2/nghttp2.h").write_text("#error hidden\n")
    return {**os.environ, "CFLAGS": f"-I{folder} {QUICK['CFLAGS']}", "PKG_CONFIG": "false", "LOCALD_NGHTTP2": ""}


SERVES_HTTP_1 = """
import asyncio, socket, sys
from locald.doctor.installation import built
from locald.proxy import features
from locald.proxy.alpn import SPEAKERS
from locald.proxy.routes import Routes
from locald.proxy.server import Proxy

async def main():
    proxy = Proxy(Routes())
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    await proxy.serve(sock)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\\r\\nHost: x.localhost\\r\\nConnection: close\\r\\n\\r\\n")
    print((await reader.read()).split(b"\\r\\n")[0].decode())
    writer.close()
    await proxy.close(1)

assert sys.modules["locald"].__file__.startswith(sys.argv[1]), "another installation was tested"
print(features.HTTP2, list(SPEAKERS))
print(*[(check.id, check.status, check.evidence) for check in built(None)])
asyncio.run(main())
"""


def test_without_nghttp2_a_build_speaks_http_1_and_says_why(
    source: Path, tmp_path: Path, hiding: dict[str, str]
) -> None:
    built = tmp_path / "lib"
    command = [sys.executable, "setup.py", "-q", "build", "-j2", "--build-lib", built, "--build-temp", tmp_path / "temp",
               "--build-scripts", tmp_path / "scripts"]  # fmt: skip
    done = subprocess.run(command, cwd=source, env=hiding, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "no HTTP/2: libnghttp2's headers are not there" in done.stdout + done.stderr
    assert not [path.name for path in built.rglob("*.so") if "http2" in path.name]
    said = run(sys.executable, "-P", "-W", "error", "-c", SERVES_HTTP_1, built, PYTHONPATH=str(built))
    assert said.splitlines() == [
        "False ['http/1.1']",
        "('http2', 'warn', \"this build of locald has none: libnghttp2's headers were not there when it was made; "
        'browsers get HTTP/1.1")',
        "HTTP/1.1 404 Not Found",
    ]


def test_who_insists_on_http_2_is_told_what_is_missing(source: Path, tmp_path: Path, hiding: dict[str, str]) -> None:
    done = build_with(source, tmp_path, hiding, "yes")
    assert done.returncode != 0
    assert "libnghttp2's headers are not there or too old\nhint: apt install libnghttp2-dev" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_said_of_nghttp2_is_yes_or_no(source: Path, tmp_path: Path) -> None:
    done = build_with(source, tmp_path, dict(os.environ), "perhaps")
    assert done.returncode != 0
    assert "LOCALD_NGHTTP2 is yes, no, an absolute folder or not there; it is 'perhaps'" in done.stderr


def build_with(source: Path, folder: Path, environ: dict[str, str], wish: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", folder, "--build-temp", folder]
    return subprocess.run(
        command, cwd=source, env=environ | {"LOCALD_NGHTTP2": wish}, capture_output=True, text=True
    )  # fmt: skip


# Releases


@pytest.mark.parametrize(
    ("system", "kinds", "architectures"),
    [("linux", ("manylinux", "musllinux"), ("x86_64", "aarch64")), ("macos", ("macosx",), ("x86_64", "arm64"))],
    ids=["linux", "macos"],
)
def test_the_page_names_each_wheel_of_a_release(
    root: Path, system: str, kinds: tuple[str, ...], architectures: tuple[str, ...]
) -> None:
    """As cibuildwheel understands the configuration, with "the same for" spelled out."""
    page = (root / "docs/packaging.md").read_text()
    for architecture in architectures:
        command = (sys.executable, "-m", "cibuildwheel", "--print-build-identifiers", "--platform", system)
        built = run(*command, "--archs", architecture, root).split()
        named = [name for kind in kinds for name in re.findall(rf"`(cp\d+t?-{kind}_)x86_64`", page)]
        assert built == [name + architecture for name in named]
        assert architecture == "x86_64" or f"and the same for `{architecture}`" in page
