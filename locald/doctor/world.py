"""What the checks look at: the user's places, the settings, and what the daemon says of itself."""

from __future__ import annotations

import datetime
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from locald import config
from locald.control.client import NotRunning, VersionMismatch, connect
from locald.control.messages import Report, Status
from locald.doctor.check import FAIL, OK, WARN, Check
from locald.doctor.remedies import edit, end_of_holder
from locald.errors import LocaldError
from locald.paths import Paths

__all__ = ["World", "look"]


ANSWER_S = 2.0  # the daemon answers in milliseconds, and whoever calls a doctor should not wait long


@dataclass(frozen=True, slots=True)
class World:
    """``report`` is None where no daemon gave one; ``suffixes`` are then those that the next one would have.
    ``asked``: the one check that is wanted, "" for all."""

    paths: Paths
    environ: Mapping[str, str]
    now: datetime.datetime
    report: Report | None
    suffixes: tuple[str, ...]
    settings: config.Config = field(default_factory=config.Config)
    asked: str = ""


def look(
    paths: Paths, environ: Mapping[str, str], now: datetime.datetime, asked: str = ""
) -> tuple[World, list[Check]]:
    """The world, and what is to be said of the settings and of the daemon."""
    settings, configured = _settings(Path(paths.config))
    report, daemon = _report(paths)
    suffixes = tuple(report.suffixes) if report else settings.suffixes
    if report and configured.status == OK and suffixes != settings.suffixes:
        words = f"{paths.config} has changed since the daemon has read it"
        configured = Check("settings", WARN, words, "locald daemon restart")
    return World(paths, environ, now, report, suffixes, settings, asked), [configured, daemon]


def _settings(path: Path) -> tuple[config.Config, Check]:
    try:
        found = config.parse(path.read_text("utf-8"), str(path))
        return found, Check("settings", OK, str(path))
    except FileNotFoundError:
        return config.Config(), Check("settings", OK, f"none: there is no {path}")
    except LocaldError as error:
        return config.Config(), Check("settings", FAIL, f"{error.message}; {error.hint}", edit(path))
    except (OSError, UnicodeDecodeError) as error:
        return config.Config(), Check("settings", FAIL, f"{path} cannot be read: {error}", _readable(path, error))


def _readable(path: Path, error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return edit(path)
    quoted = shlex.quote(str(path))
    return f"mv {quoted} {quoted}.old" if path.is_dir() else f"sudo chown {os.geteuid()} {quoted}; chmod u+rw {quoted}"


def _report(paths: Paths) -> tuple[Report | None, Check]:
    try:
        with connect(paths, ANSWER_S) as client:
            report = client.request(Status(), Report)
    except NotRunning:
        words = "not running, so its routes could not be looked at"
        return None, Check("daemon", WARN, words, "locald daemon start")
    except VersionMismatch as error:
        return None, Check("daemon", FAIL, error.message, error.hint)
    except LocaldError as error:
        return None, Check("daemon", FAIL, error.message, end_of_holder(Path(paths.lock)))
    return report, Check(
        "daemon", OK, f"locald {report.version}, pid {report.pid}, on {' and '.join(report.addresses)}"
    )
