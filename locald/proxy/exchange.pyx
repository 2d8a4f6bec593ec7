"""One request and its response, whatever protocol its client and its upstream speak.

An Asker is the client's side: a connection of HTTP/1, or a stream of HTTP/2.  Each of its requests becomes an Exchange,
which borrows an Upstream.  All of it is callbacks of the event loop: no coroutine for a request but the one that dials.
Neither side is read while the other does not take more, so what waits in memory is bounded whatever the sizes of the
bodies.
"""

from functools import partial

from locald.proxy import headers, pages
from locald.proxy.pool import DialError
from locald.proxy.routes import rewritten

from locald.proxy.access cimport Record
from locald.proxy.clock cimport now
from locald.proxy.headers cimport Hop, count_loops, is_last_hop, is_websocket
from locald.proxy.http1 cimport End, Request, Response
from locald.proxy.upstream cimport Borrower, Line, Upstream

__all__ = ["Asker", "Exchange", "Origin"]
# boot is imported where a gate is shut, or something fails behind one: the daemon starts without its words.

IDEMPOTENT = frozenset([b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])  # RFC 9110 section 9.2.2

cdef enum:
    SWITCHING = 101


cdef class Origin:
    """Where requests come from: one connection of one client.  meet() is to be called before the first of them.

    ``route`` and ``line``: of the last request, None for none.
    """

    def __init__(self, proxy):
        self.proxy = proxy
        self.limits, self.routes = proxy.limits, proxy.routes
        self.poller, self.pool, self.log = proxy.poller, proxy.pool, proxy.log
        self._loops_max = self.limits.loops_max

    cdef meet(self, transport):
        """See who is there, and how they came."""
        peer = transport.get_extra_info("peername") or ("unknown",)
        if transport.get_extra_info("ssl_object") is None:
            self.hop = Hop(str(peer[0]), "http", self.proxy.port)
        else:
            self.hop = Hop(str(peer[0]), "https", self.proxy.https_port)

    cdef Record begin(self, Request request):
        """Find the route of a request; its record, begun."""
        cdef Record record = Record.__new__(Record)
        record.began = now()
        record.method, record.host, record.target = request.method, request.host, request.target
        record.secure = self.hop.secure
        self._find(request)
        if self.line is not None:
            record.app = self.line.name
        return record

    cdef object objection(self, Request request):
        """The page that says why the request that has begun last goes no further; None, and it is to be exchanged.

        An open gate costs the look at it, and no gate not even that.
        """
        if request.method == b"CONNECT" or request.method == b"TRACE":
            return pages.not_allowed()
        if self.route is None:
            return pages.not_found(request.host, self.routes, partial(self.proxy.url, secure=self.hop.secure))
        if is_last_hop(request):
            return pages.last_hop()
        if count_loops(request) >= self._loops_max:
            return pages.loop(self.route)
        # No browser follows where a WebSocket's handshake is sent elsewhere (the WebSockets Standard); "*" has no path.
        if self._moved and request.target.startswith(b"/") and not is_websocket(request):
            return pages.moved(request.host, request.target, self.proxy.https_port)
        if self._gate is not None and not self._gate.open:
            page = self._at_the_gate(request)
            if page is not None:
                return page
        self.line.requests += 1
        return None

    cdef object _at_the_gate(self, Request request):
        """The answer there; None, and it waits."""
        from locald.proxy import boot

        page = boot.answer(self._gate, self.route, request, self.hop.secure)
        self.waits = page is None
        return page

    cdef answered(self, Record record, object page, Py_ssize_t size):
        """A page is the answer; ``size``: of its body.  Logs the request."""
        record.status, record.sent = page.status, size
        record.first = now()
        record.began = record.began or record.first
        record.note = page.note or page.title
        record.target = page.shown or record.target
        if page.unlogged:
            record.ended = record.first
        else:
            self.log.add(record, record.first)

    cdef _find(self, Request request):
        """Looked up again only where it could be another route than that of the last request."""
        if request.host == self._host and self._changes == self.routes.changes:
            return
        self.route = self.routes.find(request.host, request.target)
        self.line = self.pool.line(self.route) if self.route is not None else None
        self._gate = self.route.gate if self.route is not None else None
        self._moved = not self.hop.secure and self.route is not None and self.proxy.moves(self.route, request.host)
        self._host = request.host if self.routes.has_whole(request.host) else None
        self._changes = self.routes.changes


