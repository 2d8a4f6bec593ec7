"""A connection to an app that speaks HTTP/2 in cleartext, by prior knowledge (RFC 9113 section 3.3).

All requests to a target share one, each on a stream of its own.  What came of a response is credited when the client
took it, so what waits for it here is bounded by the stream's window.
"""

import asyncio
from collections import deque

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t
from libc.string cimport memchr, memcmp

from locald.proxy.chttp1 cimport HTTP1_FIELDS_MAX
from locald.proxy.clock cimport now
from locald.proxy.cnghttp2 cimport (
    NGHTTP2_CANCEL,
    NGHTTP2_ENHANCE_YOUR_CALM,
    NGHTTP2_INADEQUATE_SECURITY,
    NGHTTP2_INTERNAL_ERROR,
    NGHTTP2_NO_ERROR,
    NGHTTP2_REFUSED_STREAM,
    NGHTTP2_SETTINGS,
    nghttp2_nv,
)
from locald.proxy.headers cimport Hop, request_head
from locald.proxy.http1 cimport End, Request, Response
from locald.proxy.http2 cimport Session
from locald.proxy.http2_fields cimport set_field
from locald.proxy.http2_frames cimport FRAME_HEAD
from locald.proxy.http2_strand cimport Strand
from locald.proxy.stream cimport Poller
from locald.proxy.upstream cimport Borrower, Line, Shared, Upstream

__all__ = ["Http2Connection", "NotHttp2"]

# RFC 9113 section 7
CODES = (
    "NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR "
    "REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED"
).split()

# Those that speak of the request, and not of the connection it was on: the client may get them too.
cdef frozenset PASSED_ON = frozenset([NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_INADEQUATE_SECURITY])

cdef enum:
    FRAME_MAX = 16384  # bytes of a frame before our SETTINGS could allow more, which they do not
    TAKE = 65536  # bytes that are written at once
    ASKED_MAX = 1 << 29  # requests on one connection: half of the numbers that there are
    SAID_MAX = 65536  # bytes of a body that are kept to be said again: a call of gRPC is rarely larger
    OURS = 20  # fields that we add, at most


class NotHttp2(Exception):
    """What answers there does not speak HTTP/2; the text says what it does."""


cdef class Talk(Session):
    """The frames of a connection."""

    def __init__(self, server, limits, Http2Connection connection):
        Session.__init__(self, server, limits)
        self.connection = connection

    cpdef object response(self, Strand strand, Response response):
        (<Http2Upstream> strand.owner)._add(response)

    cpdef object data(self, Strand strand, bytes data):
        (<Http2Upstream> strand.owner)._add(data)

    cpdef object end(self, Strand strand, End end):
        (<Http2Upstream> strand.owner)._add(end)

    cpdef object closed(self, Strand strand, uint32_t code):
        cdef Http2Upstream upstream = strand.owner
        strand.owner = None
        upstream._refused = code == NGHTTP2_REFUSED_STREAM
        upstream._code = code if strand.was_reset and code in PASSED_ON else 0
        upstream._break(why_closed(strand, code))

    cpdef object writable(self, Strand strand):
        cdef Http2Upstream upstream = strand.owner
        if upstream._told_full:
            upstream._tell_writable(True)

    cpdef object going_away(self, uint32_t code):
        # What it had not begun comes back as refused (RFC 9113 section 6.8); what it has, may go on.
        self.connection.leave()


