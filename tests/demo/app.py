"""The demo's app: says who asked for what, and who it runs as."""

from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = (
            f"Hello from http://{self.headers['Host']}{self.path}\n"
            f"This app runs as uid {os.getuid()} on port {os.environ['PORT']}; locald sent you here from port "
            f"{self.headers['X-Forwarded-Port']}.\n"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Hello)
    print("demo app: listening", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
