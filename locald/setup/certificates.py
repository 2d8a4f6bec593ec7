"""The steps that make a user's certificate authority and let the system trust it, and those that undo it.

The user's process makes the key and keeps it; root makes a root in memory, which signs once.  That root is all that is
ever put into the system's store: never a certificate that a user's process has handed over.  So an authority whose root
is not in the store as setup put it there is replaced by a new one, and a new one is for the domains of roots in the
store and for those that were asked for.

Order: the new root into the store, the certificates to the user, the old roots out.  Killed in between, it leaves a
root in the store that no key belongs to; the next run takes it out.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from locald.errors import LocaldError, RequestError
from locald.setup import domains, processes, roots
from locald.setup.person import Person
from locald.setup.roots import Anchor, Root, Store
from locald.setup.step import Plan, Step, both

if sys.platform == "darwin":
    from locald.setup.anchors_darwin import all_stores, find_store
else:
    from locald.setup.anchors import all_stores, find_store

__all__ = ["State", "anchored_uids", "find_store", "install", "look", "permitted_of", "uninstall"]

RENEW = datetime.timedelta(days=30)  # an authority that ends sooner is replaced
STORES_MAX = 64  # of a user's own: what their process says is bounded


@dataclass(frozen=True, slots=True)
class State:
    """What there is for a user: the system's store, the user's anchors in it, and the root of the user's authority.

    ``claimed``: the domains that the authority is for; ``why``: what is wrong with it, "" for nothing.
    """

    store: Store
    mine: list[Anchor]
    root: Root | None
    claimed: tuple[str, ...]
    ends: datetime.datetime | None
    why: str

    @property
    def anchor(self) -> Anchor | None:
        """That of the user's present root, as setup put it into the store."""
        return next((each for each in self.mine if each.intact and each.root == self.root), None)


def look(person: Person, now: datetime.datetime) -> State:
    """What there is.  Raises LocaldError where the user's process cannot be asked."""
    store = find_store()
    mine = [anchor for anchor in store.anchors() if anchor.uid == person.uid]
    said = person.keeper("show")
    if not said:
        return State(store, mine, None, (), None, "there is none that is whole")
    try:
        der, claimed, ends = _read(said)
    except Exception as error:  # what a parser raises when it is fed anything is promised nowhere
        return State(store, mine, None, (), None, f"what {person.name}'s process shows is none: {type(error).__name__}")
    why = f"it ends on {ends:%Y-%m-%d}" if ends < now + RENEW else ""
    root = next((each for each in roots.find(said) if each.der == der), None)
    return State(store, mine, root, claimed, ends, why)


def permitted_of(uid: int) -> tuple[str, ...]:
    """The domains of this user's roots that setup has put into a store; none where cryptography cannot be imported."""
    mine = [anchor.root for store in all_stores() for anchor in store.anchors() if anchor.uid == uid and anchor.intact]
    try:
        return tuple(dict.fromkeys(name for root in mine if root for name in _read(root.pem)[1]))
    except ImportError:
        return ()


def anchored_uids() -> list[int]:
    """Of whom there are roots in the system's store."""
    return [anchor.uid for store in all_stores() for anchor in store.anchors()]


def install(person: Person, asked: tuple[str, ...], trust: bool, now: datetime.datetime) -> Plan:
    """The steps to an authority for these domains and those it is for already; none if all is as it should be."""
    try:
        import cryptography.x509  # noqa: F401, PLC0415  it takes 90 ms, and may be broken
    except ImportError as error:
        note = f"no certificate authority: cryptography cannot be imported: {error}"
        return Plan(notes=[note, "hint: pip install --force-reinstall cryptography; then run this again"])
    try:
        state = look(person, now)
    except LocaldError as error:
        return Plan([Step(*both("make", f"the certificate authority of {person.name}"), _raiser(error))])
    had = permitted_of(person.uid) if trust else tuple(filter(domains.is_domain, state.claimed))
    wanted = tuple(dict.fromkeys((domains.ALWAYS, *had, *asked)))
    if len(wanted) > domains.COUNT_MAX:
        raise RequestError(
            f"the authority would be for {len(wanted)} domains, more than {domains.COUNT_MAX}",
            "sudo locald-setup --uninstall forgets those that it is for now",
        )
    why = state.why or ("" if set(wanted) <= set(state.claimed) else "it is for other domains")
    if trust and not why and not state.anchor:
        why = f"its root is not in {state.store.shown} as setup put it there"
    plan = Plan(_new(person, state.store, wanted, trust, why, now) if why else [], _forgotten(state, wanted))
    kept = None if why or not trust else state.anchor
    plan.steps += _tidy(state.store, [each for each in state.mine if each is not kept], kept)
    for store in all_stores():  # one that was this system's before another came
        if store.shown != state.store.shown:
            plan.steps += _tidy(store, [each for each in store.anchors() if each.uid == person.uid], None)
    plan.steps += _own_stores(person, trust, bool(why))
    return plan


def uninstall(people: Iterable[Person]) -> Plan:
    """The steps after which nothing trusts a root of ours, and none of these users has a key."""
    plan = Plan()
    for person in people:
        what = f"the certificate authority away from {person.name} and from what trusts it there"
        plan.steps.append(Step(f"take {what}", f"took {what}", _withdrawer(person), must=True))
    for store in all_stores():
        plan.steps += _tidy(store, store.anchors(), None)
    return plan