cdef class Http2Connection(Shared):
    """``idle_until``: when it is closed if nobody has asked anything, 0 while somebody does."""

    def __init__(self, limits, Poller poller, set open, Line line, target):
        """``open``: where it is while it has a descriptor."""
        self.target = target
        self.shown = str(target)
        self.line = line
        self.talk = Talk(False, limits, self)
        self._limits, self._poller = limits, poller
        self._open = open
        self._touched = []
        self._greeting = b""

    async def greeted(self):
        """Wait for the app's first frame.  Raises NotHttp2; then, or when this is cancelled, the connection is gone."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        except BaseException:
            self.transport.abort()
            raise

    # The transport calls these.

    cpdef connection_made(self, transport):
        self.use(transport)
        self.transport.set_write_buffer_limits(high=self._limits.write_high)
        self._open.add(self)
        self._flush()

    cpdef data_received(self, bytes data):
        if self._greeting is not None:
            self._greet(data)
        else:
            self._feed(data)

    cpdef eof_received(self):
        return False

    cpdef connection_lost(self, error):
        self._open.discard(self)
        self._closing = True
        self.leave()
        self._refuse("it closed the connection without a word of HTTP/2")
        self._cut("closed the connection too early")

    cpdef pause_writing(self):
        self._full = True

    cpdef resume_writing(self):
        self._full = False
        self._flush()

    cdef _greet(self, bytes data):
        """Its first frame is SETTINGS (RFC 9113 section 3.4), or it speaks another protocol."""
        cdef const unsigned char *head
        cdef Py_ssize_t size
        self._greeting += data
        head = <const unsigned char *> PyBytes_AS_STRING(self._greeting)
        if self._greeting.startswith(b"HTTP/1."):
            self._refuse("it answers in HTTP/1: leave --protocol h2c out")
            return
        if PyBytes_GET_SIZE(self._greeting) < FRAME_HEAD:
            return
        size = head[0] << 16 | head[1] << 8 | head[2]
        if size > FRAME_MAX or head[3] != NGHTTP2_SETTINGS:
            self._refuse("what it says is no HTTP/2: if it speaks HTTP/1, leave --protocol h2c out")
            return
        if PyBytes_GET_SIZE(self._greeting) < FRAME_HEAD + size:
            return
        data, self._greeting = self._greeting, None
        self._feed(data)
        self._flush()  # what is wrong with it shows then
        if self._room() == 0:
            self._refuse("it takes no requests: its SETTINGS_MAX_CONCURRENT_STREAMS is 0")
        elif not self._leaving and not self._waiter.done():
            self.line.shared.append(self)
            self._waiter.set_result(None)

    cdef _feed(self, bytes data):
        self.talk.feed(data, now())
        self._give()
        self.schedule()

    cdef _give(self):
        """To those who asked, what has come for them."""
        cdef Http2Upstream upstream
        while self._touched:
            touched, self._touched = self._touched, []
            for upstream in touched:
                upstream.pump()

    cdef _refuse(self, str why):
        """It is not what we dialled for."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(NotHttp2(why))

    # Those who ask call these.

    cdef Upstream take(self):
        cdef Http2Upstream upstream
        if self._leaving or len(self.talk.strands) >= self._room() or self._asked >= ASKED_MAX:
            return None
        upstream = Http2Upstream.__new__(Http2Upstream)
        upstream.connection, upstream.line = self, self.line
        upstream.target, upstream.shown = self.target, self.shown
        upstream._come = deque()
        upstream._said = []
        return upstream

    cdef schedule(self):
        """Write what there is to be written, at the end of this turn of the loop."""
        if not self._scheduled and not self._closing:
            self._scheduled = True
            self._poller.call_at_end(self)

    cdef end_of_turn(self):
        self._scheduled = False
        self._flush()

    cdef _flush(self):
        cdef bytes data
        while not self._full and not self._closing:
            data = self.talk.take(TAKE)
            if not data:
                break
            self.write(data)
        self._give()  # what was reset by us has broken too
        if self._closing:
            return
        if self.talk.over():
            self._closing = True
            self.leave()
            self._refuse("what it says is no HTTP/2")
            self._cut("broke the rules of HTTP/2")
            self.transport.close()
        else:
            self._settle()

    cdef leave(self):
        """Nothing new is asked here; it closes when what is under way has come to its end."""
        self._leaving = True
        if self in self.line.shared:
            self.line.shared.remove(self)

    def expire(self, double time):
        """Close it if it has been idle for too long by now."""
        if 0 < self.idle_until <= time:
            self.leave()
            self.schedule()

    def move(self):
        """The loop is another: who waited for the greeting stays behind."""
        if self._greeting is not None:
            self._waiter = None
            self.transport.abort()

    cdef Py_ssize_t _room(self):
        """How many requests it takes at a time."""
        return self.talk.strands_max()

    cdef _cut(self, str why):
        """None of them is answered any more."""
        cdef Strand strand
        for strand in list(self.talk.strands.values()):
            if strand.owner is not None:
                (<Http2Upstream> strand.owner)._break(why)
        self._give()

    cdef _settle(self):
        """Whether somebody still asks something."""
        if self.talk.strands:
            self.idle_until = 0
        elif self._leaving and not self._ending:
            self._ending = True
            self.talk.terminate(NGHTTP2_NO_ERROR)
            self.schedule()  # and then it is over
        elif self.idle_until == 0:
            self.idle_until = now() + self.line.idle_s


