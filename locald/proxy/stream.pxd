"""stream.pyx for connection.pyx and upstream.pyx."""

cdef enum:
    READ_MAX = 262144  # bytes at once; what a reader of a large body gets and a busy loop can spare


cdef class Protocol:
    cdef readonly object transport
    cdef Stream _stream

    cdef use(self, object transport)
    cdef write(self, bytes data)
    cdef end_of_turn(self)
    cpdef connection_made(self, transport)
    cpdef data_received(self, bytes data)
    cpdef eof_received(self)
    cpdef connection_lost(self, error)
    cpdef pause_writing(self)
    cpdef resume_writing(self)


cdef class Poller:
    cdef readonly object loop
    cdef object _view  # of the buffer, which is for all, and for none beyond one call
    cdef dict _streams
    cdef list _unsent, _waiting, _soon
    cdef char *_buffer
    cdef int _queue  # a descriptor
    cdef bint _turning

    cdef _open(self)
    cdef call_at_end(self, Protocol protocol)
    cdef watch(self, Stream stream, int events)
    cdef fail(self, Protocol protocol, object transport, object error)
    cdef _end_turn(self)


cdef class Stream:
    cdef Poller _poller
    cdef object _sock, _error
    cdef Protocol _protocol
    cdef int _fd, _watched
    cdef list _pending
    cdef Py_ssize_t _size, _high
    cdef bint _reading, _told_to_pause, _closing, _lost, _end_wanted, _ended, _broken, _later

    cpdef write(self, bytes data)
    cdef Py_ssize_t _send(self, bytes data) except -2
    cdef _queue(self, bytes data)
    cdef _watch(self)
    cdef _on_readable(self)
    cdef _on_writable(self)
    cdef _lose(self, object error)
