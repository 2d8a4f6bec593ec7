"""The helper's pure parts beside a model of them in Python: the same answers, whatever the bytes."""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Callable
from pathlib import Path

import pure
import pytest
import shim_model as model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locald.errors import LocaldError
from locald.setup import policy as writer

SAME_EACH_TIME = settings(
    derandomize=True, deadline=None, database=None, max_examples=1500, suppress_health_check=[HealthCheck.too_slow]
)
LINUX = pytest.mark.linux("the layout of control messages")


def check_request(library: ctypes.CDLL, words: tuple[bytes, ...]) -> None:
    status, request = pure.parse(library, *words)
    expected = model.request(words)
    assert (status == 0) == (expected is not None)
    if isinstance(expected, tuple):
        port, (family, packed) = expected
        assert (request.verb, request.port, request.address.family) == (1, port, family)
        assert bytes(request.address.bytes) == packed.ljust(16, b"\0")
    elif expected == "version":
        assert request.verb == 0


def check_policy(library: ctypes.CDLL, text: bytes, uid: int, port: int, where: model.Address) -> int:
    verdict = pure.decide(library, text, uid, request_for(port, where))
    assert verdict == model.decide(text, uid, port, where), (text, uid, port, where)
    return verdict


def check_writer(library: ctypes.CDLL, text: bytes) -> None:
    """locald-setup and the helper read the same lines in a text, or both refuse it."""
    try:
        lines = writer.parse(text)
    except LocaldError:
        lines = None
    found = None if lines is None else [(uid, model.address(where.encode()), port) for uid, where, port in lines]
    assert found == model.lines(text), text
    for uid, where, port in found or ():
        assert where is not None
        assert check_policy(library, text, uid, port, where) == model.GRANTED


def request_for(port: int, where: model.Address) -> pure.Request:
    family, packed = where
    return pure.Request(1, port, pure.Address(family, (ctypes.c_uint8 * 16)(*packed)))


ADDRESSES = st.one_of(
    st.sampled_from(["127.0.0.1", "::1", "::", "0.0.0.0", "::ffff:127.0.0.1", "::1.2.3.4", "::102:304", "fe80::1%lo",
                     "2001:db8::", "1:0:0:2:0:0:0:3", "1::2:0:0:3", "FE80::1", "0::1", "1:2:3:4:5:6:7::"]),
    st.ip_addresses().map(str),
    st.ip_addresses(v=6).map(lambda address: address.exploded),
    st.lists(st.sampled_from("0 1 ff abcd".split()), min_size=6, max_size=9).map(":".join),
    st.text("0123456789abcdefF:.%", max_size=46),
).map(str.encode)  # fmt: skip
NUMBERS = st.one_of(
    st.sampled_from(["0", "1", "80", "443", "1000", "1023", "1024", "4294967294", "4294967295", "4294967296",
                     "080", "+80", "-1", " 80", "80 ", "", "0x50", "4294967376", "18446744073709551696"]),
    st.integers(0, 2**33).map(str),
    st.text("0123456789+- ", max_size=12),
).map(str.encode)  # fmt: skip
LINES = st.one_of(
    st.builds(b"%b %b %b\n".__mod__, st.tuples(NUMBERS, ADDRESSES, NUMBERS)),
    st.sampled_from(
        [b"1000 127.0.0.1 80\n", b"1000 ::1 80\n", b"11 ::1 80\n", b"1 ::1 80\n", b"\n", b"# 1\n", b"0 :: 1"]
    ),
)
GOOD = b"locald-ports 1\n1000 127.0.0.1 80\n1000 127.0.0.1 443\n4294967294 2001:db8::ff 1023\n0 ::1 443\n"


@st.composite
def mutated(draw: Callable[[st.SearchStrategy], object], good: bytes) -> bytes:
    """The good bytes with up to four pieces replaced, repeated, or gone."""
    text = good
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 20)))
        piece = draw(
            st.one_of(st.binary(max_size=8), st.just(text[start:end] * 2), st.sampled_from([b" ", b"\n", b"0"]))
        )
        text = text[:start] + piece + text[end:]
    return text


@SAME_EACH_TIME
@given(
    st.one_of(
        st.tuples(st.just(b"bind"), NUMBERS),
        st.tuples(st.just(b"bind"), NUMBERS, ADDRESSES),
        st.tuples(st.just(b"bind"), st.just(b"80"), ADDRESSES),
        st.lists(st.sampled_from([b"bind", b"version", b"80", b"::1", b"", b"BIND"]), max_size=5).map(tuple),
        st.lists(st.binary(max_size=20).filter(lambda word: 0 not in word), max_size=5).map(tuple),
    )
)
def test_a_request_is_read_as_the_model_reads_it(library: ctypes.CDLL, words: tuple[bytes, ...]) -> None:
    check_request(library, (b"locald-shim", *words))


