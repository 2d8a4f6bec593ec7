"""Apps that speak HTTP/2 in cleartext, each connection in a thread that does what a test says; h2 is their grammar."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Mapping
from typing import Any, TypeVar

import h2.config
import h2.connection
import h2.events
import h2.settings

Event = TypeVar("Event", bound=h2.events.Event)
Fields = list[tuple[bytes, bytes]]
CONFIG = h2.config.H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_outbound_headers=False,  # apps may say what they must not
    normalize_outbound_headers=False,
)
OK: Fields = [(b":status", b"200")]


class Peer:
    """One connection that the proxy has made.  ``credits``: whether what came of bodies is taken at once."""

    def __init__(self, sock: socket.socket, settings: Mapping[int, int] | None = None, credits: bool = True) -> None:
        self.sock = sock
        self.credits = credits
        self.h2 = h2.connection.H2Connection(CONFIG)
        for number, value in (settings or {}).items():
            self.h2.local_settings[h2.settings.SettingCodes(number)] = value
        self.h2.local_settings.acknowledge()
        self.h2.initiate_connection()
        self.flush()
        self._events: deque[h2.events.Event] = deque()

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def wait(self, kind: type[Event], stream: int | None = None) -> Event:
        """The next event of that kind; those of other kinds stay.  Raises EOFError when the proxy has closed."""
        while True:
            for event in self._events:
                if isinstance(event, kind) and stream in (None, getattr(event, "stream_id", None)):
                    self._events.remove(event)
                    return event
            self._read()

    def _read(self) -> None:
        data = self.sock.recv(1 << 16)
        if not data:
            raise EOFError
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.DataReceived) and self.credits:
                self.credit(event)
            self._events.append(event)
        self.flush()

    def credit(self, event: h2.events.DataReceived) -> None:
        self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def request(self) -> tuple[int, dict[bytes, bytes]]:
        """The next request's stream, and its fields."""
        event = self.wait(h2.events.RequestReceived)
        return event.stream_id, dict(event.headers)

    def body(self, stream: int) -> bytes:
        """The whole body of a request that has one."""
        self.wait(h2.events.StreamEnded, stream)
        pieces = [
            each for each in self._events if isinstance(each, h2.events.DataReceived) and each.stream_id == stream
        ]
        for each in pieces:
            self._events.remove(each)
        return b"".join(each.data for each in pieces)

    def head(self, stream: int, fields: Fields = OK, ends: bool = False) -> None:
        self.h2.send_headers(stream, fields, end_stream=ends)
        self.flush()

    def data(self, stream: int, data: bytes = b"", ends: bool = False) -> None:
        """Send it all, as fast as the proxy gives credit."""
        while True:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(data))
            if room or not data:
                self.h2.send_data(stream, data[:room], end_stream=ends and room == len(data))
                self.flush()
                data = data[room:]
                if not data:
                    return
            if not self.h2.local_flow_control_window(stream):
                self.wait(h2.events.WindowUpdated)

    def answer(self, stream: int, body: bytes = b"ok", fields: Fields = OK, trailers: Fields | None = None) -> None:
        self.head(stream, fields)
        self.data(stream, body, ends=trailers is None)
        if trailers is not None:
            self.head(stream, trailers, ends=True)

    def reset(self, stream: int, code: int) -> None:
        self.h2.reset_stream(stream, code)
        self.flush()

    def go_away(self, last: int) -> None:
        self.h2.close_connection(last_stream_id=last)
        self.flush()

    def until_closed(self) -> list[Any]:
        """What else comes before the proxy closes."""
        try:
            while True:
                self._read()
        except (EOFError, ConnectionResetError):
            return [*self._events]
