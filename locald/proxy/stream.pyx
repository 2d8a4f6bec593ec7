"""A connected stream socket as asyncio's transports are, with less between it and the kernel.

uvloop tells a Poller that some of its sockets are ready; their Streams read and write by themselves.  That is 2 us a
request less than uvloop's own transports take (docs/design.md).  A Protocol is called without a Python call in between.
TLS (secure.pyx) is a Protocol to the Stream below, and a transport to the Protocol above.
"""

import contextlib
import os
import socket

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.buffer cimport PyBUF_WRITE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.errno cimport EAGAIN, ECONNRESET, EINTR
from libc.errno cimport errno as c_errno

cdef extern from "<sys/socket.h>" nogil:
    ssize_t recv(int fd, void *buffer, size_t size, int flags)
    ssize_t send(int fd, const void *buffer, size_t size, int flags)

cdef extern from "ready.h" nogil:
    enum:
        READY_READ
        READY_WRITE
        READY_MOST  # sockets in one turn; the others are ready in the next

    struct ready:
        int fd
        int what

    int ready_open()
    void ready_leave(int queue)
    int ready_watch(int queue, int fd, int before, int now)
    int ready_poll(int queue, ready *found, int most)

__all__ = ["Poller", "Protocol", "Stream"]

cdef enum:
    LATER_MAX = 16384  # bytes that wait for the end of a turn: what is large gains nothing by that


cdef class Protocol:
    """What asyncio.Protocol is, for C callers too; ``transport`` is a Stream, or TLS over one."""

    cdef use(self, object transport):
        """The transport of this connection."""
        self.transport = transport
        self._stream = transport if isinstance(transport, Stream) else None

    cdef write(self, bytes data):
        """Write to the transport, without a Python call where it is a Stream."""
        if self._stream is not None:
            self._stream.write(data)
        else:
            self.transport.write(data)

    cdef end_of_turn(self):
        """What was asked for by Poller.call_at_end()."""

    cpdef connection_made(self, transport):
        pass

    cpdef data_received(self, bytes data):
        pass

    cpdef eof_received(self):
        pass

    cpdef connection_lost(self, error):
        pass

    cpdef pause_writing(self):
        pass

    cpdef resume_writing(self):
        pass


