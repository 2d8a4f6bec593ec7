"""access.pyx for connection.pyx."""


cdef class Record:
    cdef readonly long long number, received, sent
    cdef readonly bytes method, host, target
    cdef readonly str app, upstream, note
    cdef readonly double began, first, ended, time
    cdef readonly int status
    cdef readonly bint tunnel, secure


cdef class Log:
    cdef readonly long long count
    cdef list _ring
    cdef Py_ssize_t _size
    cdef object _waiter
    cdef double _behind

    cdef add(self, Record record, double time)
