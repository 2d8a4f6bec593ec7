"""What this build of the proxy can do."""

from __future__ import annotations

__all__ = ["HTTP2", "MISSING", "H2Client"]

MISSING = ""  # why there is no HTTP/2
try:
    from locald.proxy.connection_http2 import H2Client
except ModuleNotFoundError:
    H2Client = None  # type: ignore[assignment, misc]
    MISSING = "this build of locald has none: libnghttp2's headers were not there when it was made"
except ImportError as error:
    H2Client = None  # type: ignore[assignment, misc]
    MISSING = str(error)

HTTP2 = H2Client is not None
