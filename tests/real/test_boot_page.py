"""Chromium at the gate of a service that starts, crashes, and is started again by the button."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from chromium import Page, browse
from rig import App, Rig
from talking import read_head

from locald.proxy.gate import Gate
from locald.proxy.routes import Route, Target

HOSTILE = (
    "</div></body><script>document.title = 'taken over'</script><img src=x onerror=\"document.title='taken over'\">"
)
SITE = (
    b"<!doctype html><link rel=icon href='data:,'><title>the app</title><form method=post><button>send</button></form>"
)


class Shop:
    """A service whose log and state are those that a test says."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.lines: list[str] = ["\x1b[36mnpm\x1b[0m run dev", HOSTILE]
        self.restarted = 0
        self.heads: list[bytes] = []
        self.app = App(self._serve)
        self.gate = Gate("shop", self._tail, self._wake, self._restart)
        target = Target("127.0.0.1", self.app.port)
        rig.call(lambda: rig.routes.add(Route("shop", (target,), gate=self.gate)))
        self.url = f"http://shop.localhost:{rig.port}"

    def _tail(self, after: int) -> tuple[int, list[str]]:
        return len(self.lines), self.lines[after:]

    def _wake(self) -> None:
        """It is quick."""
        for state in ("starting", "ready"):
            self.rig.loop.call_soon(self.gate.set, state)

    def _restart(self) -> None:
        self.restarted += 1
        self.gate.set("starting")

    def _serve(self, sock: socket.socket) -> None:
        while head := read_head(sock):
            self.heads.append(head)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(SITE) + SITE)

    def set(self, state: Any, **facts: Any) -> None:
        self.rig.call(lambda: self.gate.set(state, **facts))

    def paths(self) -> list[bytes]:
        return [head.partition(b" HTTP/1.1")[0] for head in self.heads]


@pytest.fixture
def shop(rig: Rig) -> Iterator[Shop]:
    made = Shop(rig)
    yield made
    rig.close()
    made.app.close()


@pytest.fixture
def tab(alice: Any) -> Iterator[Page]:
    """Of a browser; its console may say that there was a 503, and nothing else that is an error."""
    with browse(alice) as page:
        yield page
        assert [error for error in page.errors if "503 (Service Unavailable)" not in error] == []


def until(page: Page, condition: str) -> None:
    """Wait in the page; it is still the same one then."""
    page.evaluate(
        f"new Promise(done => {{ const look = () => ({condition}) ? done() : requestAnimationFrame(look); look() }})"
    )


def text(page: Page, selector: str) -> str:
    found: str = page.evaluate(f"document.querySelector({selector!r}).innerText")
    return found


def test_the_page_follows_the_log_and_becomes_the_app_when_that_is_ready(shop: Shop, tab: Page) -> None:
    tab.open(f"{shop.url}/cart?x=1")
    assert tab.evaluate("document.title") == "shop is starting"
    assert text(tab, "#log").splitlines() == ["npm run dev", HOSTILE]
    assert tab.evaluate("getComputedStyle(document.querySelector('.ink-6')).color") == "rgb(15, 111, 120)"
    assert tab.evaluate("document.forms[0].offsetParent") is None
    tab.evaluate("mark = document.querySelector('#log').firstChild; 0")
    shop.lines += ["\x1b[32mlistening\x1b[0m", HOSTILE]
    until(tab, "document.querySelector('#log').childElementCount === 4")
    assert text(tab, "#log").splitlines()[2:] == ["listening", HOSTILE]
    assert tab.evaluate("mark === document.querySelector('#log').firstChild")  # nothing was painted anew
    assert tab.evaluate("document.querySelectorAll('img, script').length") == 1
    shop.set("waiting", waits_for=["db"])
    until(tab, "document.title === 'shop is waiting'")
    assert text(tab, "[role=status]").splitlines()[0] == "shop is waiting"
    assert "It starts when db is ready." in text(tab, "#facts")
    tab.reloads(lambda: shop.set("ready"))
    assert tab.evaluate("document.title + location.pathname + location.search") == "the app/cart?x=1"
    assert shop.paths()[-1] == b"GET /cart?x=1"


def test_the_page_becomes_that_of_a_crash_and_its_button_starts_it_again(shop: Shop, tab: Page) -> None:
    tab.open(f"{shop.url}/cart")
    shop.lines.append("Error: no such table")
    shop.set("crashed", code=139)
    until(tab, "document.title === 'shop has crashed'")
    until(tab, "document.querySelector('#log').innerText.includes('no such table')")
    assert text(tab, "#facts") == "It was ended by SIGSEGV (exit code 139)."
    assert text(tab, "#hint") == "Next: locald logs shop"
    assert text(tab, "button") == "Restart"
    tab.reloads(lambda: tab.evaluate("document.querySelector('button').click()"))
    assert shop.restarted == 1
    assert tab.evaluate("document.title + location.pathname") == "shop is starting/cart"
    tab.reloads(lambda: shop.set("ready"))
    assert tab.evaluate("document.title + location.pathname") == "the app/cart"


def test_a_service_that_sleeps_and_is_quick_is_the_app_at_once(shop: Shop, tab: Page) -> None:
    shop.set("sleeping")
    tab.open(f"{shop.url}/cart")
    assert tab.evaluate("document.title") == "the app"
    assert tab.errors == []


def test_a_form_is_not_sent_twice_without_being_asked(shop: Shop, tab: Page) -> None:
    shop.set("ready")
    tab.open(f"{shop.url}/cart")
    shop.set("crashed", code=1)
    tab.reloads(lambda: tab.evaluate("document.querySelector('button').click()"))
    assert "The request was not passed on to it." in text(tab, "#facts")
    shop.set("ready")
    until(tab, "document.querySelector('h1').innerText === 'It is ready'")
    assert not [path for path in shop.paths() if path.startswith(b"POST")]


def test_who_looks_elsewhere_asks_for_nothing(shop: Shop, tab: Page) -> None:
    tab.open(f"{shop.url}/")
    tab.evaluate("""(() => {
      timers = []
      away = true
      setTimeout = (...timer) => timers.push(timer)
      Object.defineProperty(document, "hidden", { get: () => away })
    })()""")
    shop.lines.append("while it was due")
    until(tab, "document.querySelector('#log').innerText.includes('while it was due')")
    assert tab.evaluate("timers.length") == 0
    tab.evaluate("away = false; document.dispatchEvent(new Event('visibilitychange'))")
    assert tab.evaluate("timers.length") == 1
    tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert tab.evaluate("timers.length") == 1
    shop.lines.append("then")
    tab.evaluate("timers.pop()[0](); 0")
    until(tab, "document.querySelector('#log').innerText.includes('then')")


def test_another_sites_page_reads_nothing_and_presses_nothing(shop: Shop, rig: Rig, tab: Page) -> None:
    """Not even one that had seen the token."""
    shop.lines.append("secret")
    shop.set("crashed", code=1)
    evil = App(lambda sock: (read_head(sock), sock.sendall(  # type: ignore[func-returns-value]
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(SITE) + SITE), None)[2])  # fmt: skip
    rig.route("evil", evil.port)
    tab.open(f"http://evil.localhost:{rig.port}/")
    log = f"{shop.url}/.well-known/locald/log"
    restart = f"{shop.url}/.well-known/locald/restart?token={shop.gate.token}"
    failed = "(error => error.name)"
    assert tab.evaluate(f"fetch('{log}').catch({failed})") == "TypeError"
    assert tab.evaluate(f"fetch('{shop.url}/').catch({failed})") == "TypeError"
    assert tab.evaluate(f"fetch('{restart}', {{ method: 'POST' }}).catch({failed})") == "TypeError"
    load = "new Promise(done => Object.assign(document.head.appendChild(document.createElement('script')), {{src: '{}', onload: () => done('ran'), onerror: () => done('refused')}}))"
    assert tab.evaluate(load.format(log)) == "refused"
    assert tab.evaluate(load.format(shop.url)) == "refused"
    assert shop.restarted == 0
    tab.errors.clear()  # each of these is one
    evil.close()
