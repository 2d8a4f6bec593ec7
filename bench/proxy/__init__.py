"""The proxy beside its peers, all of them in one run.

app.c         the app behind all of them, on a port and on a Unix socket
load.c        one load on a proxy: turns one after the other, or at a steady rate
candidates.py how each proxy is configured and started
loads.py      what is asked of them
measure.py    the rounds: CPU time and memory
secure.py     the same for HTTPS
report.py     the tables that come of them

CPU time is what the kernel has counted for a proxy's processes (schedstat), over a fixed number of turns.  The proxies
run on one CPU, the load and the app on another; they take turns within each round, so that what disturbs one round
disturbs all of them.
"""
