"""HTTP/2's other side for the tests: h2 where everything is in order, and frames written by hand where it is not."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any

import h2.config
import h2.connection
import h2.events
import hpack

from locald.proxy.http1 import End, Request, Response
from locald.proxy.http2 import Session
from locald.proxy.http2_strand import Strand
from locald.proxy.limits import Limits

MAGIC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 16
NAMES = ["DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE",
         "CONTINUATION"]  # fmt: skip
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 1, 1, 4, 8, 32
CODES = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
         "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
         "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"]  # fmt: skip
GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"app.localhost")]
POST = [(b":method", b"POST"), *GET[1:]]
Fields = list[tuple[bytes, bytes]]


def code_name(code: int) -> str:
    """RFC 9113 section 7; a code that it does not know is as good as any."""
    return CODES[code] if code < len(CODES) else f"code {code}"


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """RFC 9113 section 4.1."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def block(fields: Fields) -> bytes:
    """A field block that needs no table: literals without indexing (RFC 7541 section 6.2.2)."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def _text(text: bytes) -> bytes:
    size = len(text)
    if size < 127:
        return bytes([size]) + text
    size -= 127
    out = b"\x7f"
    while size >= 128:
        out += bytes([size % 128 + 128])
        size //= 128
    return out + bytes([size]) + text


def headers(stream: int, fields: Fields, flags: int = END_HEADERS | END_STREAM) -> bytes:
    return frame(HEADERS, flags, stream, block(fields))


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def number(value: int) -> bytes:
    return struct.pack(">I", value)


PREFACE = MAGIC + settings()


def frames(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Kind, flags, stream and payload of each; there must be no rest."""
    found = []
    while data:
        size = int.from_bytes(data[:3], "big")
        assert len(data) >= 9 + size, "the last frame is cut"
        found.append((data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + size]))
        data = data[9 + size :]
    return found


def errors(data: bytes) -> list[str]:
    """What the other side found wrong: "GOAWAY CODE", and "RST_STREAM NUMBER CODE"."""
    said = []
    for kind, _, stream, payload in frames(data):
        if kind == GOAWAY:
            said.append(f"GOAWAY {code_name(int.from_bytes(payload[4:8], 'big'))}")
        elif kind == RST_STREAM:
            said.append(f"RST_STREAM {stream} {code_name(int.from_bytes(payload, 'big'))}")
    return said


class Recorder(Session):
    """A session that writes down what it is told, and credits all DATA unless ``keeps``."""

    def __init__(self, server: bool = True, limits: Limits | None = None) -> None:
        super().__init__(server, limits or Limits())
        self.said: list[tuple[Any, ...]] = []
        self.keeps = False

    def __new__(cls, server: bool = True, limits: Limits | None = None) -> Recorder:
        return super().__new__(cls, server, limits or Limits())

    def request(self, strand: Strand, request: Request, status: int) -> None:
        self.said.append(("request", strand.id, request, status))

    def response(self, strand: Strand, response: Response) -> None:
        self.said.append(("response", strand.id, response))

    def data(self, strand: Strand, data: bytes) -> None:
        self.said.append(("data", strand.id, data))
        if not self.keeps:
            self.credit(strand, len(data))

    def end(self, strand: Strand, end: End) -> None:
        self.said.append(("end", strand.id, end.trailers))

    def closed(self, strand: Strand, code: int) -> None:
        self.said.append(("closed", strand.id, code_name(code)))

    def writable(self, strand: Strand) -> None:
        self.said.append(("writable", strand.id))

    def going_away(self, code: int) -> None:
        self.said.append(("going away", code_name(code)))

    def told(self, kind: str) -> list[Any]:
        return [event for event in self.said if event[0] == kind]

    def ask(self, data: bytes, time: float = 0.0) -> bytes:
        """Feed, and take all that there is to say to it."""
        self.feed(data, time)
        return self.take_all()

    def take_all(self) -> bytes:
        parts = []
        while part := self.take(1 << 20):
            parts.append(part)
        return b"".join(parts)


def client() -> h2.connection.H2Connection:
    made = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
    made.initiate_connection()
    return made


def server() -> h2.connection.H2Connection:
    made = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
    made.initiate_connection()
    return made


def heads(data: bytes) -> dict[int, list[Fields]]:
    """The fields of each block of HEADERS, by stream, as hpack reads them."""
    decoder = hpack.Decoder()
    found: dict[int, list[Fields]] = {}
    for kind, _, stream, payload in frames(data):
        if kind == HEADERS:
            found.setdefault(stream, []).append([(bytes(n), bytes(v)) for n, v in decoder.decode(payload, raw=True)])
    return found


