"""Which file a command becomes, and whether the library works there: scripts, env(1), and what is said before the start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from programs import need

from locald.errors import LocaldError
from locald.preload import fitness, library
from locald.preload.elf import Elf
from locald.preload.program import Program, find, last, look

PYTHON = os.path.realpath(sys.executable)
HOST = Elf(64, os.uname().machine, "/lib64/ld-linux-x86-64.so.2", False)


def script(path: Path, line: str, mode: int = 0o755) -> Path:
    path.write_text(f"{line}\nprint(1)\n")
    path.chmod(mode)
    return path


def becomes(path: Path, folder: Path) -> str:
    return last(str(path), {"PATH": f"{folder}:/usr/bin:/bin"}).path


@pytest.mark.parametrize(
    "line",
    ["#!{python}", "#! {python} -u", "#!\t{python}\t-u -v  ", "#!/usr/bin/env py", "#!/usr/bin/env -S py -u", "#!/usr/bin/env -S A=1 py",
     "#!/usr/bin/env --split-string=py -u"],
)  # fmt: skip
def test_a_script_becomes_its_interpreter(tmp_path: Path, line: str) -> None:
    (tmp_path / "py").symlink_to(PYTHON)
    path = script(tmp_path / "app", line.format(python=PYTHON))
    assert os.path.realpath(becomes(path, tmp_path)) == PYTHON


def test_the_kernel_agrees(tmp_path: Path) -> None:
    """What the script is told of itself, by each way at once: a script whose interpreter is a script."""
    (tmp_path / "py").symlink_to(PYTHON)
    inner = script(tmp_path / "inner", "#!/usr/bin/env py")
    outer = script(tmp_path / "outer", f"#!{inner}")
    code = "import os; print(os.path.realpath('/proc/self/exe'))"
    inner.write_text(f"#!/usr/bin/env py\n{code}\n")
    environ = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([outer], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == os.path.realpath(becomes(outer, tmp_path)) == PYTHON


@pytest.mark.parametrize(
    "line",
    ["#!/usr/bin/env -i py", "#!/usr/bin/env -S -i py", "#!/usr/bin/env -S 'py", "#!/usr/bin/env", "#!", "text", ""],
)
def test_where_it_cannot_be_told_it_is_what_is_known(tmp_path: Path, line: str) -> None:
    path = script(tmp_path / "app", line)
    assert becomes(path, tmp_path) in (str(path), "/usr/bin/env")


def test_scripts_in_a_ring_end(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    script(one, f"#!{two}")
    script(two, f"#!{one}")
    assert becomes(one, tmp_path) in (str(one), str(two))


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = script(tmp_path / "app", "#!/nowhere/python")
    with pytest.raises(LocaldError, match="first line names /nowhere/python, which is not there") as caught:
        becomes(path, tmp_path)
    assert caught.value.exit_code == 126
    path = script(tmp_path / "app", "#!/usr/bin/env no-such-interpreter")
    with pytest.raises(LocaldError, match="no such command: no-such-interpreter") as caught:
        becomes(path, tmp_path)
    assert caught.value.exit_code == 127


def test_what_is_found_and_what_is_not(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, mode in ((first, 0o644), (second, 0o755)):
        folder.mkdir()
        script(folder / "app", "#!/bin/sh", mode)
    environ = {"PATH": f"{first}:{second}"}
    assert find("app", environ) == str(second / "app")  # as execvp(3): what cannot be run is passed over
    with pytest.raises(LocaldError, match="is not executable") as caught:
        find(str(first / "app"), environ)
    assert caught.value.exit_code == 126
    with pytest.raises(LocaldError, match="it is a folder") as caught:
        find(str(first), environ)
    assert caught.value.exit_code == 126
    for name in ("app2", str(first / "app2")):
        with pytest.raises(LocaldError, match="no such command") as caught:
            find(name, environ)
        assert caught.value.exit_code == 127


@pytest.mark.linux("ELF")
@pytest.mark.parametrize(
    ("elf", "why"),
    [
        (HOST, ""),
        (None, ""),
        (Elf(64, HOST.machine, "", False), "is linked statically"),
        (Elf(64, HOST.machine, HOST.interpreter, True), "is a Go program"),
        (Elf(64, HOST.machine, "", True), "is a Go program"),
        (Elf(64, "riscv64", "/lib/ld.so", False), "another architecture (riscv64, 64 bits) than the library"),
        (Elf(32, HOST.machine, "/lib/ld.so", False), "another architecture"),
        (Elf(64, HOST.machine, "/lib/ld-musl-x86_64.so.1", False), "uses musl as its C library, and this installation of locald glibc"),
    ],
)  # fmt: skip
def test_why_the_library_cannot_work_there(elf: Elf | None, why: str) -> None:
    said = fitness.unfit(Program("/app", elf, False), HOST, False)
    assert why in said
    assert bool(said) == bool(why)


@pytest.mark.linux("ELF")
def test_a_library_of_the_wrong_architecture_or_none() -> None:
    for ours in (Elf(64, "sparc", "", False), None):
        assert "another architecture" in fitness.unfit(Program("/app", HOST, False), ours, False)


@pytest.mark.linux("setuid")
def test_who_gains_privilege_is_known(tmp_path: Path) -> None:
    assert look(need("sudo", "su", "passwd")).gains == (os.getuid() != 0)
    assert "then the loader takes no library from you" in fitness.unfit(Program("/app", HOST, True), HOST, False)
    assert not look(PYTHON).gains


@pytest.mark.linux("its name there")
def test_a_library_that_the_variable_cannot_name(tmp_path: Path) -> None:
    for name in ("a b", "a:b", "a$LIB"):
        place = tmp_path / name / "locald-preload.so"
        place.parent.mkdir()
        shutil.copyfile(library.find(), place)
        with pytest.raises(LocaldError, match="LD_PRELOAD cannot name"):
            library.find(place)
    with pytest.raises(LocaldError, match="has no .*nowhere"):
        library.find(tmp_path / "nowhere")


def test_the_environment_keeps_what_was_preloaded_before() -> None:
    ours = Path("/x/locald-preload.so")
    found = library.environment({library.VARIABLE: "/other.so", "A": "1"}, ours, deep=False, loopback=True)
    assert found == {
        library.VARIABLE: "/x/locald-preload.so:/other.so", "A": "1", library.PID: str(os.getpid()), library.LOOPBACK: "1",
    }  # fmt: skip
    assert library.environment(found, ours, deep=True, loopback=False) == {
        library.VARIABLE: "/x/locald-preload.so:/x/locald-preload.so:/other.so", "A": "1",
    }  # fmt: skip
