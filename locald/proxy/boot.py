"""What is answered at a gate that is shut: the page that follows the log, its log, and its button.  [pure]

Two paths below a route's prefix are ours while its gate is shut; then, and always all others, they are the app's.
The log of an app is nobody's but its user's: what is said of it to another site's page, no browser lets that page read,
and where the browser says whose page asks, it is not said at all.
"""

from __future__ import annotations

import json
import math
import secrets
import signal
from typing import Any

from locald.proxy.ansi import Line, parse
from locald.proxy.gate import BROKEN, Gate, Told
from locald.proxy.http1 import Request
from locald.proxy.limits import Limits
from locald.proxy.pages import Live, Page, form_of
from locald.proxy.routes import Route

__all__ = ["LOG", "RESTART", "answer", "last_words", "patience", "shut"]

LOG = b"/.well-known/locald/log"  # RFC 8615
RESTART = b"/.well-known/locald/restart"
LOG_TYPE = "application/vnd.locald.log+json"  # by which the page knows that it was us who answered
LINES_MAX = 200  # of the log on a page, or in one answer to it: some screens
LINES_BYTES = 1 << 17  # of those: whatever is in them, they are read in some 50 ms
FEW = 20  # lines for a program
OWN = (
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
)  # and of another one, no page may have it as a script or a picture


def patience(request: Request, limits: Limits) -> float:
    """For how many seconds a request waits: a person soon wants to see what is going on."""
    return limits.held_page_s if _is_navigation(request) else limits.held_s


def answer(gate: Gate, route: Route, request: Request, secure: bool) -> Page | None:
    """The answer to a request that has come to a gate that is shut; None: it is to wait."""
    path, _, query = request.target[len(route.path) :].partition(b"?")
    if path == LOG:
        return _log(gate, request, query)
    if path == RESTART:
        return _restart(gate, route, request, query, (b"https://" if secure else b"http://") + request.host.lower())
    return None if gate.holds else shut(gate, route, request)


def shut(gate: Gate, route: Route, request: Request, waited: float = 0.0) -> Page:
    """503: what the service does instead of answering.  ``waited``: so many seconds, and in vain."""
    for_people = form_of(request) == "html"
    ours = _is_ours(request)
    after, lines = _tail(gate, 0, LINES_MAX if for_people else FEW) if ours else (0, ())
    safe = request.method in (b"GET", b"HEAD")
    view = _view(gate, for_people and safe)
    prefix = route.path.decode()
    facts = view["facts"]
    if waited:
        facts = [*facts, f"The request has waited for it for {waited:.0f} seconds."]
    if not safe:
        facts = [*facts, "The request was not passed on to it."]
    return Page(
        503,
        view["title"],
        tuple(facts),
        view["hint"],
        fields=OWN if gate.state in BROKEN - {"backing-off"} else (*OWN, (b"Retry-After", b"%d" % _seconds(gate))),
        state=gate.state,
        code=gate.told.code,
        log=lines,
        live=Live(
            log=prefix + LOG.decode(),
            log_type=LOG_TYPE,
            after=after,
            restart=f"{prefix}{RESTART.decode()}?token={gate.token}",
            button=view["button"],
            busy=view["busy"],
            safe=safe,
        )
        if ours
        else None,
    )


def last_words(gate: Gate, request: Request) -> tuple[tuple[str, ...], tuple[Line, ...]]:
    """Of a service that runs and does not answer: what is known of that, and the last lines of its log."""
    return gate.told.notes, _tail(gate, 0, FEW)[1] if _is_ours(request) else ()


# The log, for the page's script.


def _log(gate: Gate, request: Request, query: bytes) -> Page:
    if request.method not in (b"GET", b"HEAD"):
        return _refusal(405, "The log is read by GET.", ((b"Allow", b"GET, HEAD"),))
    if not _is_ours(request):
        return _refusal(403, "The log is for pages of this app alone.")
    digits = query.removeprefix(b"after=")
    asked = int(digits) if digits.isdigit() and len(digits) <= 18 else 0
    after, lines = _tail(gate, asked)
    if after < asked:  # it is another log than the one that the page knows
        after, lines = _tail(gate, 0)
    view = {**_view(gate, True), "state": gate.state, "after": after, "lines": lines}
    body = json.dumps(view, separators=(",", ":")).encode()
    return Page(200, "The log", fields=OWN, body=(LOG_TYPE.encode(), body), unlogged=True)


def _tail(gate: Gate, after: int, most: int = LINES_MAX) -> tuple[int, tuple[Line, ...]]:
    """The number of the last line, and those behind the given one, or the last of them."""
    number, found = gate.tail(after)
    left = LINES_BYTES
    lines: list[Line] = []
    for line in reversed(found[-most:]):
        left -= len(line)
        if left < 0 and lines:
            break
        lines.append(parse(line))
    return number, tuple(reversed(lines))


