"""Which program a command starts in the end, through shells, wrappers and the scripts of package.json.  [pure]

    cd web && npm run dev      with "dev": "cross-env A=1 vite"      is vite, and what is added goes behind a "--"

Of a line for the shell the last simple command is looked at, since words added at the end are added to that.  A line
with more than commands joined by && || ; & or | in it (redirections, brackets, several lines) is left alone.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct

from locald.project.model import Command

__all__ = ["Reached", "Scripts", "appended", "reach"]

Scripts = Callable[[str], Mapping[str, str]]  # a folder, as seen from the service's -> the scripts of its package.json

DEPTH = 8  # scripts that call scripts
JOINS = {"&&", "||", ";", "&", "|"}
BRACKETS = re.compile(r"[()<>]")
ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
PYTHON = re.compile(r"(python|pypy)[\d.]*")
ENVIRON_SETTERS = {"env", "cross-env", "cross-env-shell", "env-cmd", "exec", "command", "nohup", "time"}
UNTIL_DASHES = {"dotenv", "dotenvx", "doppler", "op", "infisical", "mise", "direnv"}  # TOOL ... -- COMMAND
RUNNERS = {"uv": "run", "poetry": "run", "pipenv": "run", "pdm": "run", "hatch": "run", "rye": "run", "bundle": "exec"}
VALUED = {  # options of wrappers whose value is the next word
    "uv": {
        "--env-file",
        "--with",
        "--with-requirements",
        "--extra",
        "--group",
        "--python",
        "-p",
        "--package",
        "--index-url",
    },
    "hatch": {"-e", "--env"},
    "env-cmd": {"-f", "--file", "-e", "--environments"},
}
INTERPRETERS = {"node", "php", "ruby"}
NPX = {"npx", "bunx", "pnpx"}
MANAGERS = {"npm": {"exec", "x"}, "pnpm": {"exec", "dlx"}, "yarn": {"exec", "dlx"}, "bun": {"x"}}
SHORTCUTS = {"start", "test"}  # npm start is npm run start
FOLDER_OPTIONS = {"--prefix", "-C", "--dir", "--cwd"}


class Reached(Struct, frozen=True):
    """``words``: the program, by its name without its folder, and its words; () where that is not known.  ``before``:
    what has to stand between the command and words that are meant for the program.  ``text``: all that was read."""

    words: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    text: str = ""


def reach(command: Command, scripts: Scripts) -> Reached:
    """The program that a command starts in the end."""
    return _line(command, scripts, ".", DEPTH) if isinstance(command, str) else _words(command, scripts, ".", DEPTH)


def appended(command: Command, before: Sequence[str], words: Sequence[str]) -> Command:
    """The command with more words at its end, ``before`` in front of them; as it is, if there are none."""
    if not words:
        return command
    more = (*before, *words)
    return f"{command.rstrip()} {shlex.join(more)}" if isinstance(command, str) else (*command, *more)


def _line(text: str, scripts: Scripts, folder: str, depth: int) -> Reached:
    """A line for the shell."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        tokens = list(lexer)
    except ValueError:  # a quote that is not closed
        return Reached()
    if "\n" in text.strip() or "`" in text or any(BRACKETS.search(each) or each.startswith("#") for each in tokens):
        return Reached()
    commands: list[list[str]] = [[]]
    for token in tokens:
        if token in JOINS:
            commands.append([])
        else:
            commands[-1].append(token)
    for each in commands[:-1]:
        if len(each) == 2 and each[0] == "cd" and not re.search(r"[$~*]", each[1]):
            folder = posixpath.join(folder, each[1])
    found = _words(commands[-1], scripts, folder, depth)
    return Reached(found.words, found.before, f"{text}\n{found.text}")


def _words(words: Sequence[str], scripts: Scripts, folder: str, depth: int) -> Reached:
    """A program and its words."""
    left = list(words)
    text = " ".join(words)
    before: tuple[str, ...] = ()
    while left:
        while left and ASSIGNMENT.fullmatch(left[0]):
            del left[0]
        if not left:
            break
        program, rest = posixpath.basename(left[0]), left[1:]
        if program in MANAGERS:
            where = _managed(program, rest, scripts, folder, depth)
            if isinstance(where, Reached):
                return Reached(where.words, where.before, f"{text}\n{where.text}")
            left, before = where
            continue
        inner = _unwrapped(program, rest)
        if inner is None:
            return Reached((program, *rest), before, text)
        left = inner
    return Reached((), (), text)


