"""The logs of several services as one, shown while something else is waited for."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path

from locald.cli.loglines import Text

__all__ = ["Merged"]

EARLIER = 200  # lines of before


class Merged:
    """A thread of its own, since the terminal may take nothing for as long as somebody looks at it (Ctrl-S).

    ``after``: where the logs ended when this began (logs/reader.py: ends), and so what is shown begins.
    ``broken`` becomes true when nobody reads our output any more; its descriptor can be waited for until then.
    """

    def __init__(self, folder: Path, services: Iterable[str], after: Mapping[str, tuple[int, int]]) -> None:
        self._wanted = {*services}
        self._after = after
        self._reader = import_module("locald.logs.reader").Reader(folder, self._wanted.__contains__)
        self._ours, self._theirs = socket.socketpair()
        self.broken = False
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._text = Text(colour, self._wanted if len(self._wanted) > 1 else ())
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def want(self, service: str) -> None:
        """This one too, from its next line on."""
        self._wanted.add(service)

    def fileno(self) -> int:
        """Has something to read, its end, when the thread has ended."""
        return self._ours.fileno()

    def close(self) -> None:
        """Show what there is by now, and no more."""
        self._ours.close()
        self._thread.join(1.0)  # a terminal that takes nothing keeps it; it ends with us

    def _run(self) -> None:
        try:
            self._text.show(self._reader.last(EARLIER, after=self._after))
            for lines in self._reader.follow(self._theirs.fileno()):
                self._text.show(lines)
        except BrokenPipeError:
            self.broken = self._ours.fileno() >= 0
        except OSError:
            self.broken = True  # a terminal that is gone
        finally:
            self._reader.close()
            self._theirs.close()
