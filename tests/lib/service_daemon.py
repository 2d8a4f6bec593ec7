"""A daemon of its own process that has services, for tests that kill it, stop it, or have it execute itself anew.

service_daemon.py HOUSE FOLDER [FD]: prints a line of JSON when all its services are ready, and one for each line on its
standard input.  With GROUPS in its environment services get control groups.  "look": all services; "exec": become another program, this one again, by what was written to FD.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
import tempfile
from pathlib import Path

import msgspec
import uvloop
from services import Rig

from locald.supervisor.spec import Ready

LOST = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("background", os.getpid(), flush=True)
        time.sleep(1000)
    os._exit(0)
os.wait()
"""


def say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def report(rig: Rig) -> None:
    say(
        services={seen.id: msgspec.to_builtins(seen) for seen in rig.supervisor.all()},
        processes=msgspec.to_builtins(rig.supervisor.processes()),
        lines={service: sink.lines for service, sink in rig.sinks.items()},
    )


def configure(rig: Rig) -> None:
    rig.sh("plain", "exec sleep 1000")
    rig.sh("deaf", "trap '' TERM; echo deaf; while :; do sleep 1000; done", ready=Ready(log="deaf"), stop_s=0.2)
    rig.python("background", LOST, ready=Ready(log="background"))
    rig.sh("late", "until test -e go; do sleep 0.01; done; echo here; exec sleep 1000", ready=Ready(log="here"))
    rig.sh("flapping", "exit 3")
    rig.sh("lazy", "exec sleep 1000", lazy=True)


async def main(house: str, folder: str, fd: str = "") -> None:
    rig = Rig(Path(folder), house, cgroups="GROUPS" in os.environ)
    configure(rig)
    if fd:
        with os.fdopen(int(fd)) as file:
            state = json.load(file)
        rig.supervisor.adopt(state)
    else:
        for service in ("plain", "deaf", "background", "late", "lazy"):
            rig.supervisor.start(service)
        for service in ("plain", "deaf", "background"):
            await rig.until(service, "ready")
        pid = int(rig.lines("background")[0].split()[1])
        await rig.holds(lambda: rig.supervisor.look("background").pid == pid)  # its leader is gone
    report(rig)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(0))
    )
    while line := (await reader.readline()).decode().strip():
        command, *words = line.split()
        match command:
            case "look":
                report(rig)
            case "restarted":
                await rig.holds(functools.partial(is_again, rig, words[0]))
                report(rig)
            case "exec":
                become_another(rig, house, folder)
            case "close":
                await rig.supervisor.close()
                report(rig)


def is_again(rig: Rig, service: str) -> bool:
    seen = rig.supervisor.look(service)
    return seen.state == "ready" and seen.restarts == 1


def become_another(rig: Rig, house: str, folder: str) -> None:
    with tempfile.TemporaryFile("w+") as file:
        json.dump(rig.supervisor.hand_over(), file)
        file.flush()
        file.seek(0)
        os.set_inheritable(file.fileno(), True)
        os.execv(sys.executable, [sys.executable, "-P", __file__, house, folder, str(file.fileno())])


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
