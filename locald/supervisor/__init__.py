"""The processes we start.

spec          what is told about a service, and what is seen of it
lifecycle     one service's life: events in, commands out
forest        the trees of processes of all services, and their end
supervisor    what is asked of services, and seen of them, and their way into the next program
executor      does what the lives say, and tells them what comes of it
run           one service there: its life, its processes, and what is under way for it
launching     a service is started
probing       services are looked at until they are ready
child         a process is started, with nothing of ours but what it is given
family        which processes are a service's
family_linux  the system's table of processes: proc(5), pidfds, the subreaper
family_darwin the same of macOS: psutil, kqueue
cgroup        a control group for each service, where there may be one
burial        no zombie is left of them
ending        the end of processes: asked, then made
remains       what a killed daemon has left behind
probes        whether a service is ready, and where it listens
arrivals      that somebody listens on a port, heard by one look for all
listeners_linux  who listens: sock_diag(7), proc(5)
listening     which of the ports it listens on is the one
foreground    one command in the user's own terminal, as a shell runs it: `locald run`
orphans       the end of a command whose `locald run` was killed
ports         a free port for an app
"""
