"""What is wrong on this machine, and what mends it: reads only, needs no root, starts nothing.

examination   all the checks, one family after the other; or one alone
ids           every check there is                                [pure]
check         what came of one                                    [pure]
chapters      what the documentation says of one
remedies      commands that mend, as they can be typed here
world         what the checks look at: the user's places, settings and daemon
caller        what this command has been started in
places        the user's own files, and the space for them
network       the loopback, and the ports that the system keeps for root
ports         who has the ports of the proxy, and who answers there
owners        who listens, and how that is stopped
owners_linux  the same as Linux says it
owners_darwin  and macOS
names         whether this system finds the names of the routes, and where
certificates  the authority, and who trusts it
installation  what was built, and what root has installed
running       routes, services, and what a killed daemon has left
project       the project of this folder, and its ports

It looks into every room, and so may import them all; nothing imports it but the commands.  A family is a function from
the world to its checks.  What cannot be looked at is a warning that says why: it has not passed.
"""
