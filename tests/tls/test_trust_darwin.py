"""The System keychain, by a security(1) of ours that writes down how it was asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from locald.errors import LocaldError
from locald.tls import trust_darwin

ROOT = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def security(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> Path:
    program = folder / "security"
    program.write_text(f'#!/bin/sh\necho "$@" >"{folder}/words"\ncat "$3" >"{folder}/asked"\nexit {code}\n')
    program.chmod(0o755)
    monkeypatch.setattr(trust_darwin, "SECURITY", str(program))
    return folder


@pytest.mark.parametrize("code", [0, 1])
def test_the_user_asks_whether_the_root_is_trusted_for_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    seen = security(tmp_path, monkeypatch, code)
    (store,) = trust_darwin.stores({})
    assert store.trusts(ROOT) is (code == 0)
    assert trust_darwin.system_trusts(ROOT) is (code == 0)
    words = (seen / "words").read_text().split()
    assert [*words[:2], *words[3:]] == ["verify-cert", "-c", "-p", "ssl", "-l", "-L", "-q"]
    assert (seen / "asked").read_bytes() == ROOT
    assert not Path(words[2]).exists()


def test_without_the_program_it_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust_darwin, "SECURITY", "/nonexistent/security")
    assert trust_darwin.system_trusts(ROOT) is False
    (store,) = trust_darwin.stores({})
    with pytest.raises(LocaldError, match="cannot be asked"):
        store.trusts(ROOT)


def test_it_is_changed_by_setup() -> None:
    (store,) = trust_darwin.stores({})
    assert (store.id, store.needs_root) == ("system", True)
    for change in (lambda: store.add(ROOT), store.remove):
        with pytest.raises(LocaldError, match="by root only"):
            change()
