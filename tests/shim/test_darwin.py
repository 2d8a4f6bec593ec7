"""The helper as it is on macOS, from its first call to its last, over a fake of XNU: rules 4, 8, 10, 12, 13 and 14."""

from __future__ import annotations

import ctypes
import errno
import socket
import subprocess
from pathlib import Path

import darwin
import pytest
from darwin import ALICE, ASKING, LIE, LISTENING, STAFF, Ids, Kernel, Sent, Socket

pytestmark = pytest.mark.linux("the linker's --wrap; on a Mac tests/root has the real helper")

CODES = {0, *range(64, 73)}
ROOT, BOB, WHEEL = 0, 502, 0
SIGNALS = {"setitimer", "sigaction", "sigprocmask", "alarm"}
INPUT = {"getsockname", "getsockopt", "getpeereid", "open", "openat", "fstat", "read"}


@pytest.fixture(scope="module")
def mac(tmp_path_factory: pytest.TempPathFactory, source_root: Path) -> ctypes.CDLL:
    return darwin.load(source_root, tmp_path_factory.mktemp("darwin"))


def transcript(run: Kernel) -> list[str]:
    """What was done, and as whom: real/effective/saved uid.  Less what only asks who we are, and the signals."""
    return [str(call) for call in run.calls if call.name not in ASKING | SIGNALS]


def wrong_with(sent: Sent) -> str:
    """What is wrong with what was handed over."""
    (sock,) = sent.sockets
    good = {
        "another byte": sent.data == b"\1",
        "root": sent.uid.are(ALICE),
        "wheel": sent.gid.are(STAFF),
        "another name": sock.name == ("127.0.0.1", 80),
        "it does not listen": sock.state == LISTENING,
        "a socket of root's": sock.owner == ALICE,
        "shared": (socket.SOL_SOCKET, socket.SO_REUSEPORT) not in sock.options,
    }
    return ", ".join(what for what, is_good in good.items() if not is_good)


ORDER = """
501/0/0  setegid 20
501/0/0  seteuid 501
501/501/0  getsockname 0
501/501/0  getsockopt 0 type
501/501/0  getpeereid 0
501/501/0  open /private/etc/locald
501/501/0  fstat 3
501/501/0  openat ports
501/501/0  fstat 4
501/501/0  read 4
501/501/0  read 4
501/501/0  socket AF_INET
501/501/0  setsockopt 5 reuse address
501/501/0  seteuid 0
501/0/0  bind 5 127.0.0.1 80
501/0/0  setgid 20
501/0/0  setuid 501
501/501/501  seteuid 0 EPERM
501/501/501  listen 5
501/501/501  getsockname 5
501/501/501  getsockopt 5 state
501/501/501  seteuid 0 EPERM
501/501/501  setsockopt 0 no SIGPIPE
501/501/501  sendmsg 0
501/501/501  read 0
501/501/501  _exit 0
""".strip().splitlines()


def test_the_order_is_the_contracts(mac: ctypes.CDLL) -> None:
    """DESIGN: setegid, seteuid; checks; socket; seteuid(0); bind; setgid, setuid, verified; listen; send; ack; exit.

    Nothing is closed before the answer: XNU may collect a socket whose only reference is a message in flight.
    """
    run = Kernel().run(mac, "bind", "80")
    assert transcript(run) == ORDER
    assert [wrong_with(sent) for sent in run.sent] == [""]
    assert run.said == b""
    # The signals come first of all, and with the alarm they are done.
    assert [call.name for call in run.calls[:8]] == ["setitimer"] * 3 + ["sigaction"] * 3 + ["sigprocmask", "alarm"]


def test_ipv6_is_ipv6_only(mac: ctypes.CDLL) -> None:
    run = Kernel().run(mac, "bind", "80", "::1")
    (sock,) = run.sent[0].sockets
    assert (sock.name, sock.state, run.code) == (("::1", 80), LISTENING, 0)
    assert (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) in sock.options
    assert transcript(run)[:12] == ORDER[:11] + ["501/501/0  socket AF_INET6"]


def test_a_group_that_the_file_gave_goes_for_good(mac: ctypes.CDLL) -> None:
    """Of a helper that is setgid as well; the group must go while the effective uid is 0, or the saved one stays."""
    run = Kernel(gid=Ids(STAFF, WHEEL, WHEEL)).run(mac, "bind", "80")
    assert [wrong_with(sent) for sent in run.sent] == [""]
    assert {call.gid.effective for call in run.calls if call.name in INPUT} == {STAFF}


