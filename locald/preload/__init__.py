"""Programs that bind by themselves: a library for the loader (csrc/preload), and which programs it can be given to.

elf      what the loader will make of a program, from its bytes  [pure]
program  which file a command will execute in the end, through `#!` and env(1)
fitness  whether the library works there, and what to do instead
library  where it is, and the environment that brings it in

The library itself, locald-preload.so, lies here too and is no module.
"""
