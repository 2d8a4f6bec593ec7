"""HTTP/2 frames <-> events, a thin skin over libnghttp2, for both roles.  [pure]

A Session takes bytes as they come and calls its own methods request(), response(), data(), end(), closed(): who speaks
HTTP/2 makes a class of it.  What is to be sent, take() gathers.  Heads become the Request and the Response of HTTP/1,
spans in one bytes object, held to the same rules above those of nghttp2: they may be written as HTTP/1.

DATA is credited to the other side only when credit() says that somebody took it (RFC 9113 section 5.2).  Frames that
bring nothing cost a token each, and who has none left is told to calm down and goes (RFC 9113 section 10.5).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport PyObject, Py_XDECREF
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.string cimport memcpy

from locald.proxy.chttp1 cimport HTTP1_FIELDS_MAX
from locald.proxy.cnghttp2 cimport *
from locald.proxy.http1 cimport End, Request, Response
from locald.proxy.http2_callbacks cimport body_of, callbacks
from locald.proxy.http2_fields cimport put_list
from locald.proxy.http2_frames cimport FRAME_HEAD, count_frames
from locald.proxy.http2_head cimport Head
from locald.proxy.http2_strand cimport Piece, Strand

cdef extern from "Python.h":
    PyObject *new_bytes "PyBytes_FromStringAndSize"(const char *text, Py_ssize_t size) except NULL
    int resize_bytes "_PyBytes_Resize"(PyObject **text, Py_ssize_t size) except -1
    char *text_of "PyBytes_AS_STRING"(PyObject *text)
    Py_ssize_t size_of "PyBytes_GET_SIZE"(PyObject *text)

__all__ = ["Session"]

cdef enum:
    BURST = 1000  # frames that bring nothing, at once,
    RATE = 33  # and in a second: what nghttp2 allows of resets
    FOR_DATA = 2  # tokens that a frame of DATA gives back: its WINDOW_UPDATEs, of the stream and of the connection
    FOR_STREAM = 4  # that a request gives which came to its end: changes of its priority, a PING
    CONNECTION_WINDOWS = 16  # of a stream: one that nobody reads must not keep the others waiting
    SPARE = 2  # times the streams that we grant; see _grant_streams()
    ROOM = 1024  # bytes, to begin with
    FRAME_MAX = 16375  # bytes of DATA in a frame: with its head it fills a record of TLS, and leaves none for the next
    PREFACE = 24  # bytes that a client begins with (RFC 9113 section 3.4)
    SEND_MIN = 65536  # bytes of a head that may be sent, at least: nghttp2's own

cdef End END = End([])  # of all messages without trailers


cdef class Session:
    """One connection's HTTP/2.  ``strands``: the open streams by their numbers; ``moved``: grows with all that is of
    use, in either direction; ``queued``: bytes of bodies that wait to be sent; ``in_head``: a head has begun, and is
    not whole."""

    def __cinit__(self, bint server, limits, *args):
        cdef nghttp2_option *option = NULL
        cdef int result
        self.server = server
        self.strands = {}
        self._head = Head.__new__(Head, limits)
        self._streams_max = limits.streams_max
        self._high = limits.write_high // 4
        self._frames.tokens = self._resets.tokens = BURST
        self._time = -1
        self._seen.skip = PREFACE if server else 0
        self._fresh = True
        self._drained = []
        check(nghttp2_option_new(&option))
        nghttp2_option_set_no_auto_window_update(option, 1)
        nghttp2_option_set_builtin_recv_extension_type(option, NGHTTP2_PRIORITY_UPDATE)
        nghttp2_option_set_max_send_header_block_length(option, 2 * max(<size_t> SEND_MIN, <size_t> limits.head_bytes))
        nghttp2_option_set_max_outbound_ack(option, BURST)
        if server:
            result = nghttp2_session_server_new2(&self._session, callbacks(), <void *> self, option)
        else:
            result = nghttp2_session_client_new2(&self._session, callbacks(), <void *> self, option)
        nghttp2_option_del(option)
        check(result)

    def __dealloc__(self):
        nghttp2_session_del(self._session)
        Py_XDECREF(self._out)

    def __init__(self, server, limits, *args):
        cdef nghttp2_settings_entry[5] settings
        cdef size_t count = 3
        settings[0] = nghttp2_settings_entry(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.window_bytes)
        settings[1] = nghttp2_settings_entry(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.head_bytes)
        settings[2] = nghttp2_settings_entry(NGHTTP2_SETTINGS_ENABLE_PUSH, 0)
        if server:
            count = 5
            settings[2] = nghttp2_settings_entry(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, SPARE * self._streams_max)
            settings[3] = nghttp2_settings_entry(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1)
            settings[4] = nghttp2_settings_entry(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1)
        check(nghttp2_submit_settings(self._session, NGHTTP2_FLAG_NONE, settings, count))
        check(nghttp2_session_set_local_window_size(
            self._session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOWS * limits.window_bytes
        ))

    # What comes.  Whoever speaks HTTP/2 writes these.

    cpdef object request(self, Strand strand, Request request, int status):
        """A request's head; data() and end() follow if it has a body.  ``status``: 0, or what it is to be answered with
        for being beyond a limit: then neither of them follows."""

    cpdef object response(self, Strand strand, Response response):
        """A response's head, be it an interim one; data() and end() follow a final one that has a body."""

    cpdef object data(self, Strand strand, bytes data):
        """A part of a body, to be credited."""

    cpdef object end(self, Strand strand, End end):
        """The body is complete."""

    cpdef object closed(self, Strand strand, uint32_t code):
        """Nothing more comes or goes: after both ends, or by a reset from either side."""

    cpdef object writable(self, Strand strand):
        """A strand that was full has room again."""

    cpdef object going_away(self, uint32_t code):
        """The other side takes no new requests here, or begins none."""

    # The connection's bytes.

    cpdef object feed(self, bytes data, double time):
        """More bytes of the connection, at that time in seconds.  What is wrong with them, take() has the answer to."""
        cdef ssize_t result
        cdef size_t begun
        if self._time < 0:
            self._frames.filled = self._resets.filled = time
        self._time = time
        self._told = 0
        result = nghttp2_session_mem_recv(
            self._session, <const uint8_t *> PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
        )
        if self._count and self._failure is None:
            self._deliver()  # its spans are of these bytes
        begun = count_frames(&self._seen, <const uint8_t *> PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        if begun > self._told and result >= 0 and self._spend(&self._frames, begun - self._told):
            result = NGHTTP2_ERR_FLOODED
        self._settle(result)

    cdef object _settle(self, ssize_t result):
        """What nghttp2 said: an error of ours is raised, one of the other side ends the connection."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if result >= 0:
            return
        if result == NGHTTP2_ERR_NOMEM:
            raise MemoryError
        # Below FLOODED are the floods that newer versions know.
        calm = self._exhausted or result <= NGHTTP2_ERR_FLOODED
        self.terminate(NGHTTP2_ENHANCE_YOUR_CALM if calm else NGHTTP2_PROTOCOL_ERROR)

    cpdef bytes take(self, size_t most):
        """What is to be sent now, some of it if it is more than that many bytes; b"" for nothing."""
        cdef const uint8_t *data = NULL
        cdef ssize_t size = 1
        self._used, self._most = 0, most
        while self._used < most and size > 0:
            size = nghttp2_session_mem_send(self._session, &data)
            if size > 0:
                self._put(data, size)
            elif self._exhausted and not self.over():
                self.terminate(NGHTTP2_ENHANCE_YOUR_CALM)
                size = nghttp2_session_mem_send(self._session, &data)
                if size > 0:
                    self._put(data, size)
        self._settle(size)
        if self._drained:
            self._call_writable()
        if self._out is NULL:
            return b""
        if self._fresh and self.server:
            self._grant_streams()
        self._fresh = False
        resize_bytes(&self._out, self._used)
        result = <bytes> self._out
        Py_XDECREF(self._out)
        self._out = NULL
        return result

    cpdef bint over(self):
        """Nothing more will come of it: close the connection once what there is has been sent."""
        return not nghttp2_session_want_read(self._session) and not nghttp2_session_want_write(self._session)

    cdef object _put(self, const void *data, size_t size):
        """Append to what is taken."""
        cdef size_t room = size_of(self._out) if self._out is not NULL else 0
        if self._used + size > room:
            room = max(2 * room, self._used + size, min(self.queued + ROOM, self._most + ROOM))
            if self._out is NULL:
                self._out = new_bytes(NULL, room)
            else:
                resize_bytes(&self._out, room)
        memcpy(text_of(self._out) + self._used, data, size)
        self._used += size

    cdef object _grant_streams(self):
        """Write into our SETTINGS, the first frame there is, how many streams may be open.

        To nghttp2 one stream too many is the end of the connection.  It knows of twice as many, so that the first ones
        too many are refused, and others go on (RFC 9113 section 5.1.2: a stream error).
        """
        cdef uint8_t *at = <uint8_t *> text_of(self._out) + 9
        cdef int shift
        while at[0] != 0 or at[1] != NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS:
            at += 6
        for shift in range(4):
            at[5 - shift] = (self._streams_max >> (8 * shift)) & 0xFF

    # What goes.

    cdef object answer(self, Strand strand, const nghttp2_nv *fields, size_t count, bint interim, bint ends):
        """Send a response's head; nghttp2 copies the fields, and gives their names lower case."""
        cdef nghttp2_data_provider body
        if strand.gone:
            return
        if interim:
            check(nghttp2_submit_headers(
                self._session, NGHTTP2_FLAG_NONE, strand.id, NULL, fields, count, NULL
            ))
            return
        body = body_of(strand)
        strand.ended = ends
        check(nghttp2_submit_response(self._session, strand.id, fields, count, NULL if ends else &body))

    cpdef object answer_list(self, Strand strand, list fields, bint interim, bint ends):
        """The same, from names and values, ":status" first."""
        cdef nghttp2_nv[HTTP1_FIELDS_MAX] vector
        self.answer(strand, vector, put_list(fields, vector), interim, ends)

    cdef Strand ask(self, const nghttp2_nv *fields, size_t count, bint ends, bint is_head, object owner):
        """Send a request's head.  ``is_head``: for HEAD, which gets no body."""
        cdef Strand strand = Strand.__new__(Strand, 0)
        cdef nghttp2_data_provider body = body_of(strand)
        strand.owner = owner
        strand.ended = ends
        strand._is_head = is_head
        strand.id = nghttp2_submit_request(
            self._session, NULL, fields, count, NULL if ends else &body, <void *> strand
        )
        check(strand.id)
        self.strands[strand.id] = strand
        return strand

    cpdef Strand ask_list(self, list fields, bint ends, object owner):
        """The same, from names and values, those with ":" first."""
        cdef nghttp2_nv[HTTP1_FIELDS_MAX] vector
        is_head = (b":method", b"HEAD") in fields
        return self.ask(vector, put_list(fields, vector), ends, is_head, owner)

    cdef uint32_t strands_max(self):
        """How many requests the other side takes at a time, once it has said so."""
        return nghttp2_session_get_remote_settings(self._session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)

    cpdef object send(self, Strand strand, bytes data):
        """Queue a part of a body."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        if strand.gone or size == 0:
            return
        strand.push(data)
        self.queued += size
        strand.full = strand.full or strand.queued >= self._high
        self._resume(strand)

    cdef object _resume(self, Strand strand):
        """There is something for nghttp2 to ask for."""
        if strand._deferred:
            strand._deferred = False
            check(nghttp2_session_resume_data(self._session, strand.id))

    cpdef object finish(self, Strand strand, list trailers):
        """The body is complete once what is queued has been sent, and the trailers behind it."""
        if strand.gone or strand.ended:
            return
        strand.ended = True
        strand._trailers = trailers
        self._resume(strand)

    cpdef object stop(self, Strand strand):
        """No more of the body that comes is wanted: the other side is told so, behind our own last word."""
        if strand.gone:
            return
        strand._is_deaf = strand._stops = True
        self.credit(strand, strand._uncredited)

    cpdef object cut(self, Strand strand, uint32_t code):
        """The rest of the body will not come: what is queued is sent, and then a reset."""
        if not strand.gone:
            strand._is_cut = strand._is_deaf = True
            strand._cut = code
            self.credit(strand, strand._uncredited)
            self._resume(strand)

    cpdef object reset(self, Strand strand, uint32_t code):
        """Close it at once (RFC 9113 section 7 has the codes)."""
        if not strand.gone:
            strand._is_deaf = True
            check(nghttp2_submit_rst_stream(self._session, NGHTTP2_FLAG_NONE, strand.id, code))

    cpdef object credit(self, Strand strand, size_t size):
        """So much of what data() gave has been taken."""
        if strand.gone or size == 0:
            return
        strand._uncredited -= size
        check(nghttp2_session_consume_stream(self._session, strand.id, size))
        check(nghttp2_session_consume_connection(self._session, size))

    cpdef object terminate(self, uint32_t code):
        """Say so, and be over: nothing that still comes is looked at."""
        check(nghttp2_session_terminate_session(self._session, code))

    cpdef object shut_down(self):
        """Take no new requests: announced first, and final when the answer to a PING shows that it was heard, with what
        was on its way (RFC 9113 section 6.8).  Then it is over as soon as the last strand is."""
        cdef int result
        if not self._leaving:
            self._leaving = True
            result = nghttp2_submit_shutdown_notice(self._session)
            if result != NGHTTP2_ERR_INVALID_STATE:  # one of us has said already that it goes
                check(result)

    cdef object _say_final(self):
        check(nghttp2_submit_goaway(
            self._session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(self._session),
            NGHTTP2_NO_ERROR, NULL, 0,
        ))

    # Tokens.

    cdef bint _spend(self, Bucket *bucket, double tokens=1) noexcept:
        """For a frame that brings nothing, or some; whether there are none left."""
        if bucket.tokens < tokens:
            bucket.tokens = min(<double> BURST, bucket.tokens + RATE * (self._time - bucket.filled))
            bucket.filled = self._time
        bucket.tokens -= tokens
        self._exhausted = self._exhausted or bucket.tokens < 0
        return self._exhausted

    cdef void _earn(self, double tokens) noexcept:
        """For what brings something; never for resets, which nghttp2 counts too, from 1.57 on."""
        self._frames.tokens = min(<double> BURST, self._frames.tokens + tokens)

    # Heads that come in.

    cdef void _field(self, const uint8_t *name, size_t namelen, const uint8_t *value, size_t valuelen) noexcept:
        """Another field of the head."""
        if self._head.status:
            self._spend(&self._frames)  # a table's entry, named by one byte, can have 64 KB
        elif not self._head.field(name, namelen, value, valuelen) and self._failure is None:
            self._failure = MemoryError()

    cdef object _head_done(self, int32_t id, bint ends, bint first):
        """A head is whole."""
        cdef Strand strand
        if self._head.ignored:
            return
        if first:
            self._request_done(id, ends)
            return
        strand = self.strands.get(id)
        if strand is None or strand._is_deaf:
            return
        if self._head.status:
            strand.too_large = True
            self.reset(strand, NGHTTP2_PROTOCOL_ERROR)
        elif self.server or strand._is_final:
            self._trailers_done(strand)
        else:
            self._response_done(strand, ends)

    cdef object _request_done(self, int32_t id, bint ends):
        cdef Request request = self._head.request(ends)
        cdef Strand strand
        if request is None:
            # No answer: who sends this is no client of ours, and might take it for another's.
            check(nghttp2_submit_rst_stream(self._session, NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR))
            return
        strand = Strand.__new__(Strand, id)
        self.strands[id] = strand
        check(nghttp2_session_set_stream_user_data(self._session, id, <void *> strand))
        strand._is_deaf = self._head.status != 0
        strand.protocol = self._head.protocol()
        self.moved += 1
        self.request(strand, request, self._head.status)

    cdef object _response_done(self, Strand strand, bint ends):
        cdef Response response = self._head.response(ends, strand._is_head)
        if response is None:
            self.reset(strand, NGHTTP2_PROTOCOL_ERROR)
            return
        strand._is_final = response.status >= 200
        self.moved += 1
        self.response(strand, response)

    cdef object _trailers_done(self, Strand strand):
        fields = self._head.trailers()
        if fields is None:
            self.reset(strand, NGHTTP2_PROTOCOL_ERROR)
        else:
            self.end(strand, End(fields))

    # Bodies that come in.

    cdef object _body_done(self, int32_t id):
        cdef Strand strand = self.strands.get(id)
        if strand is None:
            return
        if self._count and self._filling is strand:
            self._deliver()
        self.moved += 1
        if not strand._is_deaf:
            self.end(strand, END)

    cdef object _deliver(self):
        """Give away the DATA of one strand that has come together."""
        cdef Strand strand = self._filling
        cdef size_t size = 0
        cdef char *at
        cdef int i
        for i in range(self._count):
            size += self._spans[i].size
        data = PyBytes_FromStringAndSize(NULL, size)
        at = PyBytes_AS_STRING(data)
        for i in range(self._count):
            memcpy(at, self._spans[i].at, self._spans[i].size)
            at += self._spans[i].size
        self._count = 0
        self.moved += 1
        if strand._is_deaf:
            self.credit(strand, size)
        else:
            self.data(strand, data)

    # Bodies that go out.

    cdef ssize_t _read(self, Strand strand, size_t length, uint32_t *flags) except? -1:
        """How much of the body goes into the next frame."""
        cdef nghttp2_nv[HTTP1_FIELDS_MAX] vector
        cdef size_t size = min(length, <size_t> strand.queued, <size_t> FRAME_MAX)
        if size == 0 and strand._is_cut:
            check(nghttp2_submit_rst_stream(self._session, NGHTTP2_FLAG_NONE, strand.id, strand._cut))
            return NGHTTP2_ERR_DEFERRED
        if size == 0 and not strand.ended:
            strand._deferred = True
            return NGHTTP2_ERR_DEFERRED
        if size:
            flags[0] |= NGHTTP2_DATA_FLAG_NO_COPY
        if strand.ended and size == <size_t> strand.queued:
            flags[0] |= NGHTTP2_DATA_FLAG_EOF
            if strand._trailers:
                flags[0] |= NGHTTP2_DATA_FLAG_NO_END_STREAM
                check(nghttp2_submit_trailer(self._session, strand.id, vector, put_list(strand._trailers, vector)))
        return size

    cdef object _send_data(self, Strand strand, const uint8_t *head, size_t size):
        """A frame of DATA: its head, and so many bytes of what is queued."""
        cdef Piece part
        self._put(head, FRAME_HEAD)
        self.queued -= size
        self.moved += 1
        self._earn(FOR_DATA)
        while size:
            part = strand.front(size)
            self._put(part.at, part.size)
            strand.drop(part.size)
            size -= part.size
        if strand.full and strand.queued <= self._high // 4:
            strand.full = False
            self._drained.append(strand)

    cdef object _call_writable(self):
        """From outside of nghttp2's callbacks: what is written now may go into the next take()."""
        cdef Strand strand
        drained, self._drained = self._drained, []
        for strand in drained:
            if not strand.gone:
                self.writable(strand)

    cdef object _sent(self, const nghttp2_frame *frame):
        """A frame has gone out."""
        cdef void *strand
        if frame.hd.type == NGHTTP2_RST_STREAM:
            # Whoever makes us reset its streams, by frames that are wrong, pays for that as for resets of its own.
            if self.server and frame.rst_stream.error_code not in OUR_OWN_RESETS:
                self._spend(&self._resets)
        elif frame.hd.type == NGHTTP2_GOAWAY:
            if self._leaving and not self._noticed:
                self._noticed = True
                check(nghttp2_submit_ping(self._session, NGHTTP2_FLAG_NONE, NULL))  # it would go before the notice
        elif (frame.hd.type == NGHTTP2_DATA or frame.hd.type == NGHTTP2_HEADERS) and (
            frame.hd.flags & NGHTTP2_FLAG_END_STREAM
        ):
            strand = nghttp2_session_get_stream_user_data(self._session, frame.hd.stream_id)
            if strand is not NULL and (<Strand> strand)._stops:
                # "I need no more of what you send" (RFC 9113 section 8.1).
                check(nghttp2_submit_rst_stream(
                    self._session, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_NO_ERROR
                ))

    cdef object _close(self, int32_t id, uint32_t code):
        cdef Strand strand = self.strands.pop(id, None)
        if strand is None:
            return
        if self._filling is strand and self._count:
            self._deliver()
        strand.gone = True
        self.queued -= strand.queued
        if strand._uncredited:
            check(nghttp2_session_consume_connection(self._session, strand._uncredited))
        if code == NGHTTP2_NO_ERROR and strand.ended:
            self._earn(FOR_STREAM)
        self.closed(strand, code)


cdef frozenset OUR_OWN_RESETS = frozenset([
    NGHTTP2_NO_ERROR,
    NGHTTP2_INTERNAL_ERROR,
    NGHTTP2_CANCEL,
    NGHTTP2_ENHANCE_YOUR_CALM,
    NGHTTP2_INADEQUATE_SECURITY,
])


cdef object check(int result):
    """What nghttp2 refuses of ours is a bug of ours."""
    if result == NGHTTP2_ERR_NOMEM:
        raise MemoryError
    if result < 0:
        raise RuntimeError(nghttp2_strerror(result).decode())
