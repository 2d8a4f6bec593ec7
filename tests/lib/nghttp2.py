"""What nghttp2's versions do differently, and which one is in this process."""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path

__all__ = ["answers_for"]

STREAM_UNTIL, CONNECTION_FROM = (
    (1, 52),
    (1, 70),
)  # which end the stream, and which the connection; others were not tried


class _Info(ctypes.Structure):  # nghttp2_info, of nghttp2.h
    _fields_ = (("age", ctypes.c_int), ("number", ctypes.c_int), ("text", ctypes.c_char_p), ("proto", ctypes.c_char_p))


def answers_for(answer: str) -> set[str]:
    """Where a stream's window is overrun RFC 9113, 6.9.1, has "either the stream or the connection" end: what this
    nghttp2 does.  Any other answer is itself."""
    if not re.fullmatch(r"RST_STREAM \d+ FLOW_CONTROL_ERROR", answer):
        return {answer}
    version, both = _version(), {answer, "GOAWAY FLOW_CONTROL_ERROR"}
    if version is None:
        return both
    if version <= STREAM_UNTIL:
        return {answer}
    return both - {answer} if version >= CONNECTION_FROM else both


def _version() -> tuple[int, int] | None:
    """Of the library that the extensions use; None where that cannot be seen.  The one of wheels is within them."""
    from locald.proxy import http2

    if not sys.platform.startswith("linux"):
        return None
    assert http2.__file__
    found = re.search(r"\S*/libnghttp2\.so\S*", Path("/proc/self/maps").read_text())
    if found is None:
        return CONNECTION_FROM  # csrc/build_nghttp2.sh
    ask = ctypes.CDLL(found[0]).nghttp2_version
    ask.restype = ctypes.POINTER(_Info)
    number: int = ask(0).contents.number
    return number >> 16, number >> 8 & 0xFF
