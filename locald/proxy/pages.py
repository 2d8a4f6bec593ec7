"""What we answer ourselves: text for curl, JSON for programs, a page for browsers.  [pure]

Nothing of a request is shown but its host, and that escaped: an error page must not be a way to put words or
scripts into a site's mouth.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any

from locald.proxy.http1 import Request, serialize
from locald.proxy.look import LIVE_POLICY, POLICY, SCRIPT, STYLE
from locald.proxy.routes import Route, Routes, bare

if TYPE_CHECKING:
    from locald.proxy.ansi import Line

__all__ = [
    "Live",
    "Page",
    "bad_gateway",
    "form_of",
    "last_hop",
    "loop",
    "moved",
    "no_such_protocol",
    "no_tls",
    "not_allowed",
    "not_found",
    "parts",
    "refused",
    "render",
]


ALLOW = (b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
LISTED_MAX = 100  # apps on a page, which is then some 10 KB: ours


@dataclass(frozen=True, slots=True)
class App:
    """One of the apps that there are; ``wildcard`` is "" or the hosts that it has too."""

    name: str
    url: str
    wildcard: str

    @property
    def also(self) -> str:
        return f"  and {self.wildcard}" if self.wildcard else ""


@dataclass(frozen=True, slots=True)
class Live:
    """What a page for browsers needs to follow a service: the path of its log, the type of that, and the number of the
    last line there is; where its ``button``, "" for none, is posted to; whether something is going on; and whether the
    request may be said again without asking."""

    log: str
    log_type: str
    after: int
    restart: str
    button: str
    busy: bool
    safe: bool


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: what happened, the facts, and what to do next.

    ``state``, ``code`` (of its exit) and ``log`` are of the service that does not answer; ``body`` is the answer in the
    one form that it has, by its type; ``shown``: the target in the log of requests, which has nothing of one that is
    ``unlogged``.
    """

    status: int
    title: str
    facts: tuple[str, ...] = ()
    hint: str = ""
    apps: tuple[App, ...] = ()
    fields: tuple[tuple[bytes, bytes], ...] = field(default=())
    note: str = ""  # what the log says of it, if that is not the title
    state: str = ""
    code: int | None = None
    log: tuple[Line, ...] = ()
    live: Live | None = None
    body: tuple[bytes, bytes] | None = None
    shown: bytes = b""
    unlogged: bool = False


def not_found(host: bytes, routes: Routes, url: Callable[[Route], str]) -> Page:
    """404: no app has this name, or none of its apps this path; those that there are, each at its ``url``."""
    apps = tuple(_listed(route, url(route)) for route in islice(routes, LISTED_MAX))
    facts = () if apps else ("No app is running.",)
    if len(routes) > LISTED_MAX:
        facts = (f"{len(routes)} apps are there, and these are the first; all of them: locald status",)
    shown = host.decode("ascii", "replace")
    if routes.knows(host):
        return Page(404, f"No app of {shown} has this path", facts, "locald run --path /PREFIX -- CMD", apps)
    return Page(404, f"No app is named {shown}", facts, "locald run --name NAME -- CMD", apps)


def _listed(route: Route, url: str) -> App:
    return App(route.shown, url, f"*.{route.name}.localhost" if route.wildcard else "")


def bad_gateway(
    route: Route,
    failures: Sequence[str],
    timed_out: bool,
    answered_ago: float | None,
    notes: Sequence[str] = (),
    log: tuple[Line, ...] = (),
) -> Page:
    """502, or 504: the app is registered and does not answer as it should.  ``answered_ago``: seconds, None if it never
    did; ``notes``: what else is known of it."""
    what = f"{route.shown} does not answer in time" if timed_out else f"{route.shown} does not answer"
    detail = (f"The app: {route.detail}",) if route.detail else ()
    last = "It has not answered yet." if answered_ago is None else f"It last answered {_span(answered_ago)} ago."
    facts = (*detail, *failures, *notes, last)
    return Page(504 if timed_out else 502, what, facts, route.hint, note="; ".join(failures), log=log)


