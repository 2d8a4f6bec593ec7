"""What was decided when this was built.  [pure]

A build writes this file anew into what it makes, and never into the checkout (csrc/packaged.py): here nothing was.
"""

from __future__ import annotations

__all__ = ["SHIM"]

# LOCALD_SHIM: where the helper is that a package of the system has; "" where locald-setup installs our own.
SHIM = ""