def test_nothing_is_missing_in_the_fake(mac: ctypes.CDLL) -> None:
    """A call that went to the real system would be none of the record."""
    out = subprocess.run(["nm", "-D", "-u", mac._name], capture_output=True, text=True, check=True).stdout
    names = {line.split()[-1].partition("@")[0] for line in out.splitlines() if " U " in line}
    assert names <= {
        "__errno_location", "__stack_chk_fail", "_setjmp", "bcmp", "inet_pton", "longjmp", "memchr", "memcmp",
        "memcpy", "memset", "setjmp", "sigemptyset", "strcmp", "strlen",
    }  # fmt: skip


# Faults: any one call fails, or says that it was done when it was not.


def faulted(mac: ctypes.CDLL, fault: int) -> dict[str, Kernel]:
    good = Kernel().run(mac, "bind", "80").calls
    return {f"{at} {good[at]}": Kernel(faults={at: fault}).run(mac, "bind", "80") for at in range(len(good) - 1)}


def verdict(run: Kernel) -> str:
    """What is wrong with a run; the one good listener or none is right."""
    wrong = [wrong_with(sent) for sent in run.sent]
    if len(run.sent) > 1 or run.code not in CODES or (run.code == 0 and not run.sent):
        wrong.append(f"{len(run.sent)} messages and exit code {run.code}")
    # Whatever happened, nothing of the caller's is looked at with root's power.
    wrong += [str(call) for call in run.calls if call.name in INPUT and call.uid.effective == ROOT]
    return " ".join(wrong)


@pytest.mark.parametrize(
    "fault",
    [errno.EPERM, errno.EINTR, errno.EMFILE, errno.EIO, LIE],
    ids=lambda fault: errno.errorcode.get(fault, "lie"),
)
def test_a_fault_at_any_call_gives_one_good_listener_or_none(mac: ctypes.CDLL, fault: int) -> None:
    runs = faulted(mac, fault)
    assert {at: verdict(run) for at, run in runs.items() if verdict(run)} == {}
    # What decides must not be indifferent to its failing.  The group is the caller's from the start, which no lie changes.
    refused = {at.split()[2] for at, run in runs.items() if not run.sent}
    assert refused >= {"seteuid", "setuid", "getpeereid", "open", "openat", "fstat", "socket", "bind", "listen"}
    assert "sendmsg" in refused
    assert fault == LIE or refused >= {"setegid", "setgid"}


@pytest.mark.parametrize("fault", [errno.EPERM, LIE], ids=["fails", "lie"])
def test_without_power_a_drop_that_cannot_be_proven_is_71(mac: ctypes.CDLL, fault: int) -> None:
    """Of a helper that is setgid and no more: what the file gave must go, and be seen to have gone."""
    start = {"uid": Ids(ALICE, ALICE, ALICE), "gid": Ids(STAFF, WHEEL, WHEEL)}
    good = Kernel(**start).run(mac, "bind", "80")
    assert good.code == 68
    drop = next(at for at, call in enumerate(good.calls) if call.name == "setregid")
    codes = {}
    for at in range(drop, drop + 4):
        run = Kernel(**start, faults={at: fault}).run(mac, "bind", "80")
        assert run.sent == []
        codes[good.calls[at].name] = run.code
    assert [*codes] == ["setregid", "setreuid", "geteuid", "getegid"]
    if (
        fault == LIE
    ):  # there is no call for the saved ids, so that the first two are believed; the uids were the caller's
        assert [codes["geteuid"], codes["getegid"]] == [71, 71]
    else:
        assert [codes["setregid"], codes["setreuid"]] == [71, 71]


def outcome(run: Kernel) -> tuple[int, int | None]:
    assert verdict(run) == ""
    return len(run.sent), run.code


def nth(mac: ctypes.CDLL, line: str) -> int:
    """The number of this call in a good run."""
    return [str(call) for call in Kernel().run(mac, "bind", "80").calls].index(line)


def test_root_that_cannot_be_taken_up_again(mac: ctypes.CDLL) -> None:
    place = nth(mac, "501/501/0  seteuid 0")
    assert outcome(Kernel(faults={place: errno.EPERM}).run(mac, "bind", "80")) == (0, 68)
    assert outcome(Kernel(faults={place: LIE}).run(mac, "bind", "80")) == (0, 71)


@pytest.mark.parametrize("call", ["setuid 501", "setgid 20"])
def test_root_that_cannot_be_given_up(mac: ctypes.CDLL, call: str) -> None:
    assert outcome(Kernel(faults={nth(mac, f"501/0/0  {call}"): errno.EPERM}).run(mac, "bind", "80")) == (0, 71)


