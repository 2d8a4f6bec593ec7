"""The clocks, in seconds, without a Python object for each look."""

from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, clockid_t, timespec


cdef inline double look(clockid_t clock) noexcept:
    cdef timespec time
    clock_gettime(clock, &time)
    return <double> time.tv_sec + <double> time.tv_nsec / 1e9


cdef inline double now() noexcept:
    """For deadlines and spans: it never jumps, and stands still while the machine sleeps."""
    return look(CLOCK_MONOTONIC)


cdef inline double wall() noexcept:
    """The Unix epoch's."""
    return look(CLOCK_REALTIME)
