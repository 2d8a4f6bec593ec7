"""One dev server, as a project of its users' has it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["BEFORE", "HTML", "Trial"]

BEFORE = "locald-before"  # what the page says; an edit makes it say something else
HTML = f"<!doctype html><html><head><title>shop</title></head><body><p>{BEFORE}</p></body></html>\n"


@dataclass(frozen=True, slots=True)
class Trial:
    """``command``: what a developer types, or has as the script ``dev`` of package.json where ``packages`` are npm's."""

    name: str
    program: str  # the package whose version is told; a program and its option for that, where it is the system's
    command: str
    files: dict[str, str]
    packages: tuple[str, ...] = ()  # with their versions, as npm or pip take them
    edited: str = ""  # the file in which BEFORE is replaced, "" where nothing is watched
    reloads: bool = False  # whether it promises the browser to show that by itself
    environ: dict[str, str] = field(default_factory=dict)
    module: bool = True  # whether .js files are modules
    text: str = BEFORE  # what the page has
    path: str = "/"

    @property
    def folder(self) -> str:
        return self.name.lower().replace(" ", "-").replace("/", "-").replace("(", "").replace(")", "")
