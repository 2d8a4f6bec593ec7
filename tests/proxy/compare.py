"""make corpus: the corpus of bad requests through nginx and HAProxy too, to the same recording server.

Writes docs/corpus.md.  Each case is followed by an ordinary request that closes the connection, as in
test_bad_requests.py; what the server behind saw of the case itself is
    refused    nothing, or nothing that it could answer before the proxy refused the rest
    changed    a request without what is peculiar to the case
    as it came a request with each peculiar line as the client wrote it, but for capitals; or bytes it cannot read at all
where the peculiar lines of a case are those that an ordinary request does not have.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import corpus
from recording import Recorder
from rig import App, Rig

ROOT = Path(__file__).resolve().parents[2]
NGINX = """
worker_processes 1; daemon off; pid FOLDER/pid; error_log FOLDER/error.log;
events { worker_connections 256; }
http {
  access_log off; client_header_timeout 1s; client_body_timeout 1s; lingering_close off;
  client_body_temp_path FOLDER/b; proxy_temp_path FOLDER/p; fastcgi_temp_path FOLDER/f; uwsgi_temp_path FOLDER/u;
  scgi_temp_path FOLDER/s;
  server {
    listen 127.0.0.1:PORT;
    location / { proxy_pass http://127.0.0.1:APP; proxy_http_version 1.1; proxy_set_header Host $http_host;
                 proxy_set_header Connection ""; }
  }
}
"""
HAPROXY = """
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
listen all
    bind 127.0.0.1:PORT
    server app 127.0.0.1:APP
"""
AFTER = b"GET /after HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n"
ORDINARY = Counter([b"get / http/1.1", b"post / http/1.1", b"host: app.localhost", b"transfer-encoding: chunked"])
ORDINARY += Counter({b"": 3, b"0": 1, b"a": 1})
KINDS = ("refused", "changed", "as it came")
PATIENCE_S = 1.5  # for the answer to one case: longer than the peers wait for more of it


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def peer(name: str, text: str, command: Callable[[Path], list[str]], app: int) -> Iterator[int]:
    """The peer on a port of its own."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="locald-corpus-") as folder:
        config = Path(folder, "config")
        config.write_text(text.replace("FOLDER", folder).replace("PORT", str(port)).replace("APP", str(app)))
        process = subprocess.Popen(command(config), stderr=subprocess.DEVNULL)
        try:
            while process.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
            if process.poll() is not None:
                raise SystemExit(f"{name} does not start")
            yield port
        finally:
            process.terminate()
            process.wait()


def ask(port: int, case: corpus.Case) -> bytes:
    """All that is answered until the proxy closes, or nothing more comes."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock, contextlib.suppress(OSError):
        sock.sendall(case.sent if case.verdict == "cut" else case.sent + AFTER)
        if case.verdict == "cut":
            sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(1 << 16):
            answer += piece
    return answer


def kind(case: corpus.Case, answer: bytes, seen: list[bytes]) -> str:
    first = [*corpus.statuses(answer), 0][0]
    if first == 502:  # the server got something that it could not read
        return "as it came"
    reached = [request for request in seen if not request.startswith(b"GET /after ")]
    if first != 200 or not reached:
        return "refused"
    lines = Counter(b"".join(reached).lower().split(b"\r\n"))
    sent = Counter(case.sent.lower().split(b"\r\n"))
    kept = all(lines[line] >= times for line, times in sent.items() if times > ORDINARY[line])
    return "as it came" if kept else "changed"


Kinds = dict[corpus.Case, str]


def measure(port: int, cases: list[corpus.Case], recorder: Recorder) -> Kinds:
    found: Kinds = {}
    for case in cases:
        recorder.seen = []
        answer = ask(port, case)
        found[case] = kind(case, answer, recorder.seen)
    return found


def version(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)[0]  # type: ignore[index]


def table(columns: dict[str, Kinds]) -> str:
    """How many cases of each group are of each kind, for each proxy."""
    groups = list(dict.fromkeys(case.group for case in columns["locald"]))
    lines = ["| group | cases | " + " | ".join(columns) + " |", "|---|---|" + "---|" * len(columns)]
    for group in [*groups, "all"]:
        cells = []
        for measured in columns.values():
            count = Counter(kind for case, kind in measured.items() if group in (case.group, "all"))
            cells.append(" / ".join(str(count[each]) for each in KINDS))
        lines.append(f"| {group} | {count.total()} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def differences(name: str, measured: Kinds, ours: Kinds) -> str:
    """What the peer passes on as it came and we refuse, by group."""
    by_group: dict[str, list[str]] = {}
    for case, kind in measured.items():
        if kind == "as it came" and ours[case] == "refused":
            by_group.setdefault(case.group, []).append(case.name)
    lines = [f"* {group}: {'; '.join(names)}" for group, names in by_group.items()]
    return f"\n## Refused by locald, as it came through {name}\n\n" + "\n".join(lines) + "\n"


def main() -> None:
    missing = [name for name in ("nginx", "haproxy") if not shutil.which(name)]
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)}\n\nhint: apt-get install nginx-light haproxy")
    cases = [case for case in corpus.load() if case.group != "responses"]
    recorder, rig = Recorder(), Rig()
    columns: dict[str, Kinds] = {}
    server = App(recorder.handle)
    rig.route("app", server.port)
    try:
        columns["locald"] = measure(rig.port, cases, recorder)
        with peer("nginx", NGINX, lambda file: ["nginx", "-e", "/dev/null", "-c", str(file)], server.port) as port:
            columns[f"nginx {version('nginx', '-v')}"] = measure(port, cases, recorder)
        with peer("haproxy", HAPROXY, lambda file: ["haproxy", "-db", "-f", str(file)], server.port) as port:
            columns[f"HAProxy {version('haproxy', '-v')}"] = measure(port, cases, recorder)
    finally:
        rig.close()
        server.close()
    page = HEAD + table(columns) + "\n"
    page += "".join(differences(name, measured, columns["locald"]) for name, measured in list(columns.items())[1:])
    (ROOT / "docs" / "corpus.md").write_text(page)
    print(page)


HEAD = """# The corpus of bad requests, through three proxies

Written by `make corpus` from `tests/proxy/corpus/`. Each cell: refused / changed / as it came. Refused: the server behind
saw no request that it could answer. Changed: it saw one without what is peculiar to the case. As it came: it saw what the
client wrote, capitals of field names aside, or could not read what it saw. nginx and HAProxy run with as little
configuration as proxying needs, and time-outs of a second.

Not every case is to be refused: some must go on, changed (an absolute target, white space around a value) or as they came
(a path of dots), and for some the RFC leaves a choice. Which is which, and by what rule, the files say, and `make test`
holds locald to each verdict. Of the hosts, six are names without an app: locald answers 404, the others here have one
server for all.

"""

if __name__ == "__main__":
    main()
