"""python -m locald: the program `locald`."""

from locald.cli import main

main()
