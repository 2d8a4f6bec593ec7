"""What a Reader makes of bytes, as lines of text: a transcript.

GET /x 1.1 of a.localhost        a head; ", then closes" where the connection ends with the message
  Accept: text/plain             its fields, but for the one Host: a.localhost
b'hello'                         body; however it was cut, in one line
end                              and its trailers, written as fields
400 the method is not a token    the end of everything
"""

from __future__ import annotations

from locald.proxy.http1 import NEED_DATA, End, ProtocolError, Reader, Request, Response


def read(data: bytes, *, requests: bool, pieces: int = 0, head: bool = False, eof: bool = False) -> list[str]:
    """The transcript of the data, fed ``pieces`` bytes at a time or whole, and ended if ``eof``."""
    reader = Reader(requests)
    reader.expect(head)
    events: list[object] = []
    pieces = pieces or max(1, len(data))
    try:
        for at in range(0, len(data), pieces):
            reader.feed(data[at : at + pieces])
            take(reader, events)
        if eof:
            reader.eof()
            take(reader, events)
    except ProtocolError as error:
        events.append(error)
    return [line for event in events for line in show(event)]


def take(reader: Reader, events: list[object]) -> None:
    """All events there are; parts of one body are joined."""
    while (event := reader.next_event()) is not NEED_DATA:
        if isinstance(event, bytes) and events and isinstance(events[-1], bytes):
            events[-1] += event
        else:
            events.append(event)


def show(event: object) -> list[str]:
    match event:
        case Request():
            line = f"{text(event.method)} {text(event.target)} 1.{event.minor} of {text(event.host)}"
            return [line + closes(event), *fields(event.fields)]
        case Response():
            return [f"{event.status} {text(event.reason)} 1.{event.minor}" + closes(event), *fields(event.fields)]
        case End():
            return ["end", *fields(event.trailers)]
        case ProtocolError():
            return [f"{event.status} {event.text}"]
    return [repr(event)]


def closes(head: Request | Response) -> str:
    return "" if head.keep_alive else ", then closes"


def fields(found: list[tuple[bytes, bytes]]) -> list[str]:
    return [f"  {text(name)}: {text(value)}" for name, value in found if (name, value) != (b"Host", b"a.localhost")]


def text(data: bytes) -> str:
    return data.decode("latin-1")
