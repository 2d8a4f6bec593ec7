"""Files that change, told by the system: real folders, and editors' ways to write."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from locald.daemon.watching import Watching

pytestmark = pytest.mark.linux("inotify; on macOS watchfiles does this")


class Heard:
    """What was told, and a way to wait for it."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.times = 0
        self._news = asyncio.Event()

    def __call__(self, paths: set[str]) -> None:
        self.paths |= paths
        self.times += 1
        self._news.set()

    async def until(self, *paths: Path) -> None:
        async with asyncio.timeout(20):
            while not self.paths >= {str(path) for path in paths}:
                self._news.clear()
                await self._news.wait()


def watched(work: Callable[[Watching, Heard], Awaitable[None]]) -> None:
    async def run() -> None:
        heard = Heard()
        watching = Watching(heard)
        before = len(os.listdir("/proc/self/fd"))
        try:
            await work(watching, heard)
        finally:
            watching.close()
        assert len(os.listdir("/proc/self/fd")) <= before

    asyncio.run(run())


def test_a_write_a_rename_and_a_removal(tmp_path: Path) -> None:
    async def work(watching: Watching, heard: Heard) -> None:
        file, other = tmp_path / "locald.toml", tmp_path / "below/x"
        other.parent.mkdir()
        assert watching.look_at({str(tmp_path): False}) == ""
        file.write_text("one")
        await heard.until(file)
        for change in (
            lambda: file.write_text("two"),
            lambda: (tmp_path / "new").write_text("x") and (tmp_path / "new").rename(file),
            file.unlink,
        ):
            heard.paths.clear()
            change()
            await heard.until(file)
        heard.paths.clear()
        other.write_text("not looked at")
        file.write_text("three")
        await heard.until(file)
        assert str(other) not in heard.paths

    watched(work)


def test_folders_below_and_those_that_come_later(tmp_path: Path) -> None:
    async def work(watching: Watching, heard: Heard) -> None:
        for name in ("a/b", "node_modules/c", ".git"):
            (tmp_path / name).mkdir(parents=True)
        watching.look_at({str(tmp_path): True})
        (tmp_path / "node_modules/c/x").write_text("noise")
        (tmp_path / ".git/index").write_text("noise")
        (tmp_path / "a/b/x").write_text("1")
        await heard.until(tmp_path / "a/b/x")
        assert not any("node_modules/c" in path or ".git/" in path for path in heard.paths)
        (tmp_path / "a/new/deep").mkdir(parents=True)
        (tmp_path / "a/new/deep/y").write_text("1")
        await heard.until(tmp_path / "a/new/deep/y")
        heard.paths.clear()
        (tmp_path / "a/new/deep/y").write_text("2")
        await heard.until(tmp_path / "a/new/deep/y")

    watched(work)


def test_many_changes_are_told_together_and_what_is_no_more_looked_at_is_not(tmp_path: Path) -> None:
    async def work(watching: Watching, heard: Heard) -> None:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
        watching.look_at({str(tmp_path / "a"): False})
        files = [tmp_path / f"a/{n}" for n in range(500)]
        for file in files:
            file.write_text("x")
        await heard.until(*files)
        assert heard.times <= 5
        assert watching.look_at({str(tmp_path / "b"): False, "/nowhere/at/all": True}) == ""
        heard.paths.clear()
        (tmp_path / "a/0").write_text("y")
        (tmp_path / "b/0").write_text("y")
        await heard.until(tmp_path / "b/0")
        assert str(tmp_path / "a/0") not in heard.paths

    watched(work)
