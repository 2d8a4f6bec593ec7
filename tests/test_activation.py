"""Socket activation: what is taken from the environment, what is refused, and how -p is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from locald import activation
from locald.errors import Exit, LocaldError

# A process that has handed itself descriptors from 3 on, as its giver would have, and says what it then finds.
PROGRAM = """
import json, os, socket, sys
import locald
def give(*makers):
    made = [maker() for maker in makers]
    aside = [os.dup2(one.fileno(), 20 + i) for i, one in enumerate(made)]
    for one in made:
        one.close()
    for i, fd in enumerate(aside):
        os.dup2(fd, 3 + i)
        os.close(fd)
def listener(address="127.0.0.1"):
    return socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
def nowhere():
    return open(os.devnull)
def nonblocking():
    made = listener()
    os.set_blocking(made.fileno(), False)
    return made
given = sys.argv[1]
eval(f"give({given})")
os.environ.update({name: value.replace("PID", str(os.getpid())) for name, value in json.loads(sys.argv[2]).items()})
def opened():
    return {fd: os.fstat(fd).st_ino for fd in range(30) if os.path.exists(f"/dev/fd/{fd}")}
before, found = opened(), []
try:
    found = locald.listen_fds()
    said = {"found": [[name, one.fileno(), one.getsockname()[0], one.get_inheritable(), os.get_blocking(one.fileno())]
                      for name, one in found]}
except locald.ActivationError as error:
    said = {"error": error.message, "hint": error.hint, "code": error.exit_code}
said["left"] = sorted(name for name in os.environ if name.startswith("LISTEN_"))
said["same"] = opened() == before
said["again"] = locald.listen_fds()
print(json.dumps(said))
for _, one in found:
    one.close()