@SAME_EACH_TIME
@given(
    st.one_of(
        mutated(GOOD),
        st.lists(LINES, max_size=6).map(lambda lines: b"locald-ports 1\n" + b"".join(lines)),
        st.binary(max_size=60),
    )
)
def test_a_policy_is_read_as_the_model_and_as_the_writer_read_it(library: ctypes.CDLL, text: bytes) -> None:
    check_writer(library, text)
    check_policy(library, text, 1000, 80, (socket.AF_INET, bytes([127, 0, 0, 1])))
    for uid, where, port in model.lines(text) or ():
        for other in (
            (uid + 1, where, port),
            (uid, where, port % 1023 + 1),
            (uid, (where[0], bytes(len(where[1]))), port),
        ):
            check_policy(library, text, other[0], other[2], other[1])


def test_each_byte_of_a_policy_may_be_any(library: ctypes.CDLL) -> None:
    asked = [(uid, port, where) for uid, where, port in model.lines(GOOD) or ()]
    requests = [(uid, request_for(port, where)) for uid, port, where in asked]
    verdicts = {model.GRANTED: 0, model.DENIED: 0, model.BAD_POLICY: 0}
    for at in range(len(GOOD)):
        for value in range(256):
            text = GOOD[:at] + bytes([value]) + GOOD[at + 1 :]
            lines = model.lines(text)
            for (uid, port, where), (_, request) in zip(asked, requests, strict=True):
                verdict = pure.decide(library, text, uid, request)
                granted = lines is not None and (uid, where, port) in lines
                expected = model.GRANTED if granted else model.BAD_POLICY if lines is None else model.DENIED
                assert verdict == expected, text
                verdicts[verdict] += 1
    # Nearly each change refuses the file; what is left is another number, or the byte that was there.
    assert sum(verdicts.values()) == len(GOOD) * 256 * len(asked)
    assert verdicts[model.BAD_POLICY] > 0.95 * sum(verdicts.values())
    assert verdicts[model.DENIED] > 0 < verdicts[model.GRANTED]


@pytest.mark.parametrize("size", [4095, 4096, 4097])
def test_a_policy_may_have_4096_bytes(library: ctypes.CDLL, size: int) -> None:
    lines = [b"%d ::%x 80\n" % (1000 + i, 0x100 + i) for i in range(290)]
    text = b"locald-ports 1\n" + b"".join(lines) + b"1111111111 ::%b 1023\n" % (b"1" * (size - 4094))
    assert len(text) == size
    check_writer(library, text)
    verdict = check_policy(library, text, 1000, 80, (socket.AF_INET6, bytes(14) + b"\1\0"))
    assert verdict == (model.GRANTED if size <= 4096 else model.BAD_POLICY)


@LINUX
@SAME_EACH_TIME
@given(
    st.one_of(
        st.lists(
            st.builds(
                pure.cmsg,
                st.sampled_from([1, 1, 1, 0, 41]),
                st.sampled_from([1, 1, 1, 2]),
                st.integers(0, 300).map(lambda size: bytes(range(256))[: size % 256] * (1 + size // 256)),
                st.one_of(st.none(), st.none(), st.integers(0, 400), st.integers(2**64 - 40, 2**64 - 1)),
            ),
            max_size=6,
        ).map(b"".join),
        mutated(pure.cmsg(1, 1, bytes(range(20))) + pure.cmsg(1, 2, bytes(12)) + pure.cmsg(1, 1, bytes(range(4)))),
    ),
    st.integers(0, 16),
)
def test_control_messages_are_walked_as_the_model_walks_them(library: ctypes.CDLL, control: bytes, cut: int) -> None:
    control = control[: len(control) - cut]
    assert pure.collect(library, control) == model.collect(control)


def corpus(name: str) -> list[Path]:
    files = sorted((Path(__file__).parents[2] / "fuzz/corpus" / name).iterdir())
    assert files
    return files


@pytest.mark.parametrize("file", corpus("request"), ids=lambda file: file.name)
def test_the_fuzzers_requests(library: ctypes.CDLL, file: Path) -> None:
    words = file.read_bytes().removesuffix(b"\0").split(b"\0") if file.stat().st_size else []
    check_request(library, (b"locald-shim", *words))


@pytest.mark.parametrize("file", corpus("policy"), ids=lambda file: file.name)
def test_the_fuzzers_policies(library: ctypes.CDLL, file: Path) -> None:
    first, _, text = file.read_bytes().partition(b"\n")
    wanted = model.LINE.fullmatch(first)
    uid, where, port = (wanted[1], wanted[2], wanted[3]) if wanted else (b"1000", b"127.0.0.1", b"80")
    address = model.address(where)
    assert address is not None
    check_policy(library, text, int(uid), int(port), address)
    check_writer(library, text)


@LINUX
@pytest.mark.parametrize("file", corpus("control"), ids=lambda file: file.name)
def test_the_fuzzers_control_messages(library: ctypes.CDLL, file: Path) -> None:
    assert pure.collect(library, file.read_bytes()) == model.collect(file.read_bytes())
