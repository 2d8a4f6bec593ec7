"""config.toml, the user's own settings of the daemon: text -> frozen structs.  [pure]

    suffixes = ["test"]     # beside localhost

    [limits]                # of the proxy, where its own are not right
    upstream_max = 16

    [projects.shop]         # the app of this name has a certificate of yours, in PEM
    cert = "~/certs/shop.pem"
    key = "~/certs/shop-key.pem"

A table of the file is a struct in a field of Config: every error then names its keys too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from locald import toml
from locald.errors import SettingsError

__all__ = ["LOCALHOST", "Config", "Limits", "Project", "parse"]

LOCALHOST = "localhost"  # always there, and in every URL that is shown (RFC 6761 section 6.3)
SUFFIX_MAX = 50  # octets: a name has at most 200 of the 253 of a host (RFC 1035 section 2.3.4)
LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
MDNS = "belongs to mDNS (RFC 6762): many systems ask the network for its names, and wait for an answer"
HSTS = ("app", "dev")  # whole domains of the internet where browsers use https:// only (the HSTS preload list)


S = TypeVar("S", bound=msgspec.Struct)
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)] | None
Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None
HeadBytes = Annotated[int, msgspec.Meta(ge=1024, le=1 << 20)] | None  # csrc/http1.h has the upper ends of these two
Fields = Annotated[int, msgspec.Meta(ge=1, le=100)] | None
Bytes = Annotated[int, msgspec.Meta(ge=4096, le=1 << 30)] | None
WindowBytes = Annotated[int, msgspec.Meta(ge=4096, le=1 << 26)] | None  # 16 of them are one of RFC 9113's at most


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits that the file names; None leaves the proxy's own, which proxy/limits.py has with their reasons."""

    clients_max: Count = None
    head_bytes: HeadBytes = None
    fields_max: Fields = None
    target_bytes: HeadBytes = None
    handshake_s: Seconds = None
    head_s: Seconds = None
    idle_s: Seconds = None
    linger_s: Seconds = None
    linger_bytes: Bytes = None
    half_closed_s: Seconds = None
    dial_s: Seconds = None
    held_s: Seconds = None
    held_page_s: Seconds = None
    pool_idle_s: Seconds = None
    pool_max: Count = None
    upstream_max: Count = None
    streams_max: Count = None
    window_bytes: WindowBytes = None
    stalled_s: Seconds = None
    write_high: Bytes = None
    log_max: Count = None
    loops_max: Count = None
    handover_s: Seconds = None
    sweep_s: Seconds = None

    def given(self) -> dict[str, Any]:
        """Those that are there."""
        return {key: value for key, value in msgspec.structs.asdict(self).items() if value is not None}


class Project(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is special about the app of a name.  ``cert`` and ``key``: files, both or none; "~/" is the user's home."""

    cert: str = ""
    key: str = ""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings, each with what holds where the file says nothing."""

    suffixes: tuple[str, ...] = (LOCALHOST,)
    limits: Limits = Limits()
    projects: dict[str, Project] = {}

    def notes(self, signed: Sequence[str] | None) -> list[str]:
        """What may be meant, and will not work as expected.  ``signed``: the domains that HTTPS is had for, () if
        that is not known, None if there is no HTTPS."""
        others = [suffix for suffix in self.suffixes if suffix != LOCALHOST]
        remedy = f"sudo locald-setup {' '.join(f'--domain {suffix}' for suffix in others)}"
        notes = []
        for suffix in others:
            has = any(suffix == domain or suffix.endswith(f".{domain}") for domain in signed or ())
            top = suffix.rpartition(".")[2]
            if top == "local":
                notes.append(f"the suffix .{suffix} {MDNS}")
            if top in HSTS and signed is None:
                notes.append(f"the suffix .{suffix} needs HTTPS, which is off: browsers use nothing else for .{top}")
            elif top in HSTS and not has:
                why = f"browsers use nothing else for .{top}, a domain of the internet (HSTS preload)"
                notes.append(f"the suffix .{suffix} needs certificates: {why} ({remedy})")
            elif signed and not has:
                notes.append(f"the suffix .{suffix} has no HTTPS: our authority may not sign for it ({remedy})")
        return notes


def parse(text: str, file: str) -> Config:
    """The settings in ``text``.  Raises LocaldError that names the file, the key, and what was expected."""
    found = toml.load(text, file, _EXAMPLE, SettingsError)
    _refuse_unknown(found, Config, file)
    if isinstance(found.get("limits"), dict):
        _refuse_unknown(found["limits"], Limits, file, "limits.")
    projects = found.get("projects")
    for name, table in projects.items() if isinstance(projects, dict) else ():
        _check_project(name, table, file)
    config = _convert(found, Config, file)
    for suffix in config.suffixes:
        _check_suffix(suffix, file)
    return msgspec.structs.replace(config, suffixes=tuple(dict.fromkeys((LOCALHOST, *config.suffixes))))


_EXAMPLE = 'suffixes = ["test"]'


def _refuse_unknown(table: dict[str, Any], struct: type[msgspec.Struct], file: str, above: str = "") -> None:
    key, hint = toml.unknown(table, struct)
    if key:
        raise SettingsError(f"{file}: {above}{key} is no setting", f"{hint}   (edit {file})")


def _convert(table: object, struct: type[S], file: str, above: str = "") -> S:
    try:
        return msgspec.convert(table, struct)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        key = f"{above}{where.rstrip('`')}".strip(".")
        raise SettingsError(f"{file}: {key}: {what[:1].lower()}{what[1:]}", _edit(file, key)) from None


def _check_project(name: str, table: object, file: str) -> None:
    where = f"projects.{name}" if name.isalnum() else f'projects."{name}"'
    if not all(LABEL.fullmatch(label) for label in name.split(".")):
        why = "is the name of no app: lower-case letters, digits and hyphens, in parts joined by dots"
        raise SettingsError(f"{file}: {where} {why}", f"edit {file}")
    if isinstance(table, dict):
        _refuse_unknown(table, Project, file, f"{where}.")
    project = _convert(table, Project, file, where)
    for key, other in (("cert", "key"), ("key", "cert")):
        path = getattr(project, key)
        if not path and getattr(project, other):
            raise SettingsError(f"{file}: {where} has {other} and no {key}: it takes both", f"edit {file}")
        if path and not path.startswith(("/", "~/")):
            hint = f"edit {file}: the daemon works in another folder than you"
            raise SettingsError(f"{file}: {where}.{key}: {path!r} is not absolute, nor does it begin with ~/", hint)


def _check_suffix(suffix: str, file: str) -> None:
    labels = suffix.split(".")
    if len(suffix) > SUFFIX_MAX:
        why = f"has more than {SUFFIX_MAX} characters"
    elif not all(LABEL.fullmatch(label) for label in labels):
        why = "is no domain name: lower-case letters, digits and hyphens, in parts joined by dots"
    elif labels[-1].isdecimal():
        why = "ends in a number, so browsers would take its names for addresses (the URL Standard)"
    else:
        return
    plain = suffix.strip(".*").lower()
    hint = _edit(file, "suffixes")
    if plain != suffix and all(LABEL.fullmatch(label) for label in plain.split(".")):
        hint = f'did you mean "{plain}"?   (edit {file})'
    raise SettingsError(f"{file}: suffixes: {suffix!r} {why}", hint)


def _edit(file: str, key: str) -> str:
    example = _EXAMPLE if key.startswith("suffixes") else ""
    return f"edit {file}" + (f", for example: {example}" if example else "")
