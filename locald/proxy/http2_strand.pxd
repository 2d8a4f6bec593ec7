"""The type of http2_strand.pyx."""

from libc.stdint cimport uint8_t, uint32_t


cdef struct Piece:
    const uint8_t *at
    size_t size


cdef class Strand:
    cdef public int id
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
    cdef bint _deferred, _is_head, _is_final, _is_deaf, _stops, _is_cut
    cdef uint32_t _cut  # the code for that

    cdef object push(self, bytes data)
    cdef Piece front(self, size_t most) except *
    cdef object drop(self, size_t size)
