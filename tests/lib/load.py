"""Clients that ask all the time, as browsers and programs do, and count what goes wrong.

As a program: load.py ROOT asks app.localhost for /hello on ports 80 and 443, says "there" once each has had an answer, and
when its standard input ends, prints what came of it as JSON: ``requests``, by kind of client; ``wrong``, in words;
``slowest_s``, the longest that a request took, its connection included.

They do what HTTP asks of a client and no more: a connection that was said to end is not used again, one that was not, is;
and nothing is tried twice.
"""

from __future__ import annotations

import asyncio
import collections
import json
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
from http2_peer import without_goaway

HOST = "app.localhost"
ASK = b"GET /hello HTTP/1.1\r\nHost: app.localhost\r\n%b\r\n"
GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/hello"), (b":authority", HOST.encode())]
KEPT, ONCE, SECURE, MULTIPLEXED = 6, 2, 2, 2  # clients of each kind
STREAMS = 8  # requests at once by HTTP/2

requests: collections.Counter[str] = collections.Counter()
wrong: collections.Counter[str] = collections.Counter()
stopping = asyncio.Event()
slowest = 0.0


class Load:
    """The program, from the outside."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={}
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "there\n"

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with self._process:
            pass

    def end(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        found: dict[str, Any] = json.loads(self._process.stdout.read())
        return found


def took(kind: str, since: float) -> None:
    global slowest  # noqa: PLW0603
    requests[kind] += 1
    slowest = max(slowest, time.monotonic() - since)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fields: bytes) -> bool:
    """One request; whether another may follow."""
    writer.write(ASK % fields)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    assert await reader.readexactly(5) == b"hello"
    return b"connection: close" not in head.lower()


async def by_http1(kind: str, context: ssl.SSLContext | None, fields: bytes = b"") -> None:
    while not stopping.is_set():
        since = time.monotonic()
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", 443 if context else 80, ssl=context, server_hostname=HOST if context else None
        )
        while not stopping.is_set():
            another = await ask(reader, writer, fields)
            took(kind, since)
            if not another:
                break
            since = time.monotonic()
        writer.close()


async def by_http2(context: ssl.SSLContext) -> None:
    while not stopping.is_set():
        reader, writer = await asyncio.open_connection("127.0.0.1", 443, ssl=context, server_hostname=HOST)
        talk = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        talk.initiate_connection()
        open_since: dict[int, float] = {}
        leaving, rest = False, b""
        while not (leaving or stopping.is_set()) or open_since:
            while len(open_since) < STREAMS and not leaving and not stopping.is_set():
                stream = talk.get_next_available_stream_id()
                talk.send_headers(stream, GET, end_stream=True)
                open_since[stream] = time.monotonic()
            writer.write(talk.data_to_send())
            data = await reader.read(1 << 16)
            assert data, f"HTTP/2: closed with {len(open_since)} requests open"
            data, last, rest = without_goaway(rest + data)
            if last is not None:
                leaving = True
                # What it does not promise to answer is lost: a client would have to ask again elsewhere.
                assert max(open_since, default=0) <= last, "HTTP/2: refused"
            for event in talk.receive_data(data):
                match event:
                    case h2.events.ResponseReceived():
                        assert dict(event.headers)[b":status"] == b"200", event.headers
                    case h2.events.StreamEnded():
                        took("http2", open_since.pop(event.stream_id))
                    case h2.events.StreamReset():
                        raise AssertionError(f"HTTP/2: reset with {event.error_code}")
        writer.write(talk.data_to_send())
        writer.close()


async def client(function: Any, *arguments: Any) -> None:
    while not stopping.is_set():
        try:
            await function(*arguments)
        except (OSError, EOFError, AssertionError) as error:
            wrong[f"{arguments[0] if arguments else ''} {type(error).__name__}: {error}"] += 1


async def main(root: str) -> None:
    contexts = [ssl.create_default_context(cafile=root) for _ in range(2)]
    contexts[1].set_alpn_protocols(["h2"])
    running = [asyncio.create_task(client(by_http1, "kept", None)) for _ in range(KEPT)]
    running += [asyncio.create_task(client(by_http1, "once", None, b"Connection: close\r\n")) for _ in range(ONCE)]
    running += [asyncio.create_task(client(by_http1, "secure", contexts[0])) for _ in range(SECURE)]
    running += [asyncio.create_task(client(by_http2, contexts[1])) for _ in range(MULTIPLEXED)]
    while len(requests) < 4 and not wrong:
        await asyncio.sleep(0.01)
    print("there", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    stopping.set()
    await asyncio.gather(*running)
    print(json.dumps({"requests": requests, "wrong": wrong, "slowest_s": slowest}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
