"""The clock of all deadlines, as the event loop's: monotonic, in seconds, without a Python object for each look."""

from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec


cdef inline double now() noexcept:
    cdef timespec time
    clock_gettime(CLOCK_MONOTONIC, &time)
    return <double> time.tv_sec + <double> time.tv_nsec / 1e9
