"""The process that goes on with the clients of a daemon that was replaced; drainers.py is how its daemon knows of it.

They have a line to each other.  The daemon says a byte once it serves: from then on nobody else comes in here.  We
tell it what is to be seen of our requests, a line of JSON for each.  Its end of the line closes when it ends, on
purpose or not: then we end too, and who is still here gets as long as if this daemon were stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket

import msgspec
import uvloop

from locald.daemon.handover import HELD_BACK
from locald.proxy.access import Log
from locald.proxy.server import Proxy

__all__ = ["DRAIN_S", "live"]

log = logging.getLogger("locald")

DRAIN_S = 2.0  # open requests get this long when the daemon stops; tunnels (hot reload) are then cut
LAST_S = 1.0  # for our last words
READ = 64  # bytes; one would do


def live(proxy: Proxy, line: socket.socket) -> None:
    """Serve the clients that there are, in a loop of our own, until the last one is gone; the loop before is dead."""
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_live(proxy, line))


async def _live(proxy: Proxy, line: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    line.setblocking(False)
    proxy.move()
    for route in proxy.routes:
        if route.gate is not None:
            route.gate.abandon()  # to be told of states takes the daemon, which is another process now
    relieved, done = asyncio.Event(), asyncio.Event()
    listening = loop.create_task(_listen(line, relieved))
    leaving = loop.create_task(_leave(proxy, relieved))
    telling = loop.create_task(_tell(proxy.log, line, done))
    for number in HELD_BACK:
        loop.add_signal_handler(number, listening.cancel)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
    await asyncio.wait([listening, leaving], return_when=asyncio.FIRST_COMPLETED)
    if proxy.connections:
        log.info("pid %d: %d connections of before the restart are cut", os.getpid(), proxy.connections)
    await proxy.close(DRAIN_S)
    done.set()
    with contextlib.suppress(TimeoutError, OSError):
        await asyncio.wait_for(telling, LAST_S)


async def _listen(line: socket.socket, relieved: asyncio.Event) -> None:
    """To the daemon, until it ends."""
    with contextlib.suppress(OSError):
        while await asyncio.get_running_loop().sock_recv(line, READ):
            relieved.set()


async def _leave(proxy: Proxy, relieved: asyncio.Event) -> None:
    await relieved.wait()
    await proxy.retire()


async def _tell(seen: Log, line: socket.socket, done: asyncio.Event) -> None:
    """What has become of requests, until there are no more of them."""
    loop = asyncio.get_running_loop()
    told, over = seen.count, loop.create_task(done.wait())
    while True:
        records = seen.since(told)
        if records:
            told = records[-1].number
            await loop.sock_sendall(line, b"".join(msgspec.json.encode(each.plain()) + b"\n" for each in records))
        elif over.done():
            return
        else:
            await asyncio.wait([loop.create_task(seen.more()), over], return_when=asyncio.FIRST_COMPLETED)
