"""One client connection: requests in, responses out.

Client reads requests, one at a time; each becomes an Exchange, which borrows an Upstream.  All of it is
callbacks of the event loop: no coroutine for a request but the one that dials.  Neither side is read while
the other does not take more, so what waits in memory is bounded whatever the sizes of the bodies.
"""

from locald.proxy import headers, pages
from locald.proxy.http1 import NEED_DATA, ProtocolError, chunk_head, last_chunk
from locald.proxy.routes import rewritten
from locald.proxy.upstream import DialError

from locald.proxy.headers cimport Hop, count_loops, is_websocket, request_head, response_head
from locald.proxy.http1 cimport End, Reader, Request, Response
from locald.proxy.upstream cimport Borrower, Pool, Upstream

__all__ = ["Client"]

IDEMPOTENT = frozenset([b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])  # RFC 9110 section 9.2.2

cdef enum:
    SWITCHING = 101


# What a client's bytes are now.
cdef enum Mode:
    HTTP
    TUNNEL
    LINGER  # answered and refused: read and thrown away, so that the answer is not reset away


cdef class Client:
    """One connection of one client.  ``deadline``: of the loop's clock, 0 for none."""

    cdef readonly object proxy, transport
    cdef object limits
    cdef Pool pool
    cdef Hop hop
    cdef Reader reader
    cdef Exchange exchange
    cdef Mode mode
    cdef public double deadline
    cdef Py_ssize_t _lingered
    cdef bint _paused, _half_closed

    def __init__(self, proxy):
        self.proxy = proxy
        self.limits = proxy.limits
        self.pool = proxy.pool
        self.reader = Reader(True)
        self.mode = HTTP

    @property
    def exchange_is_open(self):
        """Whether a request is under way, or waits for its turn."""
        return self.exchange is not None

    # The event loop calls these.

    def connection_made(self, transport):
        self.transport = transport
        self.transport.set_write_buffer_limits(high=self.limits.write_high)
        peer = transport.get_extra_info("peername") or ("unknown",)
        self.hop = Hop(str(peer[0]), "http", self.proxy.port)
        self.deadline = self.proxy.now() + self.limits.head_s
        self.proxy.clients.add(self)

    def data_received(self, bytes data):
        if self.mode == TUNNEL:
            if self.exchange is not None and self.exchange.upstream is not None:
                self.exchange.upstream.transport.write(data)
        elif self.mode == LINGER:
            self._lingered += len(data)
            if self._lingered > self.limits.linger_bytes:
                self.transport.abort()
        else:
            if self.exchange is None and self.reader.waiting() == 0:
                self.deadline = self.proxy.now() + self.limits.head_s
            self.reader.feed(data)
            self.pump()

    def eof_received(self):
        self._half_closed = True
        self.reader.eof()
        if self.mode == TUNNEL and self.exchange is not None:
            self.exchange.tunnel_end(True)
            return True
        if self.mode == LINGER or self.exchange is None:
            return False
        self.pump()
        return self.exchange is not None  # a client that has only stopped sending still gets its answer

    def connection_lost(self, error):
        self.proxy.forget(self)
        if self.exchange is not None:
            self.exchange.abandon()
            self.exchange = None

    def pause_writing(self):
        if self.exchange is not None:
            self.exchange.set_blocked(True)

    def resume_writing(self):
        if self.exchange is not None:
            self.exchange.set_blocked(False)

    # Requests.

    cpdef pump(self):
        """Read what can be read now: a new request, or the body of the one there is."""
        cdef bint stuck
        while self.mode == HTTP and (self.exchange is None or self.exchange.wants_body):
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
        self.set_paused(stuck and self.reader.waiting() >= self.limits.write_high)

    cdef _begin(self, Request request):
        self.deadline = 0.0
        if not request.has_body:
            self.reader.next_event()  # its End, which is there already
        route = self.proxy.routes.find(request.host, request.target)
        page = self._objection(request, route)
        if page is not None:
            self.answer(page, request, not request.has_body)
        else:
            self.exchange = Exchange(self, request, route)
            self.exchange.start()

    cdef object _objection(self, Request request, object route):
        """The page that says why this request goes no further, or None."""
        if request.method in (b"CONNECT", b"TRACE"):
            return pages.not_allowed()
        if route is None:
            return pages.not_found(request.host, self.proxy.routes, self.proxy.port)
        return pages.loop(route) if count_loops(request) >= self.limits.loops_max else None

    cdef _refuse(self, error):
        """The bytes are no HTTP: nothing more of them can be understood."""
        if self.exchange is not None:
            if self.exchange.answered:
                self.transport.close()
                return
            self.exchange.abandon()
            self.exchange = None
        self.answer(pages.refused(error.status, error.text), None, False)

    cdef answer(self, page, Request request, bint request_done):
        """Send an answer of our own; the connection goes on if the request was complete and asked for that."""
        keep = request is not None and request.keep_alive and request_done and not self.proxy.draining
        self.transport.write(pages.render(page, request, close=not keep))
        self.finish(keep, request_done)

    cdef finish(self, bint keep, bint request_done):
        """A response is complete."""
        self.exchange = None
        if keep and not self._half_closed and not self.proxy.draining:
            self.deadline = self.proxy.now() + (self.limits.head_s if self.reader.waiting() else self.limits.idle_s)
            if self.reader.waiting():
                # Pipelined.  Not from here: a thousand of them would be a thousand frames deep.
                self.proxy.loop.call_soon(self.pump)
            self.set_paused(False)
        elif request_done or self._half_closed:
            self.transport.close()
        else:
            self.linger()

    cdef linger(self):
        """Say that no more is sent, and read on for a while: closing at once would reset our answer away."""
        self.mode = LINGER
        self.deadline = self.proxy.now() + self.limits.linger_s
        self.set_paused(False)
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()

    def expire(self):
        """The deadline has passed."""
        if self.mode == HTTP and self.exchange is None and self.reader.waiting():
            self.answer(pages.refused(408, f"its head took more than {self.limits.head_s:.0f} seconds"), None, True)
        else:
            self.transport.close()
        self.deadline = self.proxy.now() + self.limits.linger_s

    def drain(self):
        """The proxy stops: go now if nothing is under way, else after the response."""
        if self.exchange is None:
            self.transport.close()

    cdef set_paused(self, bint paused):
        """Stop reading, or go on."""
        if self._paused == paused or self.transport.is_closing():
            return
        self._paused = paused
        if paused:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()


