"""journal.py FOLDER LINES COMMAND...: what the daemon does of a service's log, in a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import uvloop

from locald.logs.journal import Journal


async def main(folder: Path, lines: int, command: list[str]) -> None:
    journal = Journal(folder)
    web = journal.open("shop/web")
    out, err = web.stream("out"), web.stream("err")
    actions = [(os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, err, 2)]
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    web.started()
    await asyncio.to_thread(os.waitpid, pid, 0)
    web.mark("ended")
    if web.last != lines + 1:
        raise SystemExit(f"{web.last} lines came, of {lines + 1}")
    journal.close_all()


with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
