"""Messages <-> lines of JSON.  [pure]"""

from __future__ import annotations

import functools
from typing import Any, cast

import msgspec

from locald.control.messages import Reply, Request
from locald.errors import LocaldError, RequestError

__all__ = ["MAX_LINE", "decode_reply", "decode_request", "encode"]

MAX_LINE = 1 << 20  # bytes; a report of some thousand apps, and ours to choose

_encoder = msgspec.json.Encoder()


def encode(message: msgspec.Struct) -> bytes:
    """One message as one line.  Raises LocaldError for what is no text, or too long to be understood."""
    try:
        line = _encoder.encode(message) + b"\n"
    except UnicodeEncodeError as error:
        raise RequestError(f"{error.object!r} is not UTF-8", "give it another name") from None
    if len(line) > MAX_LINE:
        raise RequestError(f"what is to be said has {len(line)} bytes, and a message at most {MAX_LINE}")
    return line


def decode_request(line: bytes) -> Request:
    """A command's line.  Raises LocaldError when it is none."""
    return cast(Request, _decode(Request, line))


def decode_reply(line: bytes) -> Reply:
    """The daemon's line.  Raises LocaldError when it is none."""
    return cast(Reply, _decode(Reply, line))


@functools.cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """Made when it is needed: each end reads what the other one writes, and not both."""
    return msgspec.json.Decoder(kind)


def _decode(kind: Any, line: bytes) -> object:
    try:
        return _decoder(kind).decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LocaldError(
            f"a message on the control socket was not understood: {error}",
            "locald and its daemon may be of different versions: locald daemon restart",
            check="daemon",
        ) from None