class Answer:
    """What came on one stream."""

    def __init__(self) -> None:
        self.interim: list[int] = []
        self.fields: dict[bytes, bytes] = {}
        self.body = b""
        self.trailers: Fields = []
        self.ended = False
        self.reset = ""

    @property
    def status(self) -> int:
        return int(self.fields.get(b":status", b"0"))


class Browser:
    """A client of h2 on a socket.  ``reads``: it credits what comes at once."""

    def __init__(self, sock: socket.socket, window: int = 65_535) -> None:
        self.sock = sock
        self.reads = True
        self.over = ""
        self.answers: dict[int, Answer] = {}
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self.h2.local_settings.initial_window_size = window
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def ask(self, fields: Fields, ends: bool = True) -> int:
        """Send a head; the stream's number."""
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, fields, end_stream=ends)
        self.answers[stream] = Answer()
        self.flush()
        return stream

    def say(self, stream: int, data: bytes, ends: bool = False) -> None:
        """Send a part of a body, as fast as the proxy lets us; frames of it have at most 16 KB."""
        while True:
            room = min(self.h2.local_flow_control_window(stream), 16_384)
            part, data = data[:room], data[room:]
            self.h2.send_data(stream, part, end_stream=ends and not data)
            self.flush()
            if not data:
                return
            while self.h2.local_flow_control_window(stream) == 0:
                self.read()

    def read(self) -> None:
        """Take what has come, at least something."""
        data = self.sock.recv(1 << 16)
        assert data, "the proxy has closed the connection"
        for event in self.h2.receive_data(data):
            self._note(event)
        self.flush()

    def _note(self, event: Any) -> None:
        answer = self.answers.get(getattr(event, "stream_id", 0), Answer())
        match event:
            case h2.events.InformationalResponseReceived():
                answer.interim.append(int(dict(event.headers)[b":status"]))
            case h2.events.ResponseReceived():
                answer.fields = dict(event.headers)
            case h2.events.DataReceived():
                answer.body += event.data
                if self.reads and event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.TrailersReceived():
                answer.trailers = list(event.headers)
            case h2.events.StreamEnded():
                answer.ended = True
            case h2.events.StreamReset():
                answer.reset = code_name(event.error_code)
            case h2.events.ConnectionTerminated():
                self.over = code_name(event.error_code)

    def wait(self, condition: Callable[[], object]) -> None:
        while not condition():
            self.read()

    def answer(self, stream: int) -> Answer:
        """That of a stream, once it is complete or has been reset."""
        answer = self.answers[stream]
        self.wait(lambda: answer.ended or answer.reset)
        return answer

    def get(self, path: bytes = b"/", host: bytes = b"app.localhost", *fields: tuple[bytes, bytes]) -> Answer:
        return self.answer(self.ask([*GET[:2], (b":path", path), (b":authority", host), *fields]))

    def post(self, body: bytes, *fields: tuple[bytes, bytes]) -> Answer:
        stream = self.ask([*POST, *fields], ends=False)
        self.say(stream, body, ends=True)
        return self.answer(stream)


def without_goaway(data: bytes) -> tuple[bytes, int | None, bytes]:
    """Whole frames but for GOAWAY, the stream that the last of those named last, and what is no whole frame yet: to h2
    the first GOAWAY is the end, and what comes after it a mistake (RFC 9113 section 6.8 has it otherwise)."""
    kept, last = b"", None
    while len(data) >= 9 and len(data) >= (end := 9 + int.from_bytes(data[:3], "big")):
        if data[3] == GOAWAY:
            last = int.from_bytes(data[9:13], "big")
        else:
            kept += data[:end]
        data = data[end:]
    return kept, last, data


class Patient(Browser):
    """One that goes on after a GOAWAY; ``last``: the stream that it named."""

    last: int | None = None
    _rest = b""

    def read(self) -> None:
        data = self.sock.recv(1 << 16)
        assert data, "the proxy has closed the connection"
        data, last, self._rest = without_goaway(self._rest + data)
        self.last = self.last if last is None else last
        for event in self.h2.receive_data(data):
            self._note(event)
        self.flush()


def until_closed(sock: socket.socket, data: bytes = b"") -> bytes:
    """All that comes until the proxy closes."""
    parts = [data]
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)
