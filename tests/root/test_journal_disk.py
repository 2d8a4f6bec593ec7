"""A disk that is really full under the logs: a small one in memory."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from journals import inside, lines, run, texts

from locald.logs import writer
from locald.logs.journal import Journal

pytestmark = pytest.mark.linux("a tmpfs of its own")
FILL = "import os\nfor i in range(4000): os.write(1, b'%04d ' % i + b'x' * 94 + b'\\n')"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """256 KB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_loses_lines_and_nothing_else(
    small: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "AGAIN_S", 0.0)
    ballast = small / "ballast"

    async def work(journal: Journal) -> None:
        web = journal.open("web")
        ballast.write_bytes(bytes(100_000))
        assert await run(web, FILL) == 0
        assert web.last == 4001
        assert web.tail(1) == (4001, ["[ended]"])
        ballast.unlink()
        assert await run(web, "print('after')") == 0

    inside(small / "journal", work)
    found = lines(small / "journal", "web")
    said = texts(small / "journal", "web", "out")
    assert said[-1] == b"after"
    assert [int(text[:4]) for text in said[:-1]] == [*range(len(said) - 1)]
    marks = [record.text for record in found if record.stream == "mark"]
    assert marks == [b"%d lines were lost: No space left on device" % (4001 - len(said) + 1), b"ended"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_no_room_even_for_a_folder(small: Path, caplog: pytest.LogCaptureFixture) -> None:
    (small / "ballast").write_bytes(bytes(240_000))
    i = 0
    try:
        while True:  # the last inode or page
            (small / f"more{i}").write_bytes(bytes(1))
            i += 1
    except OSError:
        pass

    async def work(journal: Journal) -> None:
        web = journal.open("web")
        assert await run(web, "print('hello')") == 0
        assert web.tail() == (2, ["hello", "[ended]"])

    inside(small / "journal", work)
    assert "cannot be written" in caplog.messages[0]