def test_a_setuid_that_did_not_happen_is_noticed(mac: ctypes.CDLL) -> None:
    """Rule 10: an unchecked prototype bound as root."""
    assert outcome(Kernel(faults={nth(mac, "501/0/0  setuid 501"): LIE}).run(mac, "bind", "80")) == (0, 71)


def test_a_saved_id_that_stays_is_noticed(mac: ctypes.CDLL) -> None:
    """Rule 13: XNU's setuid() leaves it, and still returns 0, when the effective uid is not 0."""
    assert outcome(Kernel(half=True).run(mac, "bind", "80")) == (0, 71)


# Installations: what the program file and who started it give.


@pytest.mark.parametrize(
    ("uid", "gid"),
    [
        (Ids(ALICE, ALICE, ALICE), Ids(STAFF, STAFF, STAFF)),
        (Ids(ALICE, ALICE, ALICE), Ids(STAFF, WHEEL, WHEEL)),
        (Ids(ALICE, BOB, BOB), Ids(STAFF, STAFF, STAFF)),
        (Ids(ROOT, ROOT, ROOT), Ids(WHEEL, WHEEL, WHEEL)),
        (Ids(ROOT, BOB, BOB), Ids(WHEEL, STAFF, STAFF)),
    ],
    ids=["not setuid", "setgid only", "setuid to another user", "run by root", "another user's, run by root"],
)
def test_without_power_it_is_68_and_keeps_nothing(mac: ctypes.CDLL, uid: Ids, gid: Ids) -> None:
    run = Kernel(uid=uid, gid=gid).run(mac, "bind", "80")
    assert outcome(run) == (0, 68)
    assert run.calls[-1].uid.are(uid.real)
    assert run.calls[-1].gid.are(gid.real)
    assert not INPUT & {call.name for call in run.calls}


def test_arguments_are_looked_at_after_the_drop(mac: ctypes.CDLL) -> None:
    run = Kernel().run(mac, "bind", "99999")
    assert transcript(run) == ORDER[:2] + ["501/501/0  write 2", "501/501/0  _exit 64"]
    dropless = Kernel(faults={nth(mac, "501/0/0  seteuid 501"): errno.EPERM})
    assert dropless.run(mac, "bind", "99999").code == 71


def test_version_needs_no_power(mac: ctypes.CDLL) -> None:
    run = Kernel(uid=Ids(ALICE, ALICE, ALICE)).run(mac, "version")
    assert (run.code, run.said) == (0, b"locald-shim 0 protocol 1\n")


# Answers of the system, as exit codes.


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.EADDRINUSE, 69), (errno.EADDRNOTAVAIL, 70), (errno.EACCES, 68), (errno.ENOMEM, 71)],
)
def test_why_bind_failed_is_told(mac: ctypes.CDLL, number: int, code: int) -> None:
    run = Kernel(trouble=number).run(mac, "bind", "80", "192.0.2.1")
    assert outcome(run) == (0, code)
    assert run.calls[-1].uid.are(ALICE)


def test_standard_input_must_be_a_connected_stream_of_the_users(mac: ctypes.CDLL) -> None:
    def refused(kernel: Kernel) -> bool:
        return outcome(kernel.run(mac, "bind", "80")) == (0, 65)

    assert refused(Kernel(peer=BOB))
    assert refused(Kernel(peer=ROOT))
    assert refused(Kernel(peer=None))  # a listener too
    assert refused(Kernel(stdin=Socket(socket.AF_UNIX, socket.SOCK_DGRAM, ALICE)))
    # Of a TCP socket getpeereid(3) asks for IP_OPTIONS, which have the same numbers and are the caller's to write.
    assert refused(Kernel(stdin=Socket(socket.AF_INET, socket.SOCK_STREAM, ALICE)))


@pytest.mark.parametrize("answer", [b"", b"\0", b"x"], ids=repr)
def test_an_answer_that_is_none(mac: ctypes.CDLL, answer: bytes) -> None:
    assert outcome(Kernel(answer=answer).run(mac, "bind", "80")) == (1, 72)


def test_a_policy_below_a_link_is_refused(mac: ctypes.CDLL) -> None:
    """Rule 14: /etc itself is a link on macOS, so O_NOFOLLOW of the last folder alone would say little."""
    assert outcome(Kernel(linked=True).run(mac, "bind", "80")) == (0, 66)


def test_another_user_has_nothing(mac: ctypes.CDLL) -> None:
    run = Kernel(uid=Ids(BOB, ROOT, ROOT), peer=BOB).run(mac, "bind", "80")
    assert outcome(run) == (0, 67)
    assert "socket" not in {call.name for call in run.calls}
