"""The daemon that writes is killed, or replaced by execution: what is on disk, and what goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from journals import inside, lines, run, texts

from locald.logs.journal import Journal
from locald.logs.reader import Reader

COUNT = "import os\ni = 0\nwhile True: os.write(1, b'%d\\n' % i); i += 1"
WRITES = f"""if True:
    import asyncio, subprocess, sys
    from pathlib import Path
    from locald.logs.journal import Journal

    async def main():
        web = Journal(Path(sys.argv[1])).open("web")
        out = web.stream("out")
        with subprocess.Popen([sys.executable, "-S", "-c", {COUNT!r}], stdout=out, stderr=subprocess.DEVNULL):
            web.started()
            await asyncio.Event().wait()

    asyncio.run(main())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def test_a_daemon_that_is_killed_leaves_whole_lines_in_their_order(folder: Path) -> None:
    file = folder / "web/00000001.log"
    with subprocess.Popen([sys.executable, "-P", "-c", WRITES, folder]) as daemon:
        deadline = time.monotonic() + 60
        while not (file.exists() and file.stat().st_size > 300_000):
            assert time.monotonic() < deadline and daemon.poll() is None
            os.sched_yield()
        daemon.kill()
    found = [int(text) for text in texts(folder, "web", "out")]
    assert found == [*range(len(found))]
    assert len(found) > 3000

    async def work(journal: Journal) -> None:
        await run(journal.open("web"), "print('again')")

    inside(folder, work)
    reader = Reader(folder, {"web"}.__contains__)
    assert [record.text for _, record in reader.last(3)] == [str(found[-1]).encode(), b"again", b"ended"]
    reader.close()


HANDS_OVER = """if True:
    import asyncio, json, os, subprocess, sys
    from pathlib import Path
    from locald.logs import source
    from locald.logs.journal import Journal

    source.PARTIAL_S = 1000.0
    SERVICE = "import os; os.write(1, b'first\\\\nsec'); os.read(0, 1); os.write(1, b'ond\\\\n'); os.write(2, b'third')"

    async def before():
        journal = Journal(Path(folder))
        web = journal.open("shop/web")
        out, err = web.stream("out"), web.stream("err")
        go_in, go_out = os.pipe()
        pid = os.posix_spawn(sys.executable, [sys.executable, "-S", "-c", SERVICE], {}, file_actions=[
            (os.POSIX_SPAWN_DUP2, go_in, 0), (os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, err, 2)])
        web.started()
        web.mark("started")
        while web.tail()[1][-1] != "first" or not web._sources[0]._splitter.rest:
            await asyncio.sleep(0)
        state = json.dumps(journal.hand_over())
        os.set_inheritable(go_out, True)
        os.execv(sys.executable, [sys.executable, "-P", __file__, folder, state, str(pid), str(go_out)])

    async def after(state, pid, go_out):
        journal = Journal(Path(folder))
        journal.adopt(json.loads(state))
        web = journal.open("shop/web")
        print(web.last, web.began, [os.get_inheritable(each.fd) for each in web._sources])
        os.write(int(go_out), b"x")
        os.waitpid(int(pid), 0)
        while web._sources:
            await asyncio.sleep(0)
        web.mark("ended")
        print(web.tail())
        journal.close_all()

    folder, *rest = sys.argv[1:]
    asyncio.run(after(*rest) if rest else before())
"""


def test_the_next_daemon_in_the_same_process_goes_on_in_the_middle_of_a_line(folder: Path, tmp_path: Path) -> None:
    program = tmp_path / "daemon.py"
    program.write_text(HANDS_OVER)
    done = subprocess.run(
        [sys.executable, "-P", program, folder], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "2 0 [False, False]",
        "(5, ['[started]', 'first', 'second', 'third', '[ended]'])",
    ]
    assert [(record.stream, record.text) for record in lines(folder, "shop/web")] == [
        ("mark", b"started"), ("out", b"first"), ("out", b"second"), ("err", b"third"), ("mark", b"ended"),
    ]  # fmt: skip


def test_a_hand_over_that_comes_to_nothing_is_undone(folder: Path) -> None:
    async def work(journal: Journal) -> None:
        web = journal.open("web")
        fd = os.dup(web.stream("out"))
        web.started()
        journal.hand_over()
        os.write(fd, b"meanwhile\n")
        journal.resume()
        web.mark("after")
        os.close(fd)

    inside(folder, work)
    assert [record.text for record in lines(folder, "web")] == [b"meanwhile", b"after"]
