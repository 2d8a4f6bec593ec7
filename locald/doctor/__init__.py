"""What is wrong on this machine, and what mends it: reads only, needs no root, starts nothing.

examination   all the checks, one family after the other
check         what came of one                                    [pure]
world         what the checks look at: the user's places, settings and daemon
names         whether this system finds the names of the routes, and where
certificates  the authority, and who trusts it
installation  what was built, and what root has installed

It looks into every room, and so may import them all; nothing imports it but the commands.  A family is a function from
the world to its checks.  What cannot be looked at is a warning that says why: it has not passed.
"""
