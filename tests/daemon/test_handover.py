"""handover.py by itself: a part with a child and a descriptor, what goes wrong before and after, and who says no."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import successor

from locald.daemon.handover import Given, Inheritance, check, pack, understand
from locald.daemon.parts import KINDS
from locald.errors import DaemonError, LocaldError


def run(how: str) -> tuple[str, Any]:
    """What its child printed, and it."""
    done = subprocess.run(
        [sys.executable, successor.__file__, how], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()  # of two processes, in whatever order
    (last,) = [line for line in lines if line.startswith("{")]
    return "\n".join(line for line in lines if line != last), json.loads(last)


def test_a_child_and_a_descriptor_go_on_in_the_next_image() -> None:
    printed, found = run("works")
    assert printed == "seen"  # and nothing of the one that lets go of what is handed over
    assert found == {"ours": True, "codes": [0, 0], "early": True, "problems": [], "descriptors": 3}


def test_without_an_image_all_is_as_it_was() -> None:
    _, found = run("no-exec")
    assert found == {
        "error": "FileNotFoundError", "children": [True], "inheritable": False, "masked": False, "descriptors": 4,
    }  # fmt: skip


def handed_over(tmp_path: Path, data: bytes) -> int:
    path = tmp_path / "state"
    path.write_bytes(data)
    return os.open(path, os.O_RDONLY)


def test_a_part_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    ends = [os.pipe() for _ in range(3)]
    data = pack({name: Given(name, pair) for name, pair in zip(("good", "bad", "unknown"), ends, strict=True)})
    inherited = Inheritance(handed_over(tmp_path, data), {"good": str, "bad": int})
    assert inherited.take("absent", lambda data, fds: data) is None
    assert inherited.take("bad", lambda data, fds: data) is None
    assert "its bad could not be taken over: Expected `int`" in inherited.problems[0]
    assert inherited.take("good", lambda data, fds: (data, tuple(fds))) == ("good", ends[0])
    inherited.close()
    for fd in (*ends[1], *ends[2]):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
    for fd in ends[0]:
        os.close(fd)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (pack({"phones": Given([])}), "does not know: phones"),
        (pack({"apps": Given([{"session": 0}])}), "its apps are not understood"),
        (pack({"watchers": Given(3)}), "its watchers are not understood"),
        (b'{"version":2,"parts":{}}', "is of version 2"),
        (b'{"version":1,"parts":{},"more":1}', "is not understood"),
        (b"\xff", "is not understood"),
        (b"", "is not understood"),
    ],
)
def test_a_state_that_is_not_ours_is_refused(state: bytes, why: str) -> None:
    with pytest.raises(LocaldError, match=why):
        understand(state, KINDS)


def test_our_own_is_understood() -> None:
    understand(pack({"lock": Given(None, [3]), "apps": Given([]), "drainers": Given([])}), KINDS)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("print('config.toml: no')", "was not replaced: config.toml: no"),
        ("raise ImportError('half of it')", "was not replaced: ImportError: half of it"),
        ("import os; os._exit(3)", "was not replaced: the new one ends at once"),
    ],
)
def test_an_image_that_does_not_say_ok_is_none(code: str, why: str) -> None:
    with pytest.raises(DaemonError, match=why) as caught:
        check(b"", [sys.executable, "-c", code])
    assert "the old daemon goes on" in caught.value.hint


def test_a_program_that_is_not_there_is_none() -> None:
    with pytest.raises(DaemonError, match="cannot be started"):
        check(b"", ["/nowhere/python"])


def test_an_image_that_says_ok_is_one_and_sees_the_state() -> None:
    check(b"state", [sys.executable, "-c", "import sys; print('ok' if sys.stdin.read() == 'state' else 'no')"])
