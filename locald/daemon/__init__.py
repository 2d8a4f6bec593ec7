"""The daemon: one process of the user's, which builds the rooms and hands each the callables of the others.

__main__    `python -m locald.daemon`: how launch.py starts it, in the background
process     what the process needs before it serves: umask, descriptors, not being root
daemon      builds and connects, owns the order of start and stop, answers the control socket
succession  how it lets itself be replaced, by another image of its program, without a gap
handover    how that is done, whatever is handed over
parts       all that is, and what kind of data each part is
drain       the process that goes on with the clients of before
drainers    those processes, as their daemon knows them
history     what was asked before, as it is handed over
settings    config.toml, read
listeners   the sockets of the proxy, on both loopback addresses
apps        what `locald run` has registered
alias       the aliases as routes
aliases     the aliases in their file
routing     how a request to the daemon becomes a route
report      what `locald status` shows
watch       what `locald requests` shows
"""
