"""The process that goes on with the clients of a daemon that was replaced; drainers.py is how its daemon knows of it.

They have a line to each other (line.py).  Once the daemon says that it serves, nobody else comes in here.  It tells us
of its routes and services (follower.py), we tell it what is to be seen of our requests.  Its end of the line closes
when it ends, on purpose or not: then we end too, who waits for a service is told that it was in vain, and who is still
here gets as long as if this daemon were stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket

import uvloop

from locald.control.server import Session
from locald.daemon.follower import Follower
from locald.daemon.handover import HELD_BACK
from locald.daemon.line import Seen
from locald.proxy.access import Log
from locald.proxy.server import Proxy

__all__ = ["DRAIN_S", "live"]

log = logging.getLogger("locald")

DRAIN_S = 2.0  # open requests get this long when the daemon stops; tunnels (hot reload) are then cut
LAST_S = 1.0  # for our last words


def live(proxy: Proxy, line: socket.socket) -> None:
    """Serve the clients that there are, in a loop of our own, until the last one is gone; the loop before is dead."""
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_live(proxy, line))


async def _live(proxy: Proxy, line: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    proxy.move()
    session = Session(line)
    follower = Follower(proxy, session)
    done = asyncio.Event()
    following = loop.create_task(follower.follow())
    asking = loop.create_task(follower.ask())
    leaving = loop.create_task(_leave(proxy, follower.relieved))
    telling = loop.create_task(_tell(proxy.log, session, done))
    for number in HELD_BACK:
        loop.add_signal_handler(number, following.cancel)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
    await asyncio.wait([following, leaving], return_when=asyncio.FIRST_COMPLETED)
    asking.cancel()
    if proxy.connections:
        log.info("pid %d: %d connections of before the restart are cut", os.getpid(), proxy.connections)
    follower.abandon()  # nor does anybody wait who comes now, by a stream of a connection that is still here
    await proxy.close(DRAIN_S)
    done.set()
    with contextlib.suppress(TimeoutError, OSError):
        await asyncio.wait_for(telling, LAST_S)


async def _leave(proxy: Proxy, relieved: asyncio.Event) -> None:
    await relieved.wait()
    await proxy.retire()


async def _tell(seen: Log, session: Session, done: asyncio.Event) -> None:
    """What has become of requests, until there are no more of them."""
    loop = asyncio.get_running_loop()
    told, over = seen.count, loop.create_task(done.wait())
    while True:
        records = seen.since(told)
        if records:
            told = records[-1].number
            for each in records:
                session.send(Seen(each.plain()))
            await session.drain()
        elif over.done():
            await session.drain(0)
            return
        else:
            await asyncio.wait([loop.create_task(seen.more()), over], return_when=asyncio.FIRST_COMPLETED)
