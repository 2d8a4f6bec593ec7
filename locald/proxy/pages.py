"""What we answer ourselves: text for curl, JSON for programs, a page for browsers.  [pure]

Nothing of a request is shown but its host, and that escaped: an error page must not be a way to put words or
scripts into a site's mouth.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from locald.proxy.http1 import Request, serialize
from locald.proxy.routes import Route

__all__ = ["Page", "bad_gateway", "loop", "not_allowed", "not_found", "refused", "render"]


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: what happened, the facts, and what to do next."""

    status: int
    title: str
    facts: tuple[str, ...] = ()
    hint: str = ""
    apps: tuple[tuple[str, str], ...] = ()
    fields: tuple[tuple[bytes, bytes], ...] = field(default=())


def not_found(host: str, routes: Sequence[Route], port: int) -> Page:
    """404: no app has this name; those that there are."""
    suffix = "" if port == 80 else f":{port}"
    apps = tuple((route.name, f"http://{route.name}.localhost{suffix}/") for route in routes)
    facts = () if apps else ("No app is running.",)
    return Page(404, f"No app is named {host}", facts, "locald run --name NAME -- CMD", apps)


def bad_gateway(route: Route, failures: Sequence[str], timed_out: bool = False) -> Page:
    """502, or 504: the app is registered and does not answer as it should."""
    what = f"{route.name} does not answer in time" if timed_out else f"{route.name} does not answer"
    facts = (f"The app: {route.detail}", *failures) if route.detail else tuple(failures)
    return Page(504 if timed_out else 502, what, facts, route.hint)


def loop(route: Route) -> Page:
    """508: the app sends its requests back to its own name."""
    return Page(
        508,
        f"{route.name} calls itself",
        ("This request has come through locald again and again: the app forwards it to its own URL.",),
        f"in the app's proxy settings, name the server behind it instead of {route.name}.localhost",
    )


def refused(status: int, rule: str) -> Page:
    """The request breaks a rule of HTTP, so it went nowhere."""
    return Page(status, HTTPStatus(status).phrase, (f"The request was not passed on: {rule}.",))


def not_allowed() -> Page:
    """405: CONNECT and TRACE are for other kinds of proxies."""
    return Page(
        405,
        "Method not allowed",
        ("CONNECT and TRACE go no further.",),
        fields=((b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),),
    )


def render(page: Page, request: Request | None, close: bool) -> bytes:
    """The whole response, in the form that the request prefers."""
    accept = b""
    for name, value in request.fields if request else ():
        if name.lower() == b"accept":
            accept = value.lower()
    if b"text/html" in accept:
        kind, body = b"text/html; charset=utf-8", _html(page)
    elif b"json" in accept:
        kind, body = b"application/json", _json(page)
    else:
        kind, body = b"text/plain; charset=utf-8", _text(page)
    data = body.encode()
    fields = [
        (b"Content-Type", kind),
        (b"Content-Length", b"%d" % len(data)),
        (b"Cache-Control", b"no-store"),
        (b"X-Content-Type-Options", b"nosniff"),
        (
            b"Content-Security-Policy",
            b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
        *page.fields,
    ]
    if close:
        fields.append((b"Connection", b"close"))
    head = serialize(b"HTTP/1.1 %d %b" % (page.status, HTTPStatus(page.status).phrase.encode()), fields)
    return head if request is not None and request.method == b"HEAD" else head + data


def _text(page: Page) -> str:
    lines = [f"{page.status}: {page.title}", *(f"  {fact}" for fact in page.facts)]
    if page.apps:
        width = max(len(name) for name, _ in page.apps)
        lines += ["", "Apps there are:", *(f"  {name.ljust(width)}  {url}" for name, url in page.apps)]
    if page.hint:
        lines += ["", f"hint: {page.hint}"]
    return "\n".join(lines) + "\n"


def _json(page: Page) -> str:
    found = {"status": page.status, "error": page.title, "facts": list(page.facts), "hint": page.hint}
    if page.status == HTTPStatus.NOT_FOUND:
        found["apps"] = [{"name": name, "url": url} for name, url in page.apps]
    return json.dumps(found) + "\n"


STYLE = """
:root { color-scheme: light dark; font: 16px/1.6 system-ui, sans-serif }
body { max-width: 42rem; margin: 12vh auto; padding: 0 1.5rem }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 0 1rem }
small { color: GrayText; letter-spacing: .08em }
li { margin: .2rem 0 }
"""


def _html(page: Page) -> str:
    escape = html.escape
    parts = [f"<small>{page.status} · locald</small><h1>{escape(page.title)}</h1>"]
    parts += [f"<p>{escape(fact)}</p>" for fact in page.facts]
    if page.apps:
        items = "".join(f'<li><a href="{escape(url)}">{escape(url)}</a></li>' for _, url in page.apps)
        parts.append(f"<p>Apps there are:</p><ul>{items}</ul>")
    if page.hint:
        parts.append(f"<p><b>Next:</b> {escape(page.hint)}</p>")
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(page.title)}</title>'
    )
    head += f"<style>{STYLE}</style>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'
