"""The daemon: one process of the user's, which builds the rooms and hands each the callables of the others.

__main__    `python -m locald.daemon`: how launch.py starts it, in the background
process     what the process needs before it serves: umask, descriptors, not being root
daemon      builds and connects, owns the order of start and stop, answers the control socket
listeners   the sockets of the proxy, on both loopback addresses
apps        what `locald run` has registered
alias       the aliases as routes
aliases     the aliases in their file
routing     how a request to the daemon becomes a route
report      what `locald status` shows
watch       what `locald requests` shows
"""