cdef class Exchange(Borrower):
    """One request and its response.

    ``answered``: the head of the final response has been sent.  ``wants_body``: the upstream takes more of the request.
    """

    cdef Client client
    cdef Request request
    cdef object route
    cdef Upstream upstream
    cdef bint answered, wants_body
    cdef bint _request_done, _upgrade, _keep, _chunked, _reused
    cdef bint _gone  # so is the client
    cdef bint _holds  # a place among those that the route may have at work
    cdef bint _counted  # the client can tell a complete response from a broken one
    cdef object _dialling
    cdef Response _response
    cdef set _ended  # of a tunnel: whether the client, or not the client, has sent its last
    cdef list _out

    def __init__(self, Client client, Request request, route):
        self.client = client
        self.request = request
        self.route = route
        self._request_done = not request.has_body
        self._upgrade = is_websocket(request)
        self._keep = request.keep_alive
        self._ended = set()
        self._out = []

    # Towards the upstream.

    cdef start(self):
        """Begin, or wait in line while the route has as many at work as it may have."""
        if self.client.pool.enter(self.route, self):
            self.admitted()

    cpdef admitted(self):
        """There is a place: take a connection that is idle, or dial."""
        proxy = self.client.proxy
        self._holds = True
        if self._gone:  # between our turn and this call
            self._release()
            return
        # A connection that was idle may be closed by the server at this very moment; only what can be said twice
        # is said on one (RFC 9110 section 9.2.2).
        idle = self.client.pool.take(self.route, proxy.now()) if self._is_replayable() else None
        if idle is not None:
            self._reused = True
            self._connected(idle)
        else:
            self._dialling = proxy.loop.create_task(self._dial())

    cdef _release(self):
        """Give the place away, to whoever waits for it."""
        if self._holds:
            self._holds = False
            self.client.pool.leave(self.route)

    cdef bint _is_replayable(self):
        return self.request.method in IDEMPOTENT and not self.request.has_body and not self._upgrade

    async def _dial(self):
        try:
            upstream = await self.client.pool.dial(self.route)
        except DialError as error:
            self._dialling = None
            self._fail(error.failures, error.timed_out)
        else:
            self._dialling = None
            self._connected(upstream)

    cdef _connected(self, Upstream upstream):
        self.upstream = upstream
        upstream.lend(self, self.request.method == b"HEAD")
        target = rewritten(self.request.target, self.route) if self.route.strip else self.request.target
        upstream.transport.write(
            request_head(self.request, target, self.route.strip, self.client.hop, self._upgrade)
        )
        self.wants_body = not self._request_done
        if self.wants_body:
            self.client.pump()

    cdef request_data(self, bytes data):
        if self.upstream is None:
            return
        if self.request.chunked:
            data = b"%b%b\r\n" % (chunk_head(len(data)), data)
        self.upstream.transport.write(data)

    cdef request_end(self, End end):
        self._request_done = True
        self.wants_body = False
        if self.upstream is not None and self.request.chunked:
            self.upstream.transport.write(last_chunk(headers.trailers(end.trailers)))

    cdef upstream_writable(self, bint writable):
        if self.client.mode == TUNNEL:
            self.client.set_paused(not writable)
            return
        self.wants_body = writable and not self._request_done
        # Called from within transport.write(), which pump() may be in the middle of: so not from here.
        self.client.proxy.loop.call_soon(self.client.pump)

    # Towards the client.

    cdef response_event(self, object event):
        if isinstance(event, Response):
            self._response_head(event)
        elif isinstance(event, bytes):
            self._out += (chunk_head(len(event)), event, b"\r\n") if self._chunked else (event,)
            self._flush()
        elif isinstance(event, End):
            if self._chunked:
                self._out.append(last_chunk(headers.trailers(event.trailers)))
            self._finish()

    cdef response_pause(self):
        self._flush()

    cdef _response_head(self, Response response):
        cdef int minor = self.request.minor
        cdef bint unknown
        if response.status == SWITCHING:
            self._open_tunnel(response)
            return
        if response.status < 200:
            if minor:  # HTTP/1.0 knows no interim responses
                self._out.append(response_head(response, minor, False, False))
            return
        unknown = response.has_body and response.length is None
        self._chunked = unknown and minor == 1
        self._counted = not unknown or self._chunked
        self._keep = self._keep and self._counted and self._request_done and not self.client.proxy.draining
        self._response = response
        self.answered = True
        self._out.append(response_head(response, minor, self._chunked, not self._keep))

    cdef _flush(self):
        if self._out:
            out, self._out = self._out, []
            self.client.transport.write(out[0] if len(out) == 1 else b"".join(out))

    cdef _finish(self):
        cdef Upstream upstream = self.upstream
        self._flush()
        self.upstream = None
        if upstream is not None:
            reusable = self._response.keep_alive and self._request_done and not upstream.reader.waiting()
            self._return(upstream, reusable)
        self._release()
        self.client.finish(self._keep, self._request_done)

    cdef _return(self, Upstream upstream, bint reusable):
        proxy = self.client.proxy
        upstream.borrower = None
        if reusable and not upstream.gone and not upstream.transport.is_closing() and not proxy.draining:
            self.client.pool.give_back(upstream, proxy.now())
        elif self._request_done:
            upstream.transport.close()
        else:
            upstream.transport.abort()  # the rest of the request is of no use to anyone

    cdef upstream_broke(self, str why):
        """The upstream ended before the response was complete: the client must be able to see that."""
        cdef Upstream upstream = self.upstream
        self.upstream = None
        if upstream is None:
            return
        upstream.borrower = None
        upstream.transport.abort()
        fresh = not self.answered and upstream.reader.waiting() == 0
        if self.client.mode == TUNNEL:
            self.client.transport.close()
        elif self._reused and fresh and self._is_replayable():
            self._reused = False  # once
            self._out.clear()
            self._dialling = self.client.proxy.loop.create_task(self._dial())
        elif not self.answered:
            self._out.clear()
            self._fail([f"{upstream.target}: {why}"], False)
        else:
            self._flush()
            self._release()
            # Without a length or chunks the end of the connection is the end of the body: only a reset is not.
            (self.client.transport.close if self._counted else self.client.transport.abort)()

    cdef _fail(self, list failures, bint timed_out):
        self._release()
        self.wants_body = False
        page = pages.bad_gateway(self.route, failures, timed_out)
        self.client.answer(page, self.request, self._request_done)

    cdef set_blocked(self, bint blocked):
        """The client does not take more of the response, or does again."""
        self.blocked = blocked
        if self.upstream is not None:
            self.upstream.set_paused(blocked)
            if not blocked:
                self.upstream.pump()

    cdef abandon(self):
        """The client is gone: the upstream must stop working for it."""
        cdef Upstream upstream = self.upstream
        if self._dialling is not None:
            self._dialling.cancel()
        self._gone = True
        if self._holds:
            self._release()
        else:
            self.client.pool.give_up(self.route, self)
        self.upstream = None
        if upstream is not None:
            upstream.borrower = None
            if self.client.mode == TUNNEL:
                upstream.transport.close()
            else:
                upstream.transport.abort()

    # Tunnels (RFC 6455): after the upstream's 101, bytes.

    cdef _open_tunnel(self, Response response):
        cdef Upstream upstream = self.upstream
        agreed = any(name.lower() == b"upgrade" and value.lower() == b"websocket" for name, value in response.fields)
        if upstream is None or not self._upgrade or not agreed:
            self.upstream_broke("answered 101 to a request that did not ask for that")
            return
        self._out.append(response_head(response, 1, False, False))
        self._out.append(upstream.reader.take_rest())
        self._flush()
        self.answered = True
        upstream.tunnel = True
        self._release()  # a page may hold one open for hours, and another page ten
        self.client.mode = TUNNEL
        rest = self.client.reader.take_rest()
        if rest:
            upstream.transport.write(rest)
        self.client.set_paused(False)

    cdef tunnel_data(self, bytes data):
        self.client.transport.write(data)

    cdef tunnel_eof(self):
        self.tunnel_end(False)

    cdef tunnel_end(self, bint of_client):
        """One side sends no more: tell the other, and close both when both have said so."""
        cdef Upstream upstream = self.upstream
        self._ended.add(of_client)
        if upstream is None:
            return
        if len(self._ended) == 2:
            self.client.transport.close()
            upstream.transport.close()
            return
        other = upstream.transport if of_client else self.client.transport
        if not other.is_closing() and other.can_write_eof():
            other.write_eof()
