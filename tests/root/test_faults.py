"""Every system call of the helper made to fail, to lie, and to be its last.

The oracle: either exactly one listener arrives, on the address that was granted and the user's own, or none; it ends by
itself, at the latest by its alarm; and afterwards the port is free and nothing is left.
"""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import strace
from strace import Call

pytestmark = pytest.mark.linux("strace")

ARGUMENTS = ("bind", "80")
FAULTS = ["error=EPERM", "error=EINTR", "error=ENOMEM", "error=EMFILE", "error=EIO", "retval=0", "signal=SIGKILL"]


@pytest.fixture(scope="module", autouse=True)
def account(alice: int) -> Iterator[None]:
    assert shutil.which("strace"), "strace is needed: apt install strace"
    with strace.account(alice):
        yield


@pytest.fixture
def calls(shim: Path, granted: Path, alice: int) -> list[Call]:
    """The system calls of a good run after its exec, each a place to fail; the last is the exit."""
    recorded = strace.record(shim, alice, *ARGUMENTS)
    assert [recorded[0].name, recorded[-1].name] == ["execve", "exit_group"]
    assert {"capset", "setresuid", "bind", "listen", "sendmsg", "read"} <= {call.name for call in recorded}
    return recorded[1:]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_call_gives_one_good_listener_or_none(
    shim: Path, alice: int, calls: list[Call], fault: str
) -> None:
    outcomes = {call: strace.inject(shim, alice, call, fault, *ARGUMENTS) for call in calls}
    assert {str(call): outcome for call, outcome in outcomes.items() if outcome.wrong or outcome.listeners > 1} == {}
    # What decides must not be indifferent to its failing.
    refused = {call.name for call, outcome in outcomes.items() if outcome.listeners == 0}
    assert {"setresuid", "capset", "socket", "bind", "sendmsg"} <= refused


@pytest.mark.parametrize("then", [signal.SIGKILL, signal.SIGCONT], ids=["killed", "continued"])
def test_stopped_at_any_call_it_holds_nothing_up(shim: Path, alice: int, calls: list[Call], then: int) -> None:
    outcomes = {call: strace.stop(shim, alice, call, then, *ARGUMENTS) for call in calls[:-1]}
    assert {str(call): outcome for call, outcome in outcomes.items() if outcome.wrong or outcome.listeners > 1} == {}
    if then == signal.SIGCONT:
        assert {str(call) for call, outcome in outcomes.items() if outcome.listeners != 1} == set()


DROP_LIES = {
    "setresuid lies": ["setresuid:retval=0"],
    "setresuid fails": ["setresuid:error=EAGAIN"],
    "setresgid fails": ["setresgid:error=EPERM"],
    "capset lies": ["capset:retval=0"],
    # Each of the two proofs by itself: what the kernel says the ids are, and that root cannot be had back.
    "setresuid lies, and root seems out of reach": [
        "setresuid:retval=0",
        "setuid:error=EPERM",
        "geteuid:retval={uid}:when=2+",
    ],
    "setresuid lies, and so does getresuid": [
        "setresuid:retval=0",
        "getresuid:poke_exit=@arg1={hex},@arg2={hex},@arg3={hex}",
    ],
    # Each of the six ids by itself, zero where it must be the caller's.
    **{
        f"{call} says 0 for the {which}": [f"{call}:poke_exit=@arg{nth}=00000000"]
        for call in ("getresuid", "getresgid")
        for nth, which in enumerate(("real", "effective", "saved"), 1)
    },
}


@pytest.mark.parametrize("faults", DROP_LIES.values(), ids=DROP_LIES)
def test_a_drop_that_did_not_happen_is_noticed(shim: Path, granted: Path, alice: int, faults: list[str]) -> None:
    """An unchecked prototype bound the port as root here."""
    said = {"uid": alice, "hex": alice.to_bytes(4, sys.byteorder).hex()}
    options = [word for fault in faults for word in ("-e", f"inject={fault.format(**said)}")]
    assert strace.run(shim, alice, ["-o", "/dev/null", *options], *ARGUMENTS) == strace.Outcome(0, "", 71)


@pytest.mark.parametrize("faults", ["socket:error=EAFNOSUPPORT", "bind:error=EADDRNOTAVAIL"])
def test_an_address_that_the_system_has_not_is_70(shim: Path, granted: Path, alice: int, faults: str) -> None:
    assert code_with(shim, alice, faults) == 70


@pytest.mark.parametrize("number", ["EACCES", "EPERM"])
def test_a_bind_that_is_not_allowed_is_68(shim: Path, granted: Path, alice: int, number: str) -> None:
    assert code_with(shim, alice, f"bind:error={number}") == 68


def test_an_ipv6_socket_that_will_not_be_ipv6_alone_is_71(shim: Path, granted: Path, alice: int) -> None:
    assert code_with(shim, alice, "setsockopt:error=ENOPROTOOPT:when=2", "bind", "80", "::1") == 71


def code_with(shim: Path, uid: int, fault: str, *arguments: str) -> int:
    """The exit code under this fault; nothing may come."""
    outcome = strace.run(shim, uid, ["-o", "/dev/null", "-e", f"inject={fault}"], *(arguments or ARGUMENTS))
    assert (outcome.listeners, outcome.wrong) == (0, "")
    return outcome.code
