"""Signals as bytes on a socket, for who waits for descriptors (signal.set_wakeup_fd)."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Collection, Iterator
from typing import Any

__all__ = ["signals"]


@contextlib.contextmanager
def signals(numbers: Collection[signal.Signals], always: Collection[signal.Signals] = ()) -> Iterator[socket.socket]:
    """Each of them is a byte, its number, on the socket.  One that we were told to ignore (nohup) stays ignored, but
    for those of ``always``.  To be called in the main thread."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    before: dict[signal.Signals, Any] = {}
    old_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        for number in (*numbers, *always):
            if signal.getsignal(number) != signal.SIG_IGN or number in always:
                before[number] = signal.signal(number, lambda *_: None)
        yield reader
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(old_fd)
        reader.close()
        writer.close()
