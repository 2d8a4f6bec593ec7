"""Handshakes, and what TLS adds to a connection; that all else is as without it, the other files show (ENCRYPTED_TOO)."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from encrypted import Encrypted, client_context
from programs import need, run
from rig import Rig
from talking import GET, OK, POST, descriptors, has_ended, head_then, read_all, read_head, read_until, vanish

from locald.proxy.limits import Limits
from locald.tls.context import Handshakes
from locald.tls.store import root_file

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
# Python cannot raise what a name that is not ASCII makes of its ssl module; the daemon has a hook for that.
ODD_NAMES = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
VERSIONS = pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
UNRECOGNIZED_NAME, PROTOCOL_VERSION, INTERNAL_ERROR = 112, 70, 80  # RFC 8446 section 6


@pytest.fixture
def encrypted() -> bool:
    return True


@pytest.fixture
def clean(rig: Any) -> Iterator[Callable[[], None]]:
    """clean(): wait until nothing of the test is left in the proxy, nor a descriptor in this process."""
    before = descriptors()

    def check() -> None:
        rig.wait(lambda: not rig.proxy.clients and not rig.proxy.door._inside)
        rig.wait(lambda: descriptors() <= before)

    return check


def plain(rig: Any) -> socket.socket:
    """A connection that has not said anything."""
    return socket.create_connection(("127.0.0.1", rig.port), timeout=10)


def context(rig: Any, version: ssl.TLSVersion | None = None, *protocols: str) -> ssl.SSLContext:
    made = client_context(root_file(rig.tls._folder), *protocols)
    if version is not None:
        made.minimum_version = made.maximum_version = version
    return made


def hello(host: str | None, version: ssl.TLSVersion = V13) -> bytes:
    """The first bytes of a client."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.minimum_version = made.maximum_version = version
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        made.wrap_bio(ssl.MemoryBIO(), out, server_hostname=host).do_handshake()
    return out.read()


def alert(number: int) -> bytes:
    """A fatal one, as a record."""
    return b"\x15\x03\x03\x00\x02\x02" + bytes([number])


def answer_to(rig: Any, data: bytes) -> bytes:
    with plain(rig) as sock:
        sock.sendall(data)
        return read_all(sock)


# Who is refused


@VERSIONS
@pytest.mark.parametrize("host", ["nope.localhost", "localhost", None, "x.app.localhost", "app.localhost.evil"])
def test_a_name_of_nobody_gets_an_alert_and_the_end_at_once(
    rig: Any, clean: Any, host: str | None, version: ssl.TLSVersion
) -> None:
    assert answer_to(rig, hello(host, version)) == alert(UNRECOGNIZED_NAME)
    clean()


@VERSIONS
@pytest.mark.parametrize(
    ("name", "number"),
    [(b"app\0localhost", UNRECOGNIZED_NAME), (b"<b>.localhost", UNRECOGNIZED_NAME), (b"..........com", UNRECOGNIZED_NAME),
     pytest.param(b"\xff" * 13, INTERNAL_ERROR, marks=ODD_NAMES)],
)  # fmt: skip
def test_what_is_no_name_gets_an_alert(rig: Any, clean: Any, name: bytes, number: int, version: ssl.TLSVersion) -> None:
    data = hello("app.localhost", version)
    assert data.count(b"app.localhost") == 1
    assert answer_to(rig, data.replace(b"app.localhost", name)) == alert(number)
    clean()


@pytest.mark.parametrize("name", [b"APP.LOCALHOST", b"App.LocalHost"])
def test_the_case_of_a_name_does_not_matter(rig: Any, name: bytes) -> None:
    with plain(rig) as sock:
        sock.sendall(hello("app.localhost").replace(b"app.localhost", name))
        assert sock.recv(3) == b"\x16\x03\x03"


@VERSIONS
def test_clients_say_why_they_were_refused(rig: Any, version: ssl.TLSVersion) -> None:
    """openssl and curl, which get an alert and not only an end."""
    flag = "-tls1_2" if version == V12 else "-tls1_3"
    for name in (("-servername", "nope.localhost"), ("-noservername",)):
        command = [need("openssl"), "s_client", flag, "-connect", f"127.0.0.1:{rig.port}", *name]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
        assert f"SSL alert number {UNRECOGNIZED_NAME}" in done.stderr
    where = ("--noproxy", "*", "--connect-to", f"::127.0.0.1:{rig.port}", "https://nope.localhost/")
    done = subprocess.run([need("curl"), "-sS", *where], env={}, capture_output=True, text=True, timeout=20)
    assert done.returncode == 35  # CURLE_SSL_CONNECT_ERROR
    assert "unrecognized name" in done.stderr


