"""Send and receive file descriptors over a Unix-domain socket (SCM_RIGHTS, unix(7), cmsg(3)).

A thin skin over csrc/fdpass.c, which the setuid helper compiles too.  What socket.send_fds and
socket.recv_fds leave open is closed here: received descriptors are close-on-exec from the start where
the system can do it (MSG_CMSG_CLOEXEC) and at once where not; a truncated, foreign or too long message
is an error and leaves no descriptor behind; EINTR is retried; the GIL is released around the calls.
"""

import errno as _errno
import os as _os

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject_AsFileDescriptor
from libc.errno cimport EINTR, errno

from locald.cfdpass cimport FDPASS_MAX, fdpass_recv, fdpass_send

__all__ = ["MAX_FDS", "recv_fds", "send_fds"]

MAX_FDS = FDPASS_MAX  # descriptors in one message: SCM_MAX_FD of Linux

_MEANING = {
    _errno.EMSGSIZE: "the message was truncated: every descriptor in it was closed",
    _errno.EBADMSG: "a control message other than SCM_RIGHTS arrived: every descriptor in it was closed",
    _errno.ETOOMANYREFS: "too many descriptors",
}


cdef int _retry_or_raise(int code) except -1:
    """Return where the call is to be made again: after a signal whose Python handler raised nothing (PEP 475)."""
    if code != EINTR:
        raise OSError(code, _MEANING.get(code) or _os.strerror(code))
    return PyErr_CheckSignals()


def send_fds(object sock not None, object data not None, object fds not None, /):
    """Send ``data`` with ``fds`` attached to its first byte; return the number of bytes sent.

    ``sock`` is a connected Unix-domain socket or its descriptor, ``data`` at least one byte, ``fds`` at
    most MAX_FDS descriptors or objects with a fileno().  The caller's descriptors stay open.  As send(2),
    it may send fewer bytes than given; the descriptors go with the first.

    Raises ValueError for no data or too many descriptors, BlockingIOError where the socket is
    non-blocking and its buffer full (a socket with a timeout is non-blocking), OSError otherwise.
    """
    cdef int fd = PyObject_AsFileDescriptor(sock)
    cdef int[FDPASS_MAX] passed
    cdef size_t count = 0
    cdef ssize_t sent
    cdef Py_buffer view
    for each in fds:
        if count == FDPASS_MAX:
            raise ValueError(f"at most {FDPASS_MAX} descriptors fit in one message")
        passed[count] = PyObject_AsFileDescriptor(each)
        count += 1
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        if view.len == 0:
            raise ValueError("data must hold at least one byte: descriptors travel with a byte")
        while True:
            with nogil:
                sent = fdpass_send(fd, view.buf, view.len, passed, count, 0)
            if sent >= 0:
                return sent
            _retry_or_raise(errno)
    finally:
        PyBuffer_Release(&view)


def recv_fds(object sock not None, Py_ssize_t bufsize, Py_ssize_t maxfds, /):
    """Receive at most ``bufsize`` bytes and ``maxfds`` descriptors; return ``(data, fds)``.

    The descriptors are close-on-exec and now the caller's to close.  ``(b"", [])`` is the end of the
    stream.  bufsize is at least 1, maxfds is 0 to MAX_FDS.

    Raises ValueError for sizes out of range, BlockingIOError where the socket is non-blocking and nothing
    has come, and OSError: EMSGSIZE for a truncated message, EBADMSG for a control message that is not
    SCM_RIGHTS, ETOOMANYREFS for more than maxfds descriptors.  After an error no descriptor is left open.
    """
    cdef int fd = PyObject_AsFileDescriptor(sock)
    cdef int[FDPASS_MAX] passed
    cdef size_t count = 0
    cdef ssize_t got
    cdef bytes data
    cdef char *start
    if bufsize < 1:
        raise ValueError("bufsize must be at least 1 byte")
    if not 0 <= maxfds <= FDPASS_MAX:
        raise ValueError(f"maxfds must be 0 to {FDPASS_MAX}")
    # Everything that can fail for want of memory comes before the call: after it, descriptors exist.
    data = PyBytes_FromStringAndSize(NULL, bufsize)
    fds = [-1] * maxfds
    start = PyBytes_AS_STRING(data)
    while True:
        with nogil:
            got = fdpass_recv(fd, start, bufsize, passed, maxfds, &count, 0)
        if got >= 0:
            break
        _retry_or_raise(errno)
    for i in range(<Py_ssize_t> count):
        fds[i] = passed[i]
    del fds[count:]
    return data[:got], fds