# The button.


def _restart(gate: Gate, route: Route, request: Request, query: bytes, origin: bytes) -> Page:
    """303 back to where the button was, or why not.  The log of requests does not get to see the token."""
    shown = route.path + RESTART
    if request.method != b"POST":
        return _refusal(405, "To restart is a POST.", ((b"Allow", b"POST"),), shown)
    token = query.removeprefix(b"token=")
    if not (
        _field(request, b"origin").lower() == origin
        and _field(request, b"sec-fetch-site") in (b"", b"same-origin")
        and secrets.compare_digest(token, gate.token.encode())
    ):
        return _refusal(403, "The app is restarted by the button on its page, and by `locald restart`.", (), shown)
    if gate.state in BROKEN:  # else another tab was faster
        gate.restart()
    came_from = _field(request, b"referer")
    # Whole, with our own origin: of a path alone, //evil.example would lead away.
    back = came_from if came_from.startswith(origin + b"/") else origin + route.path + b"/"
    return Page(303, "The app is being started", fields=((b"Location", back),), shown=shown)


def _refusal(status: int, why: str, fields: tuple[tuple[bytes, bytes], ...] = (), shown: bytes = b"") -> Page:
    title = {403: "That is not allowed", 405: "Method not allowed"}[status]
    return Page(status, title, (why,), fields=fields, shown=shown)


# Who asks.


def _field(request: Request, name: bytes) -> bytes:
    """Its value; of several all, which then is none of those that are expected."""
    return b", ".join([value for each, value in request.fields if each.lower() == name])


def _is_navigation(request: Request) -> bool:
    """Whether a browser is to show the answer as a page of its own.  Old ones, and those of hosts without HTTPS, do not
    say the mode (Fetch Metadata, section 2.3)."""
    mode = _field(request, b"sec-fetch-mode")
    return request.method == b"GET" and mode in (b"", b"navigate") and form_of(request) == "html"


def _is_ours(request: Request) -> bool:
    """Whether no other site's page asks: what it only leads to it cannot read."""
    return _field(request, b"sec-fetch-site") in (b"", b"none", b"same-origin") or _is_navigation(request)


# What there is to say.


def _view(gate: Gate, on_page: bool) -> dict[str, Any]:
    """The words of a state; its page's script puts them in place of those of the state before."""
    title, facts, hint, button = _words(gate)
    told = gate.told
    if told.why:
        facts.append(_sentence(told.why))
    facts += [_sentence(note) for note in told.notes]
    busy = gate.state not in BROKEN
    if busy and on_page:
        facts.append("This page follows its log, and reloads by itself when it is ready.")
    return {"title": title, "facts": facts, "hint": hint, "button": button, "busy": busy}


def _words(gate: Gate) -> tuple[str, list[str], str, str]:
    """Title, facts, what to do next, the button."""
    name, told = gate.name, gate.told
    match told.state:
        case "waiting":
            return f"{name} is waiting", [f"It starts when {_list(told.waits_for)} ready."], "", ""
        case "stopping":
            return f"{name} is stopping", [], "", ""
        case "sleeping":
            return f"{name} is asleep", ["The next request wakes it."], "", ""
        case "stopped":
            return f"{name} is stopped", [], f"locald restart {name}", "Start"
        case "done":
            return f"{name} has ended", _ending(told), f"locald restart {name}", "Start"
        case "crashed":
            return f"{name} has crashed", _ending(told), f"locald logs {name}", "Restart"
        case "backing-off":
            again = "soon" if gate.again_s is None else f"in {_seconds(gate)} s"
            return f"{name} has crashed", [*_ending(told), f"It is started again {again}."], "", "Restart now"
    return f"{name} is starting", [], "", ""


def _seconds(gate: Gate) -> int:
    """After which it is worth asking again: once it is being started again, and else soon."""
    return max(1, math.ceil(gate.again_s or 0.0))


def _ending(told: Told) -> list[str]:
    """How it ended, where nobody has said why: that says it too."""
    code = told.code
    if code is None or told.why:
        return []
    if code > 128:
        try:
            return [f"It was ended by {signal.Signals(code - 128).name} (exit code {code})."]
        except ValueError:
            pass
    return [f"It ended with exit code {code}."]


def _list(names: tuple[str, ...]) -> str:
    if len(names) < 2:
        return f"{names[0] if names else 'what it needs'} is"
    return f"{', '.join(names[:-1])} and {names[-1]} are"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
