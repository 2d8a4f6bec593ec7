"""The AppArmor profile as its rules: as much of apparmor.d(5) as it uses, and an error for anything else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PROFILE = Path(__file__).resolve().parents[2] / "locald/setup/locald-shim.apparmor"
GLOBS = {"**": ".*", "*": "[^/]*", "{": "(?:", "}": ")", ",": "|"}


@dataclass(frozen=True)
class Rule:
    """One line of the profile: a file with its access, or a word (capability, network, ...) with its object."""

    text: str
    kind: str
    object: str
    access: str = ""
    denies: bool = False

    def covers(self, path: str) -> bool:
        return self.kind == "file" and bool(re.fullmatch(pattern(self.object), path))


def pattern(glob: str) -> str:
    """An AppArmor glob as a regular expression: * stays in its folder, ** does not."""
    parts = re.split(r"(\*\*|\*|\{|\}|,|\[[^]]*\])", glob)
    return "".join(GLOBS.get(part, part if part.startswith("[") else re.escape(part)) for part in parts)


def rules() -> list[Rule]:
    body = PROFILE.read_text().partition(" {\n")[2].rpartition("}")[0]
    lines = [line.strip() for line in body.splitlines()]
    return [rule(line) for line in lines if line and not line.startswith(("#", "include "))]


def rule(line: str) -> Rule:
    if match := re.fullmatch(r"(/\S+) ([a-z]+),", line):
        return Rule(line, "file", match[1], match[2])
    match = re.fullmatch(r"(deny )?(capability|network|unix|signal) (.+),", line)
    assert match, f"a rule of an unknown kind: {line}"
    return Rule(line, match[2], match[3], denies=bool(match[1]))


def allowing(path: str, access: str) -> list[Rule]:
    """The rules that together allow this access to the path; none where one is missing."""
    found = [rule for rule in rules() if rule.covers(path)]
    granted = {letter for rule in found for letter in rule.access}
    return found if set(access) <= granted else []
