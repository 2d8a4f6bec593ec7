"""Certificates that the user brings: read when they are used, and again when their files change."""

from __future__ import annotations

import datetime
import ssl
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from locald import files
from locald.errors import LocaldError
from locald.tls.names import covers

__all__ = ["Own"]

LIMIT = 1 << 20  # bytes of a file: a chain and its key have some KB


@dataclass(frozen=True, slots=True)
class _Loaded:
    context: ssl.SSLContext
    hosts: tuple[str, ...]
    begins: datetime.datetime
    ends: datetime.datetime


class Own:
    """The certificate and key of one project.  ``hosts``: those that the project has; ``new`` makes an empty context.

    ``problem``: why it could not be used when it last should have been, None if it could.
    """

    def __init__(
        self, project: str, cert: Path, key: Path, hosts: Sequence[str], new: Callable[[], ssl.SSLContext]
    ) -> None:
        self._project = project
        self._cert, self._key = cert, key
        self._hosts = tuple(hosts)
        self._new = new
        self._seen: object = None
        self._loaded: _Loaded | None = None
        self.problem: LocaldError | None = None

    def context_for(self, host: str, now: datetime.datetime) -> ssl.SSLContext | None:
        """The context with this certificate; None if it is not for the host, or not to be used now."""
        seen = files.look(self._cert), files.look(self._key)
        try:
            if self._loaded is None or seen != self._seen:
                self._loaded, self._seen = None, seen
                self._loaded = self._load()
            self._check_time(self._loaded, now)
        except LocaldError as error:
            self.problem = error
            return None
        self.problem = None
        return self._loaded.context if covers(self._loaded.hosts, host) else None

    def _load(self) -> _Loaded:
        from cryptography import x509  # noqa: PLC0415

        for path in (self._cert, self._key):
            self._check_file(path)
        context = self._new()
        try:
            context.load_cert_chain(self._cert, self._key, password=self._refuse_password)
            found = x509.load_pem_x509_certificates(self._cert.read_bytes())[0]
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise self._refusal(f"{self._key} is not the key of {self._cert}") from None
            reason = (error.reason or "no PEM is in one of them").lower().replace("_", " ")
            raise self._refusal(f"{self._cert} and {self._key} cannot be used: {reason}") from None
        except OSError as error:
            raise self._refusal(f"{self._cert} and {self._key} cannot be read: {error.strerror}") from None
        except x509.ExtensionNotFound:
            raise self._refusal(f"{self._cert} names no host (it has no subjectAltName)") from None
        except ValueError as error:
            raise self._refusal(f"{self._cert} is damaged: {error}") from None
        hosts = tuple(names.get_values_for_type(x509.DNSName))
        if not any(covers(hosts, host) or covers(hosts, f"*.{host}") for host in self._hosts):
            raise self._refusal(f"{self._cert} is for {', '.join(hosts) or 'no host'}, not for {self._hosts[0]}")
        return _Loaded(context, hosts, found.not_valid_before_utc, found.not_valid_after_utc)

    def _check_time(self, loaded: _Loaded, now: datetime.datetime) -> None:
        if now < loaded.begins:
            raise self._refusal(f"{self._cert} is not valid before {loaded.begins:%Y-%m-%d}")
        if now >= loaded.ends:
            raise self._refusal(f"{self._cert} ended on {loaded.ends:%Y-%m-%d}")

    def _check_file(self, path: Path) -> None:
        try:
            seen = path.stat()
        except OSError as error:
            raise self._refusal(f"{path} cannot be read: {error.strerror}") from None
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > LIMIT:  # to read a pipe could take for ever
            raise self._refusal(f"{path} is no file with a certificate or a key")

    def _refuse_password(self) -> bytes:
        raise self._refusal(f"{self._key} asks for a password, and there is nobody to type it")

    def _refusal(self, why: str) -> LocaldError:
        return LocaldError(
            f"the certificate of project {self._project} is not used: {why}",
            f"put the right files there, or take cert and key out of [projects.{self._project}] and restart the daemon",
            check="own-certificate",
        )
