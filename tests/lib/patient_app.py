"""An app that keeps its answers open for as long as a test wants it to.

As a program: patient_app.py PORT.  It says "there" once it listens.

GET /hello      "hello"
GET /hold       "held", once there was a POST /release
GET /bulk/SIZE  so many bytes of bulk.py
POST /swallow   compares the body with that of bulk.py, and answers how many bytes it had
GET /events     an event for each POST /emit, whose body it is
GET /echo       a WebSocket's handshake; what comes then is sent back
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import resource
import sys
from collections.abc import Awaitable, Callable

from bulk import BLOCK, piece

KEY_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3

Handler = Callable[["Call"], Awaitable[None]]
released = asyncio.Event()
streams: set[asyncio.StreamWriter] = set()


class Call:
    """One request, and who asked."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        self.reader, self.writer = reader, writer
        first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        self.method, self.path, _ = first.split(b" ")
        self.fields = {name.lower(): value.strip() for name, value in (line.split(b":", 1) for line in lines)}

    @property
    def size(self) -> int:
        return int(self.fields.get(b"content-length", b"0"))

    def answer(self, body: bytes) -> None:
        self.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def hello(call: Call) -> None:
    call.answer(b"hello")


async def hold(call: Call) -> None:
    await released.wait()
    call.answer(b"held")


async def release(call: Call) -> None:
    released.set()
    call.answer(b"released")


async def bulk(call: Call) -> None:
    size = int(call.path.rpartition(b"/")[2])
    call.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    for at in range(0, size, BLOCK):
        call.writer.write(piece(at, min(BLOCK, size - at)))
        await call.writer.drain()


async def swallow(call: Call) -> None:
    at = 0
    while at < call.size:
        data = await call.reader.read(min(BLOCK, call.size - at))
        assert data, f"the body ended after {at} bytes"
        assert data == piece(at, len(data)), f"other bytes than were sent at {at}"
        at += len(data)
    call.answer(b"%d" % at)


async def events(call: Call) -> None:
    call.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    streams.add(call.writer)
    await call.reader.read()
    streams.discard(call.writer)
    raise EOFError


async def emit(call: Call) -> None:
    event = b"data: %b\n\n" % await call.reader.readexactly(call.size)
    for stream in streams:
        stream.write(b"%x\r\n%b\r\n" % (len(event), event))
    call.answer(b"%d" % len(streams))


async def echo(call: Call) -> None:
    accept = base64.b64encode(
        hashlib.sha1(call.fields[b"sec-websocket-key"] + KEY_SALT, usedforsecurity=False).digest()
    )
    call.writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
    )
    while data := await call.reader.read(1 << 16):
        call.writer.write(data)
    raise EOFError


HANDLERS: dict[bytes, Handler] = {
    b"hello": hello, b"hold": hold, b"release": release, b"bulk": bulk, b"swallow": swallow, b"events": events,
    b"emit": emit, b"echo": echo,
}  # fmt: skip


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            call = Call(reader, writer, await reader.readuntil(b"\r\n\r\n"))
            await HANDLERS[call.path.split(b"/")[1]](call)
            await writer.drain()
    except (EOFError, ConnectionError):
        pass  # IncompleteReadError is one, where no other request came
    finally:
        writer.close()


async def main(port: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # thousands may be held
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024)
    print("there", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
