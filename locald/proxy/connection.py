"""One client connection: requests in, responses out.

Client reads requests, one at a time; each becomes an Exchange, which borrows an Upstream.  All of it is
callbacks of the event loop: no coroutine for a request but the one that dials.  Neither side is read while
the other does not take more, so what waits in memory is bounded whatever the sizes of the bodies.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING, cast

from locald.proxy import headers, pages
from locald.proxy.http1 import (
    NEED_DATA,
    End,
    ProtocolError,
    Reader,
    Request,
    Response,
    chunk_head,
    last_chunk,
)
from locald.proxy.limits import HEAD_S, IDLE_S, LINGER_BYTES, LINGER_S, LOOPS_MAX, WRITE_HIGH
from locald.proxy.routes import Route
from locald.proxy.upstream import DialError, Upstream

if TYPE_CHECKING:
    from locald.proxy.server import Proxy

__all__ = ["Client"]

IDEMPOTENT = frozenset([b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])  # RFC 9110 section 9.2.2
SWITCHING = 101


class Mode(Enum):
    """What a client's bytes are now."""

    HTTP = auto()
    TUNNEL = auto()
    LINGER = auto()  # answered and refused: read and thrown away, so that the answer is not reset away


class Client(asyncio.Protocol):
    """One connection of one client."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.transport: asyncio.Transport
        self.hop: headers.Hop
        self.reader = Reader(True)
        self.exchange: Exchange | None = None
        self.mode = Mode.HTTP
        self.deadline = 0.0  # of the loop's clock; 0 for none
        self._lingered = 0
        self._paused = False
        self._half_closed = False

    # The event loop calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's do not inherit from asyncio's
        self.transport.set_write_buffer_limits(high=WRITE_HIGH)
        peer = transport.get_extra_info("peername") or ("unknown",)
        self.hop = headers.Hop(str(peer[0]), "http", self.proxy.port)
        self.deadline = self.proxy.now() + HEAD_S
        self.proxy.clients.add(self)

    def data_received(self, data: bytes) -> None:
        if self.mode is Mode.TUNNEL:
            if self.exchange is not None and self.exchange.upstream is not None:
                self.exchange.upstream.transport.write(data)
        elif self.mode is Mode.LINGER:
            self._lingered += len(data)
            if self._lingered > LINGER_BYTES:
                self.transport.abort()
        else:
            if self.exchange is None and self.reader.buffered == 0:
                self.deadline = self.proxy.now() + HEAD_S
            self.reader.feed(data)
            self.pump()

    def eof_received(self) -> bool:
        self._half_closed = True
        self.reader.eof()
        if self.mode is Mode.TUNNEL and self.exchange is not None:
            self.exchange.tunnel_end(of_client=True)
            return True
        if self.mode is Mode.LINGER or self.exchange is None:
            return False
        self.pump()
        return self.exchange is not None  # a client that has only stopped sending still gets its answer

    def connection_lost(self, error: Exception | None) -> None:
        self.proxy.forget(self)
        if self.exchange is not None:
            self.exchange.abandon()
            self.exchange = None

    def pause_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.set_blocked(True)

    def resume_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.set_blocked(False)

    # Requests.

    def pump(self) -> None:
        """Read what can be read now: a new request, or the body of the one there is."""
        while self.mode is Mode.HTTP and (self.exchange is None or self.exchange.wants_body):
            try:
                event = self.reader.next_event()
            except ProtocolError as error:
                self._refuse(error)
                return
            if event is NEED_DATA:
                break
            if isinstance(event, Request):
                self._begin(event)
            elif self.exchange is not None and isinstance(event, bytes):
                self.exchange.request_data(event)
            elif self.exchange is not None and isinstance(event, End):
                self.exchange.request_end(event)
        stuck = self.exchange is not None and not self.exchange.wants_body
        self.set_paused(stuck and self.reader.buffered >= WRITE_HIGH)

    def _begin(self, request: Request) -> None:
        self.deadline = 0.0
        if not request.has_body:
            self.reader.next_event()  # its End, which is there already
        page, route = self._judge(request)
        if page is not None:
            self.answer(page, request, request_done=not request.has_body)
        elif route is not None:
            self.exchange = Exchange(self, request, route)
            self.exchange.start()

    def _judge(self, request: Request) -> tuple[pages.Page | None, Route | None]:
        if request.method in (b"CONNECT", b"TRACE"):
            return pages.not_allowed(), None
        route = self.proxy.routes.find(request.host)
        if route is None:
            host = request.host.decode("ascii", "replace")
            return pages.not_found(host, list(self.proxy.routes), self.proxy.port), None
        if headers.count_loops(request) >= LOOPS_MAX:
            return pages.loop(route), None
        return None, route

    def _refuse(self, error: ProtocolError) -> None:
        """The bytes are no HTTP: nothing more of them can be understood."""
        if self.exchange is not None:
            if self.exchange.answered:
                self.transport.close()
                return
            self.exchange.abandon()
            self.exchange = None
        self.answer(pages.refused(error.status, error.text), None, request_done=False)

    def answer(self, page: pages.Page, request: Request | None, request_done: bool) -> None:
        """Send an answer of our own; the connection goes on if the request was complete and asked for that."""
        keep = request is not None and request.keep_alive and request_done and not self.proxy.draining
        self.transport.write(pages.render(page, request, close=not keep))
        self.finish(keep, request_done)

    def finish(self, keep: bool, request_done: bool) -> None:
        """A response is complete."""
        self.exchange = None
        if keep and not self._half_closed and not self.proxy.draining:
            self.deadline = self.proxy.now() + (HEAD_S if self.reader.buffered else IDLE_S)
            if self.reader.buffered:
                # Pipelined.  Not from here: a thousand of them would be a thousand frames deep.
                self.proxy.loop.call_soon(self.pump)
            self.set_paused(False)
        elif request_done or self._half_closed:
            self.transport.close()
        else:
            self.linger()

    def linger(self) -> None:
        """Say that no more is sent, and read on for a while: closing at once would reset our answer away."""
        self.mode = Mode.LINGER
        self.deadline = self.proxy.now() + LINGER_S
        self.set_paused(False)
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()

    def expire(self) -> None:
        """The deadline has passed."""
        if self.mode is Mode.HTTP and self.exchange is None and self.reader.buffered:
            self.answer(pages.refused(408, f"its head took more than {HEAD_S:.0f} seconds"), None, request_done=True)
        else:
            self.transport.close()
        self.deadline = self.proxy.now() + LINGER_S

    def drain(self) -> None:
        """The proxy stops: go now if nothing is under way, else after the response."""
        if self.exchange is None:
            self.transport.close()

    def set_paused(self, paused: bool) -> None:
        """Stop reading, or go on."""
        if self._paused == paused or self.transport.is_closing():
            return
        self._paused = paused
        if paused:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()


class Exchange:
    """One request and its response."""

    def __init__(self, client: Client, request: Request, route: Route) -> None:
        self.client = client
        self.request = request
        self.route = route
        self.upstream: Upstream | None = None
        self.blocked = False
        self.answered = False  # the head of the final response has been sent
        self.wants_body = False  # the upstream takes more of the request
        self._request_done = not request.has_body
        self._upgrade = headers.is_websocket(request)
        self._keep = request.keep_alive
        self._chunked = False
        self._counted = False  # the client can tell a complete response from a broken one
        self._reused = False
        self._dialling: asyncio.Task[None] | None = None
        self._response: Response
        self._ended: set[bool] = set()  # of a tunnel: whether the client, or not the client, has sent its last
        self._out: list[bytes] = []

    # Towards the upstream.

    def start(self) -> None:
        proxy = self.client.proxy
        # A connection that was idle may be closed by the server at this very moment; only what can be said twice
        # is said on one (RFC 9110 section 9.2.2).
        idle = proxy.pool.take(self.route, proxy.now()) if self._is_replayable() else None
        if idle is not None:
            self._reused = True
            self._connected(idle)
        else:
            self._dialling = proxy.loop.create_task(self._dial())

    def _is_replayable(self) -> bool:
        return self.request.method in IDEMPOTENT and not self.request.has_body and not self._upgrade

    async def _dial(self) -> None:
        try:
            upstream = await self.client.proxy.pool.dial(self.route)
        except DialError as error:
            self._dialling = None
            self._fail(error.failures, error.timed_out)
        else:
            self._dialling = None
            self._connected(upstream)

    def _connected(self, upstream: Upstream) -> None:
        self.upstream = upstream
        upstream.lend(self, self.request.method == b"HEAD")
        upstream.transport.write(headers.request_head(self.request, self.client.hop, self._upgrade))
        self.wants_body = not self._request_done
        if self.wants_body:
            self.client.pump()

    def request_data(self, data: bytes) -> None:
        if self.upstream is None:
            return
        if self.request.chunked:
            data = b"%b%b\r\n" % (chunk_head(len(data)), data)
        self.upstream.transport.write(data)

    def request_end(self, end: End) -> None:
        self._request_done = True
        self.wants_body = False
        if self.upstream is not None and self.request.chunked:
            self.upstream.transport.write(last_chunk(headers.trailers(end.trailers)))

    def upstream_writable(self, writable: bool) -> None:
        if self.client.mode is Mode.TUNNEL:
            self.client.set_paused(not writable)
            return
        self.wants_body = writable and not self._request_done
        # Called from within transport.write(), which pump() may be in the middle of: so not from here.
        self.client.proxy.loop.call_soon(self.client.pump)

    # Towards the client.

    def response_event(self, event: object) -> None:
        if isinstance(event, Response):
            self._response_head(event)
        elif isinstance(event, bytes):
            self._out += (chunk_head(len(event)), event, b"\r\n") if self._chunked else (event,)
            self._flush()
        elif isinstance(event, End):
            if self._chunked:
                self._out.append(last_chunk(headers.trailers(event.trailers)))
            self._finish()

    def response_pause(self) -> None:
        self._flush()

    def _response_head(self, response: Response) -> None:
        minor = self.request.minor
        if response.status == SWITCHING:
            self._open_tunnel(response)
            return
        if response.status < 200:
            if minor:  # HTTP/1.0 knows no interim responses
                self._out.append(headers.response_head(response, minor=minor, chunked=False, close=False))
            return
        unknown = response.has_body and response.length is None
        self._chunked = unknown and minor == 1
        self._counted = not unknown or self._chunked
        self._keep = self._keep and self._counted and self._request_done and not self.client.proxy.draining
        self._response = response
        self.answered = True
        self._out.append(headers.response_head(response, minor=minor, chunked=self._chunked, close=not self._keep))

    def _flush(self) -> None:
        if self._out:
            out, self._out = self._out, []
            self.client.transport.write(out[0] if len(out) == 1 else b"".join(out))

    def _finish(self) -> None:
        self._flush()
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            reusable = self._response.keep_alive and self._request_done and not upstream.reader.buffered
            self._return(upstream, reusable)
        self.client.finish(self._keep, self._request_done)

    def _return(self, upstream: Upstream, reusable: bool) -> None:
        proxy = self.client.proxy
        upstream.borrower = None
        if reusable and not upstream.gone and not upstream.transport.is_closing() and not proxy.draining:
            proxy.pool.give_back(upstream, proxy.now())
        elif self._request_done:
            upstream.transport.close()
        else:
            upstream.transport.abort()  # the rest of the request is of no use to anyone

    def upstream_broke(self, why: str) -> None:
        """The upstream ended before the response was complete: the client must be able to see that."""
        upstream, self.upstream = self.upstream, None
        if upstream is None:
            return
        upstream.borrower = None
        upstream.transport.abort()
        fresh = not self.answered and upstream.reader.buffered == 0
        if self.client.mode is Mode.TUNNEL:
            self.client.transport.close()
        elif self._reused and fresh and self._is_replayable():
            self._reused = False  # once
            self._out.clear()
            self._dialling = self.client.proxy.loop.create_task(self._dial())
        elif not self.answered:
            self._out.clear()
            self._fail([f"{upstream.target}: {why}"])
        else:
            self._flush()
            # Without a length or chunks the end of the connection is the end of the body: only a reset is not.
            (self.client.transport.close if self._counted else self.client.transport.abort)()

    def _fail(self, failures: list[str], timed_out: bool = False) -> None:
        self.wants_body = False
        page = pages.bad_gateway(self.route, failures, timed_out)
        self.client.answer(page, self.request, self._request_done)

    def set_blocked(self, blocked: bool) -> None:
        """The client does not take more of the response, or does again."""
        self.blocked = blocked
        if self.upstream is not None:
            self.upstream.set_paused(blocked)
            if not blocked:
                self.upstream.pump()

    def abandon(self) -> None:
        """The client is gone: the upstream must stop working for it."""
        if self._dialling is not None:
            self._dialling.cancel()
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.borrower = None
            if self.client.mode is Mode.TUNNEL:
                upstream.transport.close()
            else:
                upstream.transport.abort()

    # Tunnels (RFC 6455): after the upstream's 101, bytes.

    def _open_tunnel(self, response: Response) -> None:
        upstream = self.upstream
        agreed = any(name.lower() == b"upgrade" and value.lower() == b"websocket" for name, value in response.fields)
        if upstream is None or not self._upgrade or not agreed:
            self.upstream_broke("answered 101 to a request that did not ask for that")
            return
        self._out.append(headers.response_head(response, minor=1, chunked=False, close=False))
        self._out.append(upstream.reader.take_rest())
        self._flush()
        self.answered = True
        upstream.tunnel = True
        self.client.mode = Mode.TUNNEL
        rest = self.client.reader.take_rest()
        if rest:
            upstream.transport.write(rest)
        self.client.set_paused(False)

    def tunnel_data(self, data: bytes) -> None:
        self.client.transport.write(data)

    def tunnel_eof(self) -> None:
        self.tunnel_end(of_client=False)

    def tunnel_end(self, *, of_client: bool) -> None:
        """One side sends no more: tell the other, and close both when both have said so."""
        self._ended.add(of_client)
        upstream = self.upstream
        if upstream is None:
            return
        if len(self._ended) == 2:
            self.client.transport.close()
            upstream.transport.close()
            return
        other = upstream.transport if of_client else self.client.transport
        if not other.is_closing() and other.can_write_eof():
            other.write_eof()
