"""The types of http2.pyx for those who speak HTTP/2: to clients, and to apps."""

from cpython.ref cimport PyObject
from libc.stdint cimport int32_t, uint8_t, uint32_t

from locald.proxy.cnghttp2 cimport nghttp2_frame, nghttp2_nv, nghttp2_session
from locald.proxy.http1 cimport End, Request, Response
from locald.proxy.http2_frames cimport Frames
from locald.proxy.http2_head cimport Head
from locald.proxy.http2_strand cimport Piece, Strand

cdef enum:
    SPANS_MAX = 64


cdef struct Bucket:
    double tokens
    double filled  # when it last was


cdef class Session:
    cdef readonly bint server
    cdef readonly dict strands
    cdef readonly unsigned long long moved
    cdef readonly bint in_head
    cdef readonly size_t queued
    cdef nghttp2_session *_session
    cdef object _failure
    cdef double _time
    cdef Frames _seen  # frames, and of them those that nghttp2 told of:
    cdef size_t _told
    cdef Bucket _frames, _resets
    cdef Py_ssize_t _high
    cdef uint32_t _streams_max
    cdef bint _fresh, _exhausted, _leaving, _noticed
    cdef Head _head  # that is coming in
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
    cpdef object cut(self, Strand strand, uint32_t code)
    cpdef object reset(self, Strand strand, uint32_t code)
    cpdef object credit(self, Strand strand, size_t size)
    cpdef object terminate(self, uint32_t code)
    cpdef object shut_down(self)

    cdef bint _spend(self, Bucket *bucket, double tokens=*) noexcept
    cdef void _earn(self, double tokens) noexcept
    cdef object _settle(self, ssize_t result)
    cdef object _deliver(self)
    cdef object _resume(self, Strand strand)
    cdef object _say_final(self)
    cdef object _call_writable(self)
    cdef object _put(self, const void *data, size_t size)
    cdef object _grant_streams(self)
    cdef object _body_done(self, int32_t id)
    cdef void _field(self, const uint8_t *name, size_t namelen, const uint8_t *value, size_t valuelen) noexcept
    cdef object _head_done(self, int32_t id, bint ends, bint first)
    cdef object _request_done(self, int32_t id, bint ends)
    cdef object _response_done(self, Strand strand, bint ends)
    cdef object _trailers_done(self, Strand strand)
    cdef ssize_t _read(self, Strand strand, size_t length, uint32_t *flags) except? -1
    cdef object _send_data(self, Strand strand, const uint8_t *head, size_t size)
    cdef object _sent(self, const nghttp2_frame *frame)
    cdef object _close(self, int32_t id, uint32_t code)


cdef object check(int result)