cdef class Asker(Protocol):
    """The client's side of an exchange.  ``origin``: of the connection, which several may share; ``connects``: to its
    client a 2xx is a tunnel (RFC 8441 section 5).

    It calls start() of an Exchange, then request_data() and request_end() if there is a body, set_blocked() as its
    client takes more or does not, and abandon() when that has gone.  After response_end(), response_page() and
    response_cut() it hears no more of the exchange.
    """

    cdef request_wanted(self, bint wanted):
        """More of the request's body may come, or not.  May be called from within request_data()."""
        raise NotImplementedError

    cdef response_head(self, Response response):
        """Send the head of the response, or of an interim one."""
        raise NotImplementedError

    cdef response_data(self, bytes data):
        """Send some of its body; it may wait for response_pause()."""
        raise NotImplementedError

    cdef response_end(self, list trailers):
        """The response is complete, and logged."""
        raise NotImplementedError

    cdef response_pause(self):
        """There is no more for now: send what waits."""
        raise NotImplementedError

    cdef response_page(self, object page):
        """Send an answer of our own instead; nothing but interim responses has been given.  Log it by Origin."""
        raise NotImplementedError

    cdef response_cut(self, str why, int code):
        """The rest of the response will not come: the client must be able to see that.  abandon() is to be called."""
        raise NotImplementedError

    # Tunnels (RFC 6455): after the upstream's 101, bytes.

    cdef tunnel_open(self, Response response):
        """Agree to the upgrade."""
        raise NotImplementedError

    cdef tunnel_data(self, bytes data):
        """Send these bytes."""
        raise NotImplementedError

    cdef tunnel_eof(self):
        """The upstream sends no more.  If the client has said the same, it is over: abandon() is to be called."""
        raise NotImplementedError

    cdef tunnel_cut(self):
        """The upstream takes no more either.  abandon() is to be called."""
        raise NotImplementedError


