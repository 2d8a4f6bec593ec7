"""The Unix socket between the commands and the daemon.

messages  what may be said, as types  [pure]
codec     types <-> lines of JSON     [pure]
peer      which user is on the other end of a Unix socket
lock      the one daemon of this user: who holds it, and where it listens
server    the daemon's end
client    a command's end
environment  an environment in one piece
launch    start the daemon in the background, and hear how that went
"""
