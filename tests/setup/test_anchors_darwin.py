"""The System keychain, by a stand-in for security(1) that keeps one in a file: what is asked of it, and what is taken out."""

from __future__ import annotations

import datetime
import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from locald.errors import LocaldError
from locald.setup import anchors_darwin, authority, roots

# Of the macOS manual page: certificates are found by a part of their name, and go by their SHA-1.
STAND_IN = """#!{python} -I
import base64, hashlib, json, os, stat, sys
folder = {folder!r}
words = sys.argv[1:]
state = json.load(open(folder + "/state"))
state["asked"].append(words)
code = 0
if words[0] in state["refuses"]:
    print("SecTrustSettings: the person said no\\x1b[2J", file=sys.stderr)
    code = 1
elif words[0] == "add-trusted-cert":
    state["modes"].append(os.stat(words[-1]).st_mode)
    state["keychain"].append(open(words[-1]).read())
elif words[0] == "find-certificate":
    print("".join(state["keychain"]), end="")
elif words[0] == "delete-certificate":
    def sha1(pem): return hashlib.sha1(base64.b64decode("".join(pem.split("\\n")[1:-2]))).hexdigest().upper()
    kept = [pem for pem in state["keychain"] if sha1(pem) != words[words.index("-Z") + 1]]
    code = 0 if len(kept) < len(state["keychain"]) else 44
    state["keychain"] = kept
elif words[0] == "verify-cert":
    code = 0 if open(words[words.index("-c") + 1]).read() in state["keychain"] else 1
json.dump(state, open(folder + "/state", "w"))
sys.exit(code)
"""


class Fake:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "state"
        self.change(asked=[], refuses=[], keychain=[], modes=[])

    def change(self, **values: object) -> None:
        self.file.write_text(json.dumps({**(self.state() if self.file.exists() else {}), **values}))

    def state(self) -> dict[str, list[object]]:
        found: dict[str, list[object]] = json.loads(self.file.read_text())
        return found


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    program = tmp_path / "security"
    program.write_text(STAND_IN.format(python=sys.executable, folder=str(tmp_path)))
    program.chmod(0o755)
    monkeypatch.setattr(anchors_darwin, "SECURITY", str(program))
    return Fake(tmp_path)


@pytest.fixture(scope="module")
def make() -> Callable[[str], bytes]:
    def root(owner: str) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        return authority.establish(key, ["localhost"], owner, datetime.datetime.now(datetime.UTC))[0]

    return root


def test_it_is_added_for_the_whole_machine_and_for_tls_alone(fake: Fake, make: Callable[[str], bytes]) -> None:
    pem = make("uid 501: alice")
    store = anchors_darwin.find_store()
    assert store.add(501, pem) == ""
    added = next(words for words in fake.state()["asked"] if words[0] == "add-trusted-cert")  # type: ignore[index]
    assert added[1:-1] == [
        "-d",
        "-r",
        "trustRoot",
        "-p",
        "ssl",
        "-p",
        "basic",
        "-k",
        "/Library/Keychains/System.keychain",
    ]  # type: ignore[index]
    assert stat.S_IMODE(fake.state()["modes"][0]) == 0o600  # type: ignore[arg-type]
    assert not Path(added[-1]).exists()  # type: ignore[index]
    (anchor,) = store.anchors()
    assert (anchor.uid, anchor.intact, anchor.root) == (501, True, roots.find(pem)[0])
    assert store.strays() == []


def test_one_goes_by_its_sha1_and_others_stay(fake: Fake, make: Callable[[str], bytes]) -> None:
    mine, bobs, foreign = make("uid 501: alice"), make("uid 502: bob"), make("somebody")
    fake.change(keychain=[each.decode() for each in (mine, bobs, foreign)])
    store = anchors_darwin.find_store()
    assert [anchor.uid for anchor in store.anchors()] == [501, 502]
    assert store.drop(store.anchors()[:1]) == ""
    assert fake.state()["keychain"] == [bobs.decode(), foreign.decode()]
    (gone,) = (words for words in fake.state()["asked"] if words[0] == "delete-certificate")  # type: ignore[index]
    assert gone == ["delete-certificate", "-Z", roots.find(mine)[0].sha1, "-t", "/Library/Keychains/System.keychain"]


def test_a_person_who_says_no_is_heard_and_nothing_is_trusted(fake: Fake, make: Callable[[str], bytes]) -> None:
    fake.change(refuses=["add-trusted-cert"])
    with pytest.raises(LocaldError) as raised:
        anchors_darwin.find_store().add(501, make("uid 501: alice"))
    assert raised.value.message == "security add-trusted-cert: SecTrustSettings: the person said no [2J"
    assert raised.value.hint
    assert fake.state()["keychain"] == []


def test_what_does_not_go_is_said(fake: Fake, make: Callable[[str], bytes]) -> None:
    fake.change(keychain=[make("uid 501: alice").decode()], refuses=["delete-certificate"])
    store = anchors_darwin.find_store()
    assert "the person said no" in store.drop(store.anchors())


def test_one_that_is_added_and_not_trusted_is_said(fake: Fake, make: Callable[[str], bytes]) -> None:
    fake.change(refuses=["verify-cert"])
    assert "does not trust it" in anchors_darwin.find_store().add(501, make("uid 501: alice"))
