"""What every TLS context of ours has; and how one gets a certificate whose key has never been in a file."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from contextlib import ExitStack

__all__ = ["load", "new"]

# Of TLS 1.2 what encrypts and authenticates in one (AEAD), for certificates of either kind; 1.3 has nothing else.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


def new(protocols: Sequence[str]) -> ssl.SSLContext:
    """A context without a certificate.  ``protocols``: those that ALPN offers, the preferred one first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(list(protocols))
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    # All ciphers are good ones, and the client knows which of them its machine is fast at (Mozilla's guidelines).
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def load(context: ssl.SSLContext, key: bytes, chain: bytes) -> None:
    """Use this key and these certificates, in PEM.

    ssl takes paths only.  Those of pipes will do, here and on macOS, and nothing comes near a disk.
    """
    with ExitStack() as stack:
        context.load_cert_chain(_piped(chain, stack), _piped(key, stack))


def _piped(data: bytes, stack: ExitStack) -> str:
    """A path to read these bytes from once; a pipe of any system takes 4 KB, and a chain of ours has two."""
    reader, writer = os.pipe()
    stack.callback(os.close, reader)
    with os.fdopen(writer, "wb") as out:
        os.set_blocking(writer, False)  # too much would be an error and no deadlock
        out.write(data)
    return f"/dev/fd/{reader}"
