"""Requests for a service that is not ready: who waits, who is told, and what."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from http2_peer import GET as GET_2
from http2_peer import Browser
from rig import App
from tags import Tags
from talking import END, GET, OK, POST, body_of, has_ended, read_all, read_answer, read_head, read_until, vanish

from locald.proxy.boot import FEW, LINES_MAX, LOG_TYPE
from locald.proxy.gate import STATES, Gate
from locald.proxy.http1 import Reader, Response
from locald.proxy.limits import Limits
from locald.proxy.routes import Route, Target

ENCRYPTED_TOO = True

BROWSER = b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
NAVIGATION = BROWSER + b"Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
JSON = b"Accept: application/json\r\n"
LOG = b"/.well-known/locald/log"
RESTART = b"/.well-known/locald/restart"
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;</div></body>"
UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class Service:
    """One behind a gate: it answers each head with 200 and what it has of a body, and keeps what it saw."""

    def __init__(self, rig: Any, path: bytes = b"", name: str = "app") -> None:
        self.lines: list[str | bytes] = []
        self.seen: list[bytes] = []
        self.woken = self.restarted = 0
        self.rig = rig
        self.app = App(self._serve)
        self.gate = Gate("shop/web", self._tail, self._wake, self._restart)
        self.route = Route(name, (Target("127.0.0.1", self.app.port),), path=path, gate=self.gate)
        rig.call(lambda: rig.routes.add(self.route))

    def _tail(self, after: int) -> tuple[int, list[str | bytes]]:
        return len(self.lines), self.lines[after:]

    def _wake(self) -> None:
        self.woken += 1

    def _restart(self) -> None:
        self.restarted += 1

    def _serve(self, sock: socket.socket) -> None:
        while head := read_head(sock):
            if b"Upgrade: websocket" in head:
                key = re.search(rb"(?i)sec-websocket-key: (\S+)", head)
                assert key
                accept = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
                sock.sendall(SWITCHED[:-2] + b"Sec-WebSocket-Accept: " + base64.b64encode(accept) + b"\r\n\r\n")
                self.seen.append(head)
                while data := sock.recv(100):
                    sock.sendall(data.upper())
                return
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            body = bytearray()
            while length and len(body) < int(length[1]):
                body += sock.recv(1 << 16)
            self.seen.append(head + body)
            sock.sendall(OK)

    def set(self, state: Any, **facts: Any) -> None:
        self.rig.call(lambda: self.gate.set(state, **facts))

    def wait_for_waiting(self, count: int) -> None:
        self.rig.wait(lambda: self.gate.waiting == count)

    @property
    def quiet(self) -> float:
        seconds: float = self.rig.call(lambda: self.rig.proxy.quiet(self.route))
        return seconds


@pytest.fixture
def service(rig: Any) -> Iterator[Service]:
    """It is starting, for the first time."""
    made = Service(rig)
    yield made
    rig.close()  # first, so that no handler waits for more
    made.app.close()


@pytest.fixture
def asleep(service: Service) -> Service:
    service.set("sleeping")
    return service


def head_of(answer: bytes) -> tuple[int, dict[str, str]]:
    reader = Reader(False)
    reader.feed(answer)
    head = reader.next_event()
    assert isinstance(head, Response)
    return head.status, {name.decode().lower(): value.decode() for name, value in head.fields}


def get(target: bytes, more: bytes = b"", method: bytes = b"GET") -> bytes:
    return method + b" " + target + b" HTTP/1.1\r\nHost: app.localhost\r\n" + more + END


def page_of(rig: Any, more: bytes = NAVIGATION, target: bytes = b"/") -> Tags:
    answer = rig.talk(get(target, more))
    assert answer.startswith(b"HTTP/1.1 503 ")
    return Tags(body_of(answer).decode(), live=True)


def ask_json(rig: Any, more: bytes = b"", target: bytes = b"/", method: bytes = b"GET") -> Any:
    return json.loads(body_of(rig.talk(get(target, JSON + more, method))))


# What programs are told


def test_a_program_is_told_the_state_the_last_lines_and_when_to_come_again(rig: Any, service: Service) -> None:
    service.lines += ["\x1b[32mone\x1b[0m", b"two \xff", HOSTILE]
    answer = rig.talk(GET + END)
    status, fields = head_of(answer)
    assert (status, fields["retry-after"], fields["content-type"]) == (503, "1", "text/plain; charset=utf-8")
    assert body_of(answer).decode() == (
        f"503: shop/web is starting\n\nThe end of its log:\n  | one\n  | two \N{REPLACEMENT CHARACTER}\n  | {HOSTILE}\n"
    )
    assert ask_json(rig) == {
        "status": 503, "error": "shop/web is starting", "facts": [], "hint": "", "state": "starting", "code": None,
        "log": ["one", "two \N{REPLACEMENT CHARACTER}", HOSTILE],
    }  # fmt: skip
    assert service.seen == []


def test_the_connection_goes_on_and_reaches_the_service_when_it_is_ready(rig: Any, service: Service) -> None:
    with rig.connect() as sock:
        for _ in range(2):
            sock.sendall(GET + b"\r\n")
            assert read_answer(sock).startswith(b"HTTP/1.1 503 ")
        service.set("ready")
        sock.sendall(GET + b"\r\n")
        assert read_answer(sock) == OK
        service.set("crashed", code=1)
        sock.sendall(GET + b"\r\n")
        assert read_answer(sock).startswith(b"HTTP/1.1 503 ")
    assert len(service.seen) == 1


@pytest.mark.parametrize("state", sorted(STATES))
def test_what_a_state_is_called_and_whether_one_may_come_again(rig: Any, service: Service, state: str) -> None:
    service.set(state, code=3, waits_for=["db", "cache"], why="it is told so", notes=["and this"], again_s=3.9)
    if state == "sleeping":
        with rig.connect() as sock:
            sock.sendall(GET + b"\r\n")
            service.wait_for_waiting(1)
        return
    answer = rig.talk(GET + END)
    if state in ("ready", "unhealthy"):
        assert answer == OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        return
    status, fields = head_of(answer)
    assert status == 503
    again = {"crashed": None, "stopped": None, "done": None, "backing-off": "4"}
    assert fields.get("retry-after") == again.get(state, "1")
    first, *facts = body_of(answer).decode().partition("\n\nhint")[0].splitlines()
    word = {"done": "has ended", "crashed": "has crashed", "backing-off": "has crashed"}.get(state, f"is {state}")
    assert first == f"503: shop/web {word}"
    assert facts == [
        *{"waiting": ["  It starts when db and cache are ready."]}.get(state, []),
        *(["  It is started again in 4 s."] if state == "backing-off" else []),
        "  It is told so.",
        "  And this.",
    ]


def test_what_is_left_until_the_next_start_is_counted_down(rig: Any, service: Service) -> None:
    now = 100.0
    service.gate._clock = lambda: now
    service.set("backing-off", again_s=5.0)
    for passed, seconds in ((0.0, 5), (1.5, 4), (4.9, 1), (9.0, 1)):
        now = 100.0 + passed
        answer = rig.talk(GET + END)
        assert f"It is started again in {seconds} s." in body_of(answer).decode()
        assert head_of(answer)[1]["retry-after"] == str(seconds)
    service.set("backing-off")
    answer = rig.talk(GET + END)
    assert "It is started again soon." in body_of(answer).decode()
    assert head_of(answer)[1]["retry-after"] == "1"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "It ended with exit code 0."),
        (128, "It ended with exit code 128."),
        (137, "It was ended by SIGKILL (exit code 137)."),
        (255, "It ended with exit code 255."),
    ],
)
def test_a_crash_says_the_exit_code_or_the_signal(rig: Any, service: Service, code: int, words: str) -> None:
    service.set("crashed", code=code)
    found = ask_json(rig)
    assert found["facts"] == [words]
    assert (found["state"], found["code"], found["hint"]) == ("crashed", code, "locald logs shop/web")


@pytest.mark.parametrize("state", ["crashed", "backing-off"])
def test_how_it_ended_is_said_once(rig: Any, service: Service, state: str) -> None:
    service.set(state, code=3, why="ended with exit code 3, 8 times one after the other")
    facts = " ".join(ask_json(rig)["facts"])
    assert facts.count("exit code 3") == 1
    assert "8 times" in facts


def test_a_post_at_a_first_start_is_told_that_it_went_nowhere(rig: Any, service: Service) -> None:
    for body in (b"Content-Length: 5\r\n\r\nhello", b"Content-Length: 0\r\n\r\n"):
        answer = rig.talk(POST + b"Connection: close\r\n" + body)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"  The request was not passed on to it.\n" in answer
    assert service.seen == []


def test_head_gets_no_body(rig: Any, service: Service) -> None:
    answer = rig.talk(get(b"/", method=b"HEAD"))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert body_of(answer) == b""


def test_programs_get_few_lines_and_pages_some_screens(rig: Any, service: Service) -> None:
    service.lines += [f"entry {number}" for number in range(1000)]
    assert ask_json(rig)["log"] == [f"entry {number}" for number in range(1000 - FEW, 1000)]
    assert page_of(rig).text.count("entry ") == LINES_MAX


# The page


def test_a_browser_gets_a_page_that_follows_the_log(rig: Any, service: Service) -> None:
    service.lines += ["\x1b[1;31mred\x1b[0m", HOSTILE, ""]
    answer = rig.talk(get(b"/x?y", NAVIGATION))
    status, fields = head_of(answer)
    assert (status, fields["content-type"], fields["retry-after"]) == (503, "text/html; charset=utf-8", "1")
    assert fields["cache-control"] == "no-store"
    assert fields["x-content-type-options"] == "nosniff"
    assert fields["cross-origin-resource-policy"] == "same-origin"
    page = Tags(body_of(answer).decode(), live=True)
    assert "shop/web is starting" in page.text
    assert HOSTILE in page.text
    assert ("span", {"class": "bold ink-1"}) in page.seen
    body = page.attributes("body")
    assert (body["class"], body["data-log"], body["data-after"]) == ("wide busy", LOG.decode(), "3")
    assert {"role": "status"} in [attributes for _, attributes in page.seen]


def test_only_the_pages_own_script_and_style_may_run(rig: Any, service: Service) -> None:
    service.set("crashed")
    answer = rig.talk(get(b"/", NAVIGATION))
    policy = dict(each.strip().split(" ", 1) for each in head_of(answer)[1]["content-security-policy"].split(";"))
    for tag in ("script", "style"):
        (text,) = re.findall(rb"<%b>(.*?)</%b>" % (tag.encode(), tag.encode()), body_of(answer), re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
        assert policy.pop(f"{tag}-src") == f"'sha256-{digest}'"
    assert policy == {
        "default-src": "'none'", "base-uri": "'none'", "frame-ancestors": "'none'", "connect-src": "'self'",
        "form-action": "'self'", "require-trusted-types-for": "'script'", "trusted-types": "'none'",
    }  # fmt: skip


def test_a_page_for_a_crash_has_a_button_and_one_for_a_start_hides_it(rig: Any, service: Service) -> None:
    assert "hidden" in page_of(rig).attributes("form")
    service.set("crashed", code=2)
    page = page_of(rig)
    form = page.attributes("form")
    assert "hidden" not in form
    assert (form["method"], form["action"]) == ("post", f"{RESTART.decode()}?token={service.gate.token}")
    assert "Restart" in page.text
    assert "It ended with exit code 2." in page.text


def test_a_page_for_a_post_does_not_reload_by_itself(rig: Any, service: Service) -> None:
    answer = rig.talk(POST + NAVIGATION + b"Content-Length: 3\r\nConnection: close\r\n\r\na=b")
    page = Tags(body_of(answer).decode(), live=True)
    assert page.attributes("body")["data-safe"] == "no"
    assert "The request was not passed on to it." in page.text
    assert "reloads by itself" not in page.text
    assert page_of(rig).attributes("body")["data-safe"] == "yes"


def test_another_sites_page_is_told_nothing_of_the_log_and_no_token(rig: Any, service: Service) -> None:
    """What it embeds or fetches, that is; where it leads a browser to, it sees nothing."""
    service.lines.append("secret")
    for site in (b"cross-site", b"same-site"):
        fetch = b"Sec-Fetch-Site: " + site + b"\r\nSec-Fetch-Mode: no-cors\r\n"
        for accept in (b"", BROWSER, JSON):
            answer = rig.talk(get(b"/", accept + fetch))
            assert b"secret" not in answer
            assert service.gate.token.encode() not in answer
        assert "secret" in page_of(rig, NAVIGATION.replace(b"none", site)).text
    for site in (b"same-origin", b"none"):
        assert b"secret" in rig.talk(get(b"/", b"Sec-Fetch-Site: " + site + b"\r\n"))


# Its log


def log_of(rig: Any, query: bytes = b"", prefix: bytes = b"") -> Any:
    answer = rig.talk(get(prefix + LOG + query, b"Sec-Fetch-Site: same-origin\r\n"))
    status, fields = head_of(answer)
    assert (status, fields["content-type"]) == (200, LOG_TYPE)
    assert fields["cross-origin-resource-policy"] == "same-origin"
    assert not any(name.startswith("access-control") for name in fields)
    return json.loads(body_of(answer))


def test_the_log_is_told_from_where_the_page_has_it(rig: Any, service: Service) -> None:
    service.lines += ["one", "\x1b[33mtwo\x1b[0m \x1b]0;title\x07three"]
    found = log_of(rig)
    assert found["after"] == 2
    assert found["lines"] == [[["", "one"]], [["ink-3", "two"], ["", " three"]]]
    assert (found["state"], found["title"], found["button"], found["busy"]) == (
        "starting",
        "shop/web is starting",
        "",
        True,
    )
    service.lines.append("four")
    assert log_of(rig, b"?after=2")["lines"] == [[["", "four"]]]
    assert log_of(rig, b"?after=3") == {**log_of(rig), "lines": []}
    service.set("crashed", code=1)
    found = log_of(rig, b"?after=3")
    assert (found["state"], found["button"], found["busy"]) == ("crashed", "Restart", False)
    assert found["facts"] == ["It ended with exit code 1."]


@pytest.mark.parametrize("query", [b"?after=9", b"?after=-1", b"?after=x", b"?after=" + b"9" * 500, b"?before=1", b"?"])
def test_a_number_that_is_none_of_this_log_gets_all_of_it(rig: Any, service: Service, query: bytes) -> None:
    service.lines += ["one", "two"]
    found = log_of(rig, query)
    assert (found["after"], len(found["lines"])) == (2, 2)


def test_the_log_is_for_pages_of_its_own_app_alone(rig: Any, service: Service) -> None:
    service.lines.append("secret")
    for site in (b"cross-site", b"same-site", b"anything"):
        for more in (b"", b"Sec-Fetch-Mode: navigate\r\n", BROWSER):
            answer = rig.talk(get(LOG, b"Sec-Fetch-Site: " + site + b"\r\nSec-Fetch-Mode: no-cors\r\n" + more))
            assert answer.startswith(b"HTTP/1.1 403 ")
            assert b"secret" not in answer
    answer = rig.talk(get(LOG, method=b"PUT"))
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET, HEAD\r\n" in answer


def test_a_log_of_hundreds_of_escapes_in_each_line_is_cut_in_size(rig: Any, service: Service) -> None:
    service.lines += ["\x1b[1mx" * 5000 for _ in range(1000)]
    assert 0 < len(log_of(rig)["lines"]) < 10


def test_following_the_log_leaves_no_trace_among_the_requests(rig: Any, service: Service) -> None:
    log_of(rig)
    rig.talk(GET + END)
    records = rig.call(lambda: rig.proxy.log.since(0))
    assert [(record.target, record.status, record.note) for record in records] == [
        (b"/path?q=1", 503, "shop/web is starting")
    ]


def test_every_path_is_the_apps_while_the_gate_is_open(rig: Any, service: Service) -> None:
    service.set("ready")
    for request in (get(LOG), get(RESTART, method=b"POST"), get(RESTART)):
        assert rig.talk(request).startswith(b"HTTP/1.1 200 ")
    assert [head.partition(b" HTTP")[0] for head in service.seen] == [
        b"GET " + LOG,
        b"POST " + RESTART,
        b"GET " + RESTART,
    ]


def test_without_a_gate_every_path_is_the_apps(rig: Any, recorder: list[bytes]) -> None:
    for target in (LOG, RESTART):
        assert rig.talk(get(target)).startswith(b"HTTP/1.1 200 ")
    assert len(recorder) == 2


def test_below_a_prefix_are_the_paths_of_its_service(rig: Any, service: Service) -> None:
    service.set("ready")
    api = Service(rig, b"/api")
    api.lines.append("of the api")
    page = page_of(rig, target=b"/api/items")
    assert page.attributes("body")["data-log"] == "/api" + LOG.decode()
    assert log_of(rig, prefix=b"/api")["lines"] == [[["", "of the api"]]]
    assert rig.talk(get(LOG)).startswith(b"HTTP/1.1 200 ")
    assert len(service.seen) == 1
    rig.close()
    api.app.close()


# Its button


def press(
    rig: Any, service: Service, token: str = "", more: bytes | None = None, site: bytes = b"same-origin"
) -> bytes:
    origin = rig.url.encode().rstrip(b"/").replace(b":%d" % rig.port, b"")
    if more is None:
        more = b"Origin: " + origin + b"\r\nSec-Fetch-Site: " + site + b"\r\n"
    query = b"?token=" + (token or service.gate.token).encode()
    answer: bytes = rig.talk(get(RESTART + query, more + b"Content-Length: 0\r\n", b"POST"))
    return answer


def scheme(rig: Any) -> bytes:
    return b"http" if rig.tls is None else b"https"


@pytest.mark.parametrize("state", ["crashed", "stopped", "backing-off", "done"])
def test_the_button_starts_it_again_and_leads_back(rig: Any, service: Service, state: str) -> None:
    service.set(state)
    origin = scheme(rig) + b"://app.localhost"
    for referer, place in (
        (b"", b"/"),
        (b"Referer: " + origin + b"/cart?x=1\r\n", b"/cart?x=1"),
        (b"Referer: " + origin + b"//evil.example/\r\n", b"//evil.example/"),  # on our own host
        (b"Referer: " + origin + b".evil.example/\r\n", b"/"),
        (b"Referer: https://evil.example/\r\n", b"/"),
    ):
        answer = press(rig, service, more=b"Origin: " + origin + b"\r\n" + referer)
        assert answer.startswith(b"HTTP/1.1 303 ")
        assert head_of(answer)[1]["location"] == (origin + place).decode()
    assert service.restarted == 5
    assert service.seen == []


def test_who_was_slower_with_the_button_is_led_back_as_well(rig: Any, service: Service) -> None:
    service.set("starting")
    assert press(rig, service).startswith(b"HTTP/1.1 303 ")
    assert service.restarted == 0


def test_nobody_else_has_that_button(rig: Any, service: Service) -> None:
    service.set("crashed")
    origin = b"Origin: " + scheme(rig) + b"://app.localhost"
    for answer in (
        press(rig, service, token="x" * 24),
        press(rig, service, token=service.gate.token + "x"),
        press(rig, service, more=b""),  # not a browser
        press(rig, service, more=b"Origin: null\r\n"),
        press(rig, service, more=b"Origin: http://evil.localhost\r\n"),
        press(rig, service, more=origin + b".evil.example\r\n"),
        press(rig, service, more=origin + b":1\r\n"),
        press(rig, service, more=origin + b"\r\n" + origin + b"\r\n"),
        press(rig, service, site=b"same-site"),
        press(rig, service, site=b"cross-site"),
        press(rig, service, site=b"none"),
        rig.talk(get(RESTART, origin + b"\r\nContent-Length: 0\r\n", b"POST")),
    ):
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert service.gate.token.encode() not in answer
    answer = rig.talk(get(RESTART + b"?token=" + service.gate.token.encode(), origin + b"\r\n"))
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: POST\r\n" in answer
    assert service.restarted == 0


def test_the_log_of_requests_has_no_token(rig: Any, service: Service) -> None:
    service.set("crashed")
    press(rig, service)
    press(rig, service, token="guessed")
    records = rig.call(lambda: rig.proxy.log.since(0))
    assert [(record.target, record.status) for record in records] == [(RESTART, 303), (RESTART, 403)]


def test_each_gate_has_a_token_of_its_own(rig: Any, service: Service) -> None:
    assert Gate("x", service._tail, service._wake, service._restart).token != service.gate.token


# Who waits


def test_a_request_wakes_a_service_that_sleeps_and_waits_for_it(rig: Any, asleep: Service) -> None:
    with rig.connect() as first, rig.connect() as second:
        for sock in (first, second):
            sock.sendall(GET + b"\r\n")
        asleep.wait_for_waiting(2)
        assert asleep.woken == 1
        asleep.set("starting")
        assert asleep.gate.waiting == 2
        assert asleep.seen == []
        asleep.set("ready")
        assert read_answer(first) == read_answer(second) == OK
    assert len(asleep.seen) == 2


def test_who_waits_goes_to_where_the_service_is_by_then(rig: Any, asleep: Service) -> None:
    """It has ignored the port that it was given; but whoever else has its name by then is not asked."""
    other = App(lambda sock: sock.sendall(read_head(sock) and OK.replace(b"ok", b"OK")))
    moved = dataclasses.replace(asleep.route, targets=(Target("127.0.0.1", other.port),))
    rig.call(lambda: rig.routes.add(Route("given-up", asleep.route.targets, gate=asleep.gate)))
    with rig.connect() as first, rig.connect() as second:
        first.sendall(GET + b"\r\n")
        second.sendall(GET.replace(b"app.", b"given-up.") + b"\r\n")
        asleep.wait_for_waiting(2)
        rig.call(lambda: (rig.routes.remove("app"), rig.routes.add(moved)))
        rig.call(lambda: (rig.routes.remove("given-up"), rig.routes.add(Route("given-up", moved.targets))))
        asleep.set("ready")
        assert read_answer(first).endswith(b"OK")
        assert read_answer(second) == OK
    rig.wait(lambda: rig.proxy.pool.line(moved).under_way == rig.proxy.pool.line(asleep.route).under_way == 0)
    assert rig.proxy.pool.line(moved).requests == 1
    other.close()


def test_it_is_woken_once_each_time_that_it_sleeps(rig: Any, asleep: Service) -> None:
    for count in (1, 2):
        with rig.connect() as sock:
            sock.sendall(GET + b"\r\n")
            asleep.wait_for_waiting(1)
            assert asleep.woken == count
            asleep.set("ready")
            assert read_answer(sock) == OK
        asleep.set("sleeping")


@pytest.mark.plain  # a record of TLS that is cut by fill() could not be gone on with
def test_a_body_waits_outside_and_arrives_whole(rig: Any, asleep: Service) -> None:
    size = 8 << 20
    with rig.connect(buffer=1 << 17) as sock:
        sock.sendall(POST + b"Content-Length: %d\r\n\r\n" % size)
        asleep.wait_for_waiting(1)
        sent = rig.fill(sock)
        assert sent < size
        asleep.set("ready")
        sock.sendall(bytes(size - sent))
        assert read_answer(sock) == OK
    assert len(body_of(asleep.seen[0])) == size


def test_pipelined_requests_wait_and_keep_their_order(rig: Any, asleep: Service) -> None:
    with rig.connect() as sock:
        for number in range(3):
            sock.sendall(b"GET /%d HTTP/1.1\r\nHost: app.localhost\r\n\r\n" % number)
        asleep.wait_for_waiting(1)
        asleep.set("ready")
        for _ in range(3):
            assert read_answer(sock) == OK
    assert [head[:6] for head in asleep.seen] == [b"GET /0", b"GET /1", b"GET /2"]


def test_who_waits_keeps_nobody_else_waiting(rig: Any, asleep: Service, app: Any) -> None:
    other = Service(rig, name="other")
    other.set("ready")
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        asleep.wait_for_waiting(1)
        assert rig.talk(GET.replace(b"app.", b"other.") + END).startswith(b"HTTP/1.1 200 ")
    rig.close()
    other.app.close()


@pytest.mark.plain
def test_streams_wait_side_by_side(rig: Any, asleep: Service) -> None:
    other = Service(rig, name="other")
    other.set("ready")
    browser: Browser = rig.browse()
    streams = [browser.ask(GET_2) for _ in range(5)]
    asleep.wait_for_waiting(5)
    assert browser.get(host=b"other.localhost").body == b"ok"
    browser.h2.reset_stream(streams[0])
    browser.flush()
    asleep.wait_for_waiting(4)
    asleep.set("ready")
    assert [browser.answer(stream).body for stream in streams[1:]] == [b"ok"] * 4
    assert asleep.woken == 1
    assert len(asleep.seen) == 4
    browser.sock.close()
    rig.close()
    other.app.close()


@pytest.mark.plain
def test_a_body_on_a_stream_waits_outside_too(rig: Any, asleep: Service) -> None:
    browser: Browser = rig.browse()
    stream = browser.ask([(b":method", b"POST"), *GET_2[1:], (b"content-length", b"300000")], ends=False)
    browser.say(stream, bytes(65_535))
    asleep.wait_for_waiting(1)
    asleep.set("ready")
    browser.say(stream, bytes(300_000 - 65_535), ends=True)
    assert browser.answer(stream).body == b"ok"
    assert len(body_of(asleep.seen[0])) == 300_000
    browser.sock.close()


def test_who_leaves_is_not_waited_for(rig: Any, asleep: Service) -> None:
    sock = rig.connect()
    sock.sendall(GET + b"\r\n")
    asleep.wait_for_waiting(1)
    vanish(sock)
    asleep.wait_for_waiting(0)
    asleep.set("ready")
    rig.wait(lambda: not rig.proxy.clients)
    assert rig.talk(GET + END).startswith(b"HTTP/1.1 200 ")
    assert len(asleep.seen) == 1
    assert [record.note for record in rig.proxy.log.since(0)] == ["the client went away", ""]


def test_a_client_that_has_only_stopped_sending_is_waited_for(rig: Any, asleep: Service) -> None:
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        asleep.wait_for_waiting(1)
        sock.shutdown(socket.SHUT_WR)
        rig.wait(lambda: any(client.deadline for client in rig.proxy.clients))
        asleep.set("ready")
        assert read_all(sock).startswith(b"HTTP/1.1 200 ")


def test_a_restart_loses_nothing(rig: Any, service: Service) -> None:
    service.set("ready")
    service.set("stopping")
    with rig.connect() as sock:
        sock.sendall(POST + b"Content-Length: 5\r\n\r\nhello")
        service.wait_for_waiting(1)
        for state in ("waiting", "starting", "ready"):
            service.set(state)
        assert read_answer(sock) == OK
    assert body_of(service.seen[0]) == b"hello"
    assert service.woken == 0


@pytest.mark.parametrize("state", ["crashed", "backing-off", "stopped", "done"])
def test_who_waits_is_told_when_it_was_in_vain(rig: Any, asleep: Service, state: str) -> None:
    asleep.lines.append("no such table")
    with rig.connect() as sock:
        sock.sendall(POST + b"Content-Length: 5\r\n\r\nhello")
        asleep.wait_for_waiting(1)
        asleep.set("starting")
        asleep.set(state, code=1)
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"no such table" in answer
    assert b"The request was not passed on to it." in answer
    assert rig.talk(GET + END).startswith(b"HTTP/1.1 503 ")  # from now on there is nothing to wait for
    asleep.set("starting")
    assert rig.talk(GET + END).startswith(b"HTTP/1.1 503 ")
    assert asleep.seen == []


def test_who_comes_while_it_falls_asleep_wakes_it_then(rig: Any, service: Service) -> None:
    service.set("ready")
    service.set("stopping")
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        service.wait_for_waiting(1)
        assert service.woken == 0
        service.set("sleeping")
        assert service.woken == 1
        service.set("ready")
        assert read_answer(sock) == OK


@pytest.mark.parametrize("rig", [Limits(held_s=30.0, held_page_s=5.0)], indirect=True, ids=["limited"])
def test_held_s_is_how_long_it_waits_and_held_page_s_how_long_a_browser_does(rig: Any, asleep: Service) -> None:
    with rig.connect() as program, rig.connect() as browser:
        program.sendall(GET + END)
        browser.sendall(GET + NAVIGATION + END)
        asleep.wait_for_waiting(2)
        asleep.set("starting")
        look = rig.proxy._look_at_gates
        rig.call(lambda: look(rig.proxy.now() + 4.0))
        assert asleep.gate.waiting == 2
        rig.call(lambda: look(rig.proxy.now() + 6.0))
        assert asleep.gate.waiting == 1
        answer = read_all(browser)
        assert "reloads by itself" in Tags(body_of(answer).decode(), live=True).text
        rig.call(lambda: look(rig.proxy.now() + 31.0))
        answer = read_all(program)
    status, fields = head_of(answer)
    assert (status, fields["retry-after"]) == (503, "1")
    assert b"The request has waited for it for " in answer
    assert rig.call(lambda: rig.proxy.gates) == set()


@pytest.mark.parametrize("rig", [Limits(held_s=0.05, sweep_s=0.01)], indirect=True, ids=["limited"])
def test_the_wait_ends_by_itself(rig: Any, asleep: Service) -> None:
    assert rig.talk(GET + END).startswith(b"HTTP/1.1 503 ")


def test_when_the_proxy_stops_who_waits_is_told(rig: Any, asleep: Service) -> None:
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        asleep.wait_for_waiting(1)
        rig.close()
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nConnection: close\r\n" in answer


def test_hundreds_wait_and_all_are_served(rig: Any, asleep: Service) -> None:
    socks = [rig.connect() for _ in range(300)]
    for sock in socks:
        sock.sendall(GET + END)
    asleep.wait_for_waiting(300)
    asleep.set("ready")
    for sock in socks:
        assert read_all(sock).startswith(b"HTTP/1.1 200 ")
        sock.close()
    assert len(asleep.seen) == 300


# WebSockets


def test_a_websocket_waits_too(rig: Any, asleep: Service) -> None:
    with rig.connect() as sock:
        sock.sendall(GET + UPGRADE + b"\r\nearly")
        asleep.wait_for_waiting(1)
        asleep.set("ready")
        assert read_head(sock).startswith(b"HTTP/1.1 101 ")
        assert read_until(sock, b"EARLY") == b"EARLY"
        sock.sendall(b"late")
        assert read_until(sock, b"LATE") == b"LATE"


def test_a_websocket_at_a_first_start_is_told(rig: Any, service: Service) -> None:
    with rig.connect() as sock:
        sock.sendall(GET + UPGRADE + b"\r\n")
        assert read_answer(sock).startswith(b"HTTP/1.1 503 ")


@pytest.mark.plain
def test_a_websocket_through_http_2_waits_too(rig: Any, asleep: Service) -> None:
    browser: Browser = rig.browse()
    browser.wait(lambda: browser.h2.remote_settings.enable_connect_protocol)
    connect = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET_2[1:], (b"sec-websocket-version", b"13")]
    stream = browser.ask(connect, ends=False)
    asleep.wait_for_waiting(1)
    asleep.set("ready")
    answer = browser.answers[stream]
    browser.wait(lambda: answer.status == 200)
    browser.say(stream, b"hello")
    browser.wait(lambda: answer.body == b"HELLO")
    assert asleep.quiet == 0.0
    asleep.set("crashed", code=1)
    refused = browser.answer(browser.ask(connect, ends=False))
    assert refused.status == 503
    browser.sock.close()


# When it was busy last


def test_a_request_that_waits_or_is_at_work_is_activity(rig: Any, service: Service) -> None:
    service.set("sleeping")
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        service.wait_for_waiting(1)
        assert service.quiet == 0.0
        service.set("ready")
        read_answer(sock)
        rig.wait(lambda: rig.proxy.quiet(service.route) > 0.0)  # the connection that is kept is none
    before = service.quiet
    rig.wait(lambda: rig.proxy.quiet(service.route) > before)


def test_a_tunnel_is_activity_though_it_is_silent(rig: Any, service: Service) -> None:
    service.set("ready")
    sock = rig.connect()
    sock.sendall(GET + UPGRADE + b"\r\n")
    read_head(sock)
    assert service.quiet == 0.0
    vanish(sock)
    rig.wait(lambda: rig.proxy.quiet(service.route) > 0.0)


@pytest.mark.parametrize("end", ["client", "app"])
def test_a_stream_is_activity_until_either_end(rig: Any, app: Any, end: str) -> None:
    served: list[socket.socket] = []

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        served.append(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        has_ended(sock)

    app(handle)
    route = rig.routes.at("app")
    sock = rig.connect()
    sock.sendall(GET + b"\r\n")
    read_until(sock, b"data: 1")
    assert rig.call(lambda: rig.proxy.quiet(route)) == 0.0
    if end == "client":
        vanish(sock)
    else:
        served[0].shutdown(socket.SHUT_RDWR)
    rig.wait(lambda: rig.proxy.quiet(route) > 0.0)
    sock.close()


def test_what_is_answered_here_is_no_activity(rig: Any, service: Service) -> None:
    service.set("crashed")
    before = service.quiet
    rig.wait(lambda: rig.proxy.quiet(service.route) > before)
    for request in (GET + END, get(LOG), GET + NAVIGATION + END):
        start = service.quiet
        rig.talk(request)
        assert service.quiet > start


def test_a_request_that_fails_is_activity_until_then(rig: Any, service: Service) -> None:
    service.set("ready")
    service.app.close()
    before = service.quiet
    rig.wait(lambda: rig.proxy.quiet(service.route) > max(before, 0.05))
    assert rig.talk(GET + END).startswith(b"HTTP/1.1 502 ")
    assert service.quiet > 0.0
    assert rig.call(lambda: rig.proxy.pool.line(service.route).under_way) == 0


# When it is ready and does not answer


@pytest.mark.parametrize("accept", [b"", JSON, NAVIGATION])
def test_502_has_the_last_lines_of_the_log_and_what_is_known(rig: Any, service: Service, accept: bytes) -> None:
    service.lines += [*(f"line {number}" for number in range(50)), "\x1b[31mAddress in use\x1b[0m " + HOSTILE]
    service.set("ready", notes=["listening on 5173, expected 4123"])
    service.app.close()
    answer = rig.talk(GET + accept + END)
    assert answer.startswith(b"HTTP/1.1 502 ")
    body = body_of(answer).decode()
    if accept == JSON:
        found = json.loads(body)
        assert "listening on 5173, expected 4123" in found["facts"]
        assert found["log"] == [*(f"line {number}" for number in range(50 - FEW + 1, 50)), "Address in use " + HOSTILE]
        return
    text = Tags(body).text if accept else body
    for words in ("listening on 5173, expected 4123", "Address in use " + HOSTILE, "line 49"):
        assert words in text
    fetch = b"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\n"
    assert b"line 49" not in rig.talk(GET + fetch + END)


# The gate by itself


class Waiter:
    def __init__(self, gate: Gate, takes: Waiter | None = None) -> None:
        self.said: list[str] = []
        self.gate, self.takes = gate, takes

    def admit(self) -> None:
        self._end("admitted")

    def turn_away(self) -> None:
        self._end("turned away")

    def _end(self, word: str) -> None:
        self.said.append(word)
        if self.takes is not None:
            self.gate.leave(self.takes)


def test_who_takes_another_along_is_the_last_to_be_told() -> None:
    """A connection that ends because of what one of its streams was told ends the others."""
    for state, word in (("ready", "admitted"), ("crashed", "turned away")):
        gate = Gate("x", lambda after: (after, []), lambda: None, lambda: None)
        gate.set("sleeping")
        second = Waiter(gate)
        first = Waiter(gate, second)
        for waiter in (first, second):
            gate.join(waiter, 1.0)
        gate.set(state)  # type: ignore[arg-type]
        assert (first.said, second.said, gate.waiting) == ([word], [], 0)


def test_a_gate_of_another_process_is_the_same_and_asks_somebody_else() -> None:
    asked: list[str] = []
    gate = Gate("web", lambda _: (0, []), lambda: asked.append("wake"), lambda: asked.append("restart"))
    gate.resume("token", True)
    gate.set("starting")
    assert (gate.token, gate.holds, gate.open) == ("token", True, False)
    gate.turn_to(lambda: asked.append("wake there"), lambda: asked.append("restart there"))
    gate.join(Waiter(gate), 1.0)
    gate.set("sleeping")
    gate.restart()
    assert asked == ["wake there", "restart there"]


def test_a_gate_that_is_abandoned_keeps_nobody_and_asks_for_nothing() -> None:
    asked: list[str] = []
    wake, restart, unanswered = (lambda word=word: asked.append(word) for word in ("wake", "restart", "unanswered"))
    gate = Gate("web", lambda _: (0, []), wake, restart, unanswered)
    gate.set("sleeping")
    waiter = Waiter(gate)
    gate.join(waiter, 1.0)
    gate.abandon()
    gate.restart()
    gate.unanswered()
    gate.set("sleeping")
    gate.join(waiter, 1.0)
    assert (waiter.said, asked) == (["turned away"], ["wake"])


def test_a_word_that_is_no_state_is_refused() -> None:
    gate = Gate("x", lambda after: (after, []), lambda: None, lambda: None)
    with pytest.raises(ValueError, match="'redy' is no state"):
        gate.set("redy")  # type: ignore[arg-type]
    assert repr(gate) == "<Gate x starting, 0 waiting>"
