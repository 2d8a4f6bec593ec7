"""Where an alias may lead, as people write it."""

from __future__ import annotations

import pytest

from locald.errors import LocaldError
from locald.proxy.targets import SUN_PATH_MAX, Target, UnixTarget, local, parse, spell

LONGEST = "/" + "x" * (SUN_PATH_MAX - 1)


@pytest.mark.parametrize(
    ("text", "targets", "spelled"),
    [
        ("3000", local(3000), "3000"),
        ("1", local(1), "1"),
        ("65535", local(65535), "65535"),
        ("localhost:3000", local(3000), "3000"),
        ("LocalHost:3000", local(3000), "3000"),
        ("127.0.0.1:3000", (Target("127.0.0.1", 3000),), "127.0.0.1:3000"),
        ("127.9.8.7:80", (Target("127.9.8.7", 80),), "127.9.8.7:80"),
        ("[::1]:3000", (Target("::1", 3000),), "[::1]:3000"),
        ("unix:/run/app.sock", (UnixTarget("/run/app.sock"),), "unix:/run/app.sock"),
        ("/run/app.sock", (UnixTarget("/run/app.sock"),), "unix:/run/app.sock"),
        ("/run/my app:1", (UnixTarget("/run/my app:1"),), "unix:/run/my app:1"),
        ("/é", (UnixTarget("/é"),), "unix:/é"),
        (LONGEST, (UnixTarget(LONGEST),), f"unix:{LONGEST}"),
    ],
)
def test_a_target_is_of_this_machine(text: str, targets: object, spelled: str) -> None:
    assert parse(text) == targets
    assert spell(parse(text)) == spelled
    assert parse(spelled) == targets


@pytest.mark.parametrize(
    ("text", "why"),
    [
        *((text, "has no port") for text in ("", "0", "65536", "99999999999", "-1", "+1", "1_0", "03", "3000 ", "x", "٣", "127.0.0.1:",
          "localhost:x", "[::1]:0")),
        *((text, "is not of this machine") for text in ("10.0.0.1:80", "example.com:80", "0.0.0.0:80", "[::]:80", "128.0.0.1:1",
          "127.1:80", "127.0.0.01:80", "127.0.0.256:80", "2130706433:80", "[::ffff:127.0.0.1]:80", "[fe80::1]:80", ":80",
          "localhost.:80", "localhost.evil:80", "host:with:colons:80", "\udcff:80")),
        *((text, "is a URL") for text in ("http://localhost:3000", "https://127.0.0.1:3000/", "http://[::1]:3000")),
        *((text, "stands in brackets") for text in ("::1:3000", "::1")),
        *((text, "is not absolute") for text in ("unix:app.sock", "unix:", "unix:./x")),
        *((text, "is a folder") for text in ("/", "unix:/", "/run/")),
        *((text, "cannot be shown") for text in ("/a\0b", "/a\nb", "/a\x1b[m", "/\udcff", "/a\u202eb")),
        ("/" + "x" * SUN_PATH_MAX, "is too long"),
        ("/" + "é" * (SUN_PATH_MAX // 2 + 1), "is too long"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_a_hint(text: str, why: str) -> None:
    with pytest.raises(LocaldError, match=why) as caught:
        parse(text)
    assert caught.value.exit_code == 2
    assert "ssh" in caught.value.hint if why.endswith("machine") else "unix:/absolute/path" in caught.value.hint


def test_they_are_shown_as_they_are_written() -> None:
    assert [str(target) for target in local(80)] == ["127.0.0.1:80", "[::1]:80"]
    assert str(UnixTarget("/run/x")) == "unix:/run/x"
