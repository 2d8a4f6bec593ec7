"""The reverse proxy, along the way a byte travels.

server        the one timer, the drain
door          listeners, who may come in, who leaves for whom
stream        a socket as a transport, and the poller that wakes it
secure        TLS: a protocol to the Stream below, a transport to the one above
alpn          who speaks the protocol that a client has chosen
features      what this build can do: HTTP/2, or not
connection    one client connection of HTTP/1: requests in, responses out
connection_http2  the same of HTTP/2: many at a time
exchange      one request and its response, with back-pressure; tunnels; retries
http1         bytes <-> events, a thin skin over csrc/http1.c  [pure]
http2         frames <-> events, a thin skin over libnghttp2   [pure]
http2_callbacks   what that library calls                      [pure]
http2_head    a head that comes in by HTTP/2                   [pure]
http2_strand  a stream of it, and what waits to be sent        [pure]
http2_fields  fields as that library takes them                [pure]
headers       which fields go on, and which are ours           [pure]
routes        host and path -> route                           [pure]
gate          whether a service takes requests yet             [pure]
targets       where a route leads, and how people write that   [pure]
pool          dial, keep, a fair line for each route
upstream      what an exchange and who answers it say to each other
upstream_http1  a connection to an app that speaks HTTP/1
upstream_http2  one to an app that speaks HTTP/2 in cleartext
access        the access log: what became of the last requests
pages         what we answer ourselves                         [pure]
boot          what we answer while a service is not ready      [pure]
look          the style and the script of those pages          [pure]
ansi          lines of logs as text with colours               [pure]
limits        every limit, and whose it follows                [pure]
"""
