"""What others' clients take from our authority, and what they refuse from whoever steals its key.

Each forbidden leaf has a twin, the same one by an authority without constraints that the clients trust as well: where
they take that and refuse ours, it was the constraint.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest
from authorities import make_authority
from forgery import DAY, Signer, authority_below, leaf, thief, unbound
from hosts import leading_here
from tls_clients import CLIENTS_OF_OTHERS, Client
from tls_server import serving

from locald.tls.authority import issue

NAMES = (
    "localhost app.localhost a.app.localhost b.a.app.localhost other.localhost evillocalhost localhost.example.com "
    "app.test a.app.test shop.example api.shop.example evilshop.example example.com www.example.com"
).split()


@dataclass(frozen=True)
class Case:
    """A leaf, and the host whom a client asks for.  ``by``: "localhost", or "domains" for the authority of those two,
    or "stranger", whose root nobody has.  ``twin``: whether the unbound authority's is taken."""

    host: str
    make: Callable[[Signer], bytes]
    by: str = "localhost"
    twin: bool = True


def names(*names: str, **how: datetime.timedelta | str) -> Callable[[Signer], bytes]:
    return lambda signer: leaf(signer, *names, **how)


def below(common: str, *names: str) -> Callable[[Signer], bytes]:
    """By another authority, which the thief has signed."""
    return lambda signer: leaf(authority_below(signer, common), *names)


TAKEN = {  # as the daemon makes them: for whom, the host that is asked for, and by which authority
    "localhost": ("localhost", "localhost", "localhost"),
    "a name": ("app.localhost", "app.localhost", "localhost"),
    "a name below it": ("app.localhost", "a.app.localhost", "localhost"),
    "of the domain test": ("app.test", "app.test", "domains"),
    "below a name of test": ("app.test", "a.app.test", "domains"),
    "the domain shop.example": ("shop.example", "shop.example", "domains"),
    "below shop.example": ("shop.example", "api.shop.example", "domains"),
}
REFUSED = {
    "example.com": Case("example.com", names("example.com")),
    "*.example.com": Case("www.example.com", names("*.example.com")),
    "localhost.example.com": Case("localhost.example.com", names("localhost.example.com")),
    "evillocalhost": Case("evillocalhost", names("evillocalhost")),
    "an address": Case("127.0.0.1", names("127.0.0.1")),
    "a mixed list, the good name": Case("app.localhost", names("app.localhost", "example.com")),
    "a mixed list, the bad name": Case("example.com", names("app.localhost", "example.com")),
    "a mixed list with an address": Case("app.localhost", names("app.localhost", "127.0.0.1")),
    "a common name": Case("example.com", names(common="example.com"), twin=False),
    "a common name beside a good one": Case("example.com", names("app.localhost", common="example.com"), twin=False),
    "an authority below": Case("app.localhost", below("A thief's authority", "app.localhost")),
    "an authority below, example.com": Case("example.com", below("A thief's authority", "example.com")),
    "an authority of the same name, example.com": Case("example.com", below("", "example.com")),
    "expired": Case("app.localhost", names("app.localhost", begins=-3 * DAY, ends=-DAY), twin=False),
    "not yet": Case("app.localhost", names("app.localhost", begins=DAY, ends=3 * DAY), twin=False),
    "another name": Case("other.localhost", names("app.localhost", "*.app.localhost"), twin=False),
    "two below a name": Case("b.a.app.localhost", names("app.localhost", "*.app.localhost"), twin=False),
    "an authority that nobody knows": Case("app.localhost", names("app.localhost"), by="stranger", twin=False),
    # With domains of one's own, those are all.
    "localhost is not among the domains": Case("app.localhost", names("app.localhost"), by="domains"),
    "evilshop.example": Case("evilshop.example", names("evilshop.example"), by="domains"),
    "example.com is not among the domains": Case("example.com", names("example.com"), by="domains"),
}
TWINS = {name: case for name, case in REFUSED.items() if case.twin}

Verdicts = Mapping[tuple[str, str], str]


@pytest.fixture(scope="module")
def hosts() -> Iterator[None]:
    """Every name leads here, also for those who ask the system."""
    with leading_here(*NAMES):
        yield


@pytest.fixture(scope="module")
def ask(hosts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Client], Verdicts]]:
    """ask(client): its words for each case and for each twin; each client is asked once."""
    folder = tmp_path_factory.mktemp("authorities")
    made = {
        "localhost": make_authority(folder / "localhost"),
        "domains": make_authority(folder / "domains", "test", "shop.example"),
        "stranger": make_authority(folder / "stranger"),
    }
    signers = {name: thief(authority) for name, authority in made.items()}
    free, free_root = unbound()
    cafile = folder / "roots.pem"
    cafile.write_bytes(
        b"".join((folder / name / "root.pem").read_bytes() for name in ("localhost", "domains")) + free_root
    )
    answers: dict[str, Verdicts] = {}
    now = datetime.datetime.now(datetime.UTC)
    with serving(tmp_path_factory.mktemp("chains")) as server:
        good = {name: issue(made[by], subject, now) for name, (subject, _, by) in TAKEN.items()}
        urls = {
            (name, "ours"): f"https://{TAKEN[name][1]}:{server.serve(leaf.key + leaf.chain)}/"
            for name, leaf in good.items()
        } | {
            (name, kind): f"https://{case.host}:{server.serve(case.make(signer))}/"
            for name, case in REFUSED.items()
            for kind, signer in (("ours", signers[case.by]), ("twin", free))
            if kind == "ours" or case.twin
        }

        def ask(client: Client) -> Verdicts:
            if client.name not in answers:
                said = client.ask(cafile, list(urls.values()))
                answers[client.name] = dict(zip(urls, said, strict=True))
            return answers[client.name]

        yield ask


each_client = pytest.mark.parametrize("client", CLIENTS_OF_OTHERS.values(), ids=CLIENTS_OF_OTHERS)


@each_client
@pytest.mark.parametrize("name", TAKEN)
def test_a_leaf_of_ours_is_taken(ask: Callable[[Client], Verdicts], client: Client, name: str) -> None:
    assert ask(client)[name, "ours"] == "ok"


@each_client
@pytest.mark.parametrize("name", REFUSED)
def test_a_leaf_of_a_thief_is_refused(ask: Callable[[Client], Verdicts], client: Client, name: str) -> None:
    assert re.search(client.refusal, ask(client)[name, "ours"], re.DOTALL), ask(client)[name, "ours"]


@each_client
@pytest.mark.parametrize("name", TWINS)
def test_it_is_the_constraint_that_refuses(ask: Callable[[Client], Verdicts], client: Client, name: str) -> None:
    assert ask(client)[name, "twin"] == "ok"
