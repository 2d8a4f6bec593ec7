"""A client of gRPC's: grpc_calls.py ADDRESS SCENARIO [ROOT] makes the calls of one scenario, and fails where one goes
wrong.  With the file of a ROOT that it is to trust, it speaks TLS."""

from __future__ import annotations

import os
import queue
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

MIB = 1 << 20
TIMEOUT_S = 30


class Calls:
    """The scenarios, each on one channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def call(self, kind: str, name: str) -> Any:
        return getattr(self.channel, kind)(f"/test.Test/{name}")

    def unary(self, name: str, request: bytes = b"") -> bytes:
        answer: bytes = self.call("unary_unary", name)(request, timeout=TIMEOUT_S)
        return answer

    def a_unary_call(self) -> None:
        for size in (0, 1, 1000, 100_000, 4 * MIB):
            request = bytes(range(256)) * (size // 256) + bytes(size % 256)
            answer, call = self.call("unary_unary", "Echo").with_call(
                request, timeout=TIMEOUT_S, metadata=(("x-mine", "mine"),)
            )
            assert answer == request
            assert dict(call.initial_metadata())["x-first"] == "mine"
            assert dict(call.trailing_metadata()) == {"x-sum": str(sum(request)), "x-bytes-bin": b"\0\xff"}
            assert call.code() == grpc.StatusCode.OK

    def what_the_server_is_told(self) -> None:
        assert self.unary("Host") == b"grpc.localhost 127.0.0.1 2.0 locald"

    def errors_with_trailers(self) -> None:
        try:
            self.unary("Fail", b"now")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
            assert error.details() == "not now: 100 % ü"
            assert dict(error.trailing_metadata()) == {"x-why": "because"}
        else:
            raise AssertionError("it did not fail")
        got = []
        try:
            for message in self.call("unary_stream", "FailLate")(b"", timeout=TIMEOUT_S):
                got.append(message)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.DATA_LOSS
            assert error.details() == "that was all"
        assert got == [b"one", b"two"]
        try:
            self.unary("NoSuchMethod")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNIMPLEMENTED

    def a_stream_of_the_servers(self) -> None:
        messages = list(self.call("unary_stream", "Count")(b"1000 300", timeout=TIMEOUT_S))
        assert messages == [bytes(300)] * 1000

    def a_stream_of_the_clients(self) -> None:
        requests = (bytes(size) for size in range(1000))
        assert self.call("stream_unary", "Add")(requests, timeout=TIMEOUT_S) == b"%d" % sum(range(1000))

    def both_streams_in_turn(self) -> None:
        """Each answer comes before the next message is sent."""
        waiting: queue.Queue[bytes | None] = queue.Queue()
        answers = self.call("stream_stream", "Chat")(iter(waiting.get, None), timeout=TIMEOUT_S)
        for word in (b"abc", b"", b"x" * 100_000 + b"y", b"end"):
            waiting.put(word)
            assert next(answers) == word[::-1]
        waiting.put(None)
        assert list(answers) == []
        assert answers.code() == grpc.StatusCode.OK

    def a_cancellation(self) -> None:
        """The server's own word says that it was told."""
        mine = b"%d" % os.getpid()  # others have asked this server before
        for name in (b"by-hand-" + mine, b"by-deadline-" + mine):
            by_hand = name.startswith(b"by-hand")
            call = self.call("unary_stream", "Hang")(name, timeout=None if by_hand else 1)
            assert next(call) == b"begun"
            if by_hand:
                call.cancel()
            try:
                next(call)
            except grpc.RpcError as error:
                assert error.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)
        seen: list[bytes] = []
        while not {b"by-hand-" + mine, b"by-deadline-" + mine} <= set(seen):
            seen = self.unary("Cancelled").split()

    def many_at_once(self) -> None:
        calls = [self.call("unary_unary", "Echo").future(b"%d" % i, timeout=TIMEOUT_S) for i in range(300)]
        assert [call.result() for call in calls] == [b"%d" % i for i in range(300)]

    def large_messages_to_a_slow_reader(self) -> None:
        """128 MiB, of which the server is never far ahead.

        Of the message that is not asked for yet 64 KiB fit into gRPC's window, 256 into ours, and 256 may wait for the
        client: so the server has it in its hand, or at most the one after it.
        """
        got = 0
        for message in self.call("unary_stream", "Count")(b"128 %d" % MIB, timeout=120):
            got += 1
            assert len(message) == MIB
            ahead = int(self.unary("Progress")) - got
            assert ahead <= 2, f"{ahead} MiB wait somewhere"
        assert got == 128

    def large_messages_to_a_slow_server(self) -> None:
        def requests() -> Iterator[bytes]:
            for _ in range(128):
                yield bytes(MIB)

        assert self.call("stream_unary", "Add")(requests(), timeout=120) == b"%d" % (128 * MIB)

    def a_server_that_is_not_there(self) -> None:
        try:
            self.unary("Echo")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE, error
            print(error.details())
        else:
            raise AssertionError("it did not fail")


def main() -> None:
    address, scenario, *root = sys.argv[1:]
    # Without its probe gRPC's windows stay as they are; else they grow with what it believes the line to carry.
    options = [
        ("grpc.default_authority", "grpc.localhost"),
        ("grpc.max_receive_message_length", -1),
        ("grpc.http2.bdp_probe", 0),
    ]
    if root:
        trust = grpc.ssl_channel_credentials(Path(root[0]).read_bytes())
        options.append(("grpc.ssl_target_name_override", "grpc.localhost"))  # there is no such name to dial here
        made = grpc.secure_channel(address, trust, options)
    else:
        made = grpc.insecure_channel(address, options)
    with made as channel:
        getattr(Calls(channel), scenario)()
    print("good")


if __name__ == "__main__":
    main()
