"""One client connection: requests in, responses out.

Client reads requests, one at a time; each becomes an Exchange, which borrows an Upstream.  All of it is
callbacks of the event loop: no coroutine for a request but the one that dials.  Neither side is read while
the other does not take more, so what waits in memory is bounded whatever the sizes of the bodies.
"""

from locald.proxy import headers, pages
from locald.proxy.http1 import NEED_DATA, HeadCutOff, ProtocolError, chunk_head, last_chunk
from locald.proxy.routes import rewritten
from locald.proxy.upstream import DialError

from locald.proxy.access cimport Log, Record
from locald.proxy.clock cimport now
from locald.proxy.headers cimport Hop, count_loops, is_last_hop, is_websocket, request_head, response_head
from locald.proxy.http1 cimport End, Reader, Request, Response
from locald.proxy.stream cimport Protocol
from locald.proxy.upstream cimport Borrower, Line, Pool, Upstream

__all__ = ["Client"]

IDEMPOTENT = frozenset([b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])  # RFC 9110 section 9.2.2

cdef enum:
    SWITCHING = 101
    PARTS_MAX = 64  # of a response, sent as one: chunks of a byte take ten times their size while they wait


# What a client's bytes are now.
cdef enum Mode:
    HTTP
    TUNNEL
    LINGER  # answered and refused: read and thrown away, so that the answer is not reset away
    CLOSED  # by us: nothing of what still comes is read


