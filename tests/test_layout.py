"""The import law, and that the maps at the top of the rooms are true."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

LOCALD = Path(__file__).resolve().parent.parent / "locald"
MODULES = sorted(path for path in LOCALD.rglob("*.py*") if path.suffix in (".py", ".pyx"))
PURE = re.compile(r'"""[^"]*\[pure\]', re.DOTALL)
IMPURE_LIBRARIES = {"asyncio", "socket", "ssl", "subprocess", "os", "time", "select", "threading", "uvloop"}
PURE_LIBRARIES = {"msgspec", "cryptography"}
OUTSIDE = {"click", "cryptography", "msgspec", "psutil", "uvloop", "watchfiles", "cython", "libc", "cpython"}
EVERYBODY = {
    "locald",
    "locald.built",
    "locald.errors",
    "locald.config",
    "locald.files",
    "locald.names",
    "locald.paths",
    "locald.toml",
    "locald.wakeup",
}
CONNECTORS = {"locald.daemon", "locald.doctor", "locald.__main__"}  # these may know every room


def name_of(path: Path) -> str:
    parts = [*path.relative_to(LOCALD.parent).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The folder a module is in; a module beside the rooms is a room of its own."""
    return ".".join(module.split(".")[:2])


def imports_of(path: Path) -> set[str]:
    """The full names a module imports, also inside functions; for Cython, by its import lines."""
    text = path.read_text()
    if path.suffix == ".pyx":
        found = re.findall(r"^\s*(?:from|cimport|import)\s+([\w.]+)", text, re.MULTILINE)
        return {name for name in found if name.split(".")[-1] != name or name}
    found_names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found_names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (LOCALD.parent / inner.replace(".", "/")).with_suffix(".py").exists()
                found_names.add(inner if is_module else node.module)
    return found_names


def is_pure(path: Path) -> bool:
    return bool(PURE.match(path.read_text()))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_is(path: Path) -> None:
    assert path.read_text().startswith(('"""', "# cython"))


@pytest.mark.parametrize("path", [path for path in MODULES if is_pure(path)], ids=name_of)
def test_a_pure_module_imports_nothing_that_touches_the_world(path: Path) -> None:
    room = room_of(name_of(path))
    for name in imports_of(path):
        top = name.split(".")[0]
        if top == "locald":
            assert name in EVERYBODY or room_of(name) == room, f"{name} is not of room {room}"
        else:
            assert (
                top in PURE_LIBRARIES | {"libc", "cpython", "cython"} | set(sys.stdlib_module_names) - IMPURE_LIBRARIES
            )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_rooms_never_import_rooms(path: Path) -> None:
    module = name_of(path)
    room = room_of(module)
    allowed = EVERYBODY | ({"locald.control"} if room == "locald.cli" else set())
    if module in ("locald.shim", "locald"):
        allowed |= {"locald.activation", "locald.fdpass", "locald.refusal", "locald.shim"}
    for name in imports_of(path):
        top = name.split(".")[0]
        if top != "locald":
            assert top in OUTSIDE | set(sys.stdlib_module_names), f"{name} is not one of our dependencies"
        elif room not in CONNECTORS:
            ours = name in allowed or room_of(name) in allowed | {room} or name.startswith("locald.cfdpass")
            assert ours, f"{module} imports {name}"
        if room_of(name) == "locald.setup" and (module, name) != ("locald.doctor.installation", "locald.setup.audit"):
            assert room == "locald.setup", "setup is imported by its entry point only, and its audit by the doctor"


def test_the_map_of_the_package_names_every_room() -> None:
    text = (LOCALD / "__init__.py").read_text()
    rooms = {path.name + "/" for path in LOCALD.iterdir() if (path / "__init__.py").exists()}
    modules = {path.stem for path in MODULES if path.parent == LOCALD and not path.stem.startswith("__")}
    for name in rooms | modules:
        assert re.search(rf"^    {name}\s", text, re.MULTILINE), f"the map does not name {name}"


@pytest.mark.parametrize("room", sorted(path.parent for path in LOCALD.glob("*/__init__.py")), ids=lambda p: p.name)
def test_the_map_of_a_room_names_every_module(room: Path) -> None:
    text = (room / "__init__.py").read_text()
    for path in MODULES:
        if path.parent == room and path.stem != "__init__":
            assert re.search(rf"^{path.stem}\b", text, re.MULTILINE), f"{room.name}'s map does not name {path.stem}"


def test_the_c_code_has_no_ifdef_where_the_contract_forbids_it() -> None:
    files = [path for path in (LOCALD.parent / "csrc" / "shim").glob("*.c") if not path.name.startswith("os_")]
    assert len(files) == 5
    for path in files:
        assert not re.search(r"^\s*#\s*if", path.read_text(), re.MULTILINE), path.name
