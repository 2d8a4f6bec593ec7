"""A program: looks into one NSS database, or changes it, through libnss3.

    python -m locald.tls.nss_library VERB FOLDER [LIBRARY...]     look, add or remove

``add`` has a certificate on standard input, and takes all others of ours out.

NSS is made for one database in a process, and its C code reads files that a browser writes too: so it has a process of
its own, which nss.py starts, gives a time limit, and reads one JSON object from.  Only functions are called whose
arguments are in NSS's public headers (nss.h, cert.h, pk11pub.h, secitem.h), and of structs only those two below.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import sys
from collections.abc import Iterator
from ctypes import byref, c_char_p, c_int, c_uint, c_ulong, c_void_p
from pathlib import Path
from typing import Any

from locald.tls.roots import is_name_of_ours, is_ours, name

INPUT_LIMIT = 65536  # bytes of a certificate
# nss.h: no modules of the user's are loaded (smart cards may ask for a PIN), and none is looked for.
READ_ONLY, NO_MODULES, NO_BUILTIN_ROOTS = 0x1, 0x4, 0x10
CERTIFICATES = 1  # CKO_CERTIFICATE, PKCS #11
TRUST = (0xCE534353, 0xB)  # CKO_NSS_TRUST, and since NSS 3.114 CKO_TRUST of PKCS #11 3.2
VALUE, ISSUER = 0x11, 0x81  # CKA_VALUE, CKA_ISSUER
GENERIC = 0  # PK11_TypeGeneric
FOR_SERVERS = b"C,,"  # certutil(1), -t: an authority for TLS servers, and for nothing else
TRUSTED_AUTHORITY = 1 << 4  # CERTDB_TRUSTED_CA in certdb.h
# What a browser's own libnss3 is linked with, in the order in which they need each other.
BEFORE = ("libnspr4.so", "libplc4.so", "libplds4.so", "libmozsqlite3.so", "libnssutil3.so")


class Item(ctypes.Structure):
    """SECItem."""

    _fields_ = (("type", c_int), ("data", c_void_p), ("len", c_uint))


class Trust(ctypes.Structure):
    """CERTCertTrust: for servers, for mail, for code."""

    _fields_ = (("tls", c_uint), ("mail", c_uint), ("code", c_uint))


SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "NSS_Initialize": (c_int, [c_char_p, c_char_p, c_char_p, c_char_p, c_uint]),
    "NSS_Shutdown": (c_int, []),
    "PORT_GetError": (c_int, []),
    "PR_ErrorToName": (c_char_p, [c_int]),
    "PK11_GetInternalKeySlot": (c_void_p, []),
    "PK11_NeedUserInit": (c_int, [c_void_p]),
    "PK11_InitPin": (c_int, [c_void_p, c_char_p, c_char_p]),
    "PK11_FindGenericObjects": (c_void_p, [c_void_p, c_ulong]),
    "PK11_GetNextGenericObject": (c_void_p, [c_void_p]),
    "PK11_DestroyGenericObjects": (c_int, [c_void_p]),
    "PK11_GetObjectHandle": (c_ulong, [c_int, c_void_p, c_void_p]),
    "PK11_DestroyTokenObject": (c_int, [c_void_p, c_ulong]),
    "PK11_ReadRawAttribute": (c_int, [c_int, c_void_p, c_ulong, c_void_p]),
    "PK11_ImportCert": (c_int, [c_void_p, c_void_p, c_ulong, c_char_p, c_int]),
    "SECITEM_FreeItem": (None, [c_void_p, c_int]),
    "CERT_GetDefaultCertDB": (c_void_p, []),
    "CERT_NewTempCertificate": (c_void_p, [c_void_p, c_void_p, c_char_p, c_int, c_int]),
    "CERT_FindCertByDERCert": (c_void_p, [c_void_p, c_void_p]),
    "CERT_DestroyCertificate": (None, [c_void_p]),
    "CERT_DecodeTrustString": (c_int, [c_void_p, c_char_p]),
    "CERT_ChangeCertTrust": (c_int, [c_void_p, c_void_p, c_void_p]),
    "CERT_GetCertTrust": (c_int, [c_void_p, c_void_p]),
    "SEC_DeletePermCertificate": (c_int, [c_void_p]),
}


class Missing(Exception):
    """No libnss3 could be loaded."""


class Refused(Exception):
    """NSS said no; the text is the name of its error."""


class Database:
    """The one that is open in this process."""

    def __init__(self, library: ctypes.CDLL, folder: str, writable: bool) -> None:
        self._call = library
        flags = NO_MODULES | NO_BUILTIN_ROOTS | (0 if writable else READ_ONLY)
        self._need(library.NSS_Initialize(b"sql:" + os.fsencode(folder), b"", b"", b"", flags) == 0)
        self._slot = library.PK11_GetInternalKeySlot()
        self._need(self._slot)
        if writable and library.PK11_NeedUserInit(self._slot):  # it is new, and its keys get no password
            self._need(library.PK11_InitPin(self._slot, None, None) == 0)
        self._certificates = library.CERT_GetDefaultCertDB()

    def close(self) -> None:
        """Write out what there is; its result tells of references that are still held, which is no matter here."""
        self._call.NSS_Shutdown()

    def ours(self) -> list[tuple[bytes, bool]]:
        """The roots of ours that are in it, and which of them it trusts."""
        return [(each, self._trusts(each)) for _, each in self._objects(CERTIFICATES, VALUE) if is_ours(each)]

    def add(self, certificate: bytes) -> None:
        """Put it in, and trust it; where that is refused, all is as it was."""
        before = dict(self.ours())
        if before.get(certificate):
            return
        found = self._call.CERT_NewTempCertificate(self._certificates, item(certificate), None, 0, 1)
        self._need(found)
        nickname = name(certificate).encode()
        self._need(self._call.PK11_ImportCert(self._slot, found, 0, nickname, 0) == 0)
        trust = Trust()
        self._need(self._call.CERT_DecodeTrustString(byref(trust), FOR_SERVERS) == 0)
        if self._call.CERT_ChangeCertTrust(self._certificates, found, byref(trust)) != 0:
            refused = Refused(self._error())
            if certificate not in before:
                self._call.SEC_DeletePermCertificate(found)
            raise refused
        self._call.CERT_DestroyCertificate(found)

    def remove_all_but(self, keep: bytes) -> None:
        """Take all others of ours out, and what there is of trust in them.

        Trust is kept apart from certificates, and an NSS before 3.114 does not see what a newer one, such as Firefox's,
        has written: what stayed would make whoever brings the certificate again trusted.
        """
        kept = b""
        for each, _ in self.ours():
            if each == keep:
                kept = name(each).encode()
            else:
                found = self._find(each)
                self._need(self._call.SEC_DeletePermCertificate(found) == 0)
                self._call.CERT_DestroyCertificate(found)
        for kind in TRUST:
            for handle, issuer in [*self._objects(kind, ISSUER)]:
                if is_name_of_ours(issuer) and not (kept and kept in issuer):
                    self._need(self._call.PK11_DestroyTokenObject(self._slot, handle) == 0)

    def _objects(self, kind: int, attribute: int) -> Iterator[tuple[int, bytes]]:
        """Of each object of a kind its handle and one attribute."""
        first = self._call.PK11_FindGenericObjects(self._slot, kind)
        each = first
        while each:
            value = Item()
            self._need(self._call.PK11_ReadRawAttribute(GENERIC, each, attribute, byref(value)) == 0)
            yield self._call.PK11_GetObjectHandle(GENERIC, each, None), ctypes.string_at(value.data, value.len)
            self._call.SECITEM_FreeItem(byref(value), 0)
            each = self._call.PK11_GetNextGenericObject(each)
        if first:
            self._call.PK11_DestroyGenericObjects(first)

    def _find(self, certificate: bytes) -> Any:
        found = self._call.CERT_FindCertByDERCert(self._certificates, item(certificate))
        self._need(found)
        return found

    def _trusts(self, certificate: bytes) -> bool:
        found, trust = self._find(certificate), Trust()
        known = self._call.CERT_GetCertTrust(found, byref(trust)) == 0  # else it is in there and has no trust at all
        self._call.CERT_DestroyCertificate(found)
        return known and bool(trust.tls & TRUSTED_AUTHORITY)

    def _need(self, good: object) -> None:
        if not good:
            raise Refused(self._error())

    def _error(self) -> str:
        code = self._call.PORT_GetError()
        known = self._call.PR_ErrorToName(code)
        return known.decode() if known else f"error {code}"


def item(content: bytes) -> Any:
    """A SECItem with these bytes, as an argument that keeps them alive for the call."""
    return byref(Item(0, ctypes.cast(ctypes.create_string_buffer(content, len(content)), c_void_p), len(content)))


def load(libraries: list[str]) -> ctypes.CDLL:
    """The first of these that can be used.  A name without a folder is looked for where the system has libraries."""
    reasons = []
    for library in libraries:
        folder = Path(library).parent
        try:
            if folder.is_absolute():
                for each in BEFORE:
                    if (folder / each).exists():
                        ctypes.CDLL(str(folder / each), ctypes.RTLD_GLOBAL)
            return _declare(ctypes.CDLL(library, ctypes.RTLD_GLOBAL))
        except (OSError, AttributeError) as error:
            reasons.append(str(error))
    raise Missing("; ".join(reasons))


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    """Tell ctypes about the functions.  Raises AttributeError where one is not there: it is older than NSS 3.52."""
    for function, (result, arguments) in SIGNATURES.items():
        found = getattr(library, function)
        found.restype, found.argtypes = result, arguments
    return library


def main(verb: str, folder: str, *libraries: str) -> dict[str, Any]:
    certificate = sys.stdin.buffer.read(INPUT_LIMIT)
    try:
        database = Database(load([*libraries]), folder, writable=verb != "look")
        if verb == "add":
            database.add(certificate)
        if verb != "look":
            database.remove_all_but(certificate)  # browsers read meanwhile, and find the new one or both
        found = [[base64.b64encode(each).decode(), trusted] for each, trusted in database.ours()]
        database.close()
    except Missing as error:
        return {"missing": str(error)}
    except Refused as error:
        return {"refused": str(error)}
    return {"ours": found}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
