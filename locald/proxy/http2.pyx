"""HTTP/2 frames <-> events, a thin skin over libnghttp2, for both roles.  [pure]

A Session takes bytes as they come and calls its own methods request(), response(), data(), end(), closed(): who speaks
HTTP/2 makes a class of it.  What is to be sent, take() gathers.  Heads become the Request and the Response of HTTP/1,
spans in one bytes object, held to the same rules above those of nghttp2: they may be written as HTTP/1.

DATA is credited to the other side only when credit() says that somebody took it (RFC 9113 section 5.2).  Frames that
bring nothing cost a token each, and who has none left is told to calm down and goes (RFC 9113 section 10.5).
"""

from http import HTTPStatus

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.ref cimport PyObject, Py_XDECREF
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.string cimport memcmp, memcpy, memset

from locald.proxy.chttp1 cimport (
    HTTP1_CHUNKED,
    HTTP1_COUNTED,
    HTTP1_FIELDS_MAX,
    HTTP1_HEAD_REQUEST,
    HTTP1_LENGTH,
    HTTP1_NO_BODY,
    HTTP1_REQUEST,
    HTTP1_RESPONSE,
    HTTP1_TRAILERS,
    http1_limits,
    http1_parts_check,
    http1_span,
)
from locald.proxy.cnghttp2 cimport *
from locald.proxy.http1 cimport End, Message, Request, Response

cdef extern from "Python.h":
    PyObject *new_bytes "PyBytes_FromStringAndSize"(const char *text, Py_ssize_t size) except NULL
    int resize_bytes "_PyBytes_Resize"(PyObject **text, Py_ssize_t size) except -1
    char *text_of "PyBytes_AS_STRING"(PyObject *text)
    Py_ssize_t size_of "PyBytes_GET_SIZE"(PyObject *text)

__all__ = ["Session", "Strand"]

REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}

cdef enum:
    BURST = 1000  # frames that bring nothing, at once,
    RATE = 33  # and in a second: what nghttp2 allows of resets
    FOR_DATA = 2  # tokens that a frame of DATA gives back: its WINDOW_UPDATEs, of the stream and of the connection
    FOR_STREAM = 4  # that a request gives which came to its end: changes of its priority, a PING
    CONNECTION_WINDOWS = 16  # of a stream: one that nobody reads must not keep the others waiting
    SPARE = 2  # times the streams that we grant; see _grant_streams()
    ROOM = 1024  # bytes, to begin with
    FRAME_MAX = 16375  # bytes of DATA in a frame: with its head they fill a record of TLS, and leave none for the next
    SEND_MIN = 65536  # bytes of a head that may be sent, at least: nghttp2's own
    END_HEADERS = 4  # RFC 9113 sections 6.2 and 6.10

cdef End END = End([])  # of all messages without trailers


cdef class Strand:
    """One stream of a session.  ``owner``: whoever speaks on it; ``queued``: bytes that wait to be sent; ``ended``: no
    more will be given; ``full``: so much waits that writable() is called once that has become less; ``gone``: closed;
    ``protocol``: that of an extended CONNECT (RFC 8441), None for all other requests."""

    def __cinit__(self, int id):
        self.id = id
        self._pieces = []


