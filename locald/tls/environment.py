"""What the children of `locald run` find in their environment, so that they believe https://NAME.localhost too.

    bundle.pem      the system's roots and ours, for programs that take a file instead of their own
    certs/HASH.N    the same, one in each file, as OpenSSL looks for them

Both are made from the system's bundle, in the authority's folder, and again when that or our root is another file than
it was: the bundle's first line says of what it was made.  freshness.py looks once a minute, for children that run for
weeks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from locald import files
from locald.errors import LocaldError
from locald.tls import store
from locald.tls.roots import der
from locald.tls.system_linux import BUNDLES

__all__ = ["for_child", "refresh"]

SYSTEM_BUNDLES = tuple(map(Path, (*BUNDLES, "/etc/ssl/cert.pem")))  # the last one is that of Alpine and of macOS
LIMIT = 8 << 20  # bytes of a bundle; a system's has a quarter of a megabyte
CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\s+[A-Za-z0-9+/=\s]+?\s+-----END CERTIFICATE-----")
GIT_S = 5.0
OURS = ".localhost"


def for_child(folder: Path, environ: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The variables to add to ``environ``, and a note on what could not be done, "" for nothing.

    ``folder``: the authority's; without one there is nothing to add.  A value of the user's own stays as it is.
    """
    if not store.exists(folder):
        return {}, ""
    root = str(store.root_file(folder))
    wanted = {"NODE_EXTRA_CA_CERTS": root, "DENO_CERT": root}
    note = ""
    try:
        refresh(folder)
        wanted |= {"REQUESTS_CA_BUNDLE": str(folder / store.BUNDLE), "SSL_CERT_DIR": str(folder / store.CERTS)}
        wanted["GIT_SSL_CAINFO"] = wanted["REQUESTS_CA_BUNDLE"]
    except (OSError, LocaldError) as error:
        note = f"some programs will not trust https://NAME.localhost in this command: {error}"
    if "CURL_CA_BUNDLE" in environ:
        wanted.pop("REQUESTS_CA_BUNDLE", None)  # requests takes that one where there is no other
    added = {name: value for name, value in wanted.items() if name not in environ}
    if "GIT_SSL_CAINFO" in added and _git_has_its_own(environ):
        del added["GIT_SSL_CAINFO"]
    return added | _around_the_proxy(environ), note


def _git_has_its_own(environ: Mapping[str, str]) -> bool:
    """Whether git is configured with roots, which the variable would replace: git-config(1), http.sslCAInfo."""
    command = ["git", "config", "--get-regexp", r"^http\..*sslcainfo$"]
    try:
        return subprocess.run(command, env=environ, capture_output=True, timeout=GIT_S, check=False).returncode == 0
    except FileNotFoundError:
        return False
    except (OSError, subprocess.TimeoutExpired):
        return True


def _around_the_proxy(environ: Mapping[str, str]) -> dict[str, str]:
    """No proxy of the company's knows our names.  Programs read one spelling, or the other, or one before the other."""
    added = {}
    for name, other in (("NO_PROXY", "no_proxy"), ("no_proxy", "NO_PROXY")):
        value = environ.get(name, environ.get(other, "")).strip()
        hosts = [host.strip() for host in value.split(",") if host.strip()]
        if value != "*" and OURS not in hosts:  # "*" is all hosts only where it stands alone
            added[name] = ",".join([*hosts, OURS])
    return added


def refresh(folder: Path) -> bool:
    """Make bundle and directory where they are not of the present roots; whether that was so.

    Raises OSError, or LocaldError where the system has no bundle; the old ones are still there then.
    """
    if _is_fresh(folder):
        return False
    with _alone(folder):
        if _is_fresh(folder):  # another command was at it
            return False
        stamp, certificates = _collect(folder)
        _fill(folder / store.CERTS, certificates)
        files.write(folder / store.BUNDLE, b"\n".join([stamp, *certificates, b""]))
    return True


def _is_fresh(folder: Path) -> bool:
    try:
        with (folder / store.BUNDLE).open("rb") as file:
            made_of = file.readline(4096).rstrip(b"\n")
    except FileNotFoundError:
        return False
    root = store.root_file(folder)
    return made_of == _stamp((_system_bundle(), root), [path.stat() for path in (_system_bundle(), root)])


def _stamp(paths: tuple[Path, ...], seen: list[os.stat_result]) -> bytes:
    """Of what a bundle is made.  By identity: a clock that jumped must not make an old one look new."""
    words = [
        f"{path} {each.st_dev}:{each.st_ino} {each.st_size} {each.st_mtime_ns} {each.st_ctime_ns}"
        for path, each in zip(paths, seen, strict=True)
    ]
    return f"# made by locald of {' and '.join(words)}".encode()


def _system_bundle() -> Path:
    for path in SYSTEM_BUNDLES:
        if path.exists():
            return path
    raise LocaldError(
        f"this system has no bundle of roots: none of {', '.join(map(str, SYSTEM_BUNDLES))} is there", check="trust"
    )


def _collect(folder: Path) -> tuple[bytes, list[bytes]]:
    """The stamp, and the certificates in PEM: the system's and, if it is not among them, our root."""
    paths = (_system_bundle(), store.root_file(folder))
    texts, seen = [], []
    for path in paths:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            seen.append(os.fstat(fd))
            if not stat.S_ISREG(seen[-1].st_mode):
                raise LocaldError(f"{path} is no file", check="trust")
            texts.append(file.read(LIMIT))
    found = [CERTIFICATE.findall(text) for text in texts]
    for path, certificates in zip(paths, found, strict=True):
        if not certificates:
            raise LocaldError(
                f"{path} has no certificate in it", "sudo locald-setup" if path == paths[1] else "", check="trust"
            )
    return _stamp(paths, seen), list(dict.fromkeys(pem for certificates in found for pem in certificates))


def _fill(folder: Path, certificates: list[bytes]) -> None:
    """Put each into a file by the hash of its subject, and take away what is of before."""
    from locald.tls.subject import subject_hash  # noqa: PLC0415  (needed once a month)

    wanted: dict[str, bytes] = {}
    for pem in certificates:
        with contextlib.suppress(ValueError, IndexError):  # what is no certificate can be trusted by nobody
            name = subject_hash(der(pem))
            same = sum(other.startswith(name) for other in wanted)
            wanted[f"{name}.{same}"] = pem + b"\n"
    files.make_private(folder)
    for name, pem in wanted.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != pem:
            files.write(path, pem)
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One at a time: flock(2) on the folder."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
