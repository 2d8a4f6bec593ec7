"""What reaches a server behind the proxy, told by uvicorn; mirror.js is the same for Express.

/hash              what came: method, length and SHA-256 of the body, and the fields, as JSON
/bytes/N           N bytes, with their length
/stream/N          N bytes in pieces, without
/events?id=        a stream of events: each one that is said, until "end" is
/say?id=&data=     says one
/forever?id=       bytes without an end
/gone?id=          answers once whoever read those has gone
/ws?id=            echoes; the message "close CODE WHY" is done as it says
/closed?id=        answers with the code and the reason with which the client has closed
/  /page.js        the browser's page
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

PAGE = Path(__file__).parent / "page"
PIECE = 1 << 16

said: dict[str, asyncio.Queue[str]] = defaultdict(asyncio.Queue)
gone: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
closed: dict[str, asyncio.Queue[dict[str, Any]]] = defaultdict(asyncio.Queue)


class Talk:
    """One request and its answer."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        self.path: str = scope["path"]
        self.query = dict(parse_qsl(scope["query_string"].decode()))
        self.fields = {name.decode(): value.decode() for name, value in scope["headers"]}

    @property
    def id(self) -> str:
        return self.query["id"]

    async def begin(self, kind: str, length: int | None = None) -> None:
        fields = [(b"content-type", kind.encode())]
        if length is not None:
            fields.append((b"content-length", b"%d" % length))
        await self.send({"type": "http.response.start", "status": 200, "headers": fields})

    async def give(self, data: bytes, more: bool = True) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def answer(self, data: bytes, kind: str = "text/plain") -> None:
        await self.begin(kind, len(data))
        await self.give(data, more=False)

    async def tell(self, value: Any) -> None:
        await self.answer(json.dumps(value).encode(), "application/json")


async def app(scope: Any, receive: Any, send: Any) -> None:
    talk = Talk(scope, receive, send)
    if scope["type"] == "websocket":
        await echo(talk)
        return
    _, first, *rest = talk.path.split("/")
    if first == "hash":
        await mirror(talk)
    elif first in ("bytes", "stream"):
        await give_bytes(talk, int(rest[0]), announced=first == "bytes")
    elif first == "events":
        await events(talk)
    elif first == "forever":
        await forever(talk)
    elif first == "say":
        said[talk.id].put_nowait(talk.query["data"])
        await talk.answer(b"")
    elif first == "gone":
        await gone[talk.id].wait()
        await talk.answer(b"")
    elif first == "closed":
        await talk.tell(await closed[talk.id].get())
    else:
        name = first or "index.html"
        kind = "text/javascript" if name.endswith(".js") else "text/html"
        await talk.answer((PAGE / name).read_bytes(), kind)


async def mirror(talk: Talk) -> None:
    digest, length, more = hashlib.sha256(), 0, True
    while more:
        event = await talk.receive()
        assert event["type"] == "http.request", event
        digest.update(event["body"])
        length += len(event["body"])
        more = event["more_body"]
    await talk.tell(
        {"method": talk.scope["method"], "length": length, "sha256": digest.hexdigest(), "fields": talk.fields}
    )


async def give_bytes(talk: Talk, count: int, announced: bool) -> None:
    await talk.begin("application/octet-stream", count if announced else None)
    for size in [PIECE] * (count // PIECE) + [count % PIECE]:
        await talk.give(b"x" * size)
    await talk.give(b"", more=False)


async def events(talk: Talk) -> None:
    await talk.begin("text/event-stream")
    number = int(talk.fields.get("last-event-id", "0"))
    await talk.give(b"retry: 10\ndata: after %d\n\n" % number)
    leaving = asyncio.create_task(leave(talk))
    while True:
        word = asyncio.create_task(said[talk.id].get())
        await asyncio.wait({word, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not word.done():
            word.cancel()
            return
        if word.result() == "end":
            leaving.cancel()
            await talk.give(b"", more=False)
            return
        number += 1
        await talk.give(b"id: %d\ndata: %b\n\n" % (number, word.result().encode()))


async def forever(talk: Talk) -> None:
    await talk.begin("application/octet-stream")
    leaving = asyncio.create_task(leave(talk))
    while not leaving.done():
        await talk.give(b"x" * PIECE)
        await asyncio.sleep(0)


async def leave(talk: Talk) -> None:
    while (await talk.receive())["type"] != "http.disconnect":
        pass
    gone[talk.id].set()


async def echo(talk: Talk) -> None:
    assert (await talk.receive())["type"] == "websocket.connect"
    wanted = talk.scope["subprotocols"]
    await talk.send({"type": "websocket.accept", "subprotocol": wanted[-1] if wanted else None})
    while (event := await talk.receive())["type"] == "websocket.receive":
        text = event.get("text")
        if text is not None and text.startswith("close "):
            _, code, why = text.split(" ", 2)
            await talk.send({"type": "websocket.close", "code": int(code), "reason": why})
        elif text is not None:
            await talk.send({"type": "websocket.send", "text": text})
        else:
            await talk.send({"type": "websocket.send", "bytes": event["bytes"]})
    if "id" in talk.query:
        closed[talk.id].put_nowait({"code": event["code"], "reason": event.get("reason", "")})