def _span(seconds: float) -> str:
    """A time in its largest unit."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds:.1f} seconds"


def loop(route: Route) -> Page:
    """508: the app sends its requests back to its own name."""
    return Page(
        508,
        f"{route.shown} calls itself",
        ("This request has come through locald again and again: the app forwards it to its own URL.",),
        f"in the app's proxy settings, name the server behind it instead of {route.name}.localhost",
    )


def refused(status: int, rule: str) -> Page:
    """The request breaks a rule of HTTP, so it went nowhere."""
    return Page(status, HTTPStatus(status).phrase, (f"The request was not passed on: {rule}.",), note=rule)


def no_tls() -> Page:
    """400: plain HTTP where HTTPS is spoken."""
    return Page(
        400,
        "This port speaks HTTPS",
        ("The request came without TLS, so its host is not known.",),
        "the same URL with https:// before it",
    )


def no_such_protocol() -> Page:
    """501: an extended CONNECT for something else than a WebSocket (RFC 9220 section 3)."""
    return Page(501, "Not Implemented", ("Of tunnels through HTTP/2 only those of WebSockets are made.",))


def moved(host: bytes, target: bytes, port: int) -> Page:
    """308: the same over TLS, by the same method; never to be remembered, since HTTPS may be switched off again."""
    place = b"https://%b%b%b" % (bare(host), b"" if port == 443 else b":%d" % port, target)
    return Page(
        308,
        "This app is at https://",
        hint="ask there; curl -L follows.  To serve http:// too: --plain, of locald run and locald alias",
        fields=((b"Location", place),),
        note="sent to https://",
    )


def last_hop() -> Page:
    """200 to an OPTIONS that may go no further than here (RFC 9110 section 7.6.2)."""
    return Page(200, "This is locald", ("Max-Forwards let the request come as far as here.",), fields=(ALLOW,))


def not_allowed() -> Page:
    """405: CONNECT and TRACE are for other kinds of proxies."""
    return Page(
        405,
        "Method not allowed",
        ("CONNECT and TRACE go no further.",),
        fields=(ALLOW,),
    )


def parts(page: Page, request: Request | None) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The response's fields, and its body, in the form that the request prefers."""
    if page.body is None:
        kind, write = FORMS[form_of(request)]
        data = write(page).encode()
    else:
        kind, data = page.body
    fields = [
        (b"Content-Type", kind),
        (b"Content-Length", b"%d" % len(data)),
        (b"Cache-Control", b"no-store"),
        (b"X-Content-Type-Options", b"nosniff"),
        (b"Content-Security-Policy", POLICY if page.live is None else LIVE_POLICY),
        *page.fields,
    ]
    return fields, b"" if request is not None and request.method == b"HEAD" else data


def render(page: Page, request: Request | None, close: bool) -> bytes:
    """The whole response as one of HTTP/1."""
    fields, data = parts(page, request)
    if close:
        fields.append((b"Connection", b"close"))
    elif request is not None and request.minor == 0:
        fields.append((b"Connection", b"keep-alive"))
    return serialize(b"HTTP/1.1 %d %b" % (page.status, HTTPStatus(page.status).phrase.encode()), fields) + data


def form_of(request: Request | None) -> str:
    """The form that Accept gives the highest quality; of equals the one for people first (RFC 9110 section 12.5.1)."""
    liked = {"html": 0.0, "json": 0.0, "text": 0.0}
    accept = b",".join(value for name, value in (request.fields if request else ()) if name.lower() == b"accept")
    for part in accept.lower().split(b","):
        kind, *rest = (each.strip() for each in part.split(b";"))
        form = "html" if kind == b"text/html" else "json" if JSON.fullmatch(kind) else "text"
        quality = next((QUALITY.fullmatch(each) for each in rest if each.startswith(b"q=")), None)
        liked[form] = max(liked[form], float(quality[1]) if quality else 1.0 if kind else 0.0)
    best = max(liked, key=lambda form: liked[form])
    return best if liked[best] else "text"


