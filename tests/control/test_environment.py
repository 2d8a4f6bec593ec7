"""An environment in one piece: all bytes of it, and not too many."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locald.control.codec import MAX_LINE, encode
from locald.control.environment import ENVIRON_MAX, pack, pack_to_send, unpack
from locald.control.messages import Up
from locald.errors import LocaldError

NAMES = st.binary(min_size=1).filter(lambda name: b"\0" not in name and b"=" not in name).map(os.fsdecode)
VALUES = st.binary().filter(lambda value: b"\0" not in value).map(os.fsdecode)


@given(st.dictionaries(NAMES, VALUES))
def test_it_comes_back_as_it_went(environ: dict[str, str]) -> None:
    assert unpack(pack(environ)) == environ


def test_the_largest_fits_into_a_message_and_one_byte_more_is_refused() -> None:
    environ = {"SMALL": "x", "BIG": "x" * (ENVIRON_MAX - len("SMALL=x0BIG=0"))}
    assert len(encode(Up("/" * 4096, ["web"] * 100, pack_to_send(environ), 0, True))) < MAX_LINE
    environ["BIG"] += "x"
    with pytest.raises(LocaldError, match=r"has 700001 bytes.*most of it is BIG, with 699993") as caught:
        pack_to_send(environ)
    assert caught.value.hint == "env -u BIG locald up"
