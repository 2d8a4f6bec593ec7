"""Who is told of services: the commands that wait, and those that show."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Iterator

from locald.control.messages import Left, Moved, Notice
from locald.control.server import Session

__all__ = ["Audience"]

NOTICES_MAX = 50  # kept for one that does not read; of states the last one of each service is enough


class Listener:
    """A connection that is told of ``ids``, at its own pace."""

    def __init__(self, session: Session, ids: Iterable[str], project: str) -> None:
        self.ids = set(ids)
        self.project = project
        self._session = session
        self._moved: dict[str, Moved] = {}
        self._said: deque[Notice | Left] = deque(maxlen=NOTICES_MAX)
        self._news = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._tell())

    def moved(self, moved: Moved) -> None:
        self._moved.pop(moved.service.id, None)  # so that it is in the order of what happened last
        self._moved[moved.service.id] = moved
        self._news.set()

    def say(self, message: Notice | Left) -> None:
        """After all that has moved by now."""
        self._said.append(message)
        self._news.set()

    def close(self) -> None:
        self._task.cancel()

    async def _tell(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await self._news.wait()
                self._news.clear()
                moved, self._moved = [*self._moved.values()], {}
                said, self._said = [*self._said], deque(maxlen=NOTICES_MAX)
                self._session.send(*moved, *said)
                await self._session.drain()


class Audience:
    """All of them."""

    def __init__(self) -> None:
        self._listeners: dict[Session, Listener] = {}

    def add(self, session: Session, project: str, ids: Iterable[str]) -> None:
        """From now on it is told of these too."""
        listener = self._listeners.get(session)
        if listener is None:
            self._listeners[session] = Listener(session, ids, project)
        else:
            listener.ids.update(ids)

    def ids(self, session: Session) -> list[str]:
        """Of what it is told."""
        listener = self._listeners.get(session)
        return sorted(listener.ids) if listener is not None else []

    def remove(self, session: Session) -> None:
        listener = self._listeners.pop(session, None)
        if listener is not None:
            listener.close()

    def close(self) -> None:
        for session in [*self._listeners]:
            self.remove(session)

    def __iter__(self) -> Iterator[tuple[Session, str, set[str]]]:
        """Who, of which project, and of what."""
        return ((session, listener.project, listener.ids) for session, listener in self._listeners.items())

    def moved(self, moved: Moved) -> None:
        for listener in self._listeners.values():
            if moved.service.id in listener.ids:
                listener.moved(moved)

    def notice(self, project: str, text: str) -> None:
        for listener in self._listeners.values():
            if listener.project == project:
                listener.say(Notice(project, text))

    def left(self, session: Session, staying: list[str]) -> None:
        if session in self._listeners:
            self._listeners[session].say(Left(staying))
