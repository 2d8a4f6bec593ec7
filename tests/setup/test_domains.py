"""Which domains an authority may be asked to sign for."""

from __future__ import annotations

import pytest

from locald.errors import LocaldError
from locald.setup import domains


@pytest.mark.parametrize(
    "name",
    ["test", "localhost", "example", "invalid", "internal", "home.arpa", "shop.dev", "my-company.com", "a.b.c.test",
     "xn--mller-kva.test", "local", "lan", "office.lan", "shop.co.uk", "1.test", "com.example"],
)  # fmt: skip
def test_a_domain_of_ones_own_is_taken_as_it_is(name: str) -> None:
    assert domains.check(name) == name


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("dev", "everybody's", "shop.dev"),
        ("com", "everybody's", "shop.com"),
        ("arpa", "everybody's", "home.arpa"),
        ("co.uk", "everybody's", "shop.co.uk"),
        ("com.au", "everybody's", "shop.com.au"),
        ("Test", "lower-case", "did you mean test?"),
        (".test", "no domain", "did you mean test?"),
        ("test.", "no domain", "did you mean test?"),
        ("*.test", "wildcard", "test: it covers"),
        ("*", "wildcard", ""),
        ("müller.test", "not in ASCII", "xn--"),
        ("127.0.0.1", "an address", "names only"),
        ("::1", "an address", "names only"),
        ("[::1]", "an address", "names only"),
        ("1.2.3", "no domain", ""),
        ("a_b.test", "no domain", ""),
        ("-a.test", "no domain", ""),
        ("a..test", "no domain", ""),
        ("", "no domain", ""),
        ("a b.test", "no domain", ""),
        ("a.test\n", "no domain", ""),
        ("a\0.test", "no domain", ""),
        (f"{'a' * 64}.test", "no domain", ""),
        (".".join(["a" * 60] * 5), "no domain", ""),
        ("http://a.test/", "no domain", ""),
    ],
)
def test_what_is_no_domain_or_everybodys_is_refused(name: str, message: str, hint: str) -> None:
    with pytest.raises(LocaldError) as raised:
        domains.check(name)
    assert message in raised.value.message
    assert hint in raised.value.hint


@pytest.mark.parametrize(
    ("name", "word"), [("local", "mDNS"), ("printer.local", "mDNS"), ("lan", "routers"), ("test", "")]
)
def test_what_may_not_work_is_said(name: str, word: str) -> None:
    warning = domains.warning(name)
    assert word in warning
    assert bool(warning) == bool(word)


@pytest.mark.parametrize(
    ("host", "below"),
    [
        ("a.localhost", True),
        ("localhost", True),
        ("b.a.shop.dev", True),
        ("evillocalhost", False),
        ("dev", False),
        ("shop.dev.evil", False),
    ],
)
def test_below_is_by_whole_labels(host: str, below: bool) -> None:
    assert domains.is_below(host, ("localhost", "shop.dev")) is below
