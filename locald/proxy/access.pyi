Plain = tuple[bytes, bytes, bytes, str, str, str, float, float, float, int, int, int, bool, bool]

class Record:
    number: int
    received: int
    sent: int
    method: bytes
    host: bytes
    target: bytes
    app: str
    upstream: str
    note: str
    time: float
    began: float
    first: float
    ended: float
    status: int
    tunnel: bool
    secure: bool
    def plain(self) -> Plain: ...

class Log:
    count: int
    def __init__(self, size: int) -> None: ...
    def look_at_the_wall(self) -> None: ...
    def since(self, number: int) -> list[Record]: ...
    def put(self, plain: Plain) -> None: ...
    def resume(self, count: int, plains: list[Plain]) -> None: ...
    def move(self) -> None: ...
    async def more(self) -> None: ...