@pytest.mark.parametrize("flag", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(rig: Any, flag: str) -> None:
    command = [
        need("openssl"),
        "s_client",
        flag,
        "-cipher",
        "ALL:@SECLEVEL=0",
        "-connect",
        f"127.0.0.1:{rig.port}",
        "-servername",
        "app.localhost",
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    assert f"SSL alert number {PROTOCOL_VERSION}" in done.stderr


def test_plain_http_is_told_what_to_do(rig: Any, clean: Any) -> None:
    answer = answer_to(rig, GET + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"This port speaks HTTPS" in answer
    assert b"https://" in answer
    clean()


@pytest.mark.parametrize("data", [b"\0" * 100, b"SSH-2.0-OpenSSH_9\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 70_000])
def test_what_is_no_tls_ends(rig: Any, clean: Any, data: bytes) -> None:
    with plain(rig) as sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(data)
        assert len(read_all(sock)) <= 7
    clean()


@ODD_NAMES
def test_damaged_handshakes_harm_nobody(rig: Any, recorder: list[bytes], clean: Any) -> None:
    """A thousand, of which each is another than a good one: an end, an alert, or silence until the limit."""
    dice = random.Random(443)
    good = [hello("app.localhost", version) for version in (V12, V13)]
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            data = bytearray(dice.choice(good))
            for _ in range(dice.randint(1, 5)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            sock = stack.enter_context(plain(rig))
            sock.sendall(data[: dice.choice([len(data), dice.randrange(1, len(data))])])
        rig.wait(lambda: rig.proxy.connections > 0)
        rig.pass_time(Limits().handshake_s)
    clean()
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        assert read_until(sock, b"ok") == OK


# Who vanishes, and who does nothing


def begin(size: int | None) -> Callable[[Any], socket.socket]:
    def connect(rig: Any) -> socket.socket:
        sock = plain(rig)
        data = hello("app.localhost")
        sock.sendall(data[: len(data) if size is None else size])
        if size is None:
            assert sock.recv(1)
        return sock

    return connect


PHASES = pytest.mark.parametrize(
    "connect",
    [begin(0), begin(3), begin(200), begin(None)],
    ids=["silent", "in a record", "in the hello", "before its finish"],
)
ENDS = pytest.mark.parametrize("end", [vanish, socket.socket.close], ids=["reset", "end"])


@PHASES
@ENDS
def test_a_client_may_vanish_within_its_handshake(rig: Any, clean: Any, connect: Any, end: Any) -> None:
    sock = connect(rig)
    rig.wait(lambda: rig.proxy.connections == 1)
    end(sock)
    clean()


@ENDS
def test_a_client_may_vanish_after_it(rig: Any, clean: Any, end: Any) -> None:
    sock = rig.connect().sock
    rig.wait(lambda: rig.proxy.connections == 1)
    end(sock)
    clean()


@PHASES
def test_a_handshake_has_so_much_time(rig: Any, clean: Any, connect: Any) -> None:
    with connect(rig) as sock:
        rig.wait(lambda: rig.proxy.connections == 1)
        rig.pass_time(Limits().handshake_s - 1)
        assert rig.proxy.connections == 1
        rig.pass_time(1)
        assert rig.proxy.connections == 0
        read_all(sock)
    clean()


@PHASES
def test_a_handshake_does_not_outlive_the_proxy(rig: Any, connect: Any) -> None:
    with connect(rig) as sock:
        rig.wait(lambda: rig.proxy.connections == 1)
        rig.close()
        read_all(sock)
    assert not rig.thread.is_alive()
    assert not rig.proxy.clients


@pytest.mark.parametrize("rig", [Limits(clients_max=1, sweep_s=3600)], indirect=True, ids=["one"])
def test_a_handshake_takes_a_place_from_the_first_moment(rig: Any, recorder: list[bytes], clean: Any) -> None:
    with plain(rig) as first:
        rig.wait(lambda: rig.proxy.connections == 1)
        with plain(rig) as second:
            second.sendall(hello("app.localhost"))
            rig.wait(lambda: not rig.proxy.door.is_open)
            assert rig.proxy.connections == 1
            first.close()
            assert second.recv(1) == b"\x16"
    clean()


@pytest.mark.parametrize("rig", [Limits(clients_max=2, sweep_s=0.001)], indirect=True, ids=["two"])
def test_an_unfinished_handshake_makes_room(rig: Any, recorder: list[bytes]) -> None:
    with plain(rig) as first, plain(rig) as second:
        with rig.connect() as third:
            third.sendall(GET + b"\r\n")
            assert read_until(third, b"ok") == OK
        assert has_ended(first) or has_ended(second)


def test_a_client_that_has_its_handshake_has_the_place(rig: Any, recorder: list[bytes]) -> None:
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        assert read_until(sock, b"ok") == OK
        assert rig.call(lambda: set(rig.proxy.door._inside) == rig.proxy.clients)
        assert rig.proxy.connections == 1
    rig.wait(lambda: not rig.proxy.clients and not rig.proxy.door._inside)


# What is spoken then


def test_a_request_may_come_with_the_last_bytes_of_the_handshake(rig: Any, recorder: list[bytes]) -> None:
    with plain(rig) as sock:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context(rig, V13).wrap_bio(incoming, outgoing, server_hostname="app.localhost")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(1 << 16))
        tls.write(GET + b"Connection: close\r\n\r\n")
        sock.sendall(outgoing.read())
        incoming.write(read_all(sock))
        assert tls.read(1000).endswith(b"\r\n\r\nok")
    assert len(recorder) == 1


@VERSIONS
def test_a_handshake_and_a_request_may_come_a_byte_at_a_time(
    rig: Any, recorder: list[bytes], version: ssl.TLSVersion
) -> None:
    class Slow(socket.socket):
        def sendall(self, data: Any, flags: int = 0) -> None:
            for byte in data:
                super().sendall(bytes([byte]))

    sock = Slow()
    sock.settimeout(10)
    sock.connect(("127.0.0.1", rig.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with Encrypted(sock, context(rig, version), "app.localhost") as client:
        client.sendall(GET + b"\r\n")
        assert read_until(client, b"ok") == OK


@VERSIONS
def test_a_session_is_resumed_and_its_name_checked_again(
    rig: Any, recorder: list[bytes], version: ssl.TLSVersion
) -> None:
    made = context(rig, version)

    def ask(session: ssl.SSLSession | None) -> tuple[ssl.SSLSession, bool]:
        with Encrypted(plain(rig), made, "app.localhost", session) as client:
            client.sendall(GET + b"\r\n")
            assert read_until(client, b"ok") == OK
            return client.tls.session, client.tls.session_reused

    session, reused = ask(None)
    assert not reused
    assert session.has_ticket
    session, reused = ask(session)
    assert reused
    rig.tls._names = lambda host: None
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        ask(session)


def test_another_authority_ends_the_sessions_of_before(rig: Any, recorder: list[bytes], tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    shutil.copytree(rig.tls._folder, folder)
    rig.tls._folder = folder
    made = context(rig)
    with Encrypted(plain(rig), made, "app.localhost") as client:
        client.sendall(GET + b"\r\n")
        read_until(client, b"ok")
        session = client.tls.session
    (folder / "authority.pem").touch()
    with Encrypted(plain(rig), made, "app.localhost", session) as client:
        assert not client.tls.session_reused


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [((), None), (("http/1.1",), "http/1.1"), (("spdy/3", "http/1.1"), "http/1.1"), (("spdy/3",), None)],
)
def test_http_1_is_spoken_where_nothing_else_was_chosen(
    rig: Any, recorder: list[bytes], offered: tuple[str, ...], chosen: str | None
) -> None:
    with Encrypted(plain(rig), context(rig, None, *offered), "app.localhost") as client:
        assert client.tls.selected_alpn_protocol() == chosen
        client.sendall(GET + b"\r\n")
        assert read_until(client, b"ok") == OK


def test_the_app_is_told_that_it_was_https(rig: Any, recorder: list[bytes]) -> None:
    with rig.connect() as sock:
        sock.sendall(GET + b"X-Forwarded-Proto: http\r\n\r\n")
        read_until(sock, b"ok")
    (head,) = recorder
    for field in (b"X-Forwarded-Proto: https", b"X-Forwarded-Port: %d" % rig.port, b"proto=https"):
        assert field in head
    assert b"X-Forwarded-Proto: http\r\n" not in head


def test_the_certificate_is_one_that_curl_believes(rig: Any, recorder: list[bytes]) -> None:
    root = root_file(rig.tls._folder)
    where = ("--noproxy", "*", "--connect-to", f"::127.0.0.1:{rig.port}", "--cacert", root)
    for version in ("--tls-max", "1.2"), ("--tlsv1.3",):
        assert run(need("curl"), "-sS", *version, *where, "https://app.localhost/", env={}) == "ok"


def test_a_client_may_change_its_keys_and_not_negotiate_again(rig: Any, recorder: list[bytes]) -> None:
    """s_client's commands: K updates the keys of TLS 1.3, R renegotiates TLS 1.2."""
    base = [need("openssl"), "s_client", "-connect", f"127.0.0.1:{rig.port}", "-servername", "app.localhost"]

    def talk(flag: str, letter: str, answer: str) -> str:
        with subprocess.Popen(
            [*base, flag], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
        ) as process:
            assert process.stdin
            assert process.stdout
            said = b""
            for mark, then in (
                ("Verify return code", f"{letter}\n"),
                (answer, "GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n"),
            ):
                while mark.encode() not in said:
                    piece = process.stdout.read(1 << 16)
                    assert piece, said
                    said += piece
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(then.encode())
            return (said + process.stdout.read()).decode(errors="replace")

    assert "HTTP/1.1 200 OK" in talk("-tls1_3", "K", "KEYUPDATE")
    assert len(recorder) == 1
    assert "no renegotiation" in talk("-tls1_2", "R", "RENEGOTIATING")
    assert len(recorder) == 1


# Its end


def test_the_end_is_said_and_not_only_made(rig: Any, app: Any) -> None:
    app(head_then(b"HTTP/1.1 200 OK\r\n\r\nuntil the end"))
    with rig.connect() as sock:
        sock.sendall(b"GET / HTTP/1.0\r\nHost: app.localhost\r\n\r\n")
        assert read_all(sock).endswith(b"until the end")
        assert sock.ended


def test_an_answer_that_was_cut_is_no_end(rig: Any, app: Any) -> None:
    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        assert sock.recv(1) == b"x"
        vanish(sock)

    app(handle)
    with rig.connect() as sock:
        sock.sendall(b"POST / HTTP/1.0\r\nHost: app.localhost\r\nContent-Length: 1\r\n\r\n")
        read_until(sock, b"half")
        sock.sendall(b"x")
        assert read_all(sock) == b""
        assert not sock.ended


def test_who_goes_without_a_word_is_gone_at_once(rig: Any, app: Any, clean: Any) -> None:
    """TCP's end alone could be an attacker's (RFC 8446 section 6.1): no answer is finished for that."""
    told, asked = threading.Event(), threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        asked.set()
        assert has_ended(sock)
        told.set()

    app(handle)
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        assert asked.wait(10)
        sock.sock.shutdown(socket.SHUT_WR)
        assert told.wait(10)
        assert read_all(sock) == b""
    clean()


def test_idle_clients_are_told_when_the_proxy_stops(rig: Any, recorder: list[bytes]) -> None:
    with rig.connect() as sock:
        sock.sendall(GET + b"\r\n")
        read_until(sock, b"ok")
        rig.close()
        assert read_all(sock) == b""
        assert sock.ended
    assert not rig.thread.is_alive()


def test_what_cannot_be_decrypted_ends_the_connection(rig: Any, app: Any, clean: Any) -> None:
    told, asked = threading.Event(), threading.Event()

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        asked.set()
        assert has_ended(sock)
        told.set()

    app(handle)
    with rig.connect() as sock:
        sock.sendall(POST + b"Content-Length: 100\r\n\r\n")
        assert asked.wait(10)
        sock.sock.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
            sock.recv(1)
        assert told.wait(10)
    clean()


# Before the first


class Slowly(Handshakes):
    """Its preparation takes as long as a test says."""

    def __init__(self, *how: Any) -> None:
        super().__init__(*how)
        self.began, self.go = threading.Event(), asyncio.Event()
        self.times = 0

    async def prepare(self) -> None:
        self.times += 1
        self.began.set()
        await self.go.wait()
        await super().prepare()


@pytest.fixture
def slowly(authority: Path) -> Iterator[Rig]:
    rig = Rig(authority=authority, handshakes=Slowly)
    yield rig
    rig.close()


def test_clients_wait_outside_until_the_first_can_be_served(slowly: Any) -> None:
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(plain(slowly)) for _ in range(5)]
        for sock in waiting:
            sock.sendall(hello("app.localhost"))
        assert slowly.tls.began.wait(10)
        slowly.call(slowly.proxy.door.open)
        slowly.call(lambda: None)
        assert slowly.proxy.connections == 0
        slowly.call(slowly.tls.go.set)
        assert [sock.recv(1) for sock in waiting] == [b"\x16"] * 5
    assert slowly.tls.times == 1


def test_a_proxy_may_stop_while_it_prepares(slowly: Any) -> None:
    with plain(slowly) as sock:
        assert slowly.tls.began.wait(10)
        slowly.close()
        assert has_ended(sock)
    assert not slowly.thread.is_alive()
