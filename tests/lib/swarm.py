"""Many calls of the helper from one process of its user's; prints what came as JSON.

python swarm.py SHIM together COUNT       COUNT calls for one port at once; nobody is answered before all have theirs
python swarm.py SHIM random COUNT SEED    COUNT random argument vectors, one after the other
"""

from __future__ import annotations

import array
import json
import os
import random
import socket
import sys
from collections import Counter

GRANTED = {("bind", "80"), ("bind", "80", "127.0.0.1"), ("bind", "443"), ("bind", "443", "127.0.0.1")}
GRANTED |= {("bind", "80", "::1"), ("bind", "443", "::1")}
WORDS = [
    "bind", "version", "80", "443", "127.0.0.1", "::1", "", "0", "1023", "1024", "65616", "080", "+80", "8 0", "80 ", "-80", "0x50",
    "4294967376", "18446744073709551696", "localhost", "127.1", "0", "0.0.0.0", "::", "::ffff:127.0.0.1", "::0001", "127.0.0.1\n", "bind ",
    "--help", "-", "%s%n", "\u0665\u0660", "a" * 100, "1" * 4000,
]  # fmt: skip


def spawn(shim: str, arguments: list[str | bytes]) -> tuple[int, socket.socket]:
    ours, theirs = socket.socketpair()
    actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)]
    actions += [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (1, 2)]
    pid = os.posix_spawn(shim, arguments, {}, file_actions=actions)
    theirs.close()
    return pid, ours


def listener(ours: socket.socket) -> socket.socket | None:
    try:
        data, fds, _, _ = socket.recv_fds(ours, 16, 4)
    except ConnectionResetError:
        return None
    assert len(fds) == len(data) <= 1, (data, fds)
    return socket.socket(fileno=fds[0]) if fds else None


def finish(pid: int, ours: socket.socket) -> int:
    try:
        ours.send(b"\1")
    except OSError:
        pass  # it has refused, and is gone
    ours.close()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def together(shim: str, count: int) -> dict[str, object]:
    calls = [spawn(shim, [shim, "bind", "80"]) for _ in range(count)]
    got = [each for _, ours in calls if (each := listener(ours)) is not None]
    codes = Counter(finish(pid, ours) for pid, ours in calls)
    return {"listeners": [each.getsockname() for each in got], "codes": codes}


def vector(dice: random.Random) -> list[str | bytes]:
    words: list[str | bytes] = [dice.choice(WORDS) for _ in range(dice.choice((0, 1, 2, 2, 3, 3, 4, 40)))]
    if dice.random() < 0.5:
        words[:1] = ["bind"]
    if words and dice.random() < 0.5:  # one byte of one word changed; no NUL fits into an argument
        at = dice.randrange(len(words))
        word = bytearray(str(words[at]).encode() or b"x")
        word[dice.randrange(len(word))] = dice.randrange(1, 256)
        words[at] = bytes(word)
    return words


def at_random(shim: str, count: int, seed: int) -> dict[str, object]:
    dice = random.Random(seed)
    codes: Counter[int] = Counter()
    wrong = []
    for _ in range(count):
        words = vector(dice)
        pid, ours = spawn(shim, [shim, *words])
        got = listener(ours)
        code = finish(pid, ours)
        codes[code] += 1
        asked = tuple(os.fsdecode(word) for word in words)
        right = code == 0 if asked in GRANTED or asked == ("version",) else code in (64, 67)
        if not right or (got is not None) != (asked in GRANTED):
            wrong.append([repr(asked), code])
        if got is not None:
            port, address = int(asked[1]), asked[2] if len(asked) == 3 else "127.0.0.1"
            if got.getsockname()[:2] != (address, port):
                wrong.append([repr(asked), str(got)])
            got.close()
    return {"wrong": wrong, "codes": codes}


if __name__ == "__main__":
    array.array("i")  # recv_fds needs it, and must not import it among the calls
    shim, what, *numbers = sys.argv[1:]
    run = {"together": together, "random": at_random}[what]
    print(json.dumps(run(shim, *map(int, numbers))))
