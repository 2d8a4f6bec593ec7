"""The user's side of the ceremony: a process of the user's that root starts, so that root never has the issuing key.

    python -P -m locald.tls.keeper VERB

key       make a new key; its public half is printed
accept    take the issuing certificate and the root's from standard input
show      print the root's certificate and the issuing one, if there is a whole authority
stores    print a line for each store of the user's own: yes or no, whether it trusts the root, and its name
trust     let the user's own stores trust the root, and no older one of ours
distrust  take our roots out of the user's own stores
withdraw  the same, and remove the files

Exit code 0: done; 1: not, and standard error says why.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from locald.errors import Exit, LocaldError, RequestError
from locald.paths import find
from locald.tls import store, trust

__all__ = ["main"]

LIMIT = 65536  # bytes of standard input; two certificates have under 4096
END = b"-----END CERTIFICATE-----\n"


def main() -> None:
    """The program.  Every failure becomes a message and an exit code."""
    try:
        if os.geteuid() == 0 or os.getuid() == 0:
            raise LocaldError(
                "the keeper of a user's key does not run as root", exit_code=Exit.NEEDS_ROOT, check="user"
            )
        if len(sys.argv) != 2 or sys.argv[1] not in VERBS:
            raise RequestError(f"usage: python -m locald.tls.keeper {'|'.join(VERBS)}", exit_code=Exit.USAGE)
        os.umask(0o077)
        VERBS[sys.argv[1]](Path(find(os.environ).authority))
        code = Exit.OK
    except LocaldError as error:
        print(f"{error.message}" + (f" ({error.hint})" if error.hint else ""), file=sys.stderr)
        code = error.exit_code
    except OSError as error:
        print(error, file=sys.stderr)
        code = Exit.FAILED
    sys.exit(code)


def _key(folder: Path) -> None:
    _print(store.make_key(folder))


def _accept(folder: Path) -> None:
    text = sys.stdin.buffer.read(LIMIT + 1)
    certificate, end, root = text.partition(END)
    if len(text) > LIMIT or not root:
        raise LocaldError("standard input is not two certificates", check="authority")
    store.accept(folder, certificate + end, root, _now())


def _show(folder: Path) -> None:
    """Nothing, where it is damaged or has ended: a new one is made then, and standard error says why."""
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    if not store.exists(folder):
        return
    try:
        authority = store.load(folder, _now())
        root = authority.root.public_bytes(Encoding.PEM)
        if _root(folder) != root:
            raise LocaldError(f"{store.root_file(folder)} is not of the authority beside it", check="authority")
    except LocaldError as error:
        print(error.message, file=sys.stderr)
        return
    _print(root + authority.certificate.public_bytes(Encoding.PEM))


def _stores(folder: Path) -> None:
    root = _root(folder)
    for each in trust.stores(os.environ):
        if not each.needs_root:
            print("yes" if root and _trusts(each, root) else "no", each.shown)


def _trusts(each: trust.Store, root: bytes) -> bool:
    """One that cannot be read says why when it is asked to trust."""
    try:
        return each.trusts(root)
    except LocaldError:
        return False


def _trust(folder: Path) -> None:
    root = _root(folder)
    if not root:
        raise LocaldError("there is no certificate authority to trust", store.AGAIN, check="authority")
    _tell(trust.trust(root, os.environ))


def _distrust(folder: Path) -> None:
    _tell(trust.withdraw(os.environ))


def _withdraw(folder: Path) -> None:
    try:
        _distrust(folder)
    finally:
        store.withdraw(folder)


def _root(folder: Path) -> bytes:
    try:
        return store.root_file(folder).read_bytes()
    except FileNotFoundError:
        return b""


def _tell(outcomes: Iterable[trust.Outcome]) -> None:
    """Name each store; those that refuse at the end, as a failure."""
    refused = []
    for outcome in outcomes:
        if outcome.error is None:
            print(outcome.store.shown)
        else:
            hint = f" ({outcome.error.hint})" if outcome.error.hint else ""
            refused.append(f"{outcome.store.shown}: {outcome.error.message}{hint}")
    if refused:
        raise LocaldError("; ".join(refused), check="authority")


def _print(data: bytes) -> None:
    sys.stdout.buffer.write(data)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


VERBS: dict[str, Callable[[Path], None]] = {
    "key": _key,
    "accept": _accept,
    "show": _show,
    "stores": _stores,
    "trust": _trust,
    "distrust": _distrust,
    "withdraw": _withdraw,
}

if __name__ == "__main__":
    main()
