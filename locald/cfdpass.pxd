"""csrc/fdpass.h for Cython."""

cdef extern from "fdpass.h" nogil:
    enum: FDPASS_MAX
    ssize_t fdpass_send(int sock, const void *data, size_t size, const int *fds, size_t nfds, int flags)
    ssize_t fdpass_recv(int sock, void *buf, size_t size, int *fds, size_t maxfds, size_t *nfds, int flags)