def _unwrapped(program: str, rest: list[str]) -> list[str] | None:
    """The command inside a wrapper's words, [] if it cannot be told; None for a program that wraps nothing."""
    if program in ENVIRON_SETTERS:
        return _past_options(rest, VALUED.get(program, set()))
    if program in UNTIL_DASHES:
        return rest[rest.index("--") + 1 :] if "--" in rest else []
    if program in RUNNERS:
        return _run(program, rest[1:]) if rest and rest[0] == RUNNERS[program] else []
    if program in NPX:
        return [] if {"-p", "--package", "-c", "--call"} & set(rest[:1]) else _past_options(rest)
    if PYTHON.fullmatch(program):
        return _python(rest)
    if program in INTERPRETERS:
        return _script(rest)
    return None


def _python(rest: list[str]) -> list[str]:
    """python -u -m flask run -> flask run; python manage.py runserver -> manage.py runserver."""
    while rest and rest[0].startswith("-"):
        if rest[0] == "-m":
            return rest[1:]
        if rest[0] == "-c":
            return []
        rest = rest[2:] if rest[0] in ("-X", "-W") else rest[1:]
    return rest


def _run(program: str, rest: list[str]) -> list[str]:
    """uv run --extra dev vite -> vite; uv run -m flask run -> flask run."""
    left = _past_options(rest, VALUED.get(program, set()) | {"-m", "--module"})
    options = rest[: len(rest) - len(left)]
    module = next((i for i, word in enumerate(options) if word in ("-m", "--module")), None)
    return left if module is None else rest[module + 1 :]


def _script(rest: list[str]) -> list[str] | None:
    """node --inspect node_modules/vite/bin/vite.js -> vite; php artisan serve -> artisan serve."""
    rest = _past_options(rest)
    return [posixpath.basename(rest[0]).removesuffix(".js"), *rest[1:]] if rest else None


def _past_options(words: list[str], valued: Collection[str] = ()) -> list[str]:
    while words and words[0].startswith("-"):
        if words[0] == "--":
            return words[1:]
        words = words[2:] if words[0] in valued else words[1:]
    return words


def _managed(
    manager: str, rest: list[str], scripts: Scripts, folder: str, depth: int
) -> Reached | tuple[list[str], tuple[str, ...]]:
    """npm and its like: the program of a script, or the words of a command and what must come before more of them."""
    while rest and rest[0].startswith("-"):
        if rest[0] in FOLDER_OPTIONS and len(rest) > 1:
            folder, rest = posixpath.join(folder, rest[1]), rest[2:]
        elif rest[0] in ("--bun", "-s", "--silent"):
            rest = rest[1:]
        else:
            return Reached()  # a workspace, or another option that changes what is meant
    if not rest:
        return Reached()
    # What npm does not hand on unless it stands behind a "--"; the others hand on all that follows the name.
    dashes = ("--",) if manager == "npm" and "--" not in rest else ()
    if rest[0] in MANAGERS[manager]:
        return _past_options(rest[1:]), dashes
    explicit = rest[0] in ("run", "run-script") and len(rest) > 1
    name, more = (rest[1], rest[2:]) if explicit else (rest[0], rest[1:])
    known = scripts(folder)
    if name in known and (explicit or manager != "npm" or name in SHORTCUTS):
        if depth == 0 or any(word.startswith(("-w", "--workspace", "--filter")) for word in more):
            return Reached()
        found = _line(known[name], scripts, folder, depth - 1)
        given = more[more.index("--") + 1 :] if manager == "npm" and "--" in more else more
        return Reached((*found.words, *given) if found.words else (), (*dashes, *found.before), found.text)
    if manager == "npm" or name in ("run", "run-script"):
        return Reached()
    return [name, *more], ()  # yarn vite, pnpm vite, bun vite