class _Ceremony:
    """An authority on its way from step to step, in memory alone."""

    def __init__(self, person: Person, store: Store, names: tuple[str, ...], now: datetime.datetime) -> None:
        self._person, self._store, self._names, self._now = person, store, names, now
        self._root = self._issuing = b""
        self._is_anchored = False

    def make(self) -> None:
        from locald.setup import authority  # noqa: PLC0415

        key = authority.public_key(self._person.keeper("key"))
        self._root, self._issuing = authority.establish(key, self._names, self._person.title, self._now)

    def anchor(self) -> str:
        remark = self._store.add(self._person.uid, self._root)
        self._is_anchored = True
        return remark

    def hand_over(self) -> None:
        """If the user does not take it, nobody is to trust it."""
        try:
            self._person.keeper("accept", self._issuing + self._root)
        except BaseException as error:
            if self._is_anchored:
                ours = roots.find(self._root)[0].der
                left = self._store.drop([each for each in self._store.anchors() if each.root and each.root.der == ours])
                if left and isinstance(error, LocaldError):
                    error.message += f"; and its root could not be taken out again: {left}"
            raise


def _new(
    person: Person, store: Store, names: tuple[str, ...], trust: bool, why: str, now: datetime.datetime
) -> list[Step]:
    ceremony = _Ceremony(person, store, names, now)
    what = f"a certificate authority of {person.name} for {', '.join(names)} and all names below ({why})"
    steps = [Step(f"make {what}", f"made {what}", _without_remark(ceremony.make))]
    if trust:
        put = f"its root into {store.shown}, so that programs trust it ({store.how})"
        steps.append(Step(f"put {put}", f"put {put}", ceremony.anchor))
    give = f"its certificates to {person.name}, who alone has its key"
    return [*steps, Step(f"give {give}", f"gave {give}", _without_remark(ceremony.hand_over))]


def _tidy(store: Store, old: list[Anchor], kept: Anchor | None) -> list[Step]:
    """The step that takes old roots out, and what a run that was killed left in between; and that mends what it did not
    come to."""
    strays = store.strays()
    root = kept.root if kept else None
    unseen = root is not None and not store.holds(root)
    if not old and not strays and not unseen:
        return []

    def do() -> str:
        why = store.drop(old)
        return why or ("programs do not see the root after it" if root and not store.holds(root) else "")

    gone = [*(each.place for each in old), *strays]
    if not gone:
        return [Step(*both("update", f"{store.shown} ({store.how})"), do)]
    what = f"what is no longer to be trusted out of {store.shown}: {', '.join(gone)}"
    return [Step(f"take {what}", f"took {what}", do, must=True)]


def _own_stores(person: Person, trust: bool, is_new: bool) -> list[Step]:
    """The step for Chromium's and Firefox's stores, which are the user's, and need no root."""
    try:
        said = person.keeper("stores").splitlines()[:STORES_MAX]
    except LocaldError as error:
        return [Step(*both("look", f"into the stores of {person.name}'s browsers"), _saying(error.message))]
    told = [(word, processes.shown(name)) for word, _, name in (line.partition(b" ") for line in said)]
    names = [name for word, name in told if (word == b"yes") is not trust or (trust and is_new)]
    if not names:
        return []
    verb = "trust" if trust else "distrust"
    what = f"{', '.join(names)} of {person.name} {verb} it"
    return [Step(f"let {what}", f"let {what}", _asker(person, verb))]


def _forgotten(state: State, wanted: tuple[str, ...]) -> list[str]:
    """What the user's files claim, and nobody asked root for: said, so that it can be asked for."""
    lost = [name for name in state.claimed if name not in wanted]
    if not lost:
        return []
    names = ", ".join(processes.shown(name.encode()) for name in lost)
    return [f"the authority that is there is for {names} too, by nobody's leave: to have that, say --domain"]


def _read(pem: bytes) -> tuple[bytes, tuple[str, ...], datetime.datetime]:
    """The first of these certificates, the domains that it is for, and when the first of them ends."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    certificates = x509.load_pem_x509_certificates(pem)
    constraints = certificates[0].extensions.get_extension_for_class(x509.NameConstraints).value
    names = tuple(name.value for name in constraints.permitted_subtrees or () if isinstance(name, x509.DNSName))
    return certificates[0].public_bytes(Encoding.DER), names, min(each.not_valid_after_utc for each in certificates)


def _withdrawer(person: Person) -> Callable[[], str]:
    def do() -> str:
        try:
            person.keeper("withdraw")
        except LocaldError as error:
            return f"{error.message}   ({error.hint})" if error.hint else error.message
        return ""

    return do


def _asker(person: Person, verb: str) -> Callable[[], str]:
    """A failure is a remark: HTTPS works in all but these browsers, and `locald trust` tries again."""

    def do() -> str:
        try:
            person.keeper(verb)
        except LocaldError as error:
            return f"{error.message}   (then, as {person.name}: locald trust)"
        return ""

    return do


def _saying(remark: str) -> Callable[[], str]:
    return lambda: remark


def _raiser(error: LocaldError) -> Callable[[], str]:
    def do() -> str:
        raise error

    return do


def _without_remark(function: Callable[[], None]) -> Callable[[], str]:
    def do() -> str:
        function()
        return ""

    return do
