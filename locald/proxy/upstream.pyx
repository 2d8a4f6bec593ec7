"""Who is asked and who asks, whatever the protocol between them: an Upstream and its Borrower."""

from collections import deque

from locald.proxy.clock cimport now
from locald.proxy.headers cimport Hop
from locald.proxy.http1 cimport Request, Response
from locald.proxy.stream cimport Protocol

__all__ = ["Borrower", "Line", "Shared", "Upstream"]


cdef class Borrower:
    """Who has the upstream now: one exchange of one client.  ``blocked``: the client does not take more for now."""

    cdef response_head(self, Response response):
        """The head of the response, or of an interim one before it."""

    cdef response_data(self, bytes data):
        """The next bytes of its body."""

    cdef response_end(self, list trailers):
        """It is complete."""

    cdef response_pause(self):
        """There is no more for now: what was given may be sent."""

    cdef upstream_broke(self, str why):
        """It ended, or its bytes are not what the protocol allows, before the response was complete."""

    cdef upstream_writable(self, bint writable):
        """More of the request may be sent, or not."""

    cdef tunnel_data(self, bytes data):
        """Bytes of an upgraded connection."""

    cdef tunnel_eof(self):
        """No more of those will come."""


cdef class Line:
    """What is known of one route, whose ``name`` is for people, while it is there.

    ``at_work``: how many requests are; ``requests``: how many there were; ``answered``: when its upstream last did, by
    the clock of clock.pxd, 0 for never; ``under_way``: those at work, those that wait, and tunnels; ``quiet_since``:
    when the last of these ended, or when the route was first looked at; ``worked``: the target that answered; ``idle``:
    connections to be used again, the last one first, at most ``idle_max`` of them and each for ``idle_s``;
    ``waiting``: requests for which there is no place yet.  Where the upstream speaks HTTP/2 there are connections to be
    ``shared`` instead, and a task that is ``dialling`` one more.
    """

    def __init__(self, name, limits, shares):
        self.name = name
        self.shared = [] if shares else None
        self.idle_max, self.idle_s = limits.pool_max, limits.pool_idle_s
        self.idle = []
        self.waiting = deque()
        self.quiet_since = now()


cdef class Upstream(Protocol):
    """Something that answers one request at a time: a connection of HTTP/1, or a stream of HTTP/2.

    ``target``: of its ``line``, and ``shown`` as people read it.  Who borrows it calls ask() once, then send() and
    end() if there is a body, and give_back() or discard() in the end.
    """

    cdef ask(self, Borrower borrower, Request request, bytes target, bytes prefix, Hop hop, bint upgrade):
        """Send the head of a request.

        ``prefix``: what was stripped from the path to make ``target``; ``upgrade``: to a WebSocket.
        """
        raise NotImplementedError

    cdef send(self, bytes data):
        """Send some of the request's body, or of the tunnel."""
        raise NotImplementedError

    cdef end(self, list trailers):
        """The request's body is complete."""
        raise NotImplementedError

    cdef bint silent(self):
        """Whether not a byte of an answer has come."""
        raise NotImplementedError

    cdef bint refused(self):
        """Whether it broke before it did anything with the request, and repeat() can say that to another."""
        return False

    cdef repeat(self, Upstream other):
        """Say to another what was said of the body, which has been asked with the same head."""

    cdef set_paused(self, bint paused):
        """Take no more of the response, or go on."""
        raise NotImplementedError

    cdef pump(self):
        """Give the borrower what there is, for as long as the client takes it."""
        raise NotImplementedError

    cdef give_back(self, bint complete, bint keep, double time):
        """The response is complete, at that time.  ``complete``: so is the request; ``keep``: others may follow."""
        raise NotImplementedError

    cdef discard(self):
        """Away with it, whatever is on its way; the borrower hears no more of it."""
        raise NotImplementedError

    # Tunnels (RFC 6455), after a response with 101.

    cdef bytes open_tunnel(self):
        """From now on there are bytes only; those that have come with the head."""
        raise NotImplementedError

    cdef end_tunnel(self):
        """The client sends no more."""
        raise NotImplementedError

    cdef close_tunnel(self):
        """Close it as soon as what was sent has gone; the borrower hears no more of it."""
        raise NotImplementedError


cdef class Shared(Protocol):
    """A connection that carries several requests at a time, each on an Upstream of its own."""

    cdef Upstream take(self):
        """One to be asked at once, or None: there is no place for another."""
        raise NotImplementedError
