"""The types of http2.pyx for those who speak HTTP/2: to clients, and to apps."""

from cpython.ref cimport PyObject
from libc.stdint cimport int32_t, uint8_t, uint32_t

from locald.proxy.chttp1 cimport http1_field, http1_head, http1_limits, http1_role, http1_span
from locald.proxy.cnghttp2 cimport nghttp2_frame, nghttp2_nv, nghttp2_session
from locald.proxy.headers cimport Plan
from locald.proxy.http1 cimport End, Message, Request, Response

cdef enum:
    SPANS_MAX = 64


cdef struct Piece:
    const uint8_t *at
    size_t size


cdef struct Bucket:
    double tokens
    double filled  # when it last was


cdef class Strand:
    cdef readonly int id
    cdef public object owner
    cdef readonly Py_ssize_t queued
    cdef readonly bint ended, full, gone
    cdef readonly bint was_reset  # by the other side
    cdef readonly bint too_large  # the head that came on it
    cdef readonly bytes protocol
    cdef list _pieces, _trailers
    cdef Py_ssize_t _first  # of the pieces that is not all sent
    cdef size_t _at  # in that one
    cdef size_t _uncredited
    cdef bint _deferred, _is_head, _is_final, _is_deaf, _stops, _cut


cdef class Session:
    cdef readonly bint server
    cdef readonly dict strands
    cdef readonly unsigned long long moved
    cdef readonly bint in_head
    cdef readonly size_t queued
    cdef nghttp2_session *_session
    cdef object _failure
    cdef double _time
    cdef Bucket _frames, _resets
    cdef Py_ssize_t _high
    cdef uint32_t _streams_max
    cdef http1_limits _limits
    cdef bint _fresh, _exhausted, _leaving, _noticed
    # The head that is coming in.  No two ever do on one connection (RFC 9113 section 4.3).
    cdef char *_text
    cdef size_t _size, _room, _listed
    cdef int _status
    cdef bint _ignoring
    cdef http1_head _head
    cdef http1_span _scheme, _code, _protocol
    cdef int _cookies
    # DATA of one strand that has come since the last call.
    cdef Piece[SPANS_MAX] _spans
    cdef int _count
    cdef Strand _filling
    # What take() makes.
    cdef PyObject *_out
    cdef size_t _used, _most
    cdef list _drained

    cpdef object request(self, Strand strand, Request request, int status)
    cpdef object response(self, Strand strand, Response response)
    cpdef object data(self, Strand strand, bytes data)
    cpdef object end(self, Strand strand, End end)
    cpdef object closed(self, Strand strand, uint32_t code)
    cpdef object writable(self, Strand strand)
    cpdef object going_away(self, uint32_t code)

    cpdef object feed(self, bytes data, double time)
    cpdef bytes take(self, size_t most)
    cpdef bint over(self)

    cdef object answer(self, Strand strand, const nghttp2_nv *fields, size_t count, bint interim, bint ends)
    cpdef object answer_list(self, Strand strand, list fields, bint interim, bint ends)
    cdef Strand ask(self, const nghttp2_nv *fields, size_t count, bint ends, bint is_head, object owner)
    cpdef Strand ask_list(self, list fields, bint ends, object owner)
    cdef uint32_t strands_max(self)
    cpdef object send(self, Strand strand, bytes data)
    cpdef object finish(self, Strand strand, list trailers)
    cpdef object stop(self, Strand strand)
    cpdef object cut(self, Strand strand)
    cpdef object reset(self, Strand strand, uint32_t code)
    cpdef object credit(self, Strand strand, size_t size)
    cpdef object terminate(self, uint32_t code)
    cpdef object shut_down(self)

    cdef bint _spend(self, Bucket *bucket) noexcept
    cdef void _earn(self, double tokens) noexcept
    cdef object _settle(self, ssize_t result)
    cdef object _deliver(self)
    cdef object _resume(self, Strand strand)
    cdef object _say_final(self)
    cdef object _call_writable(self)
    cdef object _put(self, const void *data, size_t size)
    cdef object _grant_streams(self)
    cdef bint _reserve(self, size_t size) noexcept
    cdef http1_span _store(self, const void *text, size_t size) noexcept
    cdef bytes _text_at(self, http1_span where)
    cdef bint _is_of_the_web(self) noexcept
    cdef bint _is_cookie(self, http1_span name) noexcept
    cdef object _body_done(self, int32_t id)
    cdef void _field(self, const uint8_t *name, size_t namelen, const uint8_t *value, size_t valuelen) noexcept
    cdef http1_span *_pseudo(self, const uint8_t *name, size_t size) noexcept
    cdef object _head_done(self, int32_t id, bint ends, bint first)
    cdef object _request_done(self, int32_t id, bint ends)
    cdef object _response_done(self, Strand strand, bint ends)
    cdef object _trailers_done(self, Strand strand)
    cdef object _join_cookies(self)
    cdef object _keep(self, Message message)
    cdef Strand _open(self, int32_t id)
    cdef ssize_t _read(self, Strand strand, size_t length, uint32_t *flags) except? -1
    cdef object _send_data(self, Strand strand, const uint8_t *head, size_t size)
    cdef object _sent(self, const nghttp2_frame *frame)
    cdef object _close(self, int32_t id, uint32_t code)


cdef void set_field(nghttp2_nv *field, const char *name, size_t namelen, const char *value, size_t valuelen) noexcept
cdef size_t put_kept(Message message, Plan *planned, nghttp2_nv *fields)
cdef object add_field(Request request, bytes name, bytes value)
