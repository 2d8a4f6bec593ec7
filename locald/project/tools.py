"""Dev servers that ignore PORT, or refuse names: what is added to their command or their environment.  [pure]

Only what the user has not said: a command with a port of its own, or with $PORT in it, gets none from us.  What is
added is said, a line each.  Where a tool is not recognised, behind another script for one, the supervisor finds the
port that it really listens on.

The facts are of each tool's documentation; tests/real/test_tools.py starts those that can be had.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from locald.project.model import Command
from locald.project.words import Scripts, appended, reach

__all__ = ["Supply", "Tool", "recognise", "supply"]

PORT = r"--port(=.*)?"
SHORT = rf"{PORT}|-p\d*"
ANY_PORT = re.compile(r"\$(PORT\b|\{PORT\b)")


class Tool(Struct, frozen=True):
    """One dev server.  Of the words after its program, one must be in ``verbs``, if there are any, and none in
    ``others``; one that matches ``given`` is a port of the user's."""

    name: str
    programs: tuple[str, ...]
    verbs: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    given: str = PORT
    words: str = ""  # added where no port is given
    host: str = ""  # added with them, if its first word is not there
    port_environ: dict[str, str] = {}  # set where no port is given
    port_unset: tuple[str, ...] = ()  # variables that it prefers to PORT
    environ: dict[str, str] = {}  # set always
    # For a name that is not below localhost, which all of these take by themselves.
    name_words: str = ""
    name_environ: dict[str, str] = {}


VITE_NAMES = {"__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS": "{name}"}
STRICT = "--port {port} --strictPort"
LOOPBACK = "--host 127.0.0.1"

TOOLS = (
    Tool("vite", ("vite",), others=("build", "optimize"), words=STRICT, host=LOOPBACK, name_environ=VITE_NAMES),
    Tool("vitepress", ("vitepress",), ("dev", "serve", "preview"), words=STRICT, host=LOOPBACK,
         name_environ=VITE_NAMES),
    Tool("react-router", ("react-router",), ("dev",), words=STRICT, host=LOOPBACK, name_environ=VITE_NAMES),
    Tool("remix", ("remix",), ("vite:dev",), words=STRICT, host=LOOPBACK, name_environ=VITE_NAMES),
    Tool("nuxt", ("nuxt", "nuxi"), ("dev",), given=SHORT, port_unset=("NUXT_PORT", "NITRO_PORT", "HOST"),
         name_environ=VITE_NAMES),
    Tool("astro", ("astro",), ("dev", "preview"), words="--port {port}", host=LOOPBACK,
         environ={"ASTRO_DEV_BACKGROUND": "1"}, name_words="--allowed-hosts {name}"),
    Tool("ng", ("ng",), ("serve", "s", "dev"), words="--port {port}", host=LOOPBACK,
         name_words="--allowed-hosts {name}"),
    Tool("expo", ("expo",), ("start",), given=SHORT, words="--port {port}"),
    Tool("react-native", ("react-native",), ("start",), words="--port {port}"),
    Tool("webpack-dev-server", ("webpack-dev-server",), words="--port {port}", host=LOOPBACK,
         name_words="--allowed-hosts {name}"),
    Tool("webpack serve", ("webpack", "webpack-cli"), ("serve", "server", "s"), words="--port {port}", host=LOOPBACK,
         name_words="--allowed-hosts {name}"),
    Tool("wrangler", ("wrangler",), ("dev",), words="--port {port}", host="--ip 127.0.0.1"),
    Tool("django", ("manage.py", "django-admin", "django"), ("runserver",), given=r"(.*:)?\d{2,5}",
         words="127.0.0.1:{port}"),
    Tool("flask", ("flask",), ("run",), given=SHORT, port_environ={"FLASK_RUN_PORT": "{port}"}),
    Tool("uvicorn", ("uvicorn",), given=rf"{PORT}|--uds(=.*)?|--fd(=.*)?", port_environ={"UVICORN_PORT": "{port}"}),
    Tool("http.server", ("http.server",), given=r"\d{2,5}", words="{port}", host="--bind 127.0.0.1"),
    Tool("artisan", ("artisan",), ("serve",), port_environ={"SERVER_PORT": "{port}"}),
    Tool("spring-boot", ("mvn", "mvnw", "gradle", "gradlew"), ("spring-boot:run", "bootRun"),
         given=r".*server\.port=.*", port_environ={"SERVER_PORT": "{port}"},
         environ={"SERVER_FORWARD_HEADERS_STRATEGY": "framework"}),
    Tool("rails", ("rails",), ("server", "s"), given=SHORT, environ={"RAILS_DEVELOPMENT_HOSTS": "{name}"}),
)  # fmt: skip


class Supply(Struct, frozen=True):
    """What a command becomes: ``environ`` has what is set, ``unset`` what is taken away."""

    command: Command
    environ: dict[str, str] = {}
    unset: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def recognise(command: Command, scripts: Scripts) -> Tool | None:
    """The dev server that a command starts in the end, None for one that is not known."""
    return _tool(reach(command, scripts).words)


def supply(command: Command, port: int, name: str, scripts: Scripts, given: Mapping[str, str]) -> Supply:
    """The command with what its tool needs to listen on ``port`` and to answer to ``name``, a host; ``given`` are
    variables that the user has set for this service."""
    reached = reach(command, scripts)
    tool = _tool(reached.words)
    if tool is None:
        return Supply(command)
    values = {"port": str(port), "name": name}
    foreign = not name.endswith(".localhost")
    words, notes = "", []
    mine = re.compile(tool.given)
    has_port = any(mine.fullmatch(word) for word in reached.words[1:]) or bool(ANY_PORT.search(reached.text))
    has_port = has_port or any(key in given or _assigns(reached.text, key) for key in tool.port_environ)
    environ = {key: value for key, value in tool.environ.items() if key not in given}
    if not has_port:
        environ |= tool.port_environ
        words = tool.words
        if words and tool.host and not _has(reached.words, tool.host):
            words += f" {tool.host}"
    if foreign:
        environ |= {key: value for key, value in tool.name_environ.items() if key not in given}
        if tool.name_words and not _has(reached.words, tool.name_words):
            words += f" {tool.name_words}"
    more = words.format_map(values).split()
    environ = {key: value.format_map(values) for key, value in environ.items()}
    if more:
        notes.append(f"{' '.join(more)} added: {_why(tool, bool(tool.words) and not has_port)}")
    for key, value in environ.items():
        notes.append(f"{key}={value} set: {_why(tool, key in tool.port_environ)}")
    return Supply(
        appended(command, (*reached.before, *more)) if more else command,
        environ,
        () if has_port else tuple(key for key in tool.port_unset if key not in given),
        tuple(notes),
    )


def _why(tool: Tool, port: bool) -> str:
    return f"{tool.name} ignores PORT" if port else f"{tool.name} needs it here"


def _tool(words: tuple[str, ...]) -> Tool | None:
    program, *rest = words or ("",)
    plain = [word for word in rest if not word.startswith("-")]
    for tool in TOOLS:
        if program in tool.programs and not set(plain) & set(tool.others):
            return tool if not tool.verbs or set(plain) & set(tool.verbs) else None
    return None


def _has(words: tuple[str, ...], option: str) -> bool:
    flag = option.split()[0]
    return any(word == flag or word.startswith(f"{flag}=") for word in words)


def _assigns(text: str, key: str) -> bool:
    return re.search(rf"\b{key}=", text) is not None