cdef class Poller:
    """Watches the sockets of Streams, and wakes those that are ready.

    One descriptor of the loop's for all of them.  A reader of the loop's for each would not do: after an error uvloop
    calls it once more and never again, with bytes still to be read before that error.
    """

    def __cinit__(self):
        self._buffer = <char *> PyMem_Malloc(READ_MAX)  # for all: what is read becomes an object at once
        if self._buffer is NULL:
            raise MemoryError
        self._view = PyMemoryView_FromMemory(self._buffer, READ_MAX, PyBUF_WRITE)

    def __dealloc__(self):
        PyMem_Free(self._buffer)

    def __init__(self, loop):
        self.loop = loop
        self._open()
        self._streams = {}
        self._unsent = []
        self._waiting = []
        self._soon = []
        loop.add_reader(self._queue, self._turn)

    cdef _open(self):
        self._queue = ready_open()
        if self._queue < 0:
            raise _error(c_errno)

    @property
    def watched(self):
        """How many Streams wait for something."""
        return len(self._streams)

    def close(self):
        """All Streams must be gone."""
        self.loop.remove_reader(self._queue)
        os.close(self._queue)

    def move(self, loop):
        """Go on in another loop, in a process that was forked: the one before will never turn again there."""
        cdef Stream stream
        ready_leave(self._queue)
        self._open()
        for stream in self._streams.values():
            if ready_watch(self._queue, stream._fd, 0, stream._watched) < 0:
                raise _error(c_errno)
        self.loop = loop
        loop.add_reader(self._queue, self._turn)
        if self._soon:
            loop.call_soon(self._call)

    def soon(self, callback, *arguments):
        """What the loop's call_soon() does; but these calls move with us."""
        if not self._soon:
            self.loop.call_soon(self._call)
        self._soon.append((callback, arguments))

    def _call(self):
        """Those of the turn before."""
        calls, self._soon = self._soon, []
        for callback, arguments in calls:
            try:
                callback(*arguments)
            except Exception as error:
                self.loop.call_exception_handler({"message": f"{callback} failed", "exception": error})

    cdef call_at_end(self, Protocol protocol):
        """Call its end_of_turn() once all that is ready now has been read: what it writes then goes in one piece."""
        if not self._turning and not self._waiting:
            self.soon(self._end_turn_alone)
        self._waiting.append(protocol)

    def _end_turn_alone(self):
        self._turning = True
        self._end_turn()

    cdef watch(self, Stream stream, int events):
        if events == stream._watched:
            return
        if ready_watch(self._queue, stream._fd, stream._watched, events) < 0:
            raise _error(c_errno)
        stream._watched = events
        if events:
            self._streams[stream._fd] = stream
        else:
            del self._streams[stream._fd]

    def _turn(self):
        """Serve those that are ready; and others, if there were several and some are by then: a turn of the loop costs
        as much as one of them."""
        cdef ready[READY_MOST] found
        cdef Stream stream
        cdef int i, left = READY_MOST, count = 2
        while count > 1 and left > 0:
            self._turning = True
            count = ready_poll(self._queue, found, left)
            left -= count
            for i in range(count):
                # One before it may have stopped it; its descriptor is no other's yet: it is closed in a later turn.
                stream = self._streams.get(found[i].fd)
                if stream is None:
                    continue
                if stream._watched & READY_READ and found[i].what & READY_READ:
                    stream._on_readable()
                if stream._watched & READY_WRITE and found[i].what & READY_WRITE:
                    stream._on_writable()
            self._end_turn()

    cdef _end_turn(self):
        cdef Protocol protocol
        cdef Stream stream
        while self._waiting:
            protocol = self._waiting.pop()
            try:
                protocol.end_of_turn()
            except BaseException as error:
                self.fail(protocol, protocol.transport, error)
        # All small writes of a turn at once: who reads them is woken up once, and not put to sleep in between.
        self._turning = False
        while self._unsent:
            stream = self._unsent.pop()
            stream._later = False
            if stream._pending:
                stream._on_writable()

    cdef fail(self, Protocol protocol, object transport, object error):
        """A bug in the protocol: say so, and let this connection go rather than all of them."""
        if not isinstance(error, Exception):
            raise error
        self.loop.call_exception_handler(
            {"message": "a protocol failed", "exception": error, "protocol": protocol}
        )
        transport.abort()


