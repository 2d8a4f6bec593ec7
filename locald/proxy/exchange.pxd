"""exchange.pyx for the two protocols of clients."""

from locald.proxy.access cimport Log, Record
from locald.proxy.headers cimport Hop
from locald.proxy.http1 cimport End, Request, Response
from locald.proxy.pool cimport Pool
from locald.proxy.stream cimport Poller, Protocol
from locald.proxy.upstream cimport Borrower, Line, Upstream


cdef class Origin:
    cdef readonly object proxy, limits, routes
    cdef Poller poller
    cdef Pool pool
    cdef Log log
    cdef Hop hop
    # Where the last request went, which is nearly always where the next one goes.
    cdef object route
    cdef Line line
    cdef bint waits  # the request that has begun last, for its gate
    cdef object _gate
    cdef bytes _host
    cdef long long _changes
    cdef int _loops_max
    cdef bint _moved  # to https://

    cdef meet(self, transport)
    cdef Record begin(self, Request request)
    cdef object objection(self, Request request)
    cdef answered(self, Record record, object page, Py_ssize_t size)
    cdef _find(self, Request request)
    cdef object _at_the_gate(self, Request request)


cdef class Asker(Protocol):
    cdef Origin origin
    cdef bint connects

    cdef request_wanted(self, bint wanted)
    cdef response_head(self, Response response)
    cdef response_data(self, bytes data)
    cdef response_end(self, list trailers)
    cdef response_pause(self)
    cdef response_page(self, object page)
    cdef response_cut(self, str why, int code)
    cdef tunnel_open(self, Response response)
    cdef tunnel_data(self, bytes data)
    cdef tunnel_eof(self)
    cdef tunnel_cut(self)


cdef class Exchange(Borrower):
    cdef Asker asker
    cdef Origin origin
    cdef Request request
    cdef object route
    cdef Line line
    cdef Upstream upstream
    cdef readonly Record record
    cdef bint answered, wants_body, request_done
    cdef bint _upgrade, _reused, _repeated
    cdef Upstream _refused  # which said so, and knows what it was told
    cdef bint _heard  # something of an answer, be it an interim one
    cdef bint _gone  # so is the client
    cdef object _gate  # where it waits
    cdef bint _counted  # among those that are under way
    cdef bint _holds  # a place among those that the route may have at work
    cdef bint _asker_ended, _upstream_ended  # of a tunnel: has sent its last
    cdef object _dialling

    cdef start(self, Asker asker, Request request, object route, Line line, Record record)
    cdef _wait(self)
    cdef _follow(self)
    cpdef admit(self)
    cpdef turn_away(self)
    cdef _over(self, double time)
    cpdef admitted(self)
    cdef request_data(self, bytes data)
    cdef request_end(self, End end)
    cdef set_blocked(self, bint blocked)
    cdef abandon(self)
    cdef let_go(self)
    cdef tunnel_send(self, bytes data)
    cdef tunnel_end(self)
    cdef bint _is_replayable(self)
    cdef bint _may_repeat(self, Upstream upstream)
    cdef _dial_soon(self)
    cdef redial(self)
    cdef _connected(self, Upstream upstream)
    cdef _open_tunnel(self, Response response)
    cdef _close_tunnel(self)
    cdef _fail(self, list failures, bint timed_out)
    cdef _release(self)
