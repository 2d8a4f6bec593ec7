"""A server of gRPC's that says its port.  Messages are bytes; the service needs no schema."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures

import grpc

cancelled: list[str] = []
sent = [0]


def echo(request: bytes, context: grpc.ServicerContext) -> bytes:
    context.set_trailing_metadata((("x-sum", str(sum(request))), ("x-bytes-bin", b"\0\xff")))
    context.send_initial_metadata((("x-first", dict(context.invocation_metadata()).get("x-mine", "")),))
    return request


def host(request: bytes, context: grpc.ServicerContext) -> bytes:
    given = dict(context.invocation_metadata())
    return f"{given.get('x-forwarded-host')} {given.get('x-forwarded-for')} {given.get('via')}".encode()


def fail(request: bytes, context: grpc.ServicerContext) -> bytes:
    context.set_trailing_metadata((("x-why", "because"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"not {request.decode()}: 100 % ü")
    raise AssertionError


def count(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    """As many messages as were asked for, of as many bytes."""
    number, size = map(int, request.split())
    sent[0] = 0
    for _ in range(number):
        sent[0] += 1
        yield bytes(size)


def progress(request: bytes, context: grpc.ServicerContext) -> bytes:
    return b"%d" % sent[0]


def fail_late(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    yield b"one"
    yield b"two"
    context.abort(grpc.StatusCode.DATA_LOSS, "that was all")


def add(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
    return b"%d" % sum(map(len, requests))


def chat(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    for request in requests:
        yield request[::-1]


def hang(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    """Begin, and go on until somebody cancels it.  That may be before the word has gone out: then gRPC does not come
    back here."""
    gone = threading.Event()

    def end() -> None:
        cancelled.append(request.decode())
        gone.set()

    context.add_callback(end)
    yield b"begun"
    gone.wait()


def were_cancelled(request: bytes, context: grpc.ServicerContext) -> bytes:
    return " ".join(cancelled).encode()


HANDLERS = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Host": grpc.unary_unary_rpc_method_handler(host),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Progress": grpc.unary_unary_rpc_method_handler(progress),
    "Cancelled": grpc.unary_unary_rpc_method_handler(were_cancelled),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "FailLate": grpc.unary_stream_rpc_method_handler(fail_late),
    "Hang": grpc.unary_stream_rpc_method_handler(hang),
    "Add": grpc.stream_unary_rpc_method_handler(add),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
}


def main() -> None:
    # Without its probe gRPC's windows stay as they are, and what waits can be told.
    options = [("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0), ("grpc.http2.bdp_probe", 0)]
    server = grpc.server(futures.ThreadPoolExecutor(32), options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", HANDLERS),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print("port", port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