cdef class Client(Protocol):
    """One connection of one client.  ``deadline``: by clock.pxd, 0 for none."""

    cdef readonly object proxy
    cdef public double deadline
    cdef object limits, routes
    cdef Pool pool
    cdef Log log
    cdef Hop hop
    cdef Reader reader
    cdef Exchange exchange
    cdef Mode mode
    cdef double _head_s, _idle_s
    cdef Py_ssize_t _lingered, _write_high, _unsent
    cdef int _loops_max
    cdef bint _paused, _half_closed
    cdef bint _blocked  # the client does not take more for now
    # Where the last request went, which is nearly always where the next one goes.
    cdef bytes _host
    cdef object _route
    cdef Line _line
    cdef long long _changes

    def __init__(self, proxy):
        self.proxy = proxy
        self.limits = proxy.limits
        self._head_s, self._idle_s = self.limits.head_s, self.limits.idle_s
        self._write_high = self.limits.write_high
        self._loops_max = self.limits.loops_max
        self.routes = proxy.routes
        self.pool = proxy.pool
        self.log = proxy.log
        self.reader = Reader(True, self.limits)
        self.mode = HTTP

    @property
    def open_record(self):
        """That of the request which is under way, or waits for its turn; None if there is none."""
        return self.exchange.record if self.exchange is not None else None

    # The event loop calls these.

    cpdef connection_made(self, transport):
        self.use(transport)
        self.transport.set_write_buffer_limits(high=self._write_high)
        peer = transport.get_extra_info("peername") or ("unknown",)
        if transport.get_extra_info("ssl_object") is None:
            self.hop = Hop(str(peer[0]), "http", self.proxy.port)
        else:
            self.hop = Hop(str(peer[0]), "https", self.proxy.https_port)
        self.deadline = now() + self._head_s
        self.proxy.clients.add(self)

    cpdef data_received(self, bytes data):
        cdef bint fresh
        if self.mode == TUNNEL:
            if self.exchange is not None:
                self.exchange.client_data(data)
        elif self.mode == LINGER:
            self._lingered += len(data)
            if self._lingered > self.limits.linger_bytes:
                self.transport.abort()
        elif self.mode == HTTP:
            fresh = self.exchange is None and not self.reader.started()
            self.reader.feed(data)
            self.pump()
            if fresh and self.exchange is None and self.reader.started():
                self.deadline = now() + self._head_s  # a head has begun, and is not whole

    cpdef eof_received(self):
        self._half_closed = True
        self.reader.eof()
        if self.mode == TUNNEL and self.exchange is not None:
            self.exchange.tunnel_end(True)
            return True
        if self.mode == HTTP:
            self.pump()
        if self.mode == HTTP and self.exchange is not None:
            # A client that has only stopped sending still gets its answers.  Most that send this have gone, and TCP
            # tells us no more until something is written: so not for ever, and not a stream, which may stay silent.
            if self.exchange.is_event_stream():
                return False
            self.be_patient()
        return self.mode == HTTP

    cpdef connection_lost(self, error):
        self.proxy.forget(self)
        if self.exchange is not None:
            self.exchange.abandon()
            self.exchange = None

    cpdef pause_writing(self):
        self._blocked = True
        if self.exchange is not None:
            self.exchange.set_blocked(True)

    cpdef resume_writing(self):
        self._blocked = False
        if self.exchange is not None:
            self.exchange.set_blocked(False)
        elif self.mode == HTTP:
            self.proxy.loop.call_soon(self.pump)

    # Requests.

    cpdef pump(self):
        """Read what can be read now: a new request, or the body of the one there is."""
        cdef Exchange exchange
        cdef bint stuck
        # No request begins while the client takes no more: answers without a body would pile up.
        while self.mode == HTTP and (not self._blocked if self.exchange is None else self.exchange.wants_body):
            try:
                event = self.reader.next_event()
            except ProtocolError as error:
                if isinstance(error, HeadCutOff) and self.exchange is None:
                    self._close()  # nobody has asked for anything
                else:
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
        exchange = self.exchange
        if self.mode == HTTP and exchange is None and self._half_closed and not self._blocked:
            self._close()  # all that it asked for is answered
            return
        stuck = self._blocked if exchange is None else not exchange.wants_body
        self.set_paused(stuck and self.reader.waiting() >= self._write_high)

    cdef _begin(self, Request request):
        cdef Record record = Record.__new__(Record)
        self.deadline = 0.0
        record.began = now()
        record.method, record.host, record.target = request.method, request.host, request.target
        if not request.has_body:
            self.reader.next_event()  # its End, which is there already
        self._find(request)
        if self._line is not None:
            record.app = self._line.name
        page = self._objection(request)
        if page is not None:
            self.answer(page, request, not request.has_body, record)
        else:
            self._line.requests += 1
            self.exchange = Exchange.__new__(Exchange)
            self.exchange.start(self, request, record)

    cdef _find(self, Request request):
        """The route, None for none; looked up again only where it could be another than that of the last request."""
        if request.host == self._host and self._changes == self.routes.changes:
            return
        self._route = self.routes.find(request.host, request.target)
        self._line = self.pool.line(self._route) if self._route is not None else None
        self._host = request.host if self.routes.has_whole(request.host) else None
        self._changes = self.routes.changes

    cdef object _objection(self, Request request):
        """The page that says why this request goes no further, or None."""
        if request.method == b"CONNECT" or request.method == b"TRACE":
            return pages.not_allowed()
        if self._route is None:
            return pages.not_found(request.host, self.routes, self.proxy.port)
        if is_last_hop(request):
            return pages.last_hop()
        return pages.loop(self._route) if count_loops(request) >= self._loops_max else None

    cdef _refuse(self, error):
        """The bytes are no HTTP: nothing more of them can be understood."""
        cdef Record record = Record.__new__(Record)
        if self.exchange is not None:
            record = self.exchange.record
            record.note = error.text
            if self.exchange.answered:
                self._close()
                return
            self.exchange.let_go()
            self.exchange = None
        self.answer(pages.refused(error.status, error.text), None, False, record)

    cdef answer(self, page, Request request, bint request_done, Record record):
        """Send an answer of our own; the connection goes on if the request was complete and asked for that."""
        cdef bytes data
        keep = request is not None and request.keep_alive and request_done and not self.pool.draining
        data = pages.render(page, request, close=not keep)
        record.status = page.status
        record.sent = len(data.partition(b"\r\n\r\n")[2])
        record.first = now()
        record.began = record.began or record.first
        record.note = page.note or page.title
        self.write(data)
        self.finish(keep, request_done, record, record.first)

    cdef finish(self, bint keep, bint request_done, Record record, double time):
        """A response is complete, at that time."""
        cdef bint more = self.reader.started()
        self.log.add(record, time)
        self.exchange = None
        if keep and not self.pool.draining and (more or not self._half_closed):
            self.deadline = time + (self._head_s if more and not self._blocked else self._idle_s)
            if more:
                # Pipelined.  Not from here: a thousand of them would be a thousand frames deep.
                self.proxy.loop.call_soon(self.pump)
            self.set_paused(False)
        elif self._half_closed or (request_done and not more):
            self._close()
        else:
            self.linger()

    cdef _close(self):
        """Go as soon as the client has taken what there is for it, which it gets time for."""
        self.mode = CLOSED
        self.deadline = now() + self._idle_s
        self.transport.close()

    cdef linger(self):
        """Say that no more is sent, and read on for a while: closing at once would reset our answer away."""
        self.mode = LINGER
        self.deadline = now() + <double> self.limits.linger_s
        self.set_paused(False)
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()

    def expire(self):
        """The deadline has passed."""
        cdef Py_ssize_t unsent = self.transport.get_write_buffer_size()
        if self.transport.is_closing():
            if unsent == self._unsent:
                self.transport.abort()  # it takes nothing of what we still have for it
                return
        elif self.mode == HTTP and self.exchange is None and self.reader.started() and not self._blocked:
            page = pages.refused(408, f"its head took more than {self._head_s:.0f} seconds")
            self.answer(page, None, True, Record.__new__(Record))
        else:
            self._close()
        self._unsent = unsent
        self.deadline = now() + (<double> self.limits.linger_s if self.mode == LINGER else self._idle_s)

    def drain(self):
        """The proxy stops: go now if nothing is under way, else after the response."""
        if self.exchange is None:
            self._close()

    cdef be_patient(self):
        """With a client of which we do not know whether it is still there."""
        self.deadline = now() + <double> self.limits.half_closed_s

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
    cdef Line line
    cdef Upstream upstream
    cdef readonly Record record
    cdef bint answered, wants_body
    cdef bint _request_done, _upgrade, _keep, _chunked, _reused
    cdef bint _heard  # something of an answer, be it an interim one
    cdef bint _gone  # so is the client
    cdef bint _holds  # a place among those that the route may have at work
    cdef bint _counted  # the client can tell a complete response from a broken one
    cdef bint _client_ended, _upstream_ended  # of a tunnel: has sent its last
    cdef object _dialling
    cdef Response _response
    cdef list _out

    # Towards the upstream.

    cdef start(self, Client client, Request request, Record record):
        """Begin, or wait in line while the route has as many at work as it may have."""
        self.client = client
        self.request = request
        self.record = record
        self.route, self.line = client._route, client._line
        self._request_done = not request.has_body
        self._upgrade = is_websocket(request)
        self._keep = request.keep_alive
        self._out = []
        if self.client.pool.enter(self.line, self):
            self.admitted()

    cpdef admitted(self):
        """There is a place: take a connection that is idle, or dial."""
        cdef Upstream idle
        self._holds = True
        if self._gone:  # between our turn and this call
            self._release()
            return
        # A connection that was idle may be closed by the server at this very moment; only what can be said twice
        # is said on one (RFC 9110 section 9.2.2).
        idle = self.client.pool.take(self.line) if self._is_replayable() else None
        if idle is not None:
            self._reused = True
            self._connected(idle)
        else:
            self._dialling = self.client.proxy.loop.create_task(self._dial())

    cdef _release(self):
        """Give the place away, to whoever waits for it."""
        if self._holds:
            self._holds = False
            self.client.pool.leave(self.line)

    cdef bint _is_replayable(self):
        return self.request.method in IDEMPOTENT and not self.request.has_body and not self._upgrade

    async def _dial(self):
        try:
            upstream = await self.client.pool.dial(self.route, self.line)
        except DialError as error:
            self._dialling = None
            self._fail(error.failures, error.timed_out)
        else:
            self._dialling = None
            self._connected(upstream)

    cdef _connected(self, Upstream upstream):
        self.upstream = upstream
        self.record.upstream = upstream.shown
        upstream.lend(self, self.request.method == b"HEAD")
        target = rewritten(self.request.target, self.route) if self.route.strip else self.request.target
        upstream.write(
            request_head(self.request, target, self.route.strip, self.client.hop, self._upgrade)
        )
        self.wants_body = not self._request_done
        if self.wants_body:
            self.client.pump()

    cdef request_data(self, bytes data):
        if self.upstream is None:
            return
        self.record.received += len(data)
        if self.request.chunked:
            data = b"%b%b\r\n" % (chunk_head(len(data)), data)
        self.upstream.write(data)

    cdef request_end(self, End end):
        self._request_done = True
        self.wants_body = False
        if self.upstream is not None and self.request.chunked:
            self.upstream.write(last_chunk(headers.trailers(end.trailers)))

    cdef upstream_writable(self, bint writable):
        if self.client.mode == TUNNEL:
            self.client.set_paused(not writable)
            return
        self.wants_body = writable and not self._request_done
        # Called from within transport.write(), which pump() may be in the middle of: so not from here.
        self.client.proxy.loop.call_soon(self.client.pump)

    # Towards the client.

    cdef response_event(self, object event):
        self._heard = True
        if isinstance(event, Response):
            self._response_head(event)
        elif isinstance(event, bytes):
            self.record.sent += len(event)
            if self._chunked:
                self._out += (chunk_head(len(event)), event, b"\r\n")
            else:
                self._out.append(event)
            if len(self._out) >= PARTS_MAX:
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
        unknown = response.has_body and not response.counted
        self._chunked = unknown and minor == 1
        self._counted = not unknown or self._chunked
        self._keep = self._keep and self._counted and self._request_done and not self.client.pool.draining
        self._response = response
        self.answered = True
        self.record.status = response.status
        self.record.first = self.line.answered = now()
        self._out.append(response_head(response, minor, self._chunked, not self._keep))

    cdef _flush(self):
        if self._out:
            out, self._out = self._out, []
            if self.client._half_closed:
                self.client.be_patient()
            self.client.write(out[0] if len(out) == 1 else b"".join(out))

    cdef bint is_event_stream(self):
        """Whether the response is one that has no end; who reads it has no reason to stop sending and go on reading."""
        return self.answered and self._response is not None and any(
            [name.lower() == b"content-type" and value.lower().startswith(b"text/event-stream")
             for name, value in self._response.fields]
        )

    cdef _finish(self):
        cdef Upstream upstream = self.upstream
        cdef double time = now()
        self._flush()
        self.upstream = None
        if upstream is not None:
            reusable = self._response.keep_alive and self._request_done and not upstream.reader.waiting()
            self._return(upstream, reusable, time)
        self._release()
        self.client.finish(self._keep, self._request_done, self.record, time)

    cdef _return(self, Upstream upstream, bint reusable, double time):
        upstream.borrower = None
        if reusable and not upstream.gone and not self.client.pool.draining:
            self.client.pool.give_back(upstream, time)
        else:
            upstream.discard()  # the rest of the request, if there is one, is of no use to anyone

    cdef upstream_broke(self, str why):
        """The upstream ended before the response was complete: the client must be able to see that."""
        cdef Upstream upstream = self.upstream
        self.upstream = None
        if upstream is None:
            return
        upstream.borrower = None
        upstream.discard()
        fresh = not self._heard and upstream.reader.waiting() == 0
        if self.client.mode == TUNNEL:
            self.client.transport.close()
        elif self._reused and fresh and self._is_replayable():
            self._reused = False  # once
            self._out.clear()
            self._dialling = self.client.proxy.loop.create_task(self._dial())
        elif not self.answered:
            self._out.clear()
            self._fail([f"{upstream.shown}: {why}"], False)
        else:
            self.record.note = why
            self._flush()
            self._release()
            # Without a length or chunks the end of the connection is the end of the body: only a reset is not.
            (self.client.transport.close if self._counted else self.client.transport.abort)()

    cdef _fail(self, list failures, bint timed_out):
        self._release()
        self.wants_body = False
        ago = now() - self.line.answered if self.line.answered else None
        page = pages.bad_gateway(self.route, failures, timed_out, ago)
        self.client.answer(page, self.request, self._request_done, self.record)

    cdef set_blocked(self, bint blocked):
        """The client does not take more of the response, or does again."""
        self.blocked = blocked
        if self.upstream is not None:
            self.upstream.set_paused(blocked)
            if not blocked:
                self.upstream.pump()

    cdef abandon(self):
        """The client is gone."""
        if not self.record.note and not self.record.tunnel:
            self.record.note = "the client went away"
        self.let_go()
        self.client.log.add(self.record, now())

    cdef let_go(self):
        """The upstream must stop working for this request."""
        cdef Upstream upstream = self.upstream
        if self._dialling is not None:
            self._dialling.cancel()
        self._gone = True
        if self._holds:
            self._release()
        else:
            self.client.pool.give_up(self.line, self)
        self.upstream = None
        if upstream is not None:
            upstream.borrower = None
            if self.client.mode == TUNNEL:
                upstream.transport.close()
            else:
                upstream.discard()

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
        self.record.tunnel = upstream.tunnel = True
        self.record.status = SWITCHING
        self.record.first = self.line.answered = now()
        self._release()  # a page may hold one open for hours, and another page ten
        self.client.mode = TUNNEL
        rest = self.client.reader.take_rest()
        if rest:
            upstream.write(rest)
        self.client.set_paused(False)
        if self.client._half_closed:
            self.tunnel_end(True)

    cdef client_data(self, bytes data):
        self.record.received += len(data)
        if self.upstream is not None:
            self.upstream.write(data)

    cdef tunnel_data(self, bytes data):
        self.record.sent += len(data)
        self.client.write(data)

    cdef tunnel_eof(self):
        self.tunnel_end(False)

    cdef tunnel_end(self, bint of_client):
        """One side sends no more: tell the other, and close both when both have said so."""
        cdef Upstream upstream = self.upstream
        self._client_ended = self._client_ended or of_client
        self._upstream_ended = self._upstream_ended or not of_client
        if upstream is None:
            return
        if self._client_ended and self._upstream_ended:
            self.client.transport.close()
            upstream.transport.close()
            return
        other = upstream.transport if of_client else self.client.transport
        if not other.is_closing() and other.can_write_eof():
            other.write_eof()