cdef class Exchange(Borrower):
    """One request and its response.

    ``answered``: the head of the final response has been given.  ``wants_body``: the upstream takes more of the
    request, which is not complete before ``request_done``.
    """

    # An upstream that has ended may be gone when a call of it returns: so a call has a reference of its own.

    # Towards the upstream.

    cdef start(self, Asker asker, Request request, object route, Line line, Record record):
        """Begin, or wait: at the gate, or in line while the route has as many at work as it may have."""
        self.asker, self.origin = asker, asker.origin
        self.request = request
        self.record = record
        self.route, self.line = route, line
        self.request_done = not request.has_body
        self._upgrade = is_websocket(request)
        self._counted = True
        line.under_way += 1
        if self.origin.waits:
            self._wait()
        elif self.origin.pool.enter(line, self):
            self.admitted()

    cdef _wait(self):
        """Stay at the gate, whose service will be ready sooner or later.  Of the body nothing is wanted meanwhile."""
        from locald.proxy import boot

        self.origin.waits = False
        self._gate = self.route.gate
        self.origin.proxy.gates.add(self._gate)
        self._gate.join(self, now() + boot.patience(self.request, self.origin.limits))

    cpdef admit(self):
        """The gate is open.  Not from here: all who waited would dial within a call of the daemon's."""
        self._gate = None
        self.origin.poller.soon(self._enter)

    def _enter(self):
        if self._gone:
            return
        self._follow()
        if self.origin.pool.enter(self.line, self):
            self.admitted()

    cdef _follow(self):
        """While we waited the service may have begun to listen elsewhere, and its route is another one then."""
        route = self.origin.routes.find(self.request.host, self.request.target)
        if route is self.route or route is None or route.gate is not self.route.gate:
            return
        self._over(now())
        self.route, self.line = route, self.origin.pool.line(route)
        self.line.requests += 1
        self.line.under_way += 1
        self._counted = True

    cpdef turn_away(self):
        """The gate stays shut for this one."""
        from locald.proxy import boot

        gate, self._gate = self._gate, None
        self._over(now())
        waited = now() - self.record.began if gate.holds else 0.0
        self.asker.response_page(boot.shut(gate, self.route, self.request, waited))

    cdef _over(self, double time):
        """It is no longer under way, from then on; called at each end that there is."""
        if self._counted:
            self._counted = False
            self.line.under_way -= 1
            self.line.quiet_since = time

    cpdef admitted(self):
        """There is a place: take a connection that is idle, or dial."""
        cdef Upstream idle
        self._holds = True
        if self._gone:  # between our turn and this call
            self._release()
            return
        idle = self.origin.pool.take(self.line, self._is_replayable())
        if idle is not None:
            self._reused = True
            self._connected(idle)
        else:
            self._dial_soon()

    cdef _release(self):
        """Give the place away, to whoever waits for it."""
        if self._holds:
            self._holds = False
            self.origin.pool.leave(self.line)

    cdef bint _is_replayable(self):
        if self.request.has_body or self._upgrade:
            return False
        return self.request.method == b"GET" or self.request.method in IDEMPOTENT

    cdef _dial_soon(self):
        self._dialling = self.origin.proxy.loop.create_task(self._dial())

    cdef redial(self):
        """In another loop: what was dialling stays behind."""
        if self._dialling is not None:
            self._dial_soon()

    async def _dial(self):
        try:
            upstream = await self.origin.pool.dial(self.route, self.line)
        except DialError as error:
            self._dialling = None
            if self.route.gate is not None:
                self.route.gate.unanswered()
            self._fail(error.failures, error.timed_out)
        else:
            self._dialling = None
            self._connected(upstream)

    cdef _connected(self, Upstream upstream):
        self.upstream = upstream
        self.record.upstream = upstream.shown
        target = rewritten(self.request.target, self.route) if self.route.strip else self.request.target
        upstream.ask(self, self.request, target, self.route.strip, self.origin.hop, self._upgrade)
        self.wants_body = not self.request_done
        if self._refused is not None:
            refused, self._refused = self._refused, None
            (<Upstream> refused).repeat(upstream)
        if self.wants_body:
            self.asker.request_wanted(True)

    cdef request_data(self, bytes data):
        """Some of the body; only while it is wanted."""
        cdef Upstream upstream = self.upstream
        if upstream is not None:
            self.record.received += len(data)
            upstream.send(data)

    cdef request_end(self, End end):
        """The body is complete."""
        cdef Upstream upstream = self.upstream
        self.request_done = True
        self.wants_body = False
        if upstream is not None:
            upstream.end(headers.trailers(end.trailers) if end.trailers else end.trailers)

    cdef upstream_writable(self, bint writable):
        self.wants_body = writable and not self.request_done
        if self.wants_body or self.record.tunnel or not writable:
            self.asker.request_wanted(writable)

    # Towards the client.

    cdef response_head(self, Response response):
        self._heard = True
        if response.status == SWITCHING:
            self._open_tunnel(response)
            return
        if self.asker.connects and 200 <= response.status < 300:
            self.upstream_broke(f"answered {response.status} to the handshake of a WebSocket, which takes a 101")
            return
        if response.status >= 200:
            self.answered = True
            self.record.status = response.status
            self.record.first = self.line.answered = now()
        self.asker.response_head(response)

    cdef response_data(self, bytes data):
        self.record.sent += len(data)
        self.asker.response_data(data)

    cdef response_pause(self):
        if self.upstream is not None:
            self.asker.response_pause()

    cdef response_end(self, list trailers):
        cdef Upstream upstream = self.upstream
        cdef double time = now()
        self.upstream = None
        if upstream is not None:
            upstream.give_back(self.request_done, not self.origin.pool.draining, time)
        self._release()
        self._over(time)
        self.origin.log.add(self.record, time)
        self.asker.response_end(headers.trailers(trailers) if trailers else trailers)

    cdef upstream_broke(self, str why):
        """The upstream ended before the response was complete: the client must be able to see that."""
        cdef Upstream upstream = self.upstream
        cdef int code
        self.upstream = None
        if upstream is None:
            return
        code = upstream.reset_code()
        upstream.discard()
        if self.record.tunnel:
            self.asker.tunnel_cut()
        elif not self._heard and not self._repeated and self._may_repeat(upstream):
            self._repeated = True
            if self.wants_body:
                self.wants_body = False
                self.asker.request_wanted(False)
            self._dial_soon()
        elif not self.answered:
            self._fail([f"{upstream.shown}: {why}"], False)
        else:
            self.record.note = why
            self._release()
            self.asker.response_cut(why, code)

    cdef bint _may_repeat(self, Upstream upstream):
        """Whether the request that broke can be said once more, on another connection."""
        if upstream.refused():
            self._refused = upstream
            return True
        return self._reused and upstream.silent() and self._is_replayable()

    cdef _fail(self, list failures, bint timed_out):
        self._release()
        self._over(now())
        self.wants_body = False
        ago = now() - self.line.answered if self.line.answered else None
        notes, log = self._last_words() if self.route.gate is not None else ((), ())
        self.asker.response_page(pages.bad_gateway(self.route, failures, timed_out, ago, notes, log))

    def _last_words(self):
        from locald.proxy import boot

        return boot.last_words(self.route.gate, self.request)

    cdef set_blocked(self, bint blocked):
        """The client does not take more of the response, or does again."""
        cdef Upstream upstream = self.upstream
        self.blocked = blocked
        if upstream is not None:
            upstream.set_paused(blocked)
            if not blocked:
                upstream.pump()

    cdef abandon(self):
        """The client is gone.  Logs the request."""
        if not self.record.note and not self.record.tunnel:
            self.record.note = "the client went away"
        self.let_go()
        self.origin.log.add(self.record, now())

    cdef let_go(self):
        """The upstream must stop working for this request; nothing more is heard from here."""
        cdef Upstream upstream = self.upstream
        if self._dialling is not None:
            self._dialling.cancel()
        self._gone = True
        self._over(now())
        if self._holds:
            self._release()
        elif self._gate is not None:
            self._gate.leave(self)
        else:
            self.origin.pool.give_up(self.line, self)
        self.upstream = None
        if upstream is None:
            return
        if self.record.tunnel:
            upstream.close_tunnel()
        else:
            upstream.discard()

    # Tunnels (RFC 6455): after the upstream's 101, bytes.

    cdef _open_tunnel(self, Response response):
        cdef Upstream upstream = self.upstream
        agreed = any([name.lower() == b"upgrade" and value.lower() == b"websocket" for name, value in response.fields])
        if upstream is None or not self._upgrade or not agreed:
            self.upstream_broke("answered 101 to a request that did not ask for that")
            return
        rest = upstream.open_tunnel()
        self.answered = self.record.tunnel = True
        self.record.status = SWITCHING
        self.record.first = self.line.answered = now()
        self._release()  # a page may hold one open for hours, and another page ten
        self.asker.tunnel_open(response)
        if rest and self.upstream is not None:
            self.tunnel_data(rest)

    cdef tunnel_send(self, bytes data):
        """Bytes of the client's."""
        cdef Upstream upstream = self.upstream
        self.record.received += len(data)
        if upstream is not None:
            upstream.send(data)

    cdef tunnel_end(self):
        """No more of those will come."""
        cdef Upstream upstream = self.upstream
        self._asker_ended = True
        if upstream is None:
            return
        if self._upstream_ended:
            self._close_tunnel()
        else:
            upstream.end_tunnel()

    cdef tunnel_data(self, bytes data):
        self.record.sent += len(data)
        self.asker.tunnel_data(data)

    cdef tunnel_eof(self):
        self._upstream_ended = True
        if self._asker_ended:
            self._close_tunnel()
        self.asker.tunnel_eof()

    cdef _close_tunnel(self):
        """Both have sent their last."""
        cdef Upstream upstream = self.upstream
        self.upstream = None
        if upstream is not None:
            upstream.close_tunnel()
