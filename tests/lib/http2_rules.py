"""What RFC 9113 and its neighbours demand of a server: each rule, the frames that break or use it, and the answer.

A case is said to a session that has a stream 1 open, with more of its body to come; its own stream is 3.  As a program:
writes docs/http2.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from http2_peer import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    GOAWAY,
    HEADERS,
    MAGIC,
    PADDED,
    PING,
    POST,
    PREFACE,
    PRIORITY,
    PRIORITY_UPDATE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    Fields,
    block,
    frame,
    headers,
    number,
    settings,
)

PAGE = Path(__file__).resolve().parents[2] / "docs/http2.md"
MOST = 0x7FFFFFFF
CONNECT = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:]]


@dataclass(frozen=True)
class Rule:
    """``section``: of RFC 9113, or of the one it names.  ``answer``: "fine"; "ignored"; an error, of the stream 3 if it is
    RST_STREAM and of the connection if it is GOAWAY; "NAME is sent"; or a status.  ``note``: why it is not quite what the RFC says."""

    section: str
    what: str
    frames: bytes
    answer: str
    note: str = ""


def protocol(section: str, what: str, frames: bytes, note: str = "") -> Rule:
    return Rule(section, what, frames, "GOAWAY PROTOCOL_ERROR", note)


def malformed(section: str, what: str, *fields: tuple[bytes, bytes], base: Fields = GET, note: str = "") -> Rule:
    """A request whose head is so is an error of its stream."""
    return Rule(section, what, headers(3, [*base, *fields]), "RST_STREAM 3 PROTOCOL_ERROR", note)


def replaced(**values: bytes | None) -> Fields:
    """GET with other pseudo-fields; None for none."""
    given = {b":" + name.encode(): value for name, value in values.items()}
    return [(name, value) for name, old in GET if (value := given.get(name, old)) is not None]


def raw(payload: bytes, flags: int = END_HEADERS | END_STREAM) -> bytes:
    return frame(HEADERS, flags, 3, payload)


OPEN = headers(3, POST, END_HEADERS)
DONE = headers(3, GET)  # half-closed: the answer is still to come
CLOSED = OPEN + frame(RST_STREAM, 0, 3, number(8))
TWICE = "nghttp2: a connection error, as section 5.4.1 allows"

CONNECTION = [
    Rule("4.1", "A frame of a type that is unknown", frame(0x60, 0xFF, 3, b"abc"), "ignored"),
    Rule("4.1", "Flags that are unknown", frame(PING, 0xFE, 0, bytes(8)), "PING is sent"),
    Rule("4.1", "The reserved bit is set", frame(HEADERS, END_HEADERS | END_STREAM, 0x80000003, block(GET)), "fine"),
    Rule(
        "4.2",
        "A frame larger than SETTINGS_MAX_FRAME_SIZE: DATA",
        OPEN + frame(DATA, 0, 3, bytes(16_385)),
        "GOAWAY FRAME_SIZE_ERROR",
    ),
    Rule("4.2", "The same: HEADERS", raw(block([*GET, (b"x", b"y" * 16_384)])), "GOAWAY FRAME_SIZE_ERROR"),
    Rule("4.2", "The largest frame that is allowed", OPEN + frame(DATA, END_STREAM, 3, bytes(16_384)), "fine"),
    Rule(
        "4.3", "A field block that cannot be decoded", raw(b"\xff\xff\xff\xff\xff\xff\xff"), "GOAWAY COMPRESSION_ERROR"
    ),
    Rule("4.3", "A field block that ends within a field", raw(block(GET)[:-3]), "GOAWAY COMPRESSION_ERROR"),
    protocol(
        "4.3", "Another frame within a field block", raw(block(GET)[:5], END_STREAM) + frame(PING, 0, 0, bytes(8))
    ),
    protocol(
        "5.5", "A frame of an unknown type within a field block", raw(block(GET)[:5], END_STREAM) + frame(0x60, 0, 3)
    ),
    protocol(
        "6.10",
        "CONTINUATION for another stream within a field block",
        raw(block(GET)[:5], END_STREAM) + frame(CONTINUATION, END_HEADERS, 5, block(GET)[5:]),
    ),
    protocol(
        "6.2", "HEADERS for another stream within a field block", raw(block(GET)[:5], END_STREAM) + headers(5, GET)
    ),
]

STREAMS = [
    protocol("5.1", "DATA for a stream that was never opened", frame(DATA, 0, 3, b"x")),
    protocol("5.1", "RST_STREAM for one", frame(RST_STREAM, 0, 3, number(8))),
    protocol("5.1", "WINDOW_UPDATE for one", frame(WINDOW_UPDATE, 0, 3, number(8))),
    protocol("5.1", "CONTINUATION for one", frame(CONTINUATION, END_HEADERS, 3, block(GET))),
    Rule("5.1", "PRIORITY for one", frame(PRIORITY, 0, 3, number(0) + b"\x10"), "ignored"),
    Rule("5.1", "DATA after END_STREAM", DONE + frame(DATA, 0, 3, b"x"), "GOAWAY STREAM_CLOSED", TWICE),
    Rule("5.1", "HEADERS after END_STREAM", DONE + headers(3, [(b"x", b"y")]), "GOAWAY STREAM_CLOSED", TWICE),
    Rule("5.1", "WINDOW_UPDATE after END_STREAM", DONE + frame(WINDOW_UPDATE, 0, 3, number(8)), "ignored"),
    Rule("5.1", "RST_STREAM after END_STREAM", DONE + frame(RST_STREAM, 0, 3, number(8)), "fine"),
    Rule("5.1", "DATA after RST_STREAM", CLOSED + frame(DATA, 0, 3, b"x"), "ignored"),
    Rule(
        "5.1",
        "HEADERS after RST_STREAM",
        CLOSED + headers(3, GET),
        "ignored",
        "a stream is known to have been reset only while it is open: they cost a token",
    ),
    Rule(
        "5.1",
        "WINDOW_UPDATE, PRIORITY and RST_STREAM after RST_STREAM",
        CLOSED
        + frame(WINDOW_UPDATE, 0, 3, number(1))
        + frame(PRIORITY, 0, 3, number(0) + b"\x10")
        + frame(RST_STREAM, 0, 3, number(8)),
        "ignored",
    ),
    protocol("5.1.1", "A stream with an even number", headers(2, GET)),
    Rule(
        "5.1.1",
        "A stream with a lower number than the last",
        headers(7, GET) + headers(3, GET),
        "ignored",
        "nghttp2 cannot tell it from trailers of a stream that was reset; costs a token",
    ),
    Rule(
        "5.1.2",
        "More streams than SETTINGS_MAX_CONCURRENT_STREAMS",
        b"".join(headers(n, POST, END_HEADERS) for n in range(5, 5 + 2 * 127, 2)) + headers(259, GET),
        "RST_STREAM 259 REFUSED_STREAM",
    ),
]

FRAMES = [
    protocol("6.1", "DATA on stream 0", frame(DATA, 0, 0, b"x")),
    protocol("6.1", "Padding as long as the frame", OPEN + frame(DATA, PADDED, 3, b"\x06abcde")),
    Rule("6.1", "Padding that fits", OPEN + frame(DATA, PADDED | END_STREAM, 3, b"\x05a" + bytes(5)), "fine"),
    protocol("6.2", "HEADERS on stream 0", headers(0, GET)),
    protocol("6.2", "Padding as long as the frame", raw(b"\xff" + block(GET), END_HEADERS | END_STREAM | PADDED)),
    Rule(
        "6.2",
        "Padding and a priority",
        raw(b"\x02" + number(1) + b"\x10" + block(GET) + bytes(2), END_HEADERS | END_STREAM | PADDED | WITH_PRIORITY),
        "fine",
    ),
    protocol("6.3", "PRIORITY on stream 0", frame(PRIORITY, 0, 0, number(1) + b"\x10")),
    Rule(
        "6.3",
        "PRIORITY that has not 5 bytes",
        OPEN + frame(PRIORITY, 0, 3, number(1)),
        "GOAWAY FRAME_SIZE_ERROR",
        TWICE,
    ),
    protocol("6.4", "RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, number(8))),
    Rule("6.4", "RST_STREAM that has not 4 bytes", OPEN + frame(RST_STREAM, 0, 3, b"abc"), "GOAWAY FRAME_SIZE_ERROR"),
    Rule("6.4", "RST_STREAM with an unknown code", OPEN + frame(RST_STREAM, 0, 3, number(0x999)), "fine"),
    protocol("6.5", "SETTINGS on a stream", frame(SETTINGS, 0, 1)),
    Rule("6.5", "SETTINGS whose length is no multiple of 6", frame(SETTINGS, 0, 0, b"abc"), "GOAWAY FRAME_SIZE_ERROR"),
    Rule("6.5", "An acknowledgement with a payload", frame(SETTINGS, ACK, 0, bytes(6)), "GOAWAY FRAME_SIZE_ERROR"),
    Rule("6.5.2", "A setting that is unknown", settings((0x99, 1)), "SETTINGS is sent"),
    protocol("6.5.2", "ENABLE_PUSH that is neither 0 nor 1", settings((2, 2))),
    Rule("6.5.2", "INITIAL_WINDOW_SIZE above 2^31-1", settings((4, MOST + 1)), "GOAWAY FLOW_CONTROL_ERROR"),
    protocol("6.5.2", "MAX_FRAME_SIZE below 16,384", settings((5, 16_383))),
    protocol("6.5.2", "MAX_FRAME_SIZE above 2^24-1", settings((5, 1 << 24))),
    Rule("6.5.3", "SETTINGS are acknowledged", settings((4, 70_000)), "SETTINGS is sent"),
    protocol("8.4", "PUSH_PROMISE from a client", frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + block(GET))),
    Rule("6.7", "PING is answered", frame(PING, 0, 0, b"12345678"), "PING is sent"),
    Rule("6.7", "The answer to a PING is not", frame(PING, ACK, 0, b"12345678"), "ignored"),
    protocol("6.7", "PING on a stream", frame(PING, 0, 1, bytes(8))),
    Rule("6.7", "PING that has not 8 bytes", frame(PING, 0, 0, bytes(7)), "GOAWAY FRAME_SIZE_ERROR"),
    protocol("6.8", "GOAWAY on a stream", frame(GOAWAY, 0, 1, bytes(8))),
    Rule("6.8", "GOAWAY that has not 8 bytes", frame(GOAWAY, 0, 0, bytes(7)), "GOAWAY FRAME_SIZE_ERROR"),
    Rule("6.8", "After GOAWAY what is open goes on", frame(GOAWAY, 0, 0, bytes(8)), "ignored"),
    Rule(
        "6.9",
        "WINDOW_UPDATE of 0 for a stream",
        OPEN + frame(WINDOW_UPDATE, 0, 3, number(0)),
        "GOAWAY PROTOCOL_ERROR",
        TWICE,
    ),
    protocol("6.9", "WINDOW_UPDATE of 0 for the connection", frame(WINDOW_UPDATE, 0, 0, number(0))),
    Rule("6.9", "WINDOW_UPDATE that has not 4 bytes", frame(WINDOW_UPDATE, 0, 0, b"abc"), "GOAWAY FRAME_SIZE_ERROR"),
    Rule(
        "6.9.1",
        "A stream's window above 2^31-1",
        OPEN + frame(WINDOW_UPDATE, 0, 3, number(MOST)),
        "RST_STREAM 3 FLOW_CONTROL_ERROR",
    ),
    Rule(
        "6.9.1",
        "The connection's window above 2^31-1",
        frame(WINDOW_UPDATE, 0, 0, number(MOST)),
        "GOAWAY FLOW_CONTROL_ERROR",
    ),
    Rule(
        "6.9.1",
        "More DATA than a stream's window",
        OPEN + frame(DATA, 0, 3, bytes(16_384)) * 17,
        "RST_STREAM 3 FLOW_CONTROL_ERROR",
    ),
    Rule(
        "6.9.2",
        "INITIAL_WINDOW_SIZE that takes a stream's window above 2^31-1",
        DONE + frame(WINDOW_UPDATE, 0, 3, number(1000)) + settings((4, MOST)),
        "RST_STREAM 3 FLOW_CONTROL_ERROR",
        "nghttp2: of that stream only, where the RFC ends the connection",
    ),
    protocol("6.10", "CONTINUATION on stream 0", frame(CONTINUATION, END_HEADERS, 0, block(GET))),
    protocol("6.10", "CONTINUATION after END_HEADERS", OPEN + frame(CONTINUATION, END_HEADERS, 3, b"")),
]

TRAILERS_OPEN = OPEN + frame(DATA, 0, 3, b"abc")
MESSAGES = [
    Rule("8.1", "Trailers", TRAILERS_OPEN + headers(3, [(b"x", b"y")]), "fine"),
    Rule(
        "8.1",
        "HEADERS behind the body that are not its end",
        TRAILERS_OPEN + headers(3, [(b"x", b"y")], END_HEADERS),
        "RST_STREAM 3 PROTOCOL_ERROR",
    ),
    Rule(
        "8.1.1",
        "A body longer than its Content-Length",
        headers(3, [*POST, (b"content-length", b"2")], END_HEADERS) + frame(DATA, 0, 3, b"abc"),
        "RST_STREAM 3 PROTOCOL_ERROR",
    ),
    Rule(
        "8.1.1",
        "A body shorter than that",
        headers(3, [*POST, (b"content-length", b"5")], END_HEADERS) + frame(DATA, END_STREAM, 3, b"abc"),
        "RST_STREAM 3 PROTOCOL_ERROR",
    ),
    malformed("8.1.1", "A Content-Length and no body", (b"content-length", b"5")),
    malformed("8.1.1", "Content-Length twice", (b"content-length", b"0"), (b"content-length", b"0")),
    malformed("8.1.1", "Content-Length that is no number: +1", (b"content-length", b"+1")),
    malformed("8.1.1", "The same: 1, 1", (b"content-length", b"1, 1")),
    malformed("8.1.1", "The same: 2^63", (b"content-length", b"9223372036854775808")),
    malformed("8.2.1", "A name with an upper-case letter", (b"X", b"y")),
    *(
        malformed("8.2.1", f"A name with {name}", (b"x" + byte + b"y", b"z"))
        for byte, name in (
            (b" ", "a space"),
            (b"\0", "NUL"),
            (b"\r", "CR"),
            (b"\n", "LF"),
            (b"\x7f", "DEL"),
            (b"\xe9", "a byte above 127"),
            (b":", "a colon"),
            (b"(", "a bracket"),
        )
    ),
    malformed("8.2.1", "A name without a character", (b"", b"y")),
    *(
        malformed("8.2.1", f"A value with {name}", (b"x", b"y" + byte + b"z"))
        for byte, name in (
            (b"\0", "NUL"),
            (b"\r", "CR"),
            (b"\n", "LF"),
            (b"\r\n x: y", "a line of its own"),
            (b"\x01", "a control character"),
            (b"\x7f", "DEL"),
        )
    ),
    *(
        malformed("8.2.1", f"A value that {name}", (b"x", value))
        for value, name in (
            (b" y", "begins with a space"),
            (b"\ty", "begins with a tab"),
            (b"y ", "ends with a space"),
            (b"y\t", "ends with a tab"),
        )
    ),
    Rule(
        "8.2.1", "A value with a tab within, and with bytes above 127", headers(3, [*GET, (b"x", b"a\tb\xe9")]), "fine"
    ),
    *(
        malformed("8.2.2", f"A field of one connection: {name.decode()}", (name, value))
        for name, value in (
            (b"connection", b"close"),
            (b"keep-alive", b"timeout=5"),
            (b"proxy-connection", b"close"),
            (b"transfer-encoding", b"chunked"),
            (b"upgrade", b"h2c"),
        )
    ),
    malformed("8.2.2", "TE with something else than trailers", (b"te", b"gzip")),
    Rule("8.2.2", "TE: trailers", headers(3, [*GET, (b"te", b"trailers")]), "fine"),
    Rule("8.2.3", "A cookie in crumbs", headers(3, [*GET, (b"cookie", b"a=1"), (b"cookie", b"b=2")]), "fine"),
    malformed("8.3", "A pseudo-field behind a field", (b"x", b"y"), GET[3], base=GET[:3]),
    malformed("8.3", "A pseudo-field that is unknown", base=[*GET, (b":x", b"y")]),
    malformed("8.3", "One of responses", base=[*GET, (b":status", b"200")]),
    *(malformed("8.3", f"{GET[i][0].decode()} twice", base=[*GET, GET[i]]) for i in range(4)),
    Rule(
        "8.3",
        "A pseudo-field in trailers",
        TRAILERS_OPEN + headers(3, [(b":path", b"/")]),
        "RST_STREAM 3 PROTOCOL_ERROR",
    ),
    *(malformed("8.3.1", f"No :{name}", base=replaced(**{name: None})) for name in ("method", "scheme", "path")),
    malformed("8.3.1", "Neither :authority nor Host", base=replaced(authority=None)),
    Rule(
        "8.3.1",
        "Host in place of :authority",
        headers(3, [*replaced(authority=None), (b"host", b"app.localhost")]),
        "fine",
    ),
    Rule(
        "8.3.1",
        "Host that is the :authority, in other letters",
        headers(3, [*GET, (b"host", b"APP.localhost")]),
        "fine",
    ),
    malformed("8.3.1", "Host that is another", (b"host", b"other.localhost")),
    malformed("8.3.1", "Host twice", (b"host", b"app.localhost"), (b"host", b"app.localhost")),
    *(
        malformed("8.3.1", f"An :authority that is no host: {name}", base=replaced(authority=value))
        for value, name in (
            (b"", "nothing"),
            (b"user@app.localhost", "a user"),
            (b"app.localhost:x", "a port that is no number"),
            (b"a b", "a space"),
            (b"a/b", "a slash"),
            (b"a,b", "a comma"),
            (b"a%20b", "a percent sign"),
        )
    ),
    *(
        malformed("8.3.1", f"A :path {name}", base=replaced(path=value))
        for value, name in (
            (b"", "without a character"),
            (b"x", "that begins with no slash"),
            (b"http://app.localhost/", "that is a URL"),
            (b"*", "of * for GET"),
            (b"/a b", "with a space"),
            (b"/a\tb", "with a tab"),
            (b"/a#b", "with a fragment"),
            (b"/\xc3\xa9", "with bytes above 127"),
            (b"/a\r\nx: y", "with a line"),
            (b"/\0", "with NUL"),
        )
    ),
    Rule("8.3.1", "A :path of * for OPTIONS", headers(3, replaced(method=b"OPTIONS", path=b"*")), "fine"),
    *(
        malformed("8.3.1", f"A :method {name}", base=replaced(method=value))
        for value, name in (
            (b"", "without a character"),
            (b"GE T", "with a space"),
            (b"GET\r\n", "with a line"),
            (b"G(", "with a bracket"),
        )
    ),
    Rule("8.3.1", "A :method of one's own", headers(3, replaced(method=b"FROB")), "fine"),
    *(
        malformed("8.3.1", f"A :scheme of {value.decode()}", base=replaced(scheme=value))
        for value in (b"ftp", b"ws", b"httpx", b"htt")
    ),
    malformed("8.3.1", "A :scheme that is none", base=replaced(scheme=b"ht tp")),
    malformed("8.5", "CONNECT with :path and :scheme", base=replaced(method=b"CONNECT")),
    malformed("8.5", "CONNECT without :authority", base=[(b":method", b"CONNECT")]),
    malformed("RFC 8441 4", ":protocol without CONNECT", base=[GET[0], CONNECT[1], *GET[1:]]),
    malformed(
        "RFC 8441 4", "An extended CONNECT without :path", base=[each for each in CONNECT if each[0] != b":path"]
    ),
    malformed("RFC 8441 4", "An extended CONNECT without :authority", (b"host", b"app.localhost"), base=CONNECT[:4]),
    Rule("RFC 8441 4", "An extended CONNECT", headers(3, CONNECT, END_HEADERS), "fine"),
]

NEIGHBOURS = [
    protocol("RFC 9218 7.1", "PRIORITY_UPDATE on a stream", frame(PRIORITY_UPDATE, 0, 1, number(1) + b"u=1")),
    protocol("RFC 9218 7.1", "PRIORITY_UPDATE for stream 0", frame(PRIORITY_UPDATE, 0, 0, number(0) + b"u=1")),
    Rule(
        "RFC 9218 7.1",
        "PRIORITY_UPDATE for a stream to come",
        frame(PRIORITY_UPDATE, 0, 0, number(3) + b"u=1") + DONE,
        "fine",
    ),
    Rule("RFC 9218 4", "A priority that cannot be parsed", headers(3, [*GET, (b"priority", b"@@@")]), "fine"),
    protocol("RFC 9218 2.1", "SETTINGS_NO_RFC7540_PRIORITIES that is neither 0 nor 1", settings((9, 2))),
    protocol("RFC 8441 3", "SETTINGS_ENABLE_CONNECT_PROTOCOL that is neither 0 nor 1", settings((8, 2))),
    Rule("RFC 7541 6.1", "The index 0", raw(b"\x80"), "GOAWAY COMPRESSION_ERROR"),
    Rule("RFC 7541 2.3.3", "An index beyond both tables", raw(b"\xff\x80\x01"), "GOAWAY COMPRESSION_ERROR"),
    Rule("RFC 7541 5.1", "A number that overflows", raw(b"\xff" + b"\xff" * 10 + b"\x01"), "GOAWAY COMPRESSION_ERROR"),
    Rule(
        "RFC 7541 5.2",
        "Huffman's padding of more than 7 bits",
        raw(block(GET) + b"\0\x01x\x82\xff\xff"),
        "GOAWAY COMPRESSION_ERROR",
    ),
    Rule(
        "RFC 7541 5.2",
        "Huffman's EOS within a text",
        raw(block(GET) + b"\0\x01x\x84\xff\xff\xff\xff"),
        "GOAWAY COMPRESSION_ERROR",
    ),
    Rule(
        "RFC 7541 4.2",
        "A change of the table's size behind a field",
        raw(block(GET) + b"\x20"),
        "GOAWAY COMPRESSION_ERROR",
    ),
    Rule(
        "RFC 7541 6.3",
        "A table larger than was allowed",
        raw(b"\x3f\xe1\xff\x03" + block(GET)),
        "GOAWAY COMPRESSION_ERROR",
    ),
    Rule("RFC 7541 6.3", "A table of no size at all", raw(b"\x20" + block(GET)), "fine"),
    Rule(
        "10.5.1",
        "A head beyond SETTINGS_MAX_HEADER_LIST_SIZE",
        frame(HEADERS, END_STREAM, 3, block([*GET, (b"x", b"y" * 16_000)]))
        + frame(CONTINUATION, 0, 3, block([(b"x", b"y" * 16_000)]))
        + frame(CONTINUATION, END_HEADERS, 3, block([(b"x", b"y" * 1000)])),
        "431",
    ),
    Rule("10.5.1", "More than a hundred fields", headers(3, [*GET, *[(b"x", b"")] * 101]), "431"),
    Rule(
        "10.5.1",
        "A field of more than 64 KB",
        frame(HEADERS, END_STREAM, 3, block([*GET, (b"x", b"y" * 70_000)])[:16_000])
        + b"".join(
            frame(CONTINUATION, 0, 3, block([*GET, (b"x", b"y" * 70_000)])[i : i + 16_000])
            for i in range(16_000, 70_000, 16_000)
        ),
        "GOAWAY COMPRESSION_ERROR",
    ),
]

# These are all that a connection begins with.
PREFACES = [
    protocol(
        "3.4", "A connection that begins with something else: HTTP/1", b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n"
    ),
    protocol("3.4", "The same: a magic with a wrong end", MAGIC[:-1] + b"x"),
    protocol("3.4", "The first frame is not SETTINGS", MAGIC + frame(PING, 0, 0, bytes(8))),
    protocol("3.4", "The first SETTINGS are an acknowledgement", MAGIC + frame(SETTINGS, ACK)),
    Rule("3.4", "Requests right behind the preface", PREFACE + headers(3, GET), "fine"),
]
GROUPS = {
    "How a connection begins": PREFACES,
    "Frames": CONNECTION,
    "Streams": STREAMS,
    "Each frame": FRAMES,
    "Messages": MESSAGES,
    "Priorities, WebSockets, HPACK, limits": NEIGHBOURS,
}
RULES = [rule for rules in GROUPS.values() for rule in rules]


def page() -> str:
    """docs/http2.md."""
    lines = [HEAD]
    for title, rules in GROUPS.items():
        lines += [f"## {title}", "", "| section | what a client sends | answer |", "|---|---|---|"]
        for rule in rules:
            answer = rule.answer.replace("RST_STREAM 3", "RST_STREAM").replace("RST_STREAM 259", "RST_STREAM")
            lines.append(f"| {rule.section} | {rule.what} | {answer}{f' ({rule.note})' if rule.note else ''} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


HEAD = """# What HTTP/2 demands of a server, and what this one answers

Each row is a case of `test_http2_conformance.py::test_a_rule_is_kept`: the frames are in
[tests/lib/http2_rules.py](../tests/lib/http2_rules.py), which also writes this page. Sections are those of RFC 9113 where
no other is named. `RST_STREAM` is an error of that request alone, and others on the connection go on; `GOAWAY` ends the
connection; what is `fine` becomes a request to the app. What libnghttp2 decides and what is decided above it
(`csrc/http1.c`: method, path, authority, Host, names and values; `http2.pyx`: scheme, limits, the number of streams) is
not told apart, for a client sees no difference. So it is with nghttp2 1.52; where a stream's window is overrun, 1.70, which
wheels have, ends the connection (`tests/lib/nghttp2.py`).
"""

if __name__ == "__main__":
    PAGE.write_text(page())
