"""One client connection that speaks HTTP/2: many requests at a time, each on a stream of its own.

What a turn of the loop has to say leaves in one write.  Of a response so much waits here as fits into a stream's queue,
of an upload as much as its window; the upstream is then not read, or the client not credited.
"""

from base64 import b64encode
from hashlib import sha1
from os import urandom

from locald.proxy import pages

from libc.stdint cimport uint32_t

from locald.proxy.access cimport Record
from locald.proxy.chttp1 cimport HTTP1_FIELDS_MAX
from locald.proxy.clock cimport now
from locald.proxy.cnghttp2 cimport NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_NO_ERROR, nghttp2_nv
from locald.proxy.exchange cimport Asker, Exchange, Origin
from locald.proxy.headers cimport Plan, is_websocket, plan
from locald.proxy.http1 cimport End, Request, Response
from locald.proxy.http2 cimport Session, Strand, add_field, put_kept, set_field
from locald.proxy.stream cimport Protocol

__all__ = ["H2Client"]

TOO_MUCH = {414: "the target is too long", 431: "the head is too large"}
KEY_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3

cdef enum:
    TAKE = 131072  # bytes that are written at once, so that of a large response the first are sent soon


cdef class Talk(Session):
    """The frames of a connection; each strand's owner is a Reply."""

    def __init__(self, server, limits, H2Client client):
        Session.__init__(self, server, limits)
        self.client = client

    cpdef object request(self, Strand strand, Request request, int status):
        self.client.begin(strand, request, status)

    cpdef object data(self, Strand strand, bytes data):
        (<Reply> strand.owner).take(data)

    cpdef object end(self, Strand strand, End end):
        (<Reply> strand.owner).take(end)

    cpdef object closed(self, Strand strand, uint32_t code):
        (<Reply> strand.owner).gone()
        strand.owner = None

    cpdef object writable(self, Strand strand):
        (<Reply> strand.owner).full(False)


