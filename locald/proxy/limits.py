"""Every limit of the proxy, and whose it follows; that of a chunk's first line is in csrc/http1.h.  [pure]"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, bytes and counts."""

    clients_max: int = 0  # connected; 0: as many as there are descriptors for (door.py), like HAProxy's maxconn
    head_bytes: int = 32_768  # of a head, or of trailers: nginx's four buffers of 8 KB; 431, from an app 502
    fields_max: int = 100  # in one of those: Apache's LimitRequestFields, and more than 100 cannot be set
    target_bytes: int = 16_384  # of a request's target: twice what RFC 9112 section 3 recommends; 414
    handshake_s: float = 10.0  # of TLS, from the connection on: a round trip and some ms of work; nginx waits 60
    head_s: float = 10.0  # to send a head, from its first byte or from the connection; nginx waits 60
    idle_s: float = 75.0  # between requests, or while nothing of the last answer is read: nginx's keepalive_timeout
    linger_s: float = 2.0  # to let a client read our answer before its unread bytes reset it: nginx waits 5
    linger_bytes: int = 1 << 20  # that are read and thrown away meanwhile
    half_closed_s: float = 10.0  # of silence towards a client that has sent its end: nginx lets it go at once
    dial_s: float = 5.0  # to connect to one address; loopback answers in microseconds or never
    held_s: float = 60.0  # that a request waits for a service that starts: as long as `ready` does, by its timeout
    held_page_s: float = 3.0  # the same of a browser that goes to a page: then people want to see what is going on
    pool_idle_s: float = 4.0  # an upstream connection kept for reuse: under the 5 of Node and uvicorn
    pool_max: int = 128  # idle connections kept for one upstream: as many as may be at work for one route
    upstream_max: int = 128  # connections at work for one route, tunnels apart; who comes then waits in line
    streams_max: int = 128  # requests at once on one connection of HTTP/2: nginx's http2_max_concurrent_streams
    window_bytes: int = 1 << 18  # of an upload that may come before the app took any; 16 times that on one connection
    stalled_s: float = 300.0  # that a client of HTTP/2 takes nothing of what waits for it; nginx's send_timeout is 60
    write_high: int = 1 << 18  # bytes that wait in one transport before its source is paused
    log_max: int = 1000  # requests that `locald requests` can show: with long URLs some 2.5 MB
    loops_max: int = 5  # times a request may have passed through us
    handover_s: float = 600.0  # that requests may still take where the daemon was replaced; nginx waits for ever
    sweep_s: float = 1.0  # the one timer's period: a deadline is kept to within this
