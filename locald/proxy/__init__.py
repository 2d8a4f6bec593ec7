"""The reverse proxy, along the way a byte travels.

server        the one timer, the drain
door          listeners, who may come in, who leaves for whom
stream        a socket as a transport, and the poller that wakes it
<<<<<<< HEAD
secure        TLS: a protocol to the Stream below, a transport to the one above
alpn          who speaks the protocol that a client has chosen
connection    one client connection: requests in, responses out, with back-pressure; tunnels
=======
connection    one client connection of HTTP/1: requests in, responses out
connection_http2  the same of HTTP/2: many at a time
features      what this build can do: HTTP/2, or not
exchange      one request and its response, with back-pressure; tunnels; retries
>>>>>>> a1
http1         bytes <-> events, a thin skin over csrc/http1.c  [pure]
http2         frames <-> events, a thin skin over libnghttp2      [pure]
headers       which fields go on, and which are ours           [pure]
routes        host and path -> route                           [pure]
targets       where a route leads, and how people write that   [pure]
pool          dial, keep, a fair line for each route
upstream      what an exchange and who answers it say to each other
upstream_http1  a connection to an app that speaks HTTP/1
upstream_http2  one to an app that speaks HTTP/2 in cleartext
access        the access log: what became of the last requests
pages         what we answer ourselves                         [pure]
limits        every limit, and whose it follows                [pure]
"""
