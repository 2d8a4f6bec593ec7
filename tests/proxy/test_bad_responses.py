"""The corpus of bad responses, each case sent by an app that then stays, closes or resets the connection.

relayed    the client gets it as said, or as it came; the next request on its connection has its own answer
ended      the same, and the proxy closes: that is the end of the body
broken     the client gets the beginning, and can see that it is not all
refused S  the client gets S and the rule, and nothing of the response

Whatever happened, the next client gets the answer to its own request.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

import corpus
import http1_events
import pytest
from recording import Recorder, read_request

CASES = corpus.load("responses")
GET = b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n"
CLOSE = b"Connection: close\r\n\r\n"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 seconds


class App(Recorder):
    """Its first answer is the case's; then it behaves, if it is still there."""

    def __init__(self, case: corpus.Case) -> None:
        super().__init__()
        self.case = case
        self.asked = False

    def handle(self, sock: socket.socket) -> None:
        if not self.asked:
            self.asked = True
            with sock.makefile("rb") as file:
                read_request(file, bytearray())
            sock.sendall(self.case.sent)
            if self.case.then == "resets":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            if self.case.then:
                return
        super().handle(sock)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_response_reaches_another_request(rig: Any, app: Any, case: corpus.Case) -> None:
    server = app(App(case).handle)
    asked = case.answers or GET
    head = asked.startswith(b"HEAD ")
    with rig.connect() as client:
        client.sendall(asked)
        answer = b""
        if case.verdict == "relayed":
            answer = read_exactly(client, len(case.becomes or case.sent))
            client.sendall(b"GET /after HTTP/1.1\r\nHost: app.localhost\r\n" + CLOSE)
            assert read_to_the_end(client) == own_answer(b"/after")
        else:
            client.shutdown(socket.SHUT_WR)
            answer = read_to_the_end(client)
    assert rig.talk(b"GET /canary HTTP/1.1\r\nHost: app.localhost\r\n" + CLOSE) == own_answer(b"/canary")
    rig.close()
    server.close()
    expected = case.becomes or case.sent
    if case.verdict == "refused":
        assert corpus.statuses(answer) == [case.status]
        assert head or case.rule.encode() in answer
        assert b"secret" not in answer
    elif case.verdict == "broken":
        assert expected.startswith(answer)
        transcript = http1_events.read(answer, requests=False, head=head, eof=True)
        assert "end" not in transcript or asked.endswith(b"HTTP/1.0\r\n\r\n")
    else:
        assert answer == expected


def own_answer(target: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b%b" % (len(target), CLOSE, target)


def read_exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := sock.recv(size - len(data))):
        data += piece
    return data


def read_to_the_end(sock: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(1 << 16):
            data += piece
    return data
