"""Every check there is: its id, the family that makes it, and what it looks at in one line.  [pure]

Ids stay the same for ever.  One with a colon, as in port:127.0.0.1:80, is here by what is before the colon; what comes
after it is what was looked at.  docs/troubleshooting.md has a chapter for each, and every failure that a command prints
names one (errors.py); tests hold all three to this table.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["KNOWN", "base", "family_of", "matches", "near"]

KNOWN: dict[str, tuple[str, str]] = {
    # What this command has been started in.
    "home": ("", "the folder of the user, below which everything is"),
    "versions": ("caller", "of locald, Python and the system; and of the daemon, if that is another"),
    "user": ("caller", "who types, and whether that is root"),
    "no-new-privs": ("caller", "whether setuid programs work in this process"),
    "user-namespace": ("caller", "whether this process is in a user namespace, where they have no power"),
    "limits": ("caller", "descriptors and watchers of files that the system gives"),
    "environment": ("caller", "whether the environment is small enough for services to get it"),
    "proxy-variables": ("caller", "whether a proxy in the environment gets the requests for local names"),
    # What root has installed, as `locald-setup --check` says it.
    "shim-parents": ("setup", "the folders above locald-shim: root's alone to write"),
    "policy-parents": ("setup", "the folders above the policy file: root's alone to write"),
    "shim-installed": ("setup", "whether locald-shim is at its place"),
    "shim-owner": ("setup", "its owner, who must be root"),
    "shim-mode": ("setup", "its mode: setuid, or a file capability"),
    "shim-links": ("setup", "whether it has one name only"),
    "shim-mount": ("setup", "whether its file system lets programs be setuid"),
    "shim-hash": ("setup", "whether it is the program of this installation"),
    "shim-protocol": ("setup", "whether it answers, and in words that this locald understands"),
    "policy-installed": ("setup", "the policy file: there, and root's alone to write"),
    "policy-readable": ("setup", "whether everybody may read the policy file"),
    "policy-lines": ("setup", "whether each line of it is understood"),
    "policy-user": ("setup", "which ports it gives to this user"),
    "residue": ("setup", "what a run of locald-setup that was killed has left"),
    "apparmor-profile": ("setup", "the profile of locald-shim, where there is AppArmor"),
    "apparmor-loaded": ("setup", "whether the kernel has that profile"),
    "ca-residue": ("setup", "what the system trusts, or has left, by no file"),
    "ca-anchors": ("setup", "whether roots in the system's store are as locald-setup put them there"),
    "ca-authority": ("setup", "the certificate authority, as root's program sees it"),
    "ca-anchor": ("setup", "whether its root is in the system's store"),
    "ca-old": ("setup", "roots that are trusted still, and no longer wanted"),
    "ca-trusted": ("setup", "whether programs see that root"),
    "hosts": ("setup", "the names that locald-setup has written into /etc/hosts"),
    "http2": ("build", "whether HTTP/2 was built"),
    # The user's own files, and the daemon.
    "settings": ("", "config.toml"),
    "daemon": ("", "whether the daemon runs and answers"),
    "state": ("places", "the folders of locald: this user's, and closed to others"),
    "lock": ("places", "the file that the one daemon holds"),
    "control": ("places", "the socket between the commands and the daemon"),
    "state-files": ("places", "which aliases and projects there are, as it is kept"),
    "log": ("places", "the daemon's log, and those of services"),
    "disk": ("places", "how much space is left where these are"),
    # The network.
    "ipv4": ("network", "whether this machine has 127.0.0.1"),
    "ipv6": ("network", "whether this machine has ::1"),
    "unprivileged-ports": ("network", "the port from which on everybody may listen"),
    "port": ("ports", "who has the port, or whether it can be had"),
    "proxy": ("ports", "whether it is our proxy that answers there"),
    "name": ("names", "whether this system finds the name of a route, and where"),
    # Certificates.
    "authority": ("certificates", "the user's certificate authority"),
    "trust": ("certificates", "whether a store of certificates trusts it"),
    "own-certificate": ("certificates", "the certificate that the settings give an app"),
    # What runs.
    "route": ("running", "whether anybody listens where a name leads"),
    "service": ("running", "how a service of a project is"),
    "orphans": ("running", "what a killed daemon has left running"),
    "project": ("project", "the project of this folder, and its files"),
    "project-ports": ("project", "who has the ports that its services are to have"),
    "examination": ("", "whether the doctor itself is well"),
}


def base(id: str) -> str:
    """What is before the colon."""
    return id.partition(":")[0]


def family_of(id: str) -> str:
    """The family that makes this check; "" for what is looked at first in any case.  Raises KeyError."""
    return KNOWN[base(id)][0]


def matches(id: str, asked: str) -> bool:
    """Whether this check is the one that was asked for, or one of them: "port" is all of its kind."""
    return asked in (id, base(id))


def near(word: str, also: Iterable[str] = ()) -> list[str]:
    """The ids that the word may mean; those that begin with it come first."""
    ids = [*dict.fromkeys([*KNOWN, *also])]
    begin = [id for id in ids if word and id.startswith(base(word))]
    return [*dict.fromkeys([*begin, *difflib.get_close_matches(base(word), ids, 5, 0.5)])][:8]