cdef class H2Client(Protocol):
    """One connection of one client.  ``deadline``: by clock.pxd, 0 for none; while there are requests, it is when to
    look whether the client still takes what waits for it."""

    def __init__(self, proxy):
        self.proxy, self.limits, self.poller = proxy, proxy.limits, proxy.poller
        self.origin = Origin(proxy)
        self.talk = Talk(True, proxy.limits, self)
        self._held = []

    @property
    def open_records(self):
        """Those of the requests that are under way, or wait for their turn."""
        cdef Reply reply
        return [reply.exchange.record for reply in self._replies() if reply.exchange is not None]

    def _replies(self):
        cdef Strand strand
        return [strand.owner for strand in self.talk.strands.values()]

    # The event loop calls these.

    cpdef connection_made(self, transport):
        self.use(transport)
        self.transport.set_write_buffer_limits(high=self.limits.write_high)
        self.origin.meet(transport)
        self.deadline = now() + <double> self.limits.head_s
        self.proxy.clients.add(self)
        self.schedule()

    cpdef data_received(self, bytes data):
        if self._closed:
            self._lingered += len(data)
            if self._lingered > self.limits.linger_bytes:
                self.transport.abort()
            return
        self.talk.feed(data, now())
        self._look_at_the_clock()
        self.schedule()

    cpdef eof_received(self):
        return False  # without WINDOW_UPDATEs an answer gets nowhere: who sends no more has gone

    cpdef connection_lost(self, error):
        cdef Reply reply
        self._closed = True
        self.proxy.forget(self)
        replies = self._replies()
        self.talk.strands.clear()
        self.talk.client = None
        for reply in replies:
            reply.gone()

    cpdef pause_writing(self):
        self._blocked = True

    cpdef resume_writing(self):
        cdef Reply reply
        self._blocked = False
        self._flush()
        held, self._held = self._held, []
        for reply in held:
            reply.full(False)

    # What is to be sent.

    cdef schedule(self):
        """Send at the end of this turn."""
        if not self._scheduled:
            self._scheduled = True
            self.poller.call_at_end(self)

    cdef end_of_turn(self):
        self._flush()
        self._scheduled = False

    cdef _flush(self):
        cdef bytes data
        if self._leaving and not self.talk.strands:
            self.talk.terminate(NGHTTP2_NO_ERROR)
        while not self._blocked and not self._closed:
            data = self.talk.take(TAKE)
            if not data:
                break
            self.write(data)
        if not self._closed and self.talk.over():
            self._over()

    cdef _over(self):
        """All is said.  What a client still sends that did wrong is read for a while: unread, it would reset our words
        away."""
        self._closed = True
        self.deadline = now() + <double> self.limits.linger_s
        if not self._leaving and self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
        else:
            self.transport.close()

    cdef hold(self, Reply reply):
        """The transport is full, and what this one has to say is bounded by no window: it waits."""
        if reply.exchange is not None and not reply.exchange.blocked:
            self._held.append(reply)
            reply.full(True)

    # Time.

    cdef _look_at_the_clock(self):
        """Set the deadline for what the client does now."""
        if self.talk.in_head:
            if not self._slow_head:
                self._slow_head = True
                self.deadline = now() + <double> self.limits.head_s
        elif self._slow_head or not self._greeted:
            self._slow_head = False
            self._greeted = True
            self.settle()

    cdef settle(self):
        """Set it anew, for the requests that there are, or until the next one."""
        cdef double patience = self.limits.stalled_s if self.talk.strands else self.limits.idle_s
        self._moved = self.talk.moved
        self._unsent = self.transport.get_write_buffer_size()
        self.deadline = now() + patience

    def expire(self):
        """The deadline has passed."""
        cdef Py_ssize_t unsent = self.transport.get_write_buffer_size()
        cdef bint stuck = unsent == self._unsent and self.talk.moved == self._moved
        if self._closed or self._ending or self.transport.is_closing():
            if stuck or unsent == 0:
                self.transport.abort()
            else:  # it still takes what we have for it
                self._unsent = unsent
                self.deadline = now() + <double> self.limits.linger_s
        elif self.talk.in_head or (stuck and (unsent or self.talk.queued)):
            self._end(NGHTTP2_ENHANCE_YOUR_CALM)
        elif not self.talk.strands:
            self._leaving = True
            self._end(NGHTTP2_NO_ERROR)
        else:
            self.settle()

    cdef _end(self, uint32_t code):
        """Say so, and go."""
        self._ending = True
        self._unsent = self.transport.get_write_buffer_size()
        self.deadline = now() + <double> self.limits.linger_s
        self.talk.terminate(code)
        self.schedule()

    def drain(self):
        """The proxy stops: no new requests, and gone after the last response."""
        self._leaving = True
        if self.talk.strands:
            self.talk.shut_down()
        self.schedule()

    def retire(self):
        """Another proxy has taken over: the client is told to ask that one; what it asks before that is answered."""
        self.talk.shut_down()
        self.schedule()

    def move(self):
        """The loop is another."""
        cdef Reply reply
        for reply in self._replies():
            if reply.exchange is not None:
                reply.exchange.redial()

    # Requests.

    cdef begin(self, Strand strand, Request request, int status):
        cdef Reply reply = Reply.__new__(Reply)
        cdef Record record
        cdef object page = None
        reply.client, reply.talk, reply.strand, reply.origin = self, self.talk, strand, self.origin
        reply._ended = not request.has_body
        strand.owner = reply
        if len(self.talk.strands) == 1:
            self.settle()
        if strand.protocol is not None:
            page = reply.turn_into_handshake(request, strand.protocol)
        reply.request = request
        record = self.origin.begin(request)
        if status:
            page = pages.refused(status, TOO_MUCH[status])
        if page is None:
            page = self.origin.objection(request)
        if page is not None:
            reply.page(page, record)
            return
        reply.exchange = Exchange.__new__(Exchange)
        reply.exchange.start(reply, request, self.origin.route, self.origin.line, record)


