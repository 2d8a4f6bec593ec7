"""`python -m locald.daemon`: as the control room's launch starts it.

With `--detach FD` it goes into the background, and tells the outcome on FD.  With `--handover FD` it was a daemon until
a moment ago, whose state is there; `--check-handover` only says whether it would understand one (handover.py).
"""

from __future__ import annotations

import argparse
import os
import sys

from locald.daemon.listeners import HTTP_PORT
from locald.daemon.process import serve, understand

__all__ = ["main"]


def main() -> None:
    """Start as the arguments say; the exit code is the daemon's."""
    parser = argparse.ArgumentParser(prog="python -m locald.daemon")
    parser.add_argument("--detach", type=int, metavar="FD")
    parser.add_argument("--http-port", type=int, default=HTTP_PORT)
    parser.add_argument("--https-port", type=int)
    parser.add_argument("--allow-root", action="store_true")
    parser.add_argument("--handover", type=int, metavar="FD")
    parser.add_argument("--check-handover", action="store_true")
    options = parser.parse_args()
    if options.check_handover:
        sys.exit(understand())
    if options.detach is not None:
        if os.fork():
            os._exit(0)
        os.set_inheritable(options.detach, False)
    sys.exit(serve(options.http_port, options.https_port, options.allow_root, options.detach, options.handover))


if __name__ == "__main__":
    main()
