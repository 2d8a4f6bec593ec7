from typing import Final

from locald.proxy.limits import Limits

Fields = list[tuple[bytes, bytes]]

class ProtocolError(Exception):
    status: int
    text: str

class HeadCutOff(ProtocolError): ...

class Request:
    method: bytes
    target: bytes
    host: bytes
    minor: int
    fields: Fields
    keep_alive: bool
    wants_upgrade: bool
    length: int | None
    chunked: bool
    @property
    def has_body(self) -> bool: ...

class Response:
    status: int
    reason: bytes
    minor: int
    fields: Fields
    keep_alive: bool
    length: int | None
    has_body: bool
    until_close: bool

class End:
    trailers: Fields

NEED_DATA: Final[object]

class Reader:
    def __init__(self, requests: bool, limits: Limits = ...) -> None: ...
    @property
    def buffered(self) -> int: ...
    def feed(self, data: bytes) -> None: ...
    def eof(self) -> None: ...
    def expect(self, head_request: bool) -> None: ...
    def next_event(self) -> object: ...
    def take_rest(self) -> bytes: ...

def serialize(first: bytes, fields: Fields) -> bytes: ...
def chunk_head(size: int) -> bytes: ...
def last_chunk(trailers: Fields) -> bytes: ...
