"""The types of http1.pyx for the Cython modules that handle them without a Python object for each field."""

from locald.proxy.chttp1 cimport http1_body, http1_head, http1_limits, http1_role, http1_scan


cdef class Message:
    # A head as it came: spans of head count from base in data.
    cdef http1_head head
    cdef bytes data
    cdef Py_ssize_t base
    cdef list known
    cdef readonly int minor
    cdef readonly bint keep_alive, has_body
    cdef bint counted  # there is a Content-Length, of
    cdef unsigned long long size


cdef class Request(Message):
    cdef readonly bytes method, target, host
    cdef readonly bint wants_upgrade, chunked
    cdef readonly bint by_http2


cdef class Response(Message):
    cdef readonly int status
    cdef readonly bytes reason
    cdef readonly bint until_close


cdef class End:
    cdef readonly list trailers


cdef enum Stage:
    AT_HEAD
    AT_BODY
    AT_TRAILERS


cdef class Reader:
    cdef http1_role role
    cdef http1_limits limits
    cdef Stage stage
    cdef http1_scan scan
    cdef http1_body body
    cdef http1_head head
    cdef bytes data
    cdef Py_ssize_t at
    cdef bint ended, head_request

    cdef Py_ssize_t waiting(self)
    cdef bint started(self)
    cpdef feed(self, bytes data)
    cpdef eof(self)
    cpdef expect(self, bint head_request)
    cpdef bytes take_rest(self)
    cpdef object next_event(self)
    cdef object _next_head(self)
    cdef object _next_of_body(self)
    cdef Request _request(self)
    cdef Response _response(self)