cdef class Reply(Asker):
    """One request of a client, and what becomes of it."""

    # What the client says.

    cdef take(self, object event):
        """A part of the request's body, its end, or bytes of a tunnel."""
        if self._come is None:
            self._come = []
        self._come.append(event)
        self._give()

    cdef _give(self):
        """Pass on what may be passed on; the client is credited for that, and for nothing else."""
        cdef object event
        if self._giving:
            return
        self._giving = True
        while self._come and self.exchange is not None and (
            self._wanted if self._tunnel else self.exchange.wants_body
        ):
            event = self._come.pop(0)
            if not isinstance(event, bytes):
                self._ended = True
                if self._tunnel:
                    self.exchange.tunnel_end()
                else:
                    self.exchange.request_end(event)
            elif self._tunnel:
                self.exchange.tunnel_send(event)
                self.talk.credit(self.strand, len(event))
            else:
                self.exchange.request_data(event)
                self.talk.credit(self.strand, len(event))
        self._giving = False
        self.client.schedule()

    cdef gone(self):
        """The stream is closed."""
        cdef Exchange exchange = self.exchange
        self.exchange = None
        if exchange is not None:
            exchange.abandon()
        if not self.talk.strands:
            self.client.settle()
            if self.origin.pool.patient:
                self.client.retire()
            elif self.origin.pool.draining:
                self.client.drain()
            self.client.schedule()

    cdef full(self, bint full):
        if self.exchange is not None:
            self.exchange.set_blocked(full)

    # The exchange calls these.

    cdef request_wanted(self, bint wanted):
        self._wanted = wanted
        if wanted:
            self._give()

    cdef response_head(self, Response response):
        cdef nghttp2_nv[HTTP1_FIELDS_MAX + 2] fields
        cdef char[3] status
        cdef Plan planned
        cdef size_t count
        cdef bint interim = response.status < 200
        plan(response, False, &planned)
        put_status(&fields[0], status, response.status)
        count = 1 + put_kept(response, &planned, &fields[1])
        if response.counted and not interim and response.status != 204:
            length = b"%d" % response.size
            set_field(&fields[count], b"content-length", 14, length, len(length))
            count += 1
        self.talk.answer(self.strand, fields, count, interim, not interim and not response.has_body)
        self.client.schedule()
        if interim and self.client._blocked:
            self.client.hold(self)

    cdef response_data(self, bytes data):
        self.talk.send(self.strand, data)
        self.client.schedule()
        if self.strand.full and not self.exchange.blocked:
            self.exchange.set_blocked(True)

    cdef response_pause(self):
        pass  # all goes at the end of the turn

    cdef response_end(self, list trailers):
        self.exchange = None
        self.talk.finish(self.strand, trailers)
        self._stop()

    cdef response_page(self, object page):
        cdef Exchange exchange = self.exchange
        self.exchange = None
        self.page(page, exchange.record)

    cdef response_cut(self, str why):
        cdef Exchange exchange = self.exchange
        self.exchange = None
        self.talk.cut(self.strand)
        self.client.schedule()
        exchange.abandon()

    cdef page(self, object page, Record record):
        """Send an answer of our own."""
        cdef bytes data
        fields, data = pages.parts(page, self.request)
        self.talk.answer_list(self.strand, [(b":status", b"%d" % page.status), *fields], False, not data)
        self.talk.send(self.strand, data)
        self.talk.finish(self.strand, [])
        self.origin.answered(record, page, len(data))
        self._stop()

    cdef _stop(self):
        """The answer is complete: what the client still has to send, nobody needs."""
        if not self._ended:
            self.talk.stop(self.strand)
        self._come = None
        self.client.schedule()

    # WebSockets (RFC 8441).

    def turn_into_handshake(self, Request request, bytes protocol):
        """Make of an extended CONNECT the request that HTTP/1 has for it; the page that says why not, or None."""
        if protocol != b"websocket":
            return pages.no_such_protocol()
        self._key = b64encode(urandom(16))
        self.connects = True
        request.method = b"GET"
        request.has_body = request.chunked = request.counted = False
        request.wants_upgrade = True
        added = add_field(request, b"upgrade", b"websocket") and add_field(request, b"sec-websocket-key", self._key)
        if added and is_websocket(request):
            return None
        return pages.refused(400, "a WebSocket through HTTP/2 has version 13, and no key")

    cdef tunnel_open(self, Response response):
        cdef Exchange exchange = self.exchange
        cdef Plan planned
        accepts = [value for name, value in response.fields if name.lower() == b"sec-websocket-accept"]
        if accepts != [b64encode(sha1(self._key + KEY_SALT, usedforsecurity=False).digest())]:
            self.exchange = None
            exchange.let_go()
            exchange.record.tunnel = False
            failures = [f"{exchange.record.upstream}: it agreed to another WebSocket than was asked for"]
            self.page(pages.bad_gateway(exchange.route, failures, False, None), exchange.record)
            return
        self._tunnel = self._wanted = True
        plan(response, False, &planned)
        kept = [
            field for i, field in enumerate(response.fields)
            if planned.keep[i] and field[0].lower() != b"sec-websocket-accept"
        ]
        self.talk.answer_list(self.strand, [(b":status", b"200"), *kept], False, False)
        self.client.schedule()
        if self._ended:
            exchange.tunnel_end()
        self._give()

    cdef tunnel_data(self, bytes data):
        self.response_data(data)

    cdef tunnel_eof(self):
        cdef Exchange exchange = self.exchange
        self.talk.finish(self.strand, [])
        self.client.schedule()
        if self._ended:
            self.exchange = None
            exchange.abandon()

    cdef tunnel_cut(self):
        cdef Exchange exchange = self.exchange
        self.exchange = None
        self.talk.reset(self.strand, NGHTTP2_CANCEL)
        self.client.schedule()
        exchange.abandon()


cdef void put_status(nghttp2_nv *field, char *digits, int status) noexcept:
    """The first field of a response; a status has three digits, or it would have been refused."""
    digits[0], digits[1], digits[2] = c"0" + status // 100, c"0" + status // 10 % 10, c"0" + status % 10
    set_field(field, b":status", 7, digits, 3)
