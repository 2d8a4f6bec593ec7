"""What can be known of the authority without cryptography, which takes 90 ms to import: OpenSSL and two ms do."""

from __future__ import annotations

import datetime
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from locald.tls import store
from locald.tls.names import permitted

__all__ = ["Glance", "glance"]

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Glance:
    """``root``: its certificate in PEM; ``domains``: those that the authority may sign for."""

    root: bytes
    domains: tuple[str, ...]


def glance(folder: Path, now: datetime.datetime) -> Glance:
    """Raises LocaldError as store.load() does, but where only a signature is wrong."""
    path = store.authority_file(folder)
    text = store.read(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        blocks = CERTIFICATE.findall(text.decode())
        issuing, root = (ssl.PEM_cert_to_DER_cert(each) for each in blocks)
        context.load_cert_chain(path, password=b"")  # fails where key and certificate are not of each other
        context.load_verify_locations(cadata=issuing + root)
        domains = permitted(issuing)
        times = [(_moment(each["notBefore"]), _moment(each["notAfter"])) for each in context.get_ca_certs()]
        begins, ends = zip(*times, strict=True)
    except ssl.SSLError as error:
        raise store.damaged(path, (error.reason or "not PEM").lower().replace("_", " ")) from None
    except ValueError as error:
        raise store.damaged(path, error) from None
    store.check_time(max(begins), min(ends), now)
    return Glance(blocks[1].encode(), domains)


def _moment(text: object) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(ssl.cert_time_to_seconds(str(text)), datetime.UTC)
