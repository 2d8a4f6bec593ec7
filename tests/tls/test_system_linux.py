"""The system's bundle and Java's keystore, as real tools write them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import programs
import pytest
from authorities import make_authority

from locald.errors import LocaldError
from locald.tls import roots, system_linux, trust
from locald.tls.system_linux import Bundle, JavaStore

pytestmark = pytest.mark.linux("its stores")


@pytest.fixture
def ours(tmp_path: Path) -> bytes:
    make_authority(tmp_path / "ca")
    return (tmp_path / "ca" / "root.pem").read_bytes()


@pytest.fixture
def another(tmp_path: Path) -> bytes:
    make_authority(tmp_path / "other")
    return (tmp_path / "other" / "root.pem").read_bytes()


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_bundle_trusts_what_is_in_it(tmp_path: Path, ours: bytes, another: bytes, ending: bytes) -> None:
    path = tmp_path / "bundle.crt"
    path.write_bytes(b"# a word before\n" + another + b"\n# of ours\n" + ours.replace(b"\n", ending))
    assert Bundle(path).trusts(ours)
    path.write_bytes(another)
    assert not Bundle(path).trusts(ours)


def test_a_bundle_with_half_of_it_does_not_trust(tmp_path: Path, ours: bytes) -> None:
    path = tmp_path / "bundle.crt"
    path.write_bytes(ours[: len(ours) // 2])
    assert not Bundle(path).trusts(ours)


@pytest.mark.parametrize("kind", ["jks", "pkcs12", "pkcs12 without encryption"])
def test_javas_store_trusts_what_keytool_put_there(tmp_path: Path, ours: bytes, another: bytes, kind: str) -> None:
    path = tmp_path / "cacerts"
    for number, root in enumerate((another, ours)):
        (tmp_path / "one.pem").write_bytes(root)
        plain = ["-J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE"]
        programs.run(
            programs.need("keytool"), *(plain if " " in kind else []), "-importcert", "-noprompt", "-keystore", path,
            "-storepass", "changeit", "-storetype", kind.split()[0], "-alias", f"root{number}", "-file", tmp_path / "one.pem",
        )  # fmt: skip
        assert JavaStore(path).trusts(another)
        assert JavaStore(path).trusts(ours) is (number == 1)
    assert (roots.der(ours) in path.read_bytes()) is (kind != "pkcs12")


@pytest.mark.parametrize("content", [b"", b"\xfe\xed\xfe\xee", b"0\x82\x01\x00 not at all"])
def test_a_keystore_of_another_kind_says_so(tmp_path: Path, ours: bytes, content: bytes) -> None:
    path = tmp_path / "cacerts"
    path.write_bytes(content)
    with pytest.raises(LocaldError, match="no keystore that can be read here") as caught:
        JavaStore(path).trusts(ours)
    assert caught.value.hint == f"keytool -list -keystore {path}"


def test_one_that_cannot_be_read_says_so(tmp_path: Path, ours: bytes) -> None:
    with pytest.raises(LocaldError, match="cannot be read: Is a directory"):
        Bundle(tmp_path).trusts(ours)


def test_both_are_changed_by_root_only(tmp_path: Path, ours: bytes) -> None:
    for store in (Bundle(tmp_path), JavaStore(tmp_path)):
        assert store.needs_root
        with pytest.raises(LocaldError, match="by root only") as caught:
            store.add(ours)
        assert caught.value.hint == "sudo locald-setup"
        with pytest.raises(LocaldError, match="by root only"):
            store.remove()


def test_the_first_of_the_layouts_bundles_is_the_systems(
    tmp_path: Path, ours: bytes, another: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fedora, suse, java = (tmp_path / name for name in ("fedora", "suse", "cacerts"))
    fedora.write_bytes(another)
    suse.write_bytes(ours)
    monkeypatch.setattr(system_linux, "BUNDLES", ("/nonexistent/bundle", str(fedora), str(suse)))
    monkeypatch.setattr(system_linux, "JAVA", (str(java),))
    assert trust.system_trusts(another)
    assert not trust.system_trusts(ours)
    assert [(store.id, store.shown) for store in system_linux.find()] == [("system", str(fedora))]
    java.write_bytes(b"")
    assert [store.id for store in system_linux.find()] == ["system", "java"]


def test_where_there_is_no_bundle_nothing_is_trusted(ours: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_linux, "BUNDLES", ())
    assert not trust.system_trusts(ours)


def test_to_look_into_the_bundle_imports_no_cryptography(ours: bytes, tmp_path: Path) -> None:
    path = tmp_path / "root.pem"
    path.write_bytes(ours)
    code = (
        "import sys, pathlib\nfrom locald.tls import trust\n"
        "print(trust.system_trusts(pathlib.Path(sys.argv[1]).read_bytes()), 'cryptography' in sys.modules)"
    )
    done = subprocess.check_output([sys.executable, "-P", "-c", code, path], text=True)
    assert done == "False False\n"
