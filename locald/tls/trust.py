"""Who trusts what, whatever the system; and all of the user's own stores at once.

Setup has the stores that need root; here are those that a user changes.  A store that refuses does not stop the others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from locald.errors import LocaldError
from locald.tls.roots import Store

if sys.platform == "darwin":
    from locald.tls.trust_darwin import stores, system_trusts
else:
    from locald.tls.trust_linux import stores, system_trusts

__all__ = ["Outcome", "Store", "stores", "system_trusts", "trust", "withdraw"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one store.  ``changed``: it trusted something else before."""

    store: Store
    changed: bool
    error: LocaldError | None = None


def trust(root: bytes, environ: Mapping[str, str]) -> Iterator[Outcome]:
    """Make each store that needs no root trust this root, in PEM, and no other of ours."""

    def put(store: Store) -> bool:
        news = not store.trusts(root)
        store.add(root)
        return news

    return _each(environ, put)


def withdraw(environ: Mapping[str, str]) -> Iterator[Outcome]:
    """Take all roots of ours out of each store that needs no root."""

    def clear(store: Store) -> bool:
        store.remove()
        return True

    return _each(environ, clear)


def _each(environ: Mapping[str, str], act: Callable[[Store], bool]) -> Iterator[Outcome]:
    for store in stores(environ):
        if not store.needs_root:
            try:
                yield Outcome(store, act(store))
            except LocaldError as error:
                yield Outcome(store, False, error)