cdef class Stream:
    """The transport of a socket, which is its own from now on; the socket does not block."""

    def __init__(self, Poller poller, sock, Protocol protocol):
        self._poller, self._sock, self._protocol = poller, sock, protocol
        self._fd = sock.fileno()
        self._high = 1 << 16
        self._pending = []
        if sock.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):  # macOS refuses once the peer has gone
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        protocol.connection_made(self)
        self.resume_reading()

    # What a protocol may ask for: asyncio.Transport.

    def get_extra_info(self, name, default=None):
        """"socket" or "peername"; ``default`` for a peer that has gone again already."""
        if name == "socket":
            return self._sock
        try:
            return self._sock.getpeername() if name == "peername" else default
        except OSError:
            return default

    def set_write_buffer_limits(self, high):
        """``high``: bytes that may wait before the protocol is asked to pause; it may go on at a quarter of that."""
        self._high = high

    def get_write_buffer_size(self):
        return self._size

    def is_closing(self):
        return self._closing

    def can_write_eof(self):
        return True

    cpdef write(self, bytes data):
        """Send, or keep to be sent as soon as there is room."""
        cdef Py_ssize_t size
        if self._closing or self._end_wanted or self._broken:
            return
        if self._pending:
            self._queue(data)
            return
        if self._poller._turning and PyBytes_GET_SIZE(data) < LATER_MAX:
            self._later = True
            self._poller._unsent.append(self)
            self._queue(data)
            return
        size = self._send(data)
        if 0 <= size < PyBytes_GET_SIZE(data):
            self._queue(data[size:] if size else data)
            self._watch()

    def write_eof(self):
        """Send no more after what is waiting."""
        if self._end_wanted or self._closing:
            return
        self._end_wanted = True
        if not self._pending:
            self._shut()

    def is_reading(self):
        return self._reading

    def pause_reading(self):
        self._reading = False
        self._watch()

    def resume_reading(self):
        self._reading = not self._closing and not self._ended
        self._watch()

    def close(self):
        """Read no more, and be gone when what is waiting has been sent."""
        if self._closing:
            return
        self._closing = True
        self._reading = False
        self._watch()
        if not self._pending:
            self._lose(None)

    def abort(self):
        """Be gone at once."""
        self._closing = True
        self._lose(None)

    # What the poller tells.

    cdef _on_readable(self):
        cdef ssize_t size = recv(self._fd, self._poller._buffer, READ_MAX, 0)
        try:
            if size > 0:
                self._protocol.data_received(PyBytes_FromStringAndSize(self._poller._buffer, size))
            elif size == 0 and self._broken and self._error.errno == ECONNRESET:
                self._lose(self._error)  # the kernel tells of a reset once, and writing has heard it: this is no end
            elif size == 0:
                self._ended = True
                self._reading = False
                self._watch()
                if not self._protocol.eof_received() or self._broken:
                    self.close()
            elif c_errno not in (EAGAIN, EINTR):
                self._lose(_error(c_errno))
        except BaseException as error:
            self._poller.fail(self._protocol, self, error)

    cdef _on_writable(self):
        cdef Py_ssize_t size
        cdef bytes data
        # All at once: most of what waits are pieces of one body, and the kernel takes some of it.
        data = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
        size = self._send(data)
        if size < 0 or self._lost:
            return
        self._size = PyBytes_GET_SIZE(data) - size
        self._pending.clear()
        if self._size:
            self._pending.append(data[size:] if size else data)
        self._watch()
        if self._size == 0:
            if self._closing:
                self._lose(None)
            elif self._end_wanted:
                self._shut()
        if self._told_to_pause and self._size <= self._high // 4 and not self._lost:
            self._told_to_pause = False
            try:
                self._protocol.resume_writing()
            except BaseException as error:
                self._poller.fail(self._protocol, self, error)

    # The rest.

    cdef Py_ssize_t _send(self, bytes data) except -2:
        """How many bytes the kernel took; -1 when it takes no more of them for good."""
        cdef ssize_t size = send(self._fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), 0)
        if size >= 0:
            return size
        if c_errno in (EAGAIN, EINTR):
            return 0
        # The other side takes no more.  What it sent before is still to be read, a final answer perhaps; the end of
        # that tells of the rest.
        self._error = _error(c_errno)
        self._broken = True
        self._pending, self._size = [], 0
        self._watch()
        if self._closing or self._ended:
            self._lose(self._error)
        return -1

    cdef _queue(self, bytes data):
        self._pending.append(data)
        self._size += PyBytes_GET_SIZE(data)
        if self._size > self._high and not self._told_to_pause:
            self._told_to_pause = True
            self._protocol.pause_writing()

    cdef _watch(self):
        """Look for what we can do something about."""
        cdef bint stuck = len(self._pending) > 0 and not self._later
        self._poller.watch(self, (READY_READ if self._reading else 0) | (READY_WRITE if stuck else 0))

    def _shut(self):
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._lose(error)

    cdef _lose(self, object error):
        """Let go of the descriptor, and tell the protocol, from the loop: it may be in the middle of something."""
        if self._lost:
            return
        self._lost = self._closing = True
        self._reading = False
        self._pending, self._size = [], 0
        self._watch()
        self._poller.soon(self._tell, error or self._error)

    def _tell(self, error):
        try:
            self._protocol.connection_lost(error)
        finally:
            self._sock.close()


cdef object _error(int number):
    return OSError(number, os.strerror(number))
