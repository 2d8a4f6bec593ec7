"""The proxies: how each is configured and started.  All of them get the same two routes, and one CPU.

app.localhost leads to the app's port, unix.localhost to its Unix socket.  Each is set up as its own manual says for a
proxy in front of one app, with connections to the app kept open, and without a log of requests; and for HTTPS with
HTTP/2 on a second port, by a certificate of P-256.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from user import INSTALLED, ROOT, UID, as_user, home

APP = 18000
PIN = ["taskset", "-c", "0"]  # the load has CPU 1
START_S = 20.0
NAMES = [f"new{number}" for number in range(24)]  # that nobody has asked for yet: measure of a first handshake
PORTLESS = ROOT / "build/portless/node_modules"  # by bench/portless.sh


@dataclass(frozen=True, eq=False)
class Candidate:
    """A proxy that is installed.  ``afterwards`` are commands that give it its routes once it runs."""

    name: str
    version: str
    port: int
    tls: int  # the port for HTTPS, 0 for none
    command: Sequence[object]
    env: dict[str, str]
    afterwards: Sequence[Sequence[object]] = ()
    unix: bool = True  # can lead to a Unix socket

    def log(self, folder: Path) -> Path:
        return folder / f"{self.name}.log"

    def said(self, folder: Path) -> str:
        return self.log(folder).read_text()[-3000:]


def locald(folder: Path, app: Path) -> Candidate:
    """The daemon as the command starts it, on a port of its own."""
    env = home(folder / "locald")
    as_user(sys.executable, "-P", ROOT / "bench/authority.py", env["HOME"])
    command = [INSTALLED / "python", "-P", "-m", "locald.daemon", "--http-port", 18001, "--https-port", 18011]
    return Candidate(
        "locald", as_user(INSTALLED / "locald", "--version").split()[-1], 18001, 18011, command, env,
        afterwards=[
            *([INSTALLED / "locald", "alias", name, APP] for name in NAMES),
            [INSTALLED / "locald", "alias", "app", f"127.0.0.1:{APP}"],
            [INSTALLED / "locald", "alias", "unix", f"unix:{app}"],
        ],
    )  # fmt: skip


def nginx(folder: Path, app: Path) -> Candidate | None:
    """One worker; no buffering, which a server of events would suffer from."""
    upstreams = {"app": f"127.0.0.1:{APP}", "unix": f"unix:{app}"}
    servers = "".join(
        f"""
        upstream {name} {{ server {address}; keepalive 64; keepalive_requests 100000000; }}
        server {{
            listen 127.0.0.1:18002; listen 127.0.0.1:18012 ssl http2; server_name {name}.localhost;
            location / {{ proxy_pass http://{name}; }}
        }}
        """
        for name, address in upstreams.items()
    )
    temporary = " ".join(
        f"{kind}_temp_path {folder}/nginx/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = f"""
        worker_processes 1; daemon off; pid {folder}/nginx/pid; error_log stderr;
        events {{ worker_connections 4096; }}
        http {{
            access_log off; {temporary}
            keepalive_requests 100000000; client_max_body_size 0;
            ssl_certificate {certificate(folder)}; ssl_certificate_key {certificate(folder)};
            ssl_protocols TLSv1.2 TLSv1.3;
            proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 1h;
            map $http_upgrade $upgrade {{ default upgrade; "" ""; }}
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgrade;
            proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            {servers}
        }}
        """
    return _configured("nginx", "nginx", 18002, folder, config, ["-c"], ["-v"])


def haproxy(folder: Path, app: Path) -> Candidate | None:
    config = f"""
        global
            nbthread 1
            maxconn 4096
        defaults
            mode http
            timeout connect 5s
            timeout client 60s
            timeout server 60s
            timeout tunnel 1h
            http-reuse always
            option forwardfor
        frontend front
            bind 127.0.0.1:18003
            bind 127.0.0.1:18013 ssl crt {certificate(folder)} alpn h2,http/1.1
            use_backend unix if {{ req.hdr(host) -i unix.localhost }}
            default_backend app
        backend app
            server app 127.0.0.1:{APP}
        backend unix
            server app unix@{app}
        """
    return _configured("HAProxy", "haproxy", 18003, folder, config, ["-f"], ["-v"])


def caddy(folder: Path, app: Path) -> Candidate | None:
    """It keeps connections to the app by itself; only their number has to be raised."""
    sites = "".join(
        f"""
        {site} {{
            bind 127.0.0.1
            {tls}
            reverse_proxy {address} {{
                transport http {{
                    keepalive_idle_conns_per_host 64
                }}
            }}
        }}
        """
        for site, address, tls in (
            ("http://app.localhost:18004", f"127.0.0.1:{APP}", ""),
            ("http://unix.localhost:18004", f"unix/{app}", ""),
            ("https://app.localhost:18014", f"127.0.0.1:{APP}", f"tls {certificate(folder)} {certificate(folder)}"),
        )
    )
    config = "{\n admin off\n auto_https off\n}\n" + sites
    return _configured(
        "Caddy", "caddy", 18004, folder, config, ["run", "--adapter", "caddyfile", "--config"], ["version"]
    )


def portless(folder: Path, app: Path) -> Candidate | None:
    """Without TLS, and in a state folder of its own.  It knows no Unix sockets."""
    node = next(PORTLESS.glob("node-*/bin/node"), None)
    if node is None:
        return None
    cli = [node, PORTLESS / "portless/dist/cli.js"]
    env = home(folder / "portless") | {"PORTLESS_STATE_DIR": f"{folder}/portless/state", "PORTLESS_SYNC_HOSTS": "0"}
    version = f"{as_user(*cli, '--version', env=env).strip()} on Node {as_user(node, '--version')[1:].strip()}"
    start = [*cli, "proxy", "start", "--foreground", "--no-tls", "--port", 18005]
    return Candidate("portless", version, 18005, 0, start, env, [[*cli, "alias", "app", APP]], unix=False)


ALL: dict[str, Callable[[Path, Path], Candidate | None]] = {
    "locald": locald, "nginx": nginx, "HAProxy": haproxy, "Caddy": caddy, "portless": portless,
}  # fmt: skip


def certificate(folder: Path) -> Path:
    """A key and its certificate for app.localhost, in one file, as the peers are given it."""
    path = folder / "certificate.pem"
    if not path.exists():
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        names = ["-subj", "/CN=app.localhost", "-addext", "subjectAltName=DNS:app.localhost"]
        subprocess.run([*command, *names, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
        path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
        path.chmod(0o644)  # the proxies run as another user than root
    return path


def _configured(
    name: str, program: str, port: int, folder: Path, text: str, options: list[str], ask: list[str]
) -> Candidate | None:
    """A candidate with a file of configuration, if the program is installed."""
    found = shutil.which(program)
    if found is None:
        return None
    env = home(folder / program)
    config = folder / f"{program}.conf"
    config.write_text(text.rstrip() + "\n")  # HAProxy insists
    said = subprocess.run([found, *ask], capture_output=True, text=True, check=True)
    version = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
    return Candidate(name, version[0] if version else "?", port, port + 10, [found, *options, config], env)


@contextlib.contextmanager
def running(candidate: Candidate, folder: Path) -> Iterator[int]:
    """The pid of the first process of a candidate, which serves.  One that does not is the end of the bench."""
    with candidate.log(folder).open("wb") as output:
        process = subprocess.Popen(
            [*PIN, *map(str, candidate.command)], env=candidate.env, cwd="/",
            user=UID, group=UID, extra_groups=[], stdout=output, stderr=output, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        if not _listens(candidate.port, process):
            raise SystemExit(f"{candidate.name} does not start:\n{candidate.said(folder)}")
        for command in candidate.afterwards:
            as_user(*command, env=candidate.env)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return True
        time.sleep(0.05)
    return False
