"""CPU time for a proxied request and for a large body, beside nginx and HAProxy where they are installed: from schedstat,
candidates interleaved, the proxy on one CPU and the load and the app on the other."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

Row = tuple[str, str, str]
ROUNDS, SECONDS, CONNECTIONS = 6, 2, 8
APP, NGINX, LOCALD, HAPROXY = 18000, 18001, 18002, 18003
BODY_ROUNDS, GIB = 5, 1 << 30
HEADERS = {
    "Host": "app.localhost", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/150.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language": "en-US,en;q=0.9",
    "Accept-Encoding": "gzip, deflate, br", "Cache-Control": "no-cache", "Pragma": "no-cache", "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Cookie": "session=0123456789abcdef", "Referer": "http://app.localhost/",
}  # fmt: skip
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world\n"
UPSTREAM = f"""
import asyncio, uvloop
BLOCK = bytes(1 << 16)
class App(asyncio.Protocol):
    left, stopped = 0, False
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data):
        if data.startswith(b"GET /body"):
            self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: {GIB}\\r\\n\\r\\n")
            self.left = {GIB} // len(BLOCK)
            self.go()
        else:
            self.transport.write({ANSWER!r} * data.count(b"\\r\\n\\r\\n"))
    def go(self):
        while self.left and not self.stopped:
            self.left -= 1
            self.transport.write(BLOCK)
    def pause_writing(self): self.stopped = True
    def resume_writing(self): self.stopped = False; self.go()
async def main():
    server = await asyncio.get_running_loop().create_server(App, "127.0.0.1", {APP})
    await server.serve_forever()
uvloop.run(main())
"""
OURS = f"""
import asyncio, socket, uvloop
from locald.proxy.routes import Route, Routes, Target
from locald.proxy.server import Proxy
async def main():
    routes = Routes()
    routes.add(Route("app", (Target("127.0.0.1", {APP}),)))
    await Proxy(routes).serve(socket.create_server(("127.0.0.1", {LOCALD})))
    await asyncio.Event().wait()
uvloop.run(main())
"""
CONFIG = f"""
worker_processes 1; daemon off; pid NAME/nginx.pid; error_log NAME/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path NAME/b; proxy_temp_path NAME/p; fastcgi_temp_path NAME/f; uwsgi_temp_path NAME/u; scgi_temp_path NAME/s;
  keepalive_requests 100000000;
  upstream app {{ server 127.0.0.1:{APP}; keepalive 32; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{NGINX}; location / {{
    proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; proxy_buffering off; }} }}
}}
"""
HAPROXY_CONFIG = f"""
global
  nbthread 1
  maxconn 1000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
  option forwardfor
frontend front
  bind 127.0.0.1:{HAPROXY}
  default_backend back
backend back
  server app 127.0.0.1:{APP}
"""


def measure(folder: Path) -> dict[str, list[Row]]:
    """Tables of a row for each candidate; the ratio is to nginx."""
    if not shutil.which("wrk"):
        return {"Proxy": [("not measured: wrk is not installed", "-", "-")]}
    requests: dict[str, list[float]] = {}
    bodies: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(server([sys.executable, "-P", "-c", UPSTREAM], APP, 1))
        ours = stack.enter_context(server([sys.executable, "-P", "-c", OURS], LOCALD, 0))
        idle = resident(ours.pid)
        candidates = {"locald": (LOCALD, ours)}
        peers = {
            "nginx, 1 worker, unbuffered": ("nginx", NGINX, CONFIG.replace("NAME", str(folder)), "-c"),
            "HAProxy, 1 thread": ("haproxy", HAPROXY, HAPROXY_CONFIG, "-f"),
        }
        for name, (program, port, text, option) in peers.items():
            if shutil.which(program):
                config = folder / f"{program}.conf"
                config.write_text(text)
                candidates[name] = (port, stack.enter_context(server([program, option, str(config)], port, 0)))
        for _ in range(ROUNDS):
            for name, (port, process) in candidates.items():
                requests.setdefault(name, []).append(load(port, process.pid))
        for _ in range(BODY_ROUNDS):
            for name, (port, process) in candidates.items():
                bodies.setdefault(name, []).append(download(port, process.pid))
        after = resident(ours.pid)
    return {
        "CPU of the proxy for a request, 12 browser headers, keep-alive (median)": rows(requests, "us"),
        "CPU of the proxy for a body of 1 GiB (median)": rows(bodies, "ms"),
        "Resident memory of the proxy alone": [
            ("idle", f"{idle:.0f} MB", "-"),
            ("after all of this", f"{after:.0f} MB", "-"),
        ],
    }


def rows(times: dict[str, list[float]], unit: str) -> list[Row]:
    medians = {name: statistics.median(values) for name, values in times.items()}
    base = next((value for name, value in medians.items() if "nginx" in name), None)
    return [
        (name, f"{value:.1f} {unit}", f"{value / base:.2f}" if base else "-") for name, value in sorted(medians.items())
    ]


def download(port: int, pid: int) -> float:
    """Milliseconds of CPU for a body of 1 GiB."""
    before = cpu_time(pid)
    curl = ["taskset", "-c", "1", "curl", "--silent", "--fail", "--noproxy", "*", "--output", "/dev/null"]
    subprocess.run([*curl, "--header", "Host: app.localhost", f"http://127.0.0.1:{port}/body"], check=True)
    return (cpu_time(pid) - before) / 1e6


def resident(pid: int) -> float:
    """Megabytes of memory, as the kernel counts them."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024 / 1e6


@contextlib.contextmanager
def server(command: list[str], port: int, cpu: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["taskset", "-c", str(cpu), *command])
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert time.monotonic() < deadline and process.poll() is None, f"{command[0]} does not start"
        yield process
    finally:
        process.terminate()
        process.wait()


def load(port: int, pid: int) -> float:
    """Microseconds of CPU for a request, over SECONDS of wrk on the other CPU."""
    fields = [word for name, value in HEADERS.items() for word in ("-H", f"{name}: {value}")]
    before = cpu_time(pid)
    out = subprocess.run(
        ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", *fields, f"http://127.0.0.1:{port}/"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    spent = cpu_time(pid) - before
    assert "Non-2xx" not in out, out
    found = re.search(r"(\d+) requests in", out)
    assert found, out
    return spent / 1000 / int(found[1])


def cpu_time(pid: int) -> int:
    """Nanoseconds that the process, its threads and its children have run."""
    tasks = [*Path(f"/proc/{pid}/task").iterdir()]
    own = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
    children = " ".join((task / "children").read_text() for task in tasks).split()
    return own + sum(cpu_time(int(child)) for child in children)
