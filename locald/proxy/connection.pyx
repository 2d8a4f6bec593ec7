"""One client connection that speaks HTTP/1: requests in, responses out, one at a time."""

from locald.proxy import pages
from locald.proxy.http1 import NEED_DATA, HeadCutOff, ProtocolError, chunk_head, last_chunk

from locald.proxy cimport headers
from locald.proxy.access cimport Record
from locald.proxy.clock cimport now
from locald.proxy.exchange cimport Asker, Exchange, Origin
from locald.proxy.http1 cimport End, Reader, Request, Response

__all__ = ["Client"]

cdef enum:
    PARTS_MAX = 64  # of a response, sent as one: chunks of a byte take ten times their size while they wait


# What a client's bytes are now.
cdef enum Mode:
    HTTP
    TUNNEL
    LINGER  # answered and refused: read and thrown away, so that the answer is not reset away
    CLOSED  # by us: nothing of what still comes is read


cdef class Client(Asker):
    """One connection of one client.  ``deadline``: by clock.pxd, 0 for none."""

    cdef public double deadline
    cdef object proxy, limits
    cdef Reader reader
    cdef Exchange exchange
    cdef Mode mode
    cdef double _head_s, _idle_s
    cdef Py_ssize_t _lingered, _write_high, _unsent
    cdef bint _paused, _half_closed
    cdef bint _blocked  # the client does not take more for now
    # Of the response under way.
    cdef Response _response
    cdef list _out
    cdef bint _keep, _chunked
    cdef bint _counted  # the client can tell a complete one from a broken one
    cdef bint _upstream_ended  # a tunnel's has sent its last

    def __init__(self, proxy):
        self.proxy = proxy
        self.origin = Origin(proxy)
        self.limits = proxy.limits
        self._head_s, self._idle_s = self.limits.head_s, self.limits.idle_s
        self._write_high = self.limits.write_high
        self.reader = Reader(True, self.limits)
        self.mode = HTTP
        self._out = []

    @property
    def open_records(self):
        """Those of the requests that are under way, or wait for their turn."""
        return [self.exchange.record] if self.exchange is not None else []

    # The event loop calls these.

    cpdef connection_made(self, transport):
        self.use(transport)
        self.transport.set_write_buffer_limits(high=self._write_high)
        self.origin.meet(transport)
        self.deadline = now() + self._head_s
        self.proxy.clients.add(self)

    cpdef data_received(self, bytes data):
        cdef bint fresh
        if self.mode == TUNNEL:
            if self.exchange is not None:
                self.exchange.tunnel_send(data)
        elif self.mode == LINGER:
            self._lingered += len(data)
            if self._lingered > self.limits.linger_bytes:
                self.transport.abort()
        elif self.mode == HTTP:
            fresh = self.exchange is None and not self.reader.started()
            self.reader.feed(data)
            self.pump()
            if fresh and self.exchange is None and self.reader.started():
                self.deadline = now() + self._head_s  # a head has begun, and is not whole

    cpdef eof_received(self):
        self._half_closed = True
        self.reader.eof()
        if self.mode == TUNNEL and self.exchange is not None:
            self.exchange.tunnel_end()
            return not self._upstream_ended
        if self.mode == HTTP:
            self.pump()
        if self.mode == HTTP and self.exchange is not None:
            # A client that has only stopped sending still gets its answers.  Most that send this have gone, and TCP
            # tells us no more until something is written: so not for ever, and not a stream, which may stay silent.
            if self._is_event_stream():
                return False
            self._be_patient()
        return self.mode == HTTP

    cpdef connection_lost(self, error):
        self.proxy.forget(self)
        if self.exchange is not None:
            self.exchange.abandon()
            self.exchange = None

    cpdef pause_writing(self):
        self._blocked = True
        if self.exchange is not None:
            self.exchange.set_blocked(True)

    cpdef resume_writing(self):
        self._blocked = False
        if self.exchange is not None:
            self.exchange.set_blocked(False)
        elif self.mode == HTTP:
            self.origin.poller.soon(self.pump)

    # Requests.

    cpdef pump(self):
        """Read what can be read now: a new request, or the body of the one there is."""
        cdef Exchange exchange
        cdef bint stuck
        # No request begins while the client takes no more: answers without a body would pile up.
        while self.mode == HTTP and (not self._blocked if self.exchange is None else self.exchange.wants_body):
            try:
                event = self.reader.next_event()
            except ProtocolError as error:
                if isinstance(error, HeadCutOff) and self.exchange is None:
                    self._close()  # nobody has asked for anything
                else:
                    self._refuse(error)
                return
            if event is NEED_DATA:
                break
            if isinstance(event, Request):
                self._begin(event)
            elif self.exchange is not None and isinstance(event, bytes):
                self.exchange.request_data(event)
            elif self.exchange is not None and isinstance(event, End):
                self.exchange.request_end(event)
        exchange = self.exchange
        if self.mode == HTTP and exchange is None and self._half_closed and not self._blocked:
            self._close()  # all that it asked for is answered
            return
        stuck = self._blocked if exchange is None else not exchange.wants_body
        self._set_paused(stuck and self.reader.waiting() >= self._write_high)

    cdef _begin(self, Request request):
        cdef Record record = self.origin.begin(request)
        self.deadline = 0.0
        if not request.has_body:
            self.reader.next_event()  # its End, which is there already
        page = self.origin.objection(request)
        if page is not None:
            self._answer(page, request, not request.has_body, record)
        else:
            self.exchange = Exchange.__new__(Exchange)
            self.exchange.start(self, request, self.origin.route, self.origin.line, record)

    cdef _refuse(self, error):
        """The bytes are no HTTP: nothing more of them can be understood."""
        cdef Record record = Record.__new__(Record)
        if self.exchange is not None:
            record = self.exchange.record
            record.note = error.text
            if self.exchange.answered:
                self._close()
                return
            self.exchange.let_go()
            self.exchange = None
        self._answer(pages.refused(error.status, error.text), None, False, record)

    cdef _answer(self, page, Request request, bint request_done, Record record):
        """Send an answer of our own; the connection goes on if the request was complete and asked for that."""
        cdef bytes data
        keep = request is not None and request.keep_alive and request_done and not self.origin.pool.draining
        data = pages.render(page, request, close=not keep)
        self.origin.answered(record, page, len(data.partition(b"\r\n\r\n")[2]))
        self._out.clear()
        self.write(data)
        self._finish(keep, request_done, record.ended)

    cdef _finish(self, bint keep, bint request_done, double time):
        """A response is complete, at that time."""
        cdef bint more = self.reader.started()
        self.exchange = None
        self._response = None
        if keep and (self.origin.pool.patient or not self.origin.pool.draining) and (more or not self._half_closed):
            self.deadline = time + (self._head_s if more and not self._blocked else self._idle_s)
            if more:
                # Pipelined.  Not from here: a thousand of them would be a thousand frames deep.
                self.origin.poller.soon(self.pump)
            self._set_paused(False)
        elif self._half_closed or (request_done and not more):
            self._close()
        else:
            self._linger()

    cdef _close(self):
        """Go as soon as the client has taken what there is for it, which it gets time for."""
        self.mode = CLOSED
        self.deadline = now() + self._idle_s
        self.transport.close()

    cdef _linger(self):
        """Say that no more is sent, and read on for a while: closing at once would reset our answer away."""
        self.mode = LINGER
        self.deadline = now() + <double> self.limits.linger_s
        self._set_paused(False)
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()

    def expire(self):
        """The deadline has passed."""
        if self.transport.is_closing():
            if self.transport.get_write_buffer_size() == self._unsent:
                self.transport.abort()  # it takes nothing of what we still have for it
                return
        elif self.mode == HTTP and self.exchange is None and self.reader.started() and not self._blocked:
            page = pages.refused(408, f"its head took more than {self._head_s:.0f} seconds")
            self._answer(page, None, True, Record.__new__(Record))
        else:
            self._close()
        self._unsent = self.transport.get_write_buffer_size()
        self.deadline = now() + (<double> self.limits.linger_s if self.mode == LINGER else self._idle_s)

    def drain(self):
        """The proxy stops: go now if nothing is under way, else after the response."""
        if self.exchange is None:
            self._close()

    def retire(self):
        """Another proxy has taken over: the next answer says that it is the last here.  Not before: a request may be on
        its way, and this is where it will come."""

    def move(self):
        """The loop is another."""
        if self.exchange is not None:
            self.exchange.redial()

    cdef _be_patient(self):
        """With a client of which we do not know whether it is still there."""
        self.deadline = now() + <double> self.limits.half_closed_s

    cdef bint _is_event_stream(self):
        """Whether the response is one that has no end; who reads it has no reason to stop sending and go on reading."""
        return self._response is not None and any(
            [name.lower() == b"content-type" and value.lower().startswith(b"text/event-stream")
             for name, value in self._response.fields]
        )

    cdef _set_paused(self, bint paused):
        """Stop reading, or go on."""
        if self._paused == paused or self.transport.is_closing():
            return
        self._paused = paused
        if paused:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    # The exchange calls these.

    cdef request_wanted(self, bint wanted):
        if self.mode == TUNNEL:
            self._set_paused(not wanted)
        elif wanted:
            self.pump()

    cdef response_head(self, Response response):
        cdef int minor = self.exchange.request.minor
        cdef bint unknown
        if response.status < 200:
            if minor:  # HTTP/1.0 knows no interim responses
                self._out.append(headers.response_head(response, minor, False, False))
            return
        if not response.has_body and not response.counted and not self._says_so_itself(response):
            response.counted, response.size = True, 0  # HTTP/2 has another word for that
        unknown = response.has_body and not response.counted
        self._chunked = unknown and minor == 1
        self._counted = not unknown or self._chunked
        self._keep = (
            self.exchange.request.keep_alive and self._counted and self.exchange.request_done
            and not self.origin.pool.draining
        )
        self._response = response
        self._out.append(headers.response_head(response, minor, self._chunked, not self._keep))

    cdef bint _says_so_itself(self, Response response):
        """Whether the end of its head is the end of a response, by its status or the method."""
        return response.status == 204 or response.status == 304 or self.exchange.request.method == b"HEAD"

    cdef response_data(self, bytes data):
        if self._chunked:
            self._out += (chunk_head(len(data)), data, b"\r\n")
        else:
            self._out.append(data)
        if len(self._out) >= PARTS_MAX:
            self._flush()

    cdef response_pause(self):
        self._flush()

    cdef response_end(self, list trailers):
        if self._chunked:
            self._out.append(last_chunk(trailers))
        self._flush()
        self._finish(self._keep, self.exchange.request_done, self.exchange.record.ended)

    cdef response_page(self, object page):
        self._answer(page, self.exchange.request, self.exchange.request_done, self.exchange.record)

    cdef response_cut(self, str why, int code):
        self._flush()
        # Without a length or chunks the end of the connection is the end of the body: only a reset is not.
        (self.transport.close if self._counted else self.transport.abort)()

    cdef _flush(self):
        if self._out:
            out, self._out = self._out, []
            if self._half_closed:
                self._be_patient()
            self.write(out[0] if len(out) == 1 else b"".join(out))

    # Tunnels.

    cdef tunnel_open(self, Response response):
        self._out.append(headers.response_head(response, 1, False, False))
        self._flush()
        self.mode = TUNNEL
        rest = self.reader.take_rest()
        if rest:
            self.exchange.tunnel_send(rest)
        self._set_paused(False)
        if self._half_closed:
            self.exchange.tunnel_end()

    cdef tunnel_data(self, bytes data):
        self.write(data)

    cdef tunnel_eof(self):
        self._upstream_ended = True
        if self._half_closed:
            self.transport.close()
        elif not self.transport.is_closing() and self.transport.can_write_eof():
            self.transport.write_eof()

    cdef tunnel_cut(self):
        self.transport.close()
