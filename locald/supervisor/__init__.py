"""The processes we start.

foreground  one command in the user's own terminal, as a shell runs it: `locald run`
orphans     the end of a command whose `locald run` was killed
ports       a free port for an app
"""