def _text(page: Page) -> str:
    lines = [f"{page.status}: {page.title}", *(f"  {fact}" for fact in page.facts)]
    if page.apps:
        width = max(len(app.name) for app in page.apps)
        lines += ["", "Apps there are:", *(f"  {app.name.ljust(width)}  {app.url}{app.also}" for app in page.apps)]
    if page.log:
        lines += ["", "The end of its log:", *(f"  | {_words(line)}" for line in page.log)]
    if page.hint:
        lines += ["", f"hint: {page.hint}"]
    return "\n".join(lines) + "\n"


def _json(page: Page) -> str:
    found: dict[str, Any] = {
        "status": page.status, "error": page.title, "facts": list(page.facts), "hint": page.hint,
    }  # fmt: skip
    if page.state:
        found |= {"state": page.state, "code": page.code}
    if page.state or page.log:
        found["log"] = [_words(line) for line in page.log]
    if page.status == HTTPStatus.NOT_FOUND:
        found["apps"] = [{"name": app.name, "url": app.url, "wildcard": app.wildcard} for app in page.apps]
    return json.dumps(found) + "\n"


def _words(line: Line) -> str:
    return "".join(text for _, text in line)


def _html(page: Page) -> str:
    escape = html.escape
    parts = [
        f"<small>{page.status} · locald</small>",
        f'<div role="status"><h1>{escape(page.title)}</h1><div id="facts">',
        *(f"<p>{escape(fact)}</p>" for fact in page.facts),
        "</div></div>",
    ]
    if page.apps:
        items = "".join(
            f'<li><a href="{escape(app.url)}">{escape(app.url)}</a>{escape(app.also)}</li>' for app in page.apps
        )
        parts.append(f"<p>Apps there are:</p><ul>{items}</ul>")
    if page.log or page.live:
        lines = "".join(f"<div>{''.join(map(_coloured, line))}</div>" for line in page.log)
        parts.append(f'<div id="log" role="log" aria-live="off" aria-label="Log" tabindex="0">{lines}</div>')
    data = ""
    if page.live:
        live = page.live
        parts.append(
            f'<form method="post" action="{escape(live.restart)}"{_hidden(live.button)}>'
            f"<button>{escape(live.button)}</button></form>"
        )
        data = f' data-log="{escape(live.log)}" data-kind="{escape(live.log_type)}" data-after="{live.after}"'
        data += f' data-safe="{"yes" if live.safe else "no"}"'
    if page.hint or page.live:
        parts.append(f'<p id="hint"{_hidden(page.hint)}><b>Next:</b><span> {escape(page.hint)}</span></p>')
    if page.live:
        parts.append(f"<script>{SCRIPT}</script>")
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(page.title)}</title>'
    )
    head += f"<style>{STYLE}</style>"
    shape = ""
    if page.log or page.live:
        shape = f' class="wide{"" if page.live is None else " busy" if page.live.busy else " broken"}"'
    body = f"<body{shape}{data}>{''.join(parts)}</body>"
    return f'<!doctype html><html lang="en"><head>{head}</head>{body}</html>\n'


def _hidden(text: str) -> str:
    return "" if text else " hidden"


def _coloured(part: tuple[str, str]) -> str:
    kind, text = part
    return f'<span class="{kind}">{html.escape(text)}</span>' if kind else html.escape(text)


JSON = re.compile(rb"application/(?:[a-z0-9.+-]+\+)?json")
QUALITY = re.compile(rb"q=([01](?:\.[0-9]{0,3})?)")
FORMS = {
    "html": (b"text/html; charset=utf-8", _html),
    "json": (b"application/json", _json),
    "text": (b"text/plain; charset=utf-8", _text),
}
