"""What services print: read from their terminals, kept on disk within bounds, and read again.

journal   all of it: opens writers, clears what is old, hands over to a new daemon
writer    the log of one service: where its output goes, its marks, its last lines
source    one output of a service, read from a PTY (or a pipe) as the event loop finds it ready
turns     how much may be read in one turn of the event loop, and what is written at its end
segments  the files of one service: appended to, rotated, bounded
lived     the time of day by which lines grow old
lines     the format: bytes of a service <-> lines on disk  [pure]
ring      the last lines in memory, by their numbers  [pure]
names     which folder belongs to a service, and back  [pure]
plain     escape sequences: none of them, or colours only  [pure]
reader    the files again: the last lines, those since, and those that come; needs no daemon
wake_linux   inotify: sleeps until a file changes
wake_darwin  the same by kqueue
"""