"""


def take(given: str, **variables: str) -> dict[str, Any]:
    command = [sys.executable, "-P", "-c", PROGRAM, given, json.dumps(variables)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said.pop("left") == [], "the variables are cleaned away, whatever came of them"
    assert said.pop("same"), "no descriptor is closed or made"
    assert said.pop("again") == []
    return said


def test_the_sockets_come_in_their_order_with_their_names_and_are_nobody_elses() -> None:
    said = take("listener, lambda: listener('::1')", LISTEN_PID="PID", LISTEN_FDS="2", LISTEN_FDNAMES="web:admin")
    assert said == {"found": [["web", 3, "127.0.0.1", False, True], ["admin", 4, "::1", False, True]]}


def test_a_socket_that_was_made_nonblocking_is_blocking_again() -> None:
    assert take("nonblocking", LISTEN_PID="PID", LISTEN_FDS="1")["found"] == [["unknown", 3, "127.0.0.1", False, True]]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "PID"},
        {"LISTEN_PID": "PID", "LISTEN_FDS": "0"},
        {"LISTEN_FDNAMES": "web", "LISTEN_PIDFDID": "7"},
    ],
    ids=str,
)
def test_without_activation_there_is_none(variables: dict[str, str]) -> None:
    assert take("listener", **variables) == {"found": []}


@pytest.mark.parametrize(
    ("given", "variables", "error"),
    [
        ("listener", {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, "LISTEN_PID is 1, and this is process"),
        ("listener", {"LISTEN_PID": "me", "LISTEN_FDS": "1"}, "LISTEN_PID is 'me', which is no number"),
        ("listener", {"LISTEN_PID": "", "LISTEN_FDS": "1"}, "LISTEN_PID is '', which is no number"),
        ("listener", {"LISTEN_PID": "PID", "LISTEN_FDS": "-1"}, "LISTEN_FDS is '-1', which is no number"),
        ("listener", {"LISTEN_PID": "PID", "LISTEN_FDS": "١"}, "LISTEN_FDS is '١', which is no number"),
        ("listener", {"LISTEN_PID": "PID", "LISTEN_FDS": "9" * 5000}, f"LISTEN_FDS is '{'9' * 20}', which is no number"),
        ("listener", {"LISTEN_PID": "PID", "LISTEN_FDS": "2"}, "LISTEN_FDS is 2, and descriptor 4 is not open"),
        ("listener", {"LISTEN_PID": "PID", "LISTEN_FDS": "2147483648"}, "descriptor 4 is not open"),
        ("listener, nowhere", {"LISTEN_PID": "PID", "LISTEN_FDS": "2"}, "descriptor 4 is no socket"),
        (
            "listener",
            {"LISTEN_PID": "PID", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a:b"},
            "LISTEN_FDNAMES has 2 names, and LISTEN_FDS is 1",
        ),
    ],
)  # fmt: skip
def test_what_is_not_so_is_an_error_and_closes_nothing(given: str, variables: dict[str, str], error: str) -> None:
    said = take(given, **variables)
    assert error in said["error"]
    assert said["hint"]
    assert said["code"] == Exit.FAILED


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("80", ("80", "127.0.0.1", 80)),
        ("65535", ("65535", "127.0.0.1", 65535)),
        ("0.0.0.0:80", ("80", "0.0.0.0", 80)),
        ("[::1]:443", ("443", "::1", 443)),
        ("[0:0::0:1]:443", ("443", "::1", 443)),
        ("web=80", ("web", "127.0.0.1", 80)),
        ("w.e-b_2=[::1]:80", ("w.e-b_2", "::1", 80)),
    ],
)
def test_a_port_is_read(text: str, wanted: tuple[str, str, int]) -> None:
    assert activation.wanted([text]) == [wanted]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no port"),
        ("http", "'http' is no port"),
        ("0", "is no port"),
        ("080", "is no port"),
        ("+80", "is no port"),
        ("65536", "is no port"),
        ("٨٠", "is no port"),
        ("80 ", "is no port"),
        ("80\n", "is no port"),
        ("127.0.0.1:", "'' is no port"),
        (":80", "'' is no literal IP address"),
        ("localhost:80", "'localhost' is no literal IP address"),
        ("127.1:80", "is no literal IP address"),
        ("::1:80", "one of IPv6 is in brackets"),
        ("[127.0.0.1]:80", "is no literal IP address"),
        ("[::1:80", "is no literal IP address"),
        ("[fe80::1%lo]:80", "is no literal IP address"),
        ("[::ffff:127.0.0.1]:80", "IPv4 address in IPv6 clothes"),
        ("=80", "'' is no name"),
        ("8=80", "'8' is no name"),
        ("a:b=80", "'a:b' is no name"),
        ("a=b=80", "'a=b' is no name"),
        ("a\nb=80", "is no name"),
        ("a" * 65 + "=80", "is no name"),
    ],
)
def test_a_port_that_is_none_says_what_would_be(text: str, why: str) -> None:
    with pytest.raises(LocaldError) as caught:
        activation.wanted([text])
    assert why in caught.value.message
    assert (caught.value.hint, caught.value.exit_code) == (activation.FORMS, Exit.USAGE)


@pytest.mark.parametrize("texts", [("80", "80"), ("80", "web=127.0.0.1:80"), ("[::1]:80", "80", "[0::1]:80")])
def test_one_address_cannot_be_asked_for_twice(texts: tuple[str, ...]) -> None:
    with pytest.raises(LocaldError, match=r":80 is asked for twice") as caught:
        activation.wanted(texts)
    assert caught.value.exit_code == Exit.USAGE


def test_arguments_name_descriptors_by_port_address_and_name() -> None:
    listeners = activation.wanted(["web=80", "[::1]:80", "443"])
    words = ["fd/{fd:443}", "{fd:web},{fd:[::1]:80}", "{fd:127.0.0.1:80}", "{fd}", "{{fd:443}}", "{}"]
    assert activation.fill_in(words, listeners) == ["fd/5", "3,4", "3", "{fd}", "{5}", "{}"]


@pytest.mark.parametrize("word", ["{fd:80}", "{fd:81}", "{fd:}", "{fd:x}", "{fd:0:0:0:0:0:0:0:1:80}"])
def test_what_names_none_or_two_is_an_error_that_says_which_there_are(word: str) -> None:
    listeners = activation.wanted(["80", "[::1]:80"])
    with pytest.raises(LocaldError, match=r"fits 2|names no") as caught:
        activation.fill_in(["x", word], listeners)
    assert caught.value.hint == "there are: {fd:127.0.0.1:80}, {fd:[::1]:80}"
    assert caught.value.exit_code == Exit.USAGE


def test_the_next_program_finds_ours_and_nothing_of_an_earlier_giver() -> None:
    before = {"A": "b", "LISTEN_PID": "1", "LISTEN_FDS": "9", "LISTEN_PIDFDID": "3"}
    after = activation.environment(before, activation.wanted(["web=80", "443"]))
    assert after == {"A": "b", "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:443"}
