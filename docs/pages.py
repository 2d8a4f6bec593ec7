"""A hook of MkDocs: the site has the documents at the top of the repository too, and each file that a page leads to.

The documents are written to be read in a checkout, so their links are paths in it.  Here a link to another page stays
one, and one to any other file leads to a copy of it, as text, below source/; of a folder, to the list of what is in it.
A link to what is not there fails the build.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parent.parent
BESIDE = ("README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")
LINK = re.compile(r"\]\((?![a-z]+:|#)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Each page with its links as they are in the site, and what these lead to."""
    shown = [file.src_uri for file in files if not file.inclusion.is_excluded()]
    places = {f"docs/{uri}": uri for uri in shown} | {name: name for name in BESIDE}
    for path, uri in places.items():
        if not path.endswith(".md"):
            continue
        text, sources = rewritten(path, places)
        replace(files, File.generated(config, uri, content=text))
        for source in sources:
            replace(files, File.generated(config, f"source/{source}.txt", content=text_of(ROOT / source)))
    return files


def replace(files: Files, file: File) -> None:
    if there := files.get_file_from_path(file.src_uri):
        files.remove(there)
    files.append(file)


def rewritten(path: str, places: dict[str, str]) -> tuple[str, list[str]]:
    """The text of a document, and what it leads to that has no place in the site yet.  All paths are from the top."""
    sources: list[str] = []

    def lead(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), found["path"]))
        anchor = found["anchor"] or ""
        if target in places:
            return f"]({places[target]}{anchor})"
        if not (ROOT / target).exists():
            raise PluginError(f"{path} leads to {found['path']}, which is not there")
        sources.append(target)
        return f"](source/{target}.txt)"

    return LINK.sub(lead, (ROOT / path).read_text(encoding="utf-8")), sources


def text_of(path: Path) -> str:
    if path.is_dir():
        return "".join(f"{entry.name}\n" for entry in sorted(path.iterdir()))
    return path.read_text(encoding="utf-8")
