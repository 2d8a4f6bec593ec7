"""A connection to an app that speaks HTTP/1: lent to one exchange at a time, and kept for a while in between."""

from locald.proxy.http1 import NEED_DATA, ProtocolError, chunk_head, last_chunk

from locald.proxy.headers cimport Hop, request_head
from locald.proxy.http1 cimport End, Reader, Request, Response
from locald.proxy.upstream cimport Borrower, Line, Upstream

__all__ = ["Http1Upstream"]


cdef class Http1Upstream(Upstream):
    """``gone``: nothing can be asked here any more; ``idle_until``: when it is closed if nobody has borrowed it."""

    def __init__(self, limits, set open, Line line, target):
        """``open``: where it is while it has a descriptor."""
        self.target = target
        self.shown = str(target)
        self.line = line
        self.reader = Reader(False, limits)
        self._limits = limits
        self._open = open

    # The transport calls these.

    cpdef connection_made(self, transport):
        self.use(transport)
        self.transport.set_write_buffer_limits(high=self._limits.write_high)
        self._open.add(self)

    cpdef data_received(self, bytes data):
        if self.borrower is None:
            self.discard()  # bytes that nobody asked for: never to be taken for an answer
        elif self._tunnel:
            self.borrower.tunnel_data(data)
        else:
            self.reader.feed(data)
            self.pump()

    cpdef eof_received(self):
        if self.borrower is None:
            self.gone = True
            return False
        if self._tunnel:
            self.borrower.tunnel_eof()
            return True
        self._end()
        return not self.gone and self.borrower is not None

    cpdef connection_lost(self, error):
        self._open.discard(self)
        if self.borrower is None:
            if self in self.line.idle:
                self.line.idle.remove(self)
        elif self._tunnel:
            self.gone = True
            self.borrower.upstream_broke("")
            return
        if error is not None and not self.gone:
            # Reset: what came is given away, but its end is none, not even of a body that lasts until the end.
            self.gone = True
            self.pump()
        elif not self.gone:
            self._end()

    cpdef pause_writing(self):
        self._tell_writable(False)

    cpdef resume_writing(self):
        self._tell_writable(True)

    cdef _tell_writable(self, bint writable):
        cdef Borrower borrower = self.borrower
        if borrower is not None:
            borrower.upstream_writable(writable)

    cdef _end(self):
        self.gone = True
        self.reader.eof()
        self.pump()

    # Its borrower calls these.

    cdef ask(self, Borrower borrower, Request request, bytes target, bytes prefix, Hop hop, bint upgrade):
        self.borrower = borrower
        self._chunked = request.chunked
        self.reader.expect(request.method == b"HEAD")
        self.write(request_head(request, target, prefix, hop, upgrade))

    cdef send(self, bytes data):
        if self._chunked:
            data = b"%b%b\r\n" % (chunk_head(len(data)), data)
        self.write(data)

    cdef end(self, list trailers):
        if self._chunked:
            self.write(last_chunk(trailers))

    cdef bint silent(self):
        return self.reader.waiting() == 0

    cdef set_paused(self, bint paused):
        """Stop reading, or go on."""
        if self._paused == paused or self.transport.is_closing():
            return
        self._paused = paused
        if paused:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    cdef pump(self):
        cdef Borrower borrower = self.borrower
        while borrower is not None and self.borrower is borrower and not borrower.blocked and not self._tunnel:
            try:
                event = self.reader.next_event()
            except ProtocolError as error:
                borrower.upstream_broke("closed the connection too early" if self.gone else error.text)
                return
            if event is NEED_DATA:
                borrower.response_pause()
                if self.gone and self.borrower is borrower:
                    early = self.reader.waiting() > 0
                    borrower.upstream_broke(
                        "closed the connection too early" if early else "closed the connection without an answer"
                    )
                return
            if isinstance(event, bytes):
                borrower.response_data(event)
            elif isinstance(event, Response):
                self._keep = (<Response> event).keep_alive
                borrower.response_head(event)
            else:
                borrower.response_end((<End> event).trailers)
        if borrower is not None:
            borrower.response_pause()

    def expire(self, double time):
        """Close it if it has been idle for too long by now."""
        if self.borrower is None and 0 < self.idle_until <= time:
            self.discard()

    def move(self):
        """The loop is another, and nothing here hangs on it."""

    cdef give_back(self, bint complete, bint keep, double time):
        self.borrower = None
        if (
            not complete or not keep or not self._keep or self.gone or self.reader.waiting() > 0
            or len(self.line.idle) >= self.line.idle_max
        ):
            self.discard()  # the rest of the request, if there is one, is of no use to anyone
            return
        self.set_paused(False)  # a paused one would not see the server close it
        self.idle_until = time + self.line.idle_s
        self.line.idle.append(self)

    cdef discard(self):
        self.borrower = None
        self.gone = True
        self.transport.abort()

    cdef bytes open_tunnel(self):
        self._tunnel = True
        return self.reader.take_rest()

    cdef end_tunnel(self):
        if not self.transport.is_closing() and self.transport.can_write_eof():
            self.transport.write_eof()

    cdef close_tunnel(self):
        self.borrower = None
        self.transport.close()
