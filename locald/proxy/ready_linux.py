"""Which descriptors are ready, on Linux: epoll(7).  The contract, which ready_darwin.py keeps too:

watch(fd, before, now) says what of READ and WRITE is wanted of it from now on, and was before; with 0 nothing at all is
heard of it, not even that it broke.  poll(0, most) tells at once what there is: pairs of a descriptor and what can be
tried, READ, WRITE, or anything else for both; which of them it was, the tries say.  Its own descriptor is readable
while there is something to tell.  leave() is what a forked process does with that of the process before.
"""

from __future__ import annotations

import select

__all__ = ["READ", "WRITE", "Ready"]

READ, WRITE = select.EPOLLIN, select.EPOLLOUT


class Ready:
    """An epoll instance."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.fileno = self._epoll.fileno
        self.close = self.leave = self._epoll.close
        self.poll = self._epoll.poll

    def watch(self, fd: int, before: int, now: int) -> None:
        if not now:
            self._epoll.unregister(fd)
        elif before:
            self._epoll.modify(fd, now)
        else:
            self._epoll.register(fd, now)
