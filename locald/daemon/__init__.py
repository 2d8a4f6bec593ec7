"""The daemon: one process of the user's, which builds the rooms and hands each the callables of the others.

__main__    `python -m locald.daemon`: how launch.py starts it, in the background
process     what the process needs before it serves: umask, descriptors, not being root
daemon      builds and connects, owns the order of start and stop, answers the control socket
succession  how it lets itself be replaced, by another image of its program, without a gap
handover    how that is done, whatever is handed over
parts       all that is, and what kind of data each part is
drain       the process that goes on with the clients of before
drainers    those processes, as their daemon knows them
follower    the routes and gates of such a process, kept as the daemon's are
line        what the two say to each other
history     what was asked before, as it is handed over
settings    config.toml, read
listeners   the sockets of the proxy, on both loopback addresses
apps        what `locald run` has registered
alias       the aliases as routes
aliases     the aliases in their file
projects    what commands ask of projects, and who wants which service
project_raising   how one comes up
project_ending    how its services end, and when
project_report    how commands see it
project_recovery  what outlives the daemon, and comes up with the next
project     one project that is up: its services, and how each is started
services    the supervisor, the logs, the places and the routes of services, put together
project_routes  the routes of services, each with its gate
project_handover  the projects that are up, for the next image of the daemon
project_rebuilding  which projects were up, read from what still runs of them
project_state   the file of what is up, for the daemon after one that was killed
project_keeping  when it is written
places      where each service listens: its port or its socket
audience    who is told of services
editing     what follows from edits of locald.toml, of .env files, and of what `watch` names
watching    files that change, told with some patience
watching_linux   the same of Linux: inotify
watching_darwin  the same of macOS: FSEvents, by watchfiles
globs       the patterns of `watch`: folders to look at, files they match  [pure]
routing     how a request to the daemon becomes a route
report      what `locald status` shows
watch       what `locald requests` shows
"""
