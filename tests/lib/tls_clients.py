"""The TLS clients of others, each asked for a list of URLs with the roots of a file beside its own; each says "ok" or why
not."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import programs
import pytest
from programs import ENVIRON, NODE_MODULES, need, need_node

CLIENTS = Path(__file__).parents[1] / "real/clients"
BUILD = Path(__file__).parents[2] / "build"
QUIET = {**ENVIRON, "NO_COLOR": "1"}


@dataclass(frozen=True)
class Client:
    """``ask(cafile, urls)`` gives the words for each; ``refusal``: a pattern for those that speak of a certificate."""

    name: str
    refusal: str
    ask: Callable[[Path, list[str]], list[str]]


def _each(ask: Callable[[Path, str], str]) -> Callable[[Path, list[str]], list[str]]:
    return lambda cafile, urls: [ask(cafile, url) for url in urls]


def _run(*command: object, **how: object) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, **{"env": QUIET, "capture_output": True, "text": True, "timeout": 60, **how})


def _said(*command: object, environ: Mapping[str, str] = QUIET) -> list[str]:
    """What one of the programs in tests/real/clients printed."""
    said: list[str] = json.loads(programs.run(*command, env=environ, timeout=120))
    return said


def _openssl(cafile: Path, url: str) -> str:
    host, port = _split(url)
    kind = "-verify_ip" if host[0].isdigit() else "-verify_hostname"
    done = _run(
        need("openssl"), "s_client", "-CAfile", cafile, "-verify_return_error", kind, host, "-servername", host,
        "-connect", f"{host}:{port}", "-brief", stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return "ok" if done.returncode == 0 and "Verification: OK" in done.stderr else done.stderr


def _curl(cafile: Path, url: str) -> str:
    done = _run(need("curl"), "-sS", "--cacert", cafile, url)
    return "ok" if done.stdout == "hello" else f"exit code {done.returncode}: {done.stderr}"


def _wget(cafile: Path, url: str) -> str:
    done = _run(need("wget"), "-nv", "-O", "-", "-t", 1, "--no-hsts", f"--ca-certificate={cafile}", url)
    return "ok" if done.stdout == "hello" else f"exit code {done.returncode}: {done.stderr}"


def _gnutls(cafile: Path, url: str) -> str:
    host, port = _split(url)
    done = _run(need("gnutls-cli"), "--x509cafile", cafile, "-p", port, host, stdin=subprocess.DEVNULL)
    return "ok" if done.returncode == 0 and "Handshake was completed" in done.stdout else done.stdout


def _split(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname and parts.port
    return parts.hostname, parts.port


def _python(library: str, cafile: Path, urls: list[str]) -> list[str]:
    return _said(sys.executable, "-P", CLIENTS / "trust.py", library, cafile, *urls)


def _node(how: str, cafile: Path, urls: list[str]) -> list[str]:
    environ = QUIET | {"NODE_EXTRA_CA_CERTS": str(cafile)}
    return _said(need_node(), CLIENTS / "trust.mjs", how, *urls, environ=environ)


def _deno(how: str, cafile: Path, urls: list[str]) -> list[str]:
    environ = QUIET | {"DENO_CERT": str(cafile), "DENO_NO_UPDATE_CHECK": "1", "DENO_DIR": str(BUILD / "deno")}
    return _said(of_npm("@deno", "deno"), "run", "-A", CLIENTS / "trust.mjs", how, *urls, environ=environ)


def _bun(how: str, cafile: Path, urls: list[str]) -> list[str]:
    environ = QUIET | {"NODE_EXTRA_CA_CERTS": str(cafile)}
    return _said(of_npm("@oven", "bun"), "run", CLIENTS / "trust.mjs", how, *urls, environ=environ)


def of_npm(scope: str, program: str) -> Path:
    """A program that npm has as a package for each kind of machine; x86 with glibc is in our lock."""
    found = sorted(path for path in NODE_MODULES.glob(f"{scope}/*/**/{program}") if os.access(path, os.X_OK))
    if not found and platform.machine() != "x86_64":
        pytest.skip(f"our lock has {program} for x86_64 only")
    return found[0] if found else Path(need(program))


def _java(cafile: Path, urls: list[str]) -> list[str]:
    need("javac")
    return _said(need("java"), "-Djava.net.useSystemProxies=false", CLIENTS / "Trust.java", cafile, *urls)


def _go(cafile: Path, urls: list[str]) -> list[str]:
    return _said(compiled_go(), cafile, *urls)


@functools.cache
def compiled_go() -> Path:
    """The client in Go; what it is made of is kept in build/, where compiling it all takes a quarter of a minute.

    Go's own library is compiled with it, so without optimising, and without the C that it can do without.
    """
    beside = Path(sys.executable).with_name("go")
    folder = BUILD / "go"
    program = folder / "trust"
    environ = QUIET | {
        "GOCACHE": str(folder / "cache"),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=mod",
        "CGO_ENABLED": "0",
        "HOME": str(folder),
    }
    build = (beside if beside.exists() else need("go"), "build", "-gcflags=all=-N -l", "-o", program)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # two processes run our tests, and one may run it already
        fcntl.flock(lock, fcntl.LOCK_EX)
        programs.run(*build, CLIENTS / "trust.go", env=environ, timeout=300)  # changes nothing where it is made
    return program


NODE = r"subtree violation|name constraint|ERR_TLS_CERT_ALTNAME_INVALID|CERT_(HAS_EXPIRED|NOT_YET_VALID)|PATH_LENGTH_EXCEEDED|UNABLE_TO_"
PYTHON = "CERTIFICATE_VERIFY_FAILED"

CLIENTS_OF_OTHERS = {
    client.name: client
    for client in (
        Client("openssl", r"verify error:num=\d+:|Verification error", _each(_openssl)),
        Client("curl", "^exit code 60: .*certificate", _each(_curl)),
        Client("wget", "^exit code 5: .*certificate", _each(_wget)),
        Client("gnutls-cli", r"\*\*\* PKI verification of server certificate failed", _each(_gnutls)),
        *(
            Client(library, PYTHON, functools.partial(_python, library))
            for library in ("urllib", "requests", "httpx", "aiohttp")
        ),
        *(Client(f"node {how}", NODE, functools.partial(_node, how)) for how in ("https", "fetch")),
        Client("deno", "invalid peer certificate", functools.partial(_deno, "fetch")),
        *(Client(f"bun {how}", NODE, functools.partial(_bun, how)) for how in ("https", "fetch")),
        Client("java", "CertPath|PKIX|CertificateException|No name matching|subject alternative", _java),
        Client("go", "failed to verify certificate: x509: ", _go),
    )
}
