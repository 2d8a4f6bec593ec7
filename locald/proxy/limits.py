"""Every limit of the proxy, and whose it follows; those of heads and chunks are in csrc/http1.h.  [pure]"""

HEAD_S = 10.0  # to send a head, from its first byte or from the connection: HAProxy's recommended http-request
IDLE_S = 75.0  # a client's connection between requests: nginx's keepalive_timeout
LINGER_S = 2.0  # to let a client read our answer before its unread bytes reset it: nginx waits 5
LINGER_BYTES = 1 << 20  # that are read and thrown away meanwhile
DIAL_S = 5.0  # to connect to one address; loopback answers in microseconds or never
POOL_IDLE_S = 4.0  # an upstream connection kept for reuse: under the 5 of Node and uvicorn
POOL_MAX = 32  # idle connections kept for one upstream
WRITE_HIGH = 1 << 18  # bytes that wait in one transport before its source is paused
LOOPS_MAX = 5  # times a request may have passed through us
SWEEP_S = 1.0  # the one timer's period: a deadline is kept to within this