cdef class Session:
    """One connection's HTTP/2.  ``strands``: the open streams by their numbers; ``moved``: grows with all that is of
    use, in either direction; ``queued``: bytes of bodies that wait to be sent; ``in_head``: a head has begun, and is
    not whole."""

    def __cinit__(self, bint server, limits, *args):
        cdef nghttp2_option *option = NULL
        cdef int result
        self.server = server
        self.strands = {}
        self._limits = http1_limits(limits.head_bytes, limits.fields_max, limits.target_bytes)
        self._streams_max = limits.streams_max
        self._high = limits.write_high // 4
        self._frames.tokens = self._resets.tokens = BURST
        self._time = -1
        self._fresh = True
        self._drained = []
        _check(nghttp2_option_new(&option))
        nghttp2_option_set_no_auto_window_update(option, 1)
        nghttp2_option_set_builtin_recv_extension_type(option, NGHTTP2_PRIORITY_UPDATE)
        nghttp2_option_set_max_send_header_block_length(option, 2 * max(<size_t> SEND_MIN, <size_t> limits.head_bytes))
        nghttp2_option_set_max_outbound_ack(option, BURST)
        if server:
            result = nghttp2_session_server_new2(&self._session, CALLBACKS, <void *> self, option)
        else:
            result = nghttp2_session_client_new2(&self._session, CALLBACKS, <void *> self, option)
        nghttp2_option_del(option)
        _check(result)

    def __dealloc__(self):
        nghttp2_session_del(self._session)
        PyMem_Free(self._text)
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
        _check(nghttp2_submit_settings(self._session, NGHTTP2_FLAG_NONE, settings, count))
        _check(nghttp2_session_set_local_window_size(
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
        if self._time < 0:
            self._frames.filled = self._resets.filled = time
        self._time = time
        result = nghttp2_session_mem_recv(
            self._session, <const uint8_t *> PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
        )
        if self._count and self._failure is None:
            self._deliver()  # its spans are of these bytes
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
        cdef nghttp2_data_provider provider
        if strand.gone:
            return
        if interim:
            _check(nghttp2_submit_headers(
                self._session, NGHTTP2_FLAG_NONE, strand.id, NULL, fields, count, NULL
            ))
            return
        provider.source.ptr = <void *> strand
        provider.read_callback = on_read
        strand.ended = ends
        _check(nghttp2_submit_response(self._session, strand.id, fields, count, NULL if ends else &provider))

    cpdef object answer_list(self, Strand strand, list fields, bint interim, bint ends):
        """The same, from names and values, ":status" first."""
        cdef nghttp2_nv[HTTP1_FIELDS_MAX] vector
        self.answer(strand, vector, put_list(fields, vector), interim, ends)

    cdef Strand ask(self, const nghttp2_nv *fields, size_t count, bint ends, bint is_head, object owner):
        """Send a request's head.  ``is_head``: for HEAD, which gets no body."""
        cdef nghttp2_data_provider provider
        cdef Strand strand = Strand.__new__(Strand, 0)
        provider.source.ptr = <void *> strand
        provider.read_callback = on_read
        strand.owner = owner
        strand.ended = ends
        strand._is_head = is_head
        strand.id = nghttp2_submit_request(
            self._session, NULL, fields, count, NULL if ends else &provider, <void *> strand
        )
        _check(strand.id)
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
        strand._pieces.append(data)
        strand.queued += size
        self.queued += size
        strand.full = strand.full or strand.queued >= self._high
        self._resume(strand)

    cdef object _resume(self, Strand strand):
        """There is something for nghttp2 to ask for."""
        if strand._deferred:
            strand._deferred = False
            _check(nghttp2_session_resume_data(self._session, strand.id))

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

    cpdef object cut(self, Strand strand):
        """The rest of the body will not come: what is queued is sent, and then a reset with INTERNAL_ERROR."""
        if not strand.gone:
            strand._cut = strand._is_deaf = True
            self.credit(strand, strand._uncredited)
            self._resume(strand)

    cpdef object reset(self, Strand strand, uint32_t code):
        """Close it at once (RFC 9113 section 7 has the codes)."""
        if not strand.gone:
            strand._is_deaf = True
            _check(nghttp2_submit_rst_stream(self._session, NGHTTP2_FLAG_NONE, strand.id, code))

    cpdef object credit(self, Strand strand, size_t size):
        """So much of what data() gave has been taken."""
        if strand.gone or size == 0:
            return
        strand._uncredited -= size
        _check(nghttp2_session_consume_stream(self._session, strand.id, size))
        _check(nghttp2_session_consume_connection(self._session, size))

    cpdef object terminate(self, uint32_t code):
        """Say so, and be over: nothing that still comes is looked at."""
        _check(nghttp2_session_terminate_session(self._session, code))

    cpdef object shut_down(self):
        """Take no new requests: announced first, and final when the answer to a PING shows that it was heard, with what
        was on its way (RFC 9113 section 6.8).  Then it is over as soon as the last strand is."""
        if not self._leaving:
            self._leaving = True
            _check(nghttp2_submit_shutdown_notice(self._session))

    cdef object _say_final(self):
        _check(nghttp2_submit_goaway(
            self._session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(self._session),
            NGHTTP2_NO_ERROR, NULL, 0,
        ))

    # Tokens.

    cdef bint _spend(self, Bucket *bucket) noexcept:
        """For a frame that brings nothing; whether there are none left."""
        if bucket.tokens < 1:
            bucket.tokens = min(<double> BURST, bucket.tokens + RATE * (self._time - bucket.filled))
            bucket.filled = self._time
        bucket.tokens -= 1
        self._exhausted = self._exhausted or bucket.tokens < 0
        return self._exhausted

    cdef void _earn(self, double tokens) noexcept:
        """For what brings something; never for resets, which nghttp2 counts too, from 1.57 on."""
        self._frames.tokens = min(<double> BURST, self._frames.tokens + tokens)

    # Heads that come in.

    cdef void _field(self, const uint8_t *name, size_t namelen, const uint8_t *value, size_t valuelen) noexcept:
        """Another field of the head, beyond a limit perhaps: then nothing more of it is kept."""
        cdef http1_span *pseudo
        self._listed += namelen + valuelen + 32  # as RFC 9113 section 6.5.2 counts
        if self._status:
            self._spend(&self._frames)  # a table's entry, named by one byte, can have 64 KB
            return
        if namelen and name[0] == c":":
            pseudo = self._pseudo(name, namelen)
            if pseudo is &self._head.target and valuelen > self._limits.target:
                self._status = 414
            elif self._listed > self._limits.head:
                self._status = 431
            elif self._reserve(valuelen):
                pseudo[0] = self._store(value, valuelen)
            return
        if self._listed > self._limits.head or self._head.count >= min(self._limits.fields, <size_t> HTTP1_FIELDS_MAX):
            self._status = 431
            return
        if not self._reserve(namelen + valuelen):
            return
        self._cookies += namelen == 6 and memcmp(name, b"cookie", 6) == 0
        self._head.fields[self._head.count].name = self._store(name, namelen)
        self._head.fields[self._head.count].value = self._store(value, valuelen)
        self._head.count += 1

    cdef http1_span *_pseudo(self, const uint8_t *name, size_t size) noexcept:
        """Where the value of a pseudo-field goes; nghttp2 lets no others through."""
        if size == 5:
            return &self._head.target  # :path
        if size == 10:
            return &self._head.host  # :authority
        if size == 9:
            return &self._protocol
        return &self._head.method if name[1] == c"m" else &self._scheme if name[2] == c"c" else &self._code

    cdef bint _reserve(self, size_t size) noexcept:
        """Room for so many bytes more of the head; whether there is memory for it."""
        cdef size_t room
        cdef void *larger
        if self._room - self._size >= size:
            return True
        room = max(2 * self._room, self._size + size, <size_t> ROOM)
        larger = PyMem_Realloc(self._text, room)
        if larger is NULL:
            failed(self, MemoryError())
            return False
        self._text, self._room = <char *> larger, room
        return True

    cdef http1_span _store(self, const void *text, size_t size) noexcept:
        """Append what there is room for."""
        cdef http1_span where = http1_span(self._size, size)
        memcpy(self._text + self._size, text, size)
        self._size += size
        return where

    cdef bytes _text_at(self, http1_span where):
        return PyBytes_FromStringAndSize(self._text + where.at, where.size)

    cdef object _head_done(self, int32_t id, bint ends, bint first):
        """A head is whole."""
        cdef Strand strand
        if self._ignoring:
            return
        if first:
            self._request_done(id, ends)
            return
        strand = self.strands.get(id)
        if strand is None or strand._is_deaf:
            return
        if self._status:
            strand.too_large = True
            self.reset(strand, NGHTTP2_PROTOCOL_ERROR)
        elif self.server or strand._is_final:
            self._trailers_done(strand)
        else:
            self._response_done(strand, ends)

    cdef object _request_done(self, int32_t id, bint ends):
        cdef Request request
        cdef Strand strand
        cdef int wrong = 0
        if self._cookies > 1:
            self._join_cookies()
        if not self._status:
            wrong = http1_parts_check(
                HTTP1_REQUEST, &self._limits, <const unsigned char *> self._text, ends, &self._head
            )
        if wrong or not self._is_of_the_web():
            # No answer: who sends this is no client of ours, and might take it for another's.
            _check(nghttp2_submit_rst_stream(self._session, NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR))
            return
        request = Request.__new__(Request)
        self._keep(request)
        request.method = self._text_at(self._head.method)
        request.target = self._text_at(self._head.target)
        request.host = self._text_at(self._head.host)
        request.chunked = self._head.framing == HTTP1_CHUNKED
        request.counted, request.size = self._head.framing == HTTP1_LENGTH, self._head.length
        request.has_body = not ends
        request.by_http2 = True
        strand = self._open(id)
        strand._is_deaf = self._status != 0
        if self._protocol.size:
            strand.protocol = self._text_at(self._protocol)
        self.moved += 1
        self.request(strand, request, self._status)

    cdef bint _is_of_the_web(self) noexcept:
        """Whether the scheme is one that we serve; a CONNECT alone has none, as nghttp2 sees to."""
        cdef size_t i, size = self._scheme.size
        if size == 0:
            return self._status != 0 or self._head.target.size == 0
        if size != 4 and size != 5:
            return False
        for i in range(size):
            if (self._text[self._scheme.at + i] | 0x20) != b"https"[i]:
                return False
        return True

    cdef Strand _open(self, int32_t id):
        cdef Strand strand = Strand.__new__(Strand, id)
        self.strands[id] = strand
        _check(nghttp2_session_set_stream_user_data(self._session, id, <void *> strand))
        return strand

    cdef object _response_done(self, Strand strand, bint ends):
        cdef Response response = Response.__new__(Response)
        self._head.flags = HTTP1_HEAD_REQUEST if strand._is_head else 0
        self._head.status = int(self._text_at(self._code))
        if http1_parts_check(HTTP1_RESPONSE, &self._limits, <const unsigned char *> self._text, ends, &self._head):
            self.reset(strand, NGHTTP2_PROTOCOL_ERROR)
            return
        self._keep(response)
        response.status = self._head.status
        response.reason = REASONS.get(response.status, b"")
        response.has_body = self._head.framing != HTTP1_NO_BODY and not ends
        response.counted = self._head.flags & HTTP1_COUNTED != 0
        response.size = self._head.length
        strand._is_final = response.status >= 200
        self.moved += 1
        self.response(strand, response)

    cdef object _trailers_done(self, Strand strand):
        cdef Message message
        if http1_parts_check(HTTP1_TRAILERS, &self._limits, <const unsigned char *> self._text, 1, &self._head):
            self.reset(strand, NGHTTP2_PROTOCOL_ERROR)
            return
        message = Message.__new__(Message)
        self._keep(message)
        self.end(strand, End(message.fields))

    cdef object _join_cookies(self):
        """The crumbs of a cookie become one field, where the first was (RFC 9113 section 8.2.3)."""
        cdef http1_span joined = http1_span(0, 0)
        cdef http1_span value
        cdef size_t i, kept = 0, first = HTTP1_FIELDS_MAX
        if not self._reserve(self._size + 2 * self._cookies):
            raise MemoryError
        for i in range(self._head.count):
            if not self._is_cookie(self._head.fields[i].name):
                self._head.fields[kept] = self._head.fields[i]
                kept += 1
                continue
            value = self._head.fields[i].value
            if first == HTTP1_FIELDS_MAX:
                first = kept
                self._head.fields[kept].name = self._head.fields[i].name
                kept += 1
                joined = self._store(self._text + value.at, value.size)
            else:
                joined.size += self._store(b"; ", 2).size + self._store(self._text + value.at, value.size).size
        self._head.fields[first].value = joined
        self._head.count = kept

    cdef bint _is_cookie(self, http1_span name) noexcept:
        return name.size == 6 and memcmp(self._text + name.at, b"cookie", 6) == 0

    cdef object _keep(self, Message message):
        """Make the head that came the message's own."""
        cdef char *start = <char *> &self._head
        cdef size_t size = <char *> &self._head.fields[self._head.count] - start
        memcpy(&message.head, start, size)
        message.data = PyBytes_FromStringAndSize(self._text, self._size)
        message.minor = 1
        message.keep_alive = True

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
        if size == 0 and strand._cut:
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
        if size == 0 and not strand.ended:
            strand._deferred = True
            return NGHTTP2_ERR_DEFERRED
        if size:
            flags[0] |= NGHTTP2_DATA_FLAG_NO_COPY
        if strand.ended and size == <size_t> strand.queued:
            flags[0] |= NGHTTP2_DATA_FLAG_EOF
            if strand._trailers:
                flags[0] |= NGHTTP2_DATA_FLAG_NO_END_STREAM
                _check(nghttp2_submit_trailer(self._session, strand.id, vector, put_list(strand._trailers, vector)))
        return size

    cdef object _send_data(self, Strand strand, const uint8_t *head, size_t size):
        """A frame of DATA: its head, and so many bytes of what is queued."""
        cdef size_t part
        cdef bytes piece
        self._put(head, 9)
        self.queued -= size
        strand.queued -= size
        self.moved += 1
        self._earn(FOR_DATA)
        while size:
            piece = strand._pieces[strand._first]
            part = min(size, PyBytes_GET_SIZE(piece) - strand._at)
            self._put(PyBytes_AS_STRING(piece) + strand._at, part)
            strand._at += part
            size -= part
            if strand._at == <size_t> PyBytes_GET_SIZE(piece):
                strand._pieces[strand._first] = None
                strand._first += 1
                strand._at = 0
        if strand.queued == 0:
            strand._pieces.clear()
            strand._first = 0
        elif strand._first >= SPANS_MAX:
            del strand._pieces[:strand._first]
            strand._first = 0
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
                _check(nghttp2_submit_ping(self._session, NGHTTP2_FLAG_NONE, NULL))  # it would go before the notice
        elif (frame.hd.type == NGHTTP2_DATA or frame.hd.type == NGHTTP2_HEADERS) and (
            frame.hd.flags & NGHTTP2_FLAG_END_STREAM
        ):
            strand = nghttp2_session_get_stream_user_data(self._session, frame.hd.stream_id)
            if strand is not NULL and (<Strand> strand)._stops:
                # "I need no more of what you send" (RFC 9113 section 8.1).
                _check(nghttp2_submit_rst_stream(
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
            _check(nghttp2_session_consume_connection(self._session, strand._uncredited))
        if code == NGHTTP2_NO_ERROR and strand.ended:
            self._earn(FOR_STREAM)
        self.closed(strand, code)


cdef frozenset OUR_OWN_RESETS = frozenset([NGHTTP2_NO_ERROR, NGHTTP2_INTERNAL_ERROR, NGHTTP2_CANCEL])


cdef object _check(int result):
    """What nghttp2 refuses of ours is a bug of ours."""
    if result == NGHTTP2_ERR_NOMEM:
        raise MemoryError
    if result < 0:
        raise RuntimeError(nghttp2_strerror(result).decode())


# Fields as nghttp2 takes them.

cdef void set_field(nghttp2_nv *field, const char *name, size_t namelen, const char *value, size_t valuelen) noexcept:
    field.name, field.namelen = <uint8_t *> name, namelen
    field.value, field.valuelen = <uint8_t *> value, valuelen
    field.flags = 0


cdef size_t put_kept(Message message, Plan *planned, nghttp2_nv *fields):
    """The fields of a message that go on; how many they are."""
    cdef const char *start = PyBytes_AS_STRING(message.data) + message.base
    cdef http1_span name, value
    cdef size_t i, count = 0
    for i in range(message.head.count):
        if planned.keep[i]:
            name, value = message.head.fields[i].name, message.head.fields[i].value
            set_field(&fields[count], start + name.at, name.size, start + value.at, value.size)
            count += 1
    return count


cdef size_t put_list(list given, nghttp2_nv *fields):
    """Fields that are a list; it must be there until nghttp2 has copied them.  There is place for 100."""
    cdef size_t count = 0
    cdef bytes name, value
    if len(given) > HTTP1_FIELDS_MAX:
        raise ValueError("too many fields")
    for name, value in given:
        set_field(
            &fields[count], PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name),
            PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value),
        )
        count += 1
    return count


cdef object add_field(Request request, bytes name, bytes value):
    """Give a request one more field; whether there was room for it."""
    cdef size_t at = PyBytes_GET_SIZE(request.data) - request.base
    if request.head.count == HTTP1_FIELDS_MAX:
        return False
    request.data = request.data + name + value
    request.head.fields[request.head.count].name = http1_span(at, PyBytes_GET_SIZE(name))
    request.head.fields[request.head.count].value = http1_span(at + PyBytes_GET_SIZE(name), PyBytes_GET_SIZE(value))
    request.head.count += 1
    request.known = None
    return True


# What nghttp2 calls.  An exception is kept until feed() or take() can raise it.

cdef int failed(Session me, object error) noexcept:
    if me._failure is None:
        me._failure = error
    return NGHTTP2_ERR_CALLBACK_FAILURE


cdef bint brings_nothing(Session me, const nghttp2_frame_hd *head) noexcept:
    """Whether a frame, by its head, is one that costs a token."""
    cdef bint known
    if head.type == NGHTTP2_SETTINGS and head.flags & NGHTTP2_FLAG_ACK:
        return False
    if head.type != NGHTTP2_DATA and head.type != NGHTTP2_HEADERS:
        return True
    known = nghttp2_session_get_stream_user_data(me._session, head.stream_id) is not NULL
    if head.type == NGHTTP2_DATA:
        return not known or (head.length == 0 and not head.flags & NGHTTP2_FLAG_END_STREAM)
    return not known and head.stream_id <= nghttp2_session_get_last_proc_stream_id(me._session)


cdef int on_begin_frame(nghttp2_session *_, const nghttp2_frame_hd *head, void *data) noexcept:
    cdef Session me = <Session> data
    cdef Bucket *spent
    try:
        if me._count and (head.type != NGHTTP2_DATA or head.stream_id != me._filling.id):
            me._deliver()
    except BaseException as error:
        return failed(me, error)
    if head.flags & END_HEADERS:
        me.in_head = False
    if head.type == NGHTTP2_PRIORITY and head.stream_id == 0:
        return NGHTTP2_ERR_CALLBACK_FAILURE  # a connection error (RFC 9113 section 6.3), which nghttp2 no longer sees
    spent = &me._resets if head.type == NGHTTP2_RST_STREAM else &me._frames
    return NGHTTP2_ERR_CALLBACK_FAILURE if brings_nothing(me, head) and me._spend(spent) else 0


cdef int on_begin_headers(nghttp2_session *_, const nghttp2_frame *frame, void *data) noexcept:
    cdef Session me = <Session> data
    cdef bint first = frame.headers.cat == NGHTTP2_HCAT_REQUEST
    memset(&me._head, 0, sizeof(me._head) - sizeof(me._head.fields))
    me._scheme = me._code = me._protocol = http1_span(0, 0)
    me._size = me._listed = 0
    me._status = me._cookies = 0
    me.in_head = not frame.hd.flags & END_HEADERS
    me._ignoring = False
    if first and len(me.strands) >= <Py_ssize_t> me._streams_max:
        me._ignoring = True
        return nghttp2_submit_rst_stream(me._session, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_REFUSED_STREAM)
    return 0


cdef int on_header(
    nghttp2_session *_, const nghttp2_frame *frame, const uint8_t *name, size_t namelen, const uint8_t *value,
    size_t valuelen, uint8_t flags, void *data
) noexcept:
    cdef Session me = <Session> data
    if not me._ignoring:
        me._field(name, namelen, value, valuelen)
    return NGHTTP2_ERR_CALLBACK_FAILURE if me._exhausted or me._failure is not None else 0


cdef int on_invalid_header(
    nghttp2_session *_, const nghttp2_frame *frame, const uint8_t *name, size_t namelen, const uint8_t *value,
    size_t valuelen, uint8_t flags, void *data
) noexcept:
    # To nghttp2 it would be a field to leave out; here the message is malformed (RFC 9113 section 8.2.1).
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE


cdef int on_data(
    nghttp2_session *_, uint8_t flags, int32_t id, const uint8_t *text, size_t size, void *data
) noexcept:
    cdef Session me = <Session> data
    cdef void *found = nghttp2_session_get_stream_user_data(me._session, id)
    try:
        if found is NULL:  # refused, and its reset is on its way
            _check(nghttp2_session_consume_connection(me._session, size))
            return 0
        if me._count == SPANS_MAX:
            me._deliver()
        me._filling = <Strand> found
        me._filling._uncredited += size
        me._spans[me._count] = Piece(text, size)
        me._count += 1
    except BaseException as error:
        return failed(me, error)
    return 0


cdef int on_frame(nghttp2_session *_, const nghttp2_frame *frame, void *data) noexcept:
    cdef Session me = <Session> data
    cdef bint ends = frame.hd.flags & NGHTTP2_FLAG_END_STREAM
    cdef void *found
    try:
        if frame.hd.type == NGHTTP2_HEADERS:
            me._head_done(frame.hd.stream_id, ends, frame.headers.cat == NGHTTP2_HCAT_REQUEST)
        elif frame.hd.type == NGHTTP2_DATA:
            if ends:
                me._body_done(frame.hd.stream_id)
            elif frame.hd.length and frame.hd.length == frame.data.padlen and me._spend(&me._frames):
                return NGHTTP2_ERR_CALLBACK_FAILURE
        elif frame.hd.type == NGHTTP2_PRIORITY_UPDATE:
            if (<nghttp2_ext_priority_update *> frame.ext.payload).stream_id == 0:
                return NGHTTP2_ERR_CALLBACK_FAILURE  # the same (RFC 9218 section 7.1)
        elif frame.hd.type == NGHTTP2_RST_STREAM:
            found = nghttp2_session_get_stream_user_data(me._session, frame.hd.stream_id)
            if found is not NULL:
                (<Strand> found).was_reset = True
        elif frame.hd.type == NGHTTP2_PING:
            if me._noticed and frame.hd.flags & NGHTTP2_FLAG_ACK:
                me._say_final()
        elif frame.hd.type == NGHTTP2_GOAWAY:
            me.going_away(frame.goaway.error_code)
    except BaseException as error:
        return failed(me, error)
    return NGHTTP2_ERR_CALLBACK_FAILURE if me._exhausted else 0


cdef int on_sent(nghttp2_session *_, const nghttp2_frame *frame, void *data) noexcept:
    cdef Session me = <Session> data
    try:
        me._sent(frame)
    except BaseException as error:
        return failed(me, error)
    return 0


cdef int on_close(nghttp2_session *_, int32_t id, uint32_t code, void *data) noexcept:
    cdef Session me = <Session> data
    try:
        me._close(id, code)
    except BaseException as error:
        return failed(me, error)
    return 0


cdef ssize_t on_read(
    nghttp2_session *_, int32_t id, uint8_t *buffer, size_t length, uint32_t *flags, nghttp2_data_source *source,
    void *data
) noexcept:
    cdef Session me = <Session> data
    try:
        return me._read(<Strand> source.ptr, length, flags)
    except BaseException as error:
        return failed(me, error)


cdef int on_send_data(
    nghttp2_session *_, nghttp2_frame *frame, const uint8_t *head, size_t size, nghttp2_data_source *source, void *data
) noexcept:
    cdef Session me = <Session> data
    if me._used >= me._most:
        return NGHTTP2_ERR_WOULDBLOCK  # in the next take(): nghttp2 would go on with all frames of DATA that there are
    try:
        me._send_data(<Strand> source.ptr, head, size)
    except BaseException as error:
        return failed(me, error)
    return 0


cdef nghttp2_session_callbacks *CALLBACKS = NULL
_check(nghttp2_session_callbacks_new(&CALLBACKS))
nghttp2_session_callbacks_set_on_begin_frame_callback(CALLBACKS, on_begin_frame)
nghttp2_session_callbacks_set_on_begin_headers_callback(CALLBACKS, on_begin_headers)
nghttp2_session_callbacks_set_on_header_callback(CALLBACKS, on_header)
nghttp2_session_callbacks_set_on_invalid_header_callback(CALLBACKS, on_invalid_header)
nghttp2_session_callbacks_set_on_data_chunk_recv_callback(CALLBACKS, on_data)
nghttp2_session_callbacks_set_on_frame_recv_callback(CALLBACKS, on_frame)
nghttp2_session_callbacks_set_on_frame_send_callback(CALLBACKS, on_sent)
nghttp2_session_callbacks_set_on_stream_close_callback(CALLBACKS, on_close)
nghttp2_session_callbacks_set_send_data_callback(CALLBACKS, on_send_data)