cdef class Http2Upstream(Upstream):
    """One stream, for one request."""

    cdef ask(self, Borrower borrower, Request request, bytes target, bytes prefix, Hop hop, bint upgrade):
        cdef nghttp2_nv[HTTP1_FIELDS_MAX + OURS] fields
        cdef bytes head = request_head(request, target, prefix, hop, False)
        cdef size_t count
        self.borrower = borrower
        set_field(&fields[0], b":method", 7, PyBytes_AS_STRING(request.method), PyBytes_GET_SIZE(request.method))
        set_field(&fields[1], b":scheme", 7, b"http", 4)
        set_field(&fields[2], b":authority", 10, PyBytes_AS_STRING(request.host), PyBytes_GET_SIZE(request.host))
        set_field(&fields[3], b":path", 5, PyBytes_AS_STRING(target), PyBytes_GET_SIZE(target))
        count = put_head(head, fields, 4)
        if takes_trailers(request):
            set_field(&fields[count], b"te", 2, b"trailers", 8)
            count += 1
        self.strand = self.connection.talk.ask(
            fields, count, not request.has_body, request.method == b"HEAD", self
        )
        self.connection._asked += 1
        self.connection.schedule()

    cdef send(self, bytes data):
        self._keep(data)
        self.connection.talk.send(self.strand, data)
        self.connection.schedule()
        if self.strand.full and not self._told_full:
            self._tell_writable(False)

    cdef _tell_writable(self, bint writable):
        cdef Borrower borrower = self.borrower
        self._told_full = not writable
        if borrower is not None:
            borrower.upstream_writable(writable)

    cdef end(self, list trailers):
        self._trailers = trailers
        self.connection.talk.finish(self.strand, trailers)
        self.connection.schedule()

    cdef _keep(self, bytes data):
        """For repeat(), while there is little of it and no answer yet."""
        if self._said is None:
            return
        self._said_size += PyBytes_GET_SIZE(data)
        if self._spoke or self._said_size > SAID_MAX:
            self._said = None
        else:
            self._said.append(data)

    cdef bint silent(self):
        return not self._spoke

    cdef int reset_code(self):
        return self._code or NGHTTP2_INTERNAL_ERROR

    cdef bint refused(self):
        return self._refused and not self._spoke and self._said is not None

    cdef repeat(self, Upstream other):
        for data in self._said:
            other.send(data)
        if self._trailers is not None:
            other.end(self._trailers)

    cdef set_paused(self, bint paused):
        """What the client does not take is not credited, and so no more of it comes."""

    cdef pump(self):
        cdef Borrower borrower = self.borrower
        cdef Response response
        while borrower is not None and self.borrower is borrower and not borrower.blocked and self._come:
            event = self._come.popleft()
            if isinstance(event, bytes):
                borrower.response_data(event)
                self.connection.talk.credit(self.strand, PyBytes_GET_SIZE(event))
            elif isinstance(event, Response):
                response = event
                borrower.response_head(response)
                if response.status >= 200 and not response.has_body and self.borrower is borrower:
                    self._come.clear()
                    borrower.response_end([])
            else:
                borrower.response_end((<End> event).trailers)
        if borrower is not None:
            borrower.response_pause()
            if self._broken is not None and not self._come and self.borrower is borrower:
                borrower.upstream_broke(self._broken)
        self.connection.schedule()

    cdef give_back(self, bint complete, bint keep, double time):
        self.borrower = None
        if not keep:
            self.connection.leave()
        if not self.strand.gone:
            self.discard()  # the rest of the request is of no use to anyone

    cdef discard(self):
        self.borrower = None
        self._come.clear()
        self.connection.talk.reset(self.strand, NGHTTP2_CANCEL)
        self.connection.schedule()

    cdef _add(self, object event):
        """Something has come; it is given away once all that came with it is there."""
        if isinstance(event, Response):
            self._spoke = True
            self._said = None
            self._ended = (<Response> event).status >= 200 and not (<Response> event).has_body
        elif isinstance(event, End):
            self._ended = True
        if self.borrower is not None:
            if not self._come:
                self.connection._touched.append(self)
            self._come.append(event)

    cdef _break(self, str why):
        """Nothing more will come."""
        if self.borrower is not None and not self._ended and self._broken is None:
            self._broken = why
            self.connection._touched.append(self)


def why_closed(Strand strand, uint32_t code):
    """Why a stream was closed before the response was complete."""
    if strand.was_reset or code == NGHTTP2_REFUSED_STREAM:
        return f"reset the stream: {CODES[code] if code < len(CODES) else code}"
    return "the head of its answer is too large" if strand.too_large else "its answer breaks the rules of HTTP/2"


cdef size_t put_head(bytes head, nghttp2_nv *fields, size_t count):
    """Add the fields of a head that we wrote for HTTP/1, so that both have the same rules; how many there are then."""
    cdef const char *at = PyBytes_AS_STRING(head)
    cdef const char *end = at + PyBytes_GET_SIZE(head) - 2  # the empty line
    cdef const char *colon
    cdef const char *stop
    at = <const char *> memchr(at, c"\n", end - at) + 1
    while at < end:
        colon = <const char *> memchr(at, c":", end - at)
        stop = <const char *> memchr(colon, c"\r", end - colon)
        # These two are HTTP/1's own; what else belongs to a connection is not in there.
        if not (colon - at == 4 and memcmp(at, b"Host", 4) == 0) and not (
            colon - at == 17 and memcmp(at, b"Transfer-Encoding", 17) == 0
        ):
            set_field(&fields[count], at, colon - at, colon + 2, stop - colon - 2)
            count += 1
        at = stop + 2
    return count


cdef bint takes_trailers(Request request):
    """Whether it says "TE: trailers", as gRPC does: all that may be said of TE here (RFC 9113 section 8.2.2)."""
    cdef const char *start = PyBytes_AS_STRING(request.data) + request.base
    cdef size_t i
    for i in range(request.head.count):
        if request.head.fields[i].name.size == 2 and start[request.head.fields[i].name.at] in b"tT":
            return any([
                name.lower() == b"te" and b"trailers" in [part.strip().lower() for part in value.split(b",")]
                for name, value in request.fields
            ])
    return False
