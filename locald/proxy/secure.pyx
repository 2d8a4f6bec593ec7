"""A client behind TLS: a protocol to the Stream below, and to the protocol above its transport.

OpenSSL turns bytes into bytes, in memory (ssl.MemoryBIO).  All else of a connection stays the Stream's: what waits to
be sent, half-closing, its end.  uvloop's TLS loses the alert of a refused handshake, cannot half-close, and does not
tell how much is still to be sent (docs/design.md).
"""

import logging
import ssl

from locald.proxy import pages

from cpython.bytes cimport PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from locald.proxy.clock cimport now
from locald.proxy.stream cimport READ_MAX, Protocol

__all__ = ["Secure"]

cdef enum:
    PIECE = 65536  # bytes of one turn of OpenSSL's: its buffers keep the size of the largest
    RECORD = 16384  # bytes of the largest record (RFC 8446 section 5.1), which is what one read gives

WantRead = ssl.SSLWantReadError
Error = ssl.SSLError
MemoryBIO = ssl.MemoryBIO
log = logging.getLogger(__name__)


cdef class Secure(Protocol):
    """Until its handshake is done it is one of the proxy's clients itself; then who speaks the chosen protocol is.

    ``context``: for the server's side; ``speakers``: what makes a protocol for the proxy, by its name in ALPN; the
    last one is for clients that choose none.
    """

    cdef readonly object proxy
    cdef public double deadline
    cdef dict _speakers
    cdef object _incoming, _outgoing, _tls, _read, _write, _error
    cdef Py_ssize_t _found  # bytes in the poller's buffer that are decrypted
    cdef Protocol _above
    cdef bint _told_end
    cdef bint _ended  # the client has said that it sends no more
    cdef bint _said_end  # and so have we

    def __init__(self, proxy, context, dict speakers):
        self.proxy = proxy
        self._speakers = speakers
        self._incoming, self._outgoing = MemoryBIO(), MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        within = getattr(self._tls, "_sslobj", self._tls)  # without the Python call around it, a 60th of a request
        self._read, self._write = within.read, within.write

    # What the proxy asks a client that is shaking hands.

    @property
    def open_records(self):
        return []

    def expire(self):
        self._stream.abort()

    def drain(self):
        self._stream.close()

    def retire(self):
        pass  # it may still ask for something

    def move(self):
        pass

    # What the Stream tells.

    cpdef connection_made(self, transport):
        self.use(transport)
        self.deadline = now() + <double> self.proxy.limits.handshake_s
        self.proxy.clients.add(self)

    cpdef data_received(self, bytes data):
        cdef Py_ssize_t at
        if self._above is None:
            self._incoming.write(data)
            self._shake_hands()
            return
        if PyBytes_GET_SIZE(data) <= PIECE:
            self._incoming.write(data)
            self._decrypt()
        else:
            view = memoryview(data)
            for at in range(0, len(data), PIECE):
                self._incoming.write(view[at:at + PIECE])
                self._decrypt()
        self._tell()

    cpdef eof_received(self):
        # Without a close_notify before it, this is no end but a cut (RFC 8446 section 6.1): the client has gone.
        if not self._ended:
            self._stream.abort()
        return self._ended

    cpdef connection_lost(self, error):
        cdef Protocol above = self._above
        self._above = None
        if above is not None:
            above.connection_lost(error or self._error)
        else:
            self.proxy.forget(self)

    cpdef pause_writing(self):
        if self._above is not None:
            self._above.pause_writing()

    cpdef resume_writing(self):
        if self._above is not None:
            self._above.resume_writing()

    # What the protocol above asks for: asyncio.Transport.

    def get_extra_info(self, name, default=None):
        """"ssl_object", or what the Stream knows."""
        return self._tls if name == "ssl_object" else self._stream.get_extra_info(name, default)

    def set_write_buffer_limits(self, high):
        self._stream.set_write_buffer_limits(high)

    def get_write_buffer_size(self):
        return self._stream.get_write_buffer_size()

    def is_closing(self):
        return self._stream.is_closing()

    def is_reading(self):
        return self._stream.is_reading()

    def can_write_eof(self):
        return True

    cpdef write(self, bytes data):
        cdef Py_ssize_t at
        if self._said_end or not data:
            return
        try:
            if len(data) <= PIECE:
                self._write(data)
            else:
                view = memoryview(data)
                for at in range(0, len(data), PIECE):
                    self._write(view[at:at + PIECE])
                    self._flush()
        except Error as error:
            self._fail(error)
        else:
            self._flush()

    def write_eof(self):
        """Say that no more is sent, and read on."""
        self._say_end()
        self._stream.write_eof()

    def pause_reading(self):
        self._stream.pause_reading()

    def resume_reading(self):
        self._stream.resume_reading()

    def close(self):
        if not self._stream.is_closing():
            self._say_end()
            self._stream.close()

    def abort(self):
        self._stream.abort()

    # The rest.

    cdef _shake_hands(self):
        try:
            self._tls.do_handshake()
        except WantRead:
            self._flush()
        except Error as error:
            self._refuse(error)
        else:
            self._flush()
            self._hand_over()

    cdef _hand_over(self):
        """The handshake is done, and its last bytes may have brought the first request."""
        chosen = self._tls.selected_alpn_protocol() or next(reversed(self._speakers))
        above = self._speakers[chosen](self.proxy)
        self.deadline = 0.0
        self.proxy.replace(self, above)
        self._above = above
        self._above.connection_made(self)
        if self._incoming.pending:
            self._decrypt()
        self._tell()

    cdef _refuse(self, error):
        """End a handshake, so that the client gets to know why: OpenSSL has written an alert, if it is to have one."""
        log.debug("handshake failed: %s", error)
        if error.reason == "HTTP_REQUEST":
            self._outgoing.read()
            self._stream.write(pages.render(pages.no_tls(), None, close=True))
        self._fail(error)

    cdef _fail(self, error):
        """Nothing more can be understood, or said but an alert."""
        self._error = error
        self._said_end = True
        self._flush()
        self._stream.close()

    cdef _decrypt(self):
        """All that can be read, into the buffer that is for all."""
        cdef Py_ssize_t size
        cdef object view = self._stream._poller._view
        try:
            # A record is read whole: with nothing before OpenSSL there is nothing left in it.
            while not self._ended:
                if READ_MAX - self._found < RECORD:
                    self._pass_on()
                size = self._read(RECORD, view[self._found:] if self._found else view)
                self._found += size
                self._ended = size == 0
                if not self._incoming.pending:
                    break
        except WantRead:
            pass  # a record is not whole yet, or was none of data
        except ssl.SSLZeroReturnError:
            self._ended = True
        except Error as error:
            self._fail(error)
        if self._outgoing.pending:
            self._flush()

    cdef _pass_on(self):
        """Give it to the protocol above, in one piece: who gets one sends one."""
        cdef bytes data = PyBytes_FromStringAndSize(self._stream._poller._buffer, self._found)
        self._found = 0
        if self._above is not None:
            self._above.data_received(data)

    cdef _tell(self):
        """The protocol above hears of all that has come, be it the end."""
        if self._found:
            self._pass_on()
        if self._told_end or not self._ended:
            return
        self._told_end = True
        if self._above is not None and not self._stream.is_closing() and not self._above.eof_received():
            self.close()

    cdef _say_end(self):
        """Send a close_notify."""
        if self._said_end:
            return
        self._said_end = True
        try:
            self._tls.unwrap()
        except Error:
            pass  # that of the client is not there yet
        self._flush()

    cdef _flush(self):
        cdef bytes data = self._outgoing.read()
        if data:
            self._stream.write(data)
