"""The four layouts of trust stores, each with a stand-in for its program; Debian's own is in test_setup_authority.py."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from locald_setup import facts

from locald.errors import LocaldError
from locald.setup import anchors, authority, roots

pytestmark = pytest.mark.linux("its layouts")

# As p11-kit writes bundles: with comments, and every file of the folder in it.
PROGRAM = """#!/bin/sh
echo "$0 $*" >>{log}
env >{log}.environ
: >{bundle}
for file in {folder}/*; do
    [ ! -f "$file" ] || {{ echo "# $file" >>{bundle}; cat "$file" >>{bundle}; }}
done
"""
WORDS = {
    "/usr/local/share/ca-certificates": (" ", " --fresh"),
    "/etc/pki/ca-trust/source/anchors": (" extract", " extract"),
    "/etc/ca-certificates/trust-source/anchors": (" extract-compat", " extract-compat"),
    "/usr/share/pki/trust/anchors": (" ", " "),
}


def root() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return authority.establish(key, ["localhost"], "uid 61001: alice", datetime.datetime.now(datetime.UTC))[0]


@pytest.fixture
def base() -> Iterator[Path]:
    """Below /etc, where all folders above are root's alone."""
    folder = Path("/etc/locald-test-store")
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def make(base: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[anchors.Layout], anchors.LinuxStore]:
    """make(layout): a system that has this one, at other places."""

    def store(layout: anchors.Layout) -> anchors.LinuxStore:
        folder, program, bundle = base / "anchors", base / "program", base / "bundle"
        folder.mkdir(mode=0o755)
        program.write_text(PROGRAM.format(log=base / "log", folder=folder, bundle=bundle))
        program.chmod(0o755)
        here = replace(layout, folder=str(folder), programs=("/nowhere/at-all", str(program)), bundle=str(bundle))
        monkeypatch.setattr(anchors, "LAYOUTS", (replace(layout, folder="/nowhere"), here))
        return anchors.find_store()

    return store


@pytest.mark.parametrize("layout", anchors.LAYOUTS, ids=lambda layout: layout.folder)
def test_a_root_goes_in_and_out(
    layout: anchors.Layout,
    make: Callable[[anchors.Layout], anchors.LinuxStore],
    base: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LD_PRELOAD", "")
    monkeypatch.setenv("PATH", "/nowhere")
    store, pem = make(layout), root()
    (mine,) = roots.find(pem)
    assert store.add(61001, pem) == ""
    (anchor,) = store.anchors()
    assert (anchor.uid, anchor.root, anchor.intact) == (61001, mine, True)
    assert anchor.place == f"{base}/anchors/locald-61001-{mine.ident}.crt"
    assert facts(anchor.place) == (0, 0, "0o644")
    assert store.holds(mine)
    assert store.strays() == []
    assert store.drop([anchor]) == ""
    assert (store.anchors(), store.holds(mine)) == ([], False)
    add, drop = WORDS[layout.folder]
    assert (base / "log").read_text().splitlines() == [f"{base}/program{add}", f"{base}/program{drop}"]
    environ = dict(line.split("=", 1) for line in (base / "log.environ").read_text().splitlines())
    assert environ.keys() - {"PWD", "SHLVL", "_"} == {"PATH", "LC_ALL"}
    assert environ["PATH"] == "/usr/sbin:/usr/bin:/sbin:/bin"


def test_what_no_file_explains_is_found(make: Callable[[anchors.Layout], anchors.LinuxStore], base: Path) -> None:
    """As after a kill between the removal of a file and the program's run."""
    store, pem = make(anchors.LAYOUTS[1]), root()
    store.add(61001, pem)
    (anchor,) = store.anchors()
    Path(anchor.place).rename(f"{anchor.place}.new")
    ident = roots.find(pem)[0].ident
    assert store.strays() == [f"{ident} in {base}/bundle", f"{anchor.place}.new"]
    assert store.drop([]) == ""
    assert store.strays() == []
    assert list((base / "anchors").iterdir()) == []


def test_a_folder_that_others_may_write_gets_nothing(
    make: Callable[[anchors.Layout], anchors.LinuxStore], base: Path
) -> None:
    store = make(anchors.LAYOUTS[2])
    (base / "anchors").chmod(0o777)
    with pytest.raises(LocaldError) as raised:
        store.add(61001, root())
    assert "can be written by others than root" in raised.value.message
    assert list((base / "anchors").iterdir()) == []


def test_on_this_debian_it_is_debians() -> None:
    store = anchors.find_store()
    assert (store.shown, store.how) == ("/usr/local/share/ca-certificates", "/usr/sbin/update-ca-certificates")
