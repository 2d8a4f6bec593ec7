from locald.proxy.access import Record
from locald.proxy.stream import Protocol

class Origin: ...
class Asker(Protocol): ...

class Exchange:
    record: Record
