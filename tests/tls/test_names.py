"""Which hosts a certificate is for, read by hand and compared with what cryptography reads."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest
from authorities import NOW, make_authority
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from locald.tls.authority import issue
from locald.tls.names import covers, permits, permitted

LABELS = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


def test_permitted_is_a_domain_and_what_is_below() -> None:
    hosts = ("localhost", "x.localhost", "a.test", "b.a.test")
    assert all(permits(("localhost", "a.test"), host) for host in hosts)
    assert not any(permits(("localhost", "a.test"), host) for host in ("xlocalhost", "test", "b.test", "xa.test", ""))
    assert not permits((), "localhost")


def test_a_wildcard_is_one_label() -> None:
    assert covers(["A.test", "*.b.test"], "a.test")
    assert covers(["a.test", "*.B.test"], "x.b.test")
    assert not any(covers(["a.test", "*.b.test"], host) for host in ("b.test", "x.y.b.test", "xa.test", "", "test"))


@pytest.mark.parametrize("domains", [("localhost",), ("localhost", "test", "dev.shop.example"), ("x" * 60,) * 12])
def test_the_domains_of_an_authority_are_read_from_both_its_certificates(
    tmp_path: Path, domains: tuple[str, ...]
) -> None:
    made = make_authority(tmp_path / "ca", *domains, now=NOW)
    for each in (made.certificate, made.root):
        assert permitted(each.public_bytes(serialization.Encoding.DER)) == made.domains == domains


@given(st.lists(LABELS, min_size=1, max_size=5))
def test_any_domains_are_read_back(tmp_path_factory: pytest.TempPathFactory, domains: list[str]) -> None:
    made = make_authority(tmp_path_factory.mktemp("ca") / "ca", *domains, now=NOW)
    assert permitted(made.certificate.public_bytes(serialization.Encoding.DER)) == tuple(domains)


def test_a_certificate_without_constraints_permits_nothing(tmp_path: Path) -> None:
    leaf = issue(make_authority(tmp_path / "ca", now=NOW), "a.localhost", NOW)
    (found, _) = x509.load_pem_x509_certificates(leaf.chain)
    assert permitted(found.public_bytes(serialization.Encoding.DER)) == ()


def test_damaged_bytes_are_an_error_or_nothing_and_never_another(tmp_path: Path) -> None:
    der = make_authority(tmp_path / "ca", now=NOW).certificate.public_bytes(serialization.Encoding.DER)
    for size in range(len(der)):
        with pytest.raises(ValueError):
            permitted(der[:size])
    rng = random.Random(5)
    for _ in range(2000):
        spoiled = bytearray(der)
        for _ in range(rng.randint(1, 4)):
            spoiled[rng.randrange(len(der))] = rng.randrange(256)
        with contextlib.suppress(ValueError):
            permitted(bytes(spoiled))
