"""Programs that others wrote: found, started, waited for until they say that they are ready, ended by their pid."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

NODE_MODULES = Path(__file__).resolve().parents[2] / "build/node/node_modules"
ENVIRON = {
    "PATH": os.environ["PATH"], "HOME": "/", "LANG": "C.UTF-8", "NODE_PATH": str(NODE_MODULES), "PYTHONDONTWRITEBYTECODE": "1",
}  # fmt: skip
PORT = r"^(?!locald:).*(?:port |127\.0\.0\.1:)(\d+)"  # `locald run` says the port before its command has it


def need(*tools: str) -> str:
    """The path of the first of these that is there; where none is, the test is skipped, and fails in CI."""
    for tool in tools:
        if found := shutil.which(tool):
            return found
    return _without(f"{' or '.join(tools)} is not installed")


def need_node() -> str:
    """Node, with the packages of tests/real."""
    node = need("node")
    return node if NODE_MODULES.is_dir() else _without("the packages for Node are not installed: sh tests/node.sh")


def need_system_python() -> str:
    """The system's own Python, if it can use what was installed for ours."""
    system = "/usr/bin/python3"
    said = run(system, "-c", "import sys; print(sys.version_info[:2])") if Path(system).exists() else "none\n"
    ours = f"{sys.version_info[:2]}\n"
    return system if said == ours else _without(f"{system} is {said.strip()}, and the tests run with {ours.strip()}")


def need_beside(file: str, *tools: str) -> str:
    """The path of a file that comes in the same folder as the first of these programs that is there."""
    path = Path(need(*tools)).resolve().parent / file
    return str(path) if path.exists() else _without(f"{path} is not there")


def _without(reason: str) -> str:
    if os.environ.get("CI"):
        pytest.fail(f"in CI nothing is skipped: {reason}")
    pytest.skip(reason)


class Program:
    """One that goes on.  ``ready``: a pattern for what it prints when it serves; its first group is ``address``."""

    def __init__(self, process: subprocess.Popen[str], ready: str = PORT) -> None:
        self.process = process
        self.address = ""
        self._ready = re.compile(ready)
        self._settled = threading.Event()
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        if not self._settled.wait(60) or not self.address:
            self.stop()
            raise AssertionError(f"{process.args!r} is not ready: {self.said()}")

    def _read(self) -> None:
        """All that it prints, so that it never waits for a reader."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)
            if not self.address and (found := self._ready.search(line)):
                self.address = found[1]
                self._settled.set()
        self._settled.set()

    @property
    def port(self) -> int:
        return int(self.address)

    def said(self) -> str:
        return "".join(self._lines)

    def stop(self) -> None:
        """End it, if it has not ended by itself."""
        with self.process:
            self.process.kill()
            self._reader.join(30)


def start(*command: Any, ready: str = PORT, **how: Any) -> Program:
    """A program of the present user's, in a clean environment."""
    process = subprocess.Popen(
        [str(word) for word in command],
        **{"env": ENVIRON, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **how},
    )  # fmt: skip
    return Program(process, ready)


def run(*command: Any, **how: Any) -> str:
    """A program to its end, which must be a good one; what it printed."""
    done = subprocess.run(
        [str(word) for word in command], **{"env": ENVIRON, "capture_output": True, "timeout": 60, "text": True, **how}
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return str(done.stdout)
